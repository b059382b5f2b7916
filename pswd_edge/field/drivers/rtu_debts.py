"""Who owes an answer on a line without transaction ids, and how to find out that the debt is void. Pure: no clock.

A unit that has not answered in time is in debt: it is not asked again before its answer has come or `late_max_s` are
over. Then it is *unproven*: its answer may be later still. A device answers in order, so a question that no older
answer can pass for, a fence, settles it: what comes in the fence's own shape comes after everything that was owed.
"""

import math
import struct
from typing import NamedTuple

from pswd_edge.field.drivers.rtu_frame import Shape

_READS = (1, 2, 3, 4)
_READ_WRITE, _HOLDING = 23, 3


class Debt(NamedTuple):
    """An answer that has not come: asked `since_s`, of this shape, no longer waited for at `until_s`.

    `since_s` is infinite after an answer that nobody asked for: the unit is out of step, and more may come.
    """

    since_s: float
    until_s: float
    shape: Shape


class Debts:
    """Debts by unit; they outlive the link where the line does, as a serial port opened anew. 256 units at most."""

    def __init__(self, late_max_s: float) -> None:
        self._late_max_s = late_max_s
        self._due: dict[int, Debt] = {}
        self._unproven: set[int] = set()

    @property
    def units(self) -> set[int]:
        """Units in debt."""
        return set(self._due)

    def owe(self, unit: int, since_s: float, now_s: float, shape: Shape) -> None:
        """A request was not answered in time."""
        self._due[unit] = Debt(since_s, now_s + self._late_max_s, shape)

    def due(self, unit: int, now_s: float) -> Debt | None:
        """The debt that is waited for. One whose time is over makes the unit unproven, and is returned once more."""
        debt = self._due.get(unit)
        if debt is not None and debt.until_s <= now_s:
            del self._due[unit]
            self._unproven.add(unit)
        return debt

    def settle(self, unit: int, pdu: bytes, now_s: float) -> None:
        """A whole frame came that is no awaited answer: it pays a debt, or shows that the unit is out of step."""
        debt = self._due.pop(unit, None)
        if debt is None or not debt.shape.fits(pdu):
            self.owe(unit, math.inf, now_s, Shape(pdu[:1], None))

    def clear(self, unit: int) -> None:
        """The awaited answer came: nothing older follows it."""
        self._due.pop(unit, None)

    def prove(self, unit: int) -> None:
        """The fence was answered."""
        self._unproven.discard(unit)

    def fence(self, unit: int, request: bytes) -> bytes | None:
        """What to ask before this request; None where nothing older could pass for its answer.

        A read of the same registers with one less (or, of a single one, one more), so that the answers' lengths
        differ. A refusal settles it as well: what follows in the fence's shape is not in that of the request.
        """
        if unit not in self._unproven:
            return None
        function = request[0]
        if function == _READ_WRITE:
            return bytes((_HOLDING,)) + request[1:3] + b"\0\1"
        if function not in _READS:      # an echo holds address and content: it is its own proof
            return None
        start, count = struct.unpack_from(">HH", request, 1)
        if function in (1, 2):
            size = (count + 7) // 8
            other = 8 * (size - 1) if size > 1 else 9
        else:
            other = count - 1 if count > 1 else 2
        return struct.pack(">BHH", function, start, other)
