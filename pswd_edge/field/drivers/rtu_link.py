"""RTU over any stream of bytes: a serial line, or TCP to a converter. One request in flight.

RTU has no transaction ids. What keeps a late answer from being taken for the next one's is in `rtu_debts.py`; beyond
that every answer must be of the unit, the function and the length that were asked for, and an echo the very echo.
"""

import asyncio
import contextlib
import socket
import time
from typing import NamedTuple, cast

from pswd_edge.errors import DecodeError, DeviceError, SilentError, UnreachableError
from pswd_edge.field.drivers.base import Heard
from pswd_edge.field.drivers.link import AskingLink
from pswd_edge.field.drivers.rtu_debts import Debts
from pswd_edge.field.drivers.rtu_frame import (
    LONGEST_BYTES,
    Shape,
    answer_shape,
    may_become,
    other_answer,
    rtu_frame,
    whole_frame,
)

_KEPT_BYTES = LONGEST_BYTES + 44    # of noise and the beginning of a frame: looking through it takes a millisecond
_FLOOD_BYTES = 1024           # more than that without a pause is no answer
_SHORTEST_BYTES = 5           # unit, function, exception code, CRC
_AFTER_READS_S = 0.001        # a timer runs after the reads that are due: what lies in the socket is seen first


class Line(NamedTuple):
    """What is known of a line.

    `character_s` and `silence_s` (3.5 characters between frames) are 0 where bytes do not take their time on our side.
    `can_hang_up`: a new connection has no old answers in it.
    """

    debts: Debts
    character_s: float = 0.0
    silence_s: float = 0.0
    can_hang_up: bool = False


