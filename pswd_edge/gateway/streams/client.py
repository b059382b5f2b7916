"""One client of a stream: what it is sent, whether it keeps up, whether it is still there."""

import asyncio
import contextlib
import socket as sockets
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web

SLOW_BYTES = 32 * 1024      # waiting here after the kernel's buffers are full: some ten seconds of messages
SLOW_S = 2.0
FULL_BYTES = 512 * 1024     # never more than this waits for one client
SEND_BUFFER_BYTES = 32 * 1024   # of the kernel: by default it grows to megabytes, an hour of messages unread
PINGS_MAX = 20              # of a client, between two of ours
MESSAGE_MAX_BYTES = 4096
CLOSE_S = 2.0


class StreamClient:
    """A connection after its handshake.

    `heard_s` is when its last frame came, monotonic; `admission` raises RefusalError once it would not be let in again.
    """

    def __init__(self, origin: str, socket: web.WebSocketResponse, transport: asyncio.Transport,
                 now_s: Callable[[], float], admission: Callable[[], object]) -> None:
        self.origin, self.admission = origin, admission
        self._socket, self._transport, self._now_s = socket, transport, now_s
        self.heard_s = now_s()
        self._slow_since_s: float | None = None
        self._pings = 0
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, SEND_BUFFER_BYTES)

    def write(self, frame: bytes) -> None:
        """Hand over a whole frame; nothing where the connection is closing."""
        if not self._transport.is_closing():
            self._transport.write(frame)

    def too_slow(self) -> bool:
        """True where it has been over `SLOW_BYTES` behind for `SLOW_S`, or is `FULL_BYTES` behind."""
        waiting = self._transport.get_write_buffer_size()
        if waiting <= SLOW_BYTES:
            self._slow_since_s = None
            return False
        if self._slow_since_s is None:
            self._slow_since_s = self._now_s()
        return waiting > FULL_BYTES or self._now_s() - self._slow_since_s >= SLOW_S

    def beat(self, frame: bytes) -> None:
        """Ask for a sign of life."""
        self._pings = 0
        self.write(frame)

    async def listen(self) -> None:
        """Until it leaves. Pings are answered; a message, or a flood of pings, ends the connection."""
        async for message in self._socket:
            self.heard_s = self._now_s()
            if message.type is WSMsgType.PONG:
                continue
            if message.type is not WSMsgType.PING:
                await self.close(WSCloseCode.UNSUPPORTED_DATA, b"this stream takes no messages")
                return
            self._pings += 1
            if self._pings > PINGS_MAX:
                await self.close(WSCloseCode.POLICY_VIOLATION, b"too many pings")
                return
            with contextlib.suppress(ConnectionError):
                await self._socket.pong(message.data)

    async def close(self, code: int, reason: bytes) -> None:
        """Say why, wait a little for its answer, close."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._socket.close(code=code, message=reason)

    def cut(self) -> None:
        """Close at once: what waits is thrown away, and a closing frame would wait behind it."""
        self._transport.abort()
