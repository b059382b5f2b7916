"""Modbus TCP with devices that do not echo transaction ids: answers are matched by their order.

So the one thing that keeps them in step is that nothing is ever owed: after a time-out, or an answer that is not of
the unit, the function and the length that were asked for, the connection is closed.
"""

import asyncio
import contextlib
import socket
import struct
from typing import cast

from pswd_edge.errors import DecodeError, DeviceError, SilentError, UnreachableError
from pswd_edge.field.drivers.base import Heard
from pswd_edge.field.drivers.link import AskingLink
from pswd_edge.field.drivers.rtu_frame import Shape, answer_shape

_MBAP = struct.Struct(">HHHB")
_HEAD_BYTES = _MBAP.size
_LENGTH_MAX = 254             # unit and PDU, Modbus Messaging on TCP/IP V1.0b, 4.1


class OrderedLink(AskingLink):
    """Exchanges PDUs. `late` counts answers that nobody waited for; each ends the connection."""

    def __init__(self) -> None:
        super().__init__()
        self._received = b""
        self._transaction = 0
        self._unit, self._shape = 0, Shape(b"", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: connected."""
        self._transport = cast("asyncio.Transport", transport)
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the connection is gone; whoever waits learns it."""
        self._transport = None
        self._end(UnreachableError(f"connection closed by the device ({exc or 'end of stream'})"))

    def close(self) -> None:
        """Close at once."""
        self._hang_up(UnreachableError("connection closed"))

    def ask(self, unit: int, pdu: bytes, timeout_s: float, now_s: float, heard: Heard) -> None:  # noqa: ARG002
        """Send a request PDU; `heard` gets the answer's PDU, or SilentError, DecodeError, UnreachableError, once."""
        if self._heard is not None:     # whoever asked last does not listen: that answer would be taken for this one
            self._hang_up(SilentError("another request was sent"))
        if self._transport is None:
            heard(UnreachableError("not connected"))
            return
        self._transaction = (self._transaction + 1) & 0xFFFF
        self._unit, self._shape, self._received, self._heard = unit, answer_shape(pdu), b"", heard
        self._timer = self._loop.call_later(timeout_s, self._expire)
        self._transport.write(_MBAP.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)

    def _expire(self) -> None:
        self._hang_up(SilentError("no answer in time; the connection is made anew, as its answers carry no number"))

    def _hang_up(self, found: bytes | DeviceError) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._end(found)

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came; they may be a part of an answer. More than one is one too many."""
        received = self._received = self._received + data
        if self._transport is None or len(received) < _HEAD_BYTES:
            return
        _, protocol, length, unit = _MBAP.unpack_from(received)
        if protocol != 0 or not 2 <= length <= _LENGTH_MAX:
            self._hang_up(UnreachableError(f"got header {received[:_HEAD_BYTES].hex()}: expected protocol 0, "
                                           f"length 2..{_LENGTH_MAX}; the connection is made anew"))
        elif len(received) >= 6 + length:
            self._deliver(unit, received[_HEAD_BYTES : 6 + length], received[6 + length :])

    def _deliver(self, unit: int, pdu: bytes, rest: bytes) -> None:
        self._received = b""
        if self._heard is None:
            self.late += 1
            self._hang_up(UnreachableError("an answer that nobody waits for"))
        elif unit != self._unit or not self._shape.fits(pdu):
            self._hang_up(DecodeError(f"got {pdu[:8].hex()} ({len(pdu)} bytes) of unit {unit}: expected "
                                      f"{self._shape.head.hex()} of unit {self._unit}; the connection is made anew"))
        elif rest:              # it would be taken for the next one's
            self.late += 1
            self._hang_up(pdu)
        else:
            self._end(pdu)
