"""A lean Modbus TCP transport: one connection, one request in flight, no answer taken for another's.

Measured beside pymodbus' own client this costs a third of its CPU a request (decision 2). The PDUs that are not on
the hot path are still pymodbus'.
"""

import asyncio
import contextlib
import math
import socket
import struct
import time
from typing import cast
from weakref import WeakKeyDictionary

from pswd_edge.errors import DecodeError, SilentError, UnreachableError
from pswd_edge.field.drivers.base import Heard
from pswd_edge.field.drivers.link import AskingLink

_MBAP = struct.Struct(">HHHB")
_HEAD_BYTES = _MBAP.size
_LENGTH_MAX = 254             # unit and PDU, Modbus Messaging on TCP/IP V1.0b, 4.1
LATE_MAX = 3                  # answers in a row with a wrong transaction id: then the stream is not to be trusted


class _Watch:
    """One timer for all connections of an event loop: setting one for each request cost 5 % of a poll."""

    def __init__(self) -> None:
        self._waiting: set[ModbusLink] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = math.inf

    def add(self, link: "ModbusLink", now_s: float) -> None:
        """Look at this link again when its time is over."""
        self._waiting.add(link)
        if link.expires_s < self._due_s:
            self._set(link.expires_s, now_s)

    def _set(self, due_s: float, now_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due_s = due_s
        self._timer = asyncio.get_running_loop().call_later(due_s - now_s, self._look)

    def _look(self) -> None:
        now_s = time.monotonic()
        looked_at, self._waiting = self._waiting, set()
        self._timer, self._due_s = None, math.inf
        waiting = [link for link in looked_at if link._heard is not None]  # noqa: SLF001  # mostly none: no call for each
        self._waiting |= {link for link in waiting if link.still_waits(now_s)}
        due_s = min((link.expires_s for link in self._waiting), default=math.inf)
        if due_s < self._due_s:
            self._set(due_s, now_s)


_watches: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch]" = WeakKeyDictionary()


class ModbusLink(AskingLink):
    """Exchanges PDUs. `late` counts answers that came for a request that nobody waits for any more."""

    def __init__(self) -> None:
        super().__init__()
        self._received = b""
        self._transaction = 0
        self._unit = 0
        self._watch = _watches.setdefault(self._loop, _Watch())
        self.expires_s = 0.0
        self._late_in_a_row = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's TCP transport is none by inheritance
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the connection is gone; whoever waits learns it."""
        self._transport = None
        self._end(UnreachableError(f"connection closed by the device ({exc or 'end of stream'})"))

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._end(UnreachableError("connection closed"))

    def ask(self, unit: int, pdu: bytes, timeout_s: float, now_s: float, heard: Heard) -> None:
        """Send a request PDU; `heard` gets the answer's PDU, or SilentError, DecodeError, UnreachableError, once.

        `now_s` is the monotonic time.
        """
        transport = self._transport
        if transport is None:
            heard(UnreachableError("not connected"))
            return
        self._transaction = transaction = (self._transaction + 1) & 0xFFFF
        self._unit, self._heard = unit, heard
        self.expires_s = now_s + timeout_s
        transport.write(_MBAP.pack(transaction, 0, len(pdu) + 1, unit) + pdu)
        self._watch.add(self, now_s)

    def still_waits(self, now_s: float) -> bool:
        """Whether an answer may still come in time; where its time is over, whoever waits for it learns that now."""
        if self._heard is None:
            return False
        if now_s < self.expires_s:
            return True
        self._end(SilentError("no answer in time"))
        return self._heard is not None  # who heard it may have asked anew

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came; mostly the one answer that is waited for, but perhaps a part of it, or several."""
        if not self._received and len(data) > _HEAD_BYTES:
            transaction, protocol, length, unit = _MBAP.unpack_from(data)
            heard = self._heard
            if (heard is not None and transaction == self._transaction and length == len(data) - 6
                    and unit == self._unit and protocol == 0 and length <= _LENGTH_MAX):
                self._late_in_a_row, self._heard = 0, None
                heard(data[_HEAD_BYTES:])
                return
        self._sort_out(data)

    def _sort_out(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        while len(data) >= _HEAD_BYTES:
            transaction, protocol, length, unit = _MBAP.unpack_from(data)
            if protocol != 0 or not 2 <= length <= _LENGTH_MAX:
                self._distrust(f"got header {data[:_HEAD_BYTES].hex()}: expected protocol 0, length 2..{_LENGTH_MAX}")
                return
            end = 6 + length
            if len(data) < end:
                break
            self._deliver(transaction, unit, data[_HEAD_BYTES:end])
            data = data[end:]
        self._received = data

    def _deliver(self, transaction: int, unit: int, pdu: bytes) -> None:
        heard = self._heard
        if transaction != self._transaction or heard is None:
            self._late()
            return
        self._late_in_a_row = 0
        self._heard = None
        heard(pdu if unit == self._unit else
              DecodeError(f"got an answer of unit {unit}: expected unit {self._unit}"))

    def _late(self) -> None:
        self.late += 1
        self._late_in_a_row += 1
        if self._late_in_a_row >= LATE_MAX:
            self._distrust(f"{LATE_MAX} answers in a row were for other requests")

    def _distrust(self, why: str) -> None:
        """The stream is out of step: nothing that follows on it can be believed."""
        self._received = b""
        error = UnreachableError(f"{why}; the connection is made anew")
        self._end(error)
        self.close()
