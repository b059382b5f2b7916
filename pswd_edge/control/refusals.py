"""Set-points that devices do not take: refused, or not answered, for a second of writing."""

import math

from pswd_edge.model.control import ControlSpec
from pswd_edge.model.ports import FieldPort

NOT_TAKEN_S = 1.0             # of refusals or silence: some ten writes
BACK_S, BACK_MAX_S = 20.0, 640.0
_NOT_TAKEN = ("refused", "silent")


class _Refusal:
    """One battery: since when its set-point is not taken, or taken again, and how long it stays out."""

    __slots__ = ("bad_since_s", "good_since_s", "out", "wait_s")

    def __init__(self) -> None:
        self.bad_since_s, self.good_since_s, self.out, self.wait_s = math.inf, math.inf, False, BACK_S


class Refusals:
    """Watches the batteries' set-points. One that was out is used again when it took its values for a while."""

    def __init__(self, spec: ControlSpec) -> None:
        self._all = {b.setpoint: _Refusal() for b in spec.batteries}

    def update(self, field: FieldPort, now_s: float) -> frozenset[int]:
        """The set-points that cannot be counted on in this cycle, by point."""
        for point, found in self._all.items():
            if field.slot(point).state in _NOT_TAKEN:
                found.bad_since_s, found.good_since_s = min(found.bad_since_s, now_s), math.inf
                if now_s - found.bad_since_s >= NOT_TAKEN_S and not found.out:
                    found.out = True
            else:
                found.good_since_s, found.bad_since_s = min(found.good_since_s, now_s), math.inf
                self._back(found, now_s - found.good_since_s)
        return frozenset(p for p, found in self._all.items() if found.out)

    def _back(self, found: _Refusal, good_s: float) -> None:
        if found.out and good_s >= found.wait_s:
            found.out, found.wait_s = False, min(2 * found.wait_s, BACK_MAX_S)
        elif not found.out and good_s > BACK_MAX_S:
            found.wait_s = BACK_S
