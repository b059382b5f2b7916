"""Modbus over a network: many units behind one port, with the faults that real gateways have.

TCP frames or, as a transparent serial converter passes them, RTU frames; inside TLS where a context is given.
Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3 (MBAP header).
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Literal, cast

from simulators.faults import DeviceFaults, Faults
from simulators.servers.face import Face
from simulators.servers.modbus_rtu import RtuLine
from simulators.servers.pdu import answer, refusal
from simulators.servers.registers import RegisterSpace

_HEADER = struct.Struct(">HHHB")
_LONGEST = 254
_NO_TARGET = 0x0B    # "gateway target device failed to respond"
_STRANGE = 0x5A5A    # flips a transaction id into one that nobody asked with


class ModbusServer:
    """Units by their id. The gateway's own faults (`faults_of` its connection id) hold for all of them.

    `unknown_unit` says what a request to another unit gets: exception 0x0B, or nothing. With `rtu` frames are RTU, and
    it gets nothing: there is no gateway that could answer for it.
    """

    def __init__(
        self,
        connection_id: str,
        units: Mapping[int, RegisterSpace],
        faults: Faults,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        unknown_unit: Literal["exception", "silence"] = "exception",
        rtu: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.units = dict(units)
        self.port = port
        self.faults = faults
        self.silent = unknown_unit == "silence"
        self.links: set[_Link | _RtuLink] = set()
        self._rtu, self._tls = rtu, tls
        self._link_faults = faults.of(connection_id)
        self._host = host
        self._server: asyncio.Server | None = None
        self._spaces = {space.face.device.id: space for space in units.values()}

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        link = _RtuLink if self._rtu else _Link
        self._server = await loop.create_server(lambda: link(self), self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in tuple(self.links):
            link.abort()

    async def refresh(self, face: Face) -> None:
        """Put the face's values into its registers."""
        self._spaces[face.device.id].refresh()

    async def follow(self) -> None:
        """Close the port while the gateway, or every unit behind it, is off line; open it again afterwards."""
        units_off = all(s.face.faults.offline for s in self.units.values())
        offline = self._link_faults.offline or units_off
        if offline and self._server is not None:
            await self.stop()
        elif not offline and self._server is None:
            await self.start()


class _Link(asyncio.Protocol):
    """One client."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._buffer = b""
        self._kept: tuple[int, int, bytes] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.links.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._server.links.discard(self)

    def abort(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Serve every whole request; keep the beginning of the next."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= 8:
            transaction, protocol, length, unit = _HEADER.unpack_from(buffer, at)
            if protocol or not 2 <= length <= _LONGEST:
                self._transport.close()    # no way to find the next request
                return
            end = at + 6 + length
            if len(buffer) < end:
                break
            self._serve(transaction, unit, buffer[at + 7 : end])
            at = end
        self._buffer = buffer[at:]

    def _serve(self, transaction: int, unit: int, request: bytes) -> None:
        space = self._server.units.get(unit)
        if space is None:
            if not self._server.silent:
                self._send(transaction, unit, refusal(request[0], _NO_TARGET))
            return
        faults = space.face.faults
        if faults.disturbed:
            self._serve_disturbed(transaction, unit, request, space, faults)
        else:
            self._send(transaction, unit, answer(space, request))

    def _send(self, transaction: int, unit: int, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEADER.pack(transaction, 0, len(response) + 1, unit) + response)

    def _serve_disturbed(
        self, transaction: int, unit: int, request: bytes, space: RegisterSpace, faults: DeviceFaults
    ) -> None:
        if faults.offline:
            return
        response = refusal(request[0], faults.exception) if faults.exception else answer(space, request)
        if self._server.faults.lose(faults):
            return
        for frame in self._spoil(transaction, unit, response, faults.garbage):
            if faults.delay:
                asyncio.get_running_loop().call_later(faults.delay, self._write, frame)
            else:
                self._write(frame)

    def _write(self, frame: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frame)

    def _spoil(self, transaction: int, unit: int, response: bytes, garbage: str) -> list[bytes]:
        """The frames that leave now; see `faults.GARBAGE`."""
        if garbage == "frame":
            return [_HEADER.pack(transaction, 0x4A4B, len(response) + 40, unit) + response[::-1]]
        if garbage == "transaction":
            transaction ^= _STRANGE
        elif garbage:
            kept, self._kept = self._kept, (transaction, unit, response)
            if kept is None:
                return []
            newest = transaction
            transaction, unit, response = kept
            if garbage == "late_same_id":
                transaction = newest
        return [_HEADER.pack(transaction, 0, len(response) + 1, unit) + response]


class _RtuLink(asyncio.Protocol):
    """One client that speaks RTU."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._line = RtuLine(server.units, server.faults, self._write)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.links.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._server.links.discard(self)

    def abort(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Serve every whole request."""
        self._line.receive(data)

    def _write(self, frame: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frame)