class RtuLink(AskingLink):
    """Exchanges PDUs. `late` counts answers that came for a request that nobody waits for any more."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line
        self._received = b""
        self._reading = False
        self._unit, self._request, self._timeout_s = 0, b"", 0.0
        self._steps: list[bytes] = []       # the request, and a fence before it where one is needed; empty: not begun
        self._shape = Shape(b"", 0)
        self._sent_s: float | None = None
        self._give_up_s = 0.0
        self._strange = b""
        self._quiet_s = time.monotonic()
        self._heard_s = float("-inf")
        self._units: set[int] = line.debts.units

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: connected."""
        self._transport = cast("asyncio.Transport", transport)
        with contextlib.suppress(OSError, AttributeError):  # a serial port has no socket
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the connection is gone; whoever waits learns it."""
        self._transport = None
        self._owe()
        self._finish(UnreachableError(f"connection closed by the device ({exc or 'end of stream'})"))

    def close(self) -> None:
        """Close at once."""
        self._hang_up("connection closed")

    def _hang_up(self, why: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._owe()
        self._finish(UnreachableError(why))

    # --- asking -------------------------------------------------------------------------------------------------

    def ask(self, unit: int, pdu: bytes, timeout_s: float, now_s: float, heard: Heard) -> None:
        """Send a request PDU; `heard` gets the answer's PDU, or SilentError, DecodeError, UnreachableError, once.

        The time on the wire, and the wait for a debt where the unit is alone, come on top of `timeout_s`.
        """
        if self._heard is not None:     # whoever asked last does not listen: that answer is still to come
            self._owe()
            self._finish(SilentError("another request was sent"))
        try:
            wait_s = self._debt_s(unit, now_s)
        except DeviceError as error:
            heard(error)
            return
        self._units.add(unit)
        self._unit, self._request, self._timeout_s, self._steps = unit, pdu, timeout_s, []
        self._heard = heard
        if wait_s > 0:
            self._timer = self._loop.call_later(wait_s, self._begin)
        else:
            self._begin()

    def _debt_s(self, unit: int, now_s: float) -> float:
        """How long this unit may not be asked. Raises where nobody is to wait for that."""
        if self._transport is None:
            raise UnreachableError("not connected")
        debt = self._line.debts.due(unit, now_s)
        if debt is None:
            return 0.0
        if self._line.can_hang_up and self._heard_s < debt.since_s:
            self.close()
            raise UnreachableError(f"unit {unit} has not answered, and no other since; the connection is made anew")
        left_s = debt.until_s - now_s
        if left_s <= 0:
            return _AFTER_READS_S
        if len(self._units | {unit}) == 1:      # nobody else needs the line
            return left_s
        raise SilentError(f"unit {unit} has not answered the request before; asked again in {left_s:.2f} s")

    def _begin(self) -> None:
        """The unit's debt is paid, or its time is over."""
        self._stop_timer()
        now_s = time.monotonic()
        debt = self._line.debts.due(self._unit, now_s)
        if debt is not None and debt.until_s > now_s:       # the timer was early
            self._timer = self._loop.call_later(_AFTER_READS_S, self._begin)
            return
        fence = self._line.debts.fence(self._unit, self._request)
        self._steps = [self._request] if fence is None else [fence, self._request]
        self._give_up_s = now_s + self._timeout_s
        self._send_when_quiet()

    def _send_when_quiet(self) -> None:
        if self._heard is None or self._transport is None:
            return
        now_s = time.monotonic()
        left_s = self._quiet_s + self._line.silence_s - now_s
        if self._reading:           # what is left of the same bytes is no answer to what is sent now
            self._timer = self._loop.call_soon(self._send_when_quiet)
        elif left_s <= 0:
            self._send(self._transport)
        elif now_s < self._give_up_s:
            wait_s = max(min(left_s, self._give_up_s - now_s), _AFTER_READS_S)
            self._timer = self._loop.call_later(wait_s, self._send_when_quiet)
        else:
            self._finish(DecodeError("the line is never quiet: expected 3.5 characters of silence; nothing was sent"))

    def _send(self, transport: asyncio.Transport) -> None:
        frame = rtu_frame(self._unit, self._steps[0])
        self._shape, self._received, self._strange = answer_shape(self._steps[0]), b"", b""
        now_s = self._sent_s = time.monotonic()
        there_s = len(frame) * self._line.character_s
        back_s = (LONGEST_BYTES if self._shape.size is None else self._shape.size + 3) * self._line.character_s
        self._quiet_s = now_s + there_s
        self._timer = self._loop.call_later(there_s + back_s + self._timeout_s, self._expire)
        transport.write(frame)

    def _expire(self) -> None:
        self._owe()
        found = self._strange or self._received
        if found:
            what = f"{found[:8].hex()} ({len(found)} bytes)"
            self._finish(DecodeError(f"got {what}: expected an answer of unit {self._unit} that begins with "
                                     f"{self._shape.head.hex()}, with a right CRC"))
        else:
            self._finish(SilentError("no answer in time"))

    def _owe(self) -> None:
        if self._sent_s is not None:
            self._line.debts.owe(self._unit, self._sent_s, time.monotonic(), self._shape)

    def _withdrawn(self, heard: Heard) -> None:
        if self._heard is heard and self._sent_s is None:
            self._finish(SilentError("withdrawn"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _finish(self, found: bytes | DeviceError) -> None:
        self._sent_s, self._steps = None, []
        self._end(found)

    # --- hearing ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came; a part of an answer, or several, or noise."""
        self._quiet_s = time.monotonic()
        received = self._received + data
        if len(received) > _FLOOD_BYTES and self._line.can_hang_up:
            self._hang_up(f"got {len(received)} bytes: expected one answer; the connection is made anew")
            return
        received = received[-_FLOOD_BYTES:]
        self._reading = True
        try:
            done = self._sort_out(received)
        finally:
            self._reading = False
        self._received = received[done:][-_KEPT_BYTES:]

    def _sort_out(self, received: bytes) -> int:
        """How much of it has been dealt with."""
        at = done = 0
        while len(received) - at >= _SHORTEST_BYTES - 1:
            waits = self._sent_s is not None
            end = whole_frame(received, at) or (waits and other_answer(received, at, self._unit, self._shape)) or 0
            if end:
                self._hear(received[at], received[at + 1 : end - 2])
                at = done = end
            elif waits and may_become(received, at, self._unit, self._shape):
                break
            else:
                at += 1
        return done

    def _hear(self, unit: int, pdu: bytes) -> None:
        """A whole frame came: the awaited one, one that is owed, or one that nobody asked for."""
        self._heard_s = now_s = time.monotonic()
        awaited = self._sent_s is not None and unit == self._unit
        if awaited and self._shape.fits(pdu):
            self._line.debts.clear(unit)
            self._step(pdu)
            return
        self.late += 1
        if awaited:
            self._strange = bytes((unit,)) + pdu
        self._line.debts.settle(unit, pdu, now_s)
        waits = self._heard is not None and not self._steps
        if waits and self._line.debts.due(self._unit, now_s) is None:
            self._begin()

    def _step(self, pdu: bytes) -> None:
        """The fence was answered: on to the request. Or that was answered."""
        if len(self._steps) == 1:
            self._finish(pdu)
            return
        self._stop_timer()
        self._line.debts.prove(self._unit)
        del self._steps[0]
        self._sent_s = None
        self._give_up_s = time.monotonic() + self._timeout_s
        self._timer = self._loop.call_later(_AFTER_READS_S, self._send_when_quiet)
