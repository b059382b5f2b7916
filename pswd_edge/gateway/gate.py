"""The gate of a listener: binds its addresses, accepts what the bounds allow, agrees on TLS."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

import structlog

from pswd_edge.gateway.connections import Connections, Entry

HANDSHAKE_S = 10.0            # for TLS
_BACKLOG = 128
_FULL_PAUSE_S = 1.0           # no file descriptor is left: wait for one
_FAREWELL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LOG = structlog.get_logger("pswd_edge.gateway")

Factory = Callable[[Entry], asyncio.Protocol]


class Gate:
    """Accepts connections in place of a server of asyncio, which would count none before TLS is agreed."""

    def __init__(
        self, bound: list[socket.socket], connections: Connections, factory: Factory, context: ssl.SSLContext | None,
    ) -> None:
        self._bound, self._connections, self._factory, self._context = bound, connections, factory, context
        self._arriving: set[asyncio.Task[None]] = set()
        self._accepting = [asyncio.create_task(self._accept(listening), name="accept") for listening in bound]
        self.port: int = bound[0].getsockname()[1]

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, address = await loop.sock_accept(listening)
            except OSError as error:
                _LOG.error("connections cannot be accepted", error=str(error))
                await asyncio.sleep(_FULL_PAUSE_S)
                continue
            entry = self._connections.enter(str(address[0]))
            if entry is None:
                self._turn_away(client)
                continue
            task = asyncio.create_task(self._let_in(client, entry), name="arrival")
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _turn_away(self, client: socket.socket) -> None:
        """Say why, where the client can read it and the socket takes it at once."""
        with client, contextlib.suppress(OSError):
            if self._context is None:
                client.send(_FAREWELL, socket.MSG_DONTWAIT)

    async def _let_in(self, client: socket.socket, entry: Entry) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: self._factory(entry), client, ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S if self._context else None)
        except OSError:                       # ssl.SSLError and a handshake that takes too long are some, too
            if self._context is not None:
                entry.cut("TLS_HANDSHAKE_FAILED")
            client.close()
            entry.leave()
        except asyncio.CancelledError:
            client.close()
            entry.leave()
            raise

    async def close(self) -> None:
        """Accept no more; handshakes under way are given up."""
        tasks = [*self._accepting, *self._arriving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._bound:
            listening.close()


async def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at every address of `host`, all at one port where that is 0. Raises OSError."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                                         flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((info[0], info[4]) for info in infos):
            listening = socket.socket(family, socket.SOCK_STREAM)
            bound.append(listening)
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken = bound[0].getsockname()[1] if len(bound) > 1 else port
            listening.bind((address[0], taken, *address[2:]))
            listening.listen(_BACKLOG)
    except OSError:
        for listening in bound:
            listening.close()
        raise
    return bound
