"""The load range that is guaranteed now: narrowed at once, widened only when the batteries hold the reserve for it."""

from pswd_edge.control.rules.law import Decision
from pswd_edge.control.rules.reference import Reference
from pswd_edge.control.rules.reserve import may_fall, may_rise
from pswd_edge.model.control import ControlSpec


class Guarantee:
    """Both ends of the range, W. Before anything was decided they can only come closer."""

    def __init__(self, spec: ControlSpec) -> None:
        self._ceiling_w, self._floor_w = spec.load_ceiling_w, spec.load_floor_w

    def under(self, spec: ControlSpec) -> "Guarantee":
        """The same under another site file."""
        after = Guarantee(spec)
        after._ceiling_w = min(self._ceiling_w, spec.load_maximum_w)
        return after

    def moved(self, ceiling_w: float, floor_w: float, decision: Decision | None,
              reference: Reference | None) -> tuple[float, float]:
        """Ceiling and floor toward those that are wanted, by the last cycle's decision and the reference now."""
        if decision is not None and reference is not None:
            fleet, r = decision.fleet, reference.reference_w
            rises = ceiling_w > self._ceiling_w and may_rise(
                ceiling_w, r, fleet.above_min_wh, fleet.discharge_rating_w, decision.limits)
            falls = floor_w < self._floor_w and may_fall(
                floor_w, r, fleet.below_max_wh, fleet.charge_rating_w, decision.limits)
            self._ceiling_w = ceiling_w if rises else self._ceiling_w
            self._floor_w = floor_w if falls else self._floor_w
        self._ceiling_w, self._floor_w = min(self._ceiling_w, ceiling_w), max(self._floor_w, floor_w)
        return self._ceiling_w, self._floor_w
