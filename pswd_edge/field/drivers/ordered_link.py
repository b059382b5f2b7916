"""Modbus TCP with devices that do not echo transaction ids: answers are matched by their order.

So the one thing that keeps them in step is that nothing is ever owed: after a time-out, or an answer that is not of
the unit, the function and the length that were asked for, the connection is closed.
"""

import asyncio
import contextlib
import socket
import struct
from typing import cast

from pswd_edge.errors import DecodeError, SilentError, UnreachableError
from pswd_edge.field.drivers.rtu_frame import Shape, answer_shape

_MBAP = struct.Struct(">HHHB")
_HEAD_BYTES = _MBAP.size
_LENGTH_MAX = 254             # unit and PDU, Modbus Messaging on TCP/IP V1.0b, 4.1


class OrderedLink(asyncio.Protocol):
    """Exchanges PDUs. `late` counts answers that nobody waited for; each ends the connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._transaction = 0
        self._unit, self._shape = 0, Shape(b"", 0)
        self._answer: asyncio.Future[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.late = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: connected."""
        self._transport = cast("asyncio.Transport", transport)
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the connection is gone; whoever waits learns it."""
        self._transport = None
        self._end(UnreachableError(f"connection closed by the device ({exc or 'end of stream'})"))

    @property
    def connected(self) -> bool:
        """Whether requests can be sent."""
        return self._transport is not None

    def close(self) -> None:
        """Close at once."""
        self._hang_up(UnreachableError("connection closed"))

    def exchange(self, unit: int, pdu: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        """Send a request PDU; the future brings the answer's PDU, or SilentError, DecodeError, UnreachableError."""
        if self._answer is not None:    # whoever asked last was cancelled: that answer would be taken for this one
            self._hang_up(SilentError("another request was sent"))
        if self._transport is None:
            raise UnreachableError("not connected")
        self._transaction = (self._transaction + 1) & 0xFFFF
        self._unit, self._shape, self._received = unit, answer_shape(pdu), b""
        answer = self._answer = self._loop.create_future()
        self._transport.write(_MBAP.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)
        self._timer = self._loop.call_later(timeout_s, self._expire)
        return answer

    def _expire(self) -> None:
        self._hang_up(SilentError("no answer in time; the connection is made anew, as its answers carry no number"))

    def _hang_up(self, error: Exception) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._end(error)

    def _end(self, result: Exception | bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if isinstance(result, bytes):
            answer.set_result(result)
        else:
            answer.set_exception(result)

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came; they may be a part of an answer, or several."""
        self._received += data
        while len(self._received) >= _HEAD_BYTES and self._transport is not None:
            _, protocol, length, unit = _MBAP.unpack_from(self._received)
            if protocol != 0 or not 2 <= length <= _LENGTH_MAX:
                self._hang_up(UnreachableError(f"got header {self._received[:_HEAD_BYTES].hex()}: expected protocol 0, "
                                               f"length 2..{_LENGTH_MAX}; the connection is made anew"))
                return
            end = 6 + length
            if len(self._received) < end:
                return
            pdu, self._received = self._received[_HEAD_BYTES:end], self._received[end:]
            self._deliver(unit, pdu)

    def _deliver(self, unit: int, pdu: bytes) -> None:
        if self._answer is None:
            self.late += 1
            self._hang_up(UnreachableError("an answer that nobody waits for"))
        elif unit == self._unit and self._shape.fits(pdu):
            self._end(pdu)
        else:
            self._hang_up(DecodeError(f"got {pdu[:8].hex()} ({len(pdu)} bytes) of unit {unit}: expected "
                                      f"{self._shape.head.hex()} of unit {self._unit}; the connection is made anew"))
