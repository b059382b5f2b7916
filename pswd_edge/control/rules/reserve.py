"""Energy reserves of the ramp reference (control law, step 2).

When the load jumps by x the reference follows with at most one ramp step a cycle; the battery carries the rest, a
shrinking triangle of energy. What must stay in the battery (and free in it) for the worst jump inside the guaranteed
load range is a function of where the reference is.
"""

import math
from typing import NamedTuple


class Range(NamedTuple):
    """The constants of the reserves.

    Loads between `floor_w` and `ceiling_w` are guaranteed to be carried. `period_s` is the cycle, `up_w_per_s` and
    `down_w_per_s` the ramp limits of the reference, `age_s` how old the energy measurement can be plus the
    command's lag, efficiencies as fractions of 1.
    """

    floor_w: float
    ceiling_w: float
    period_s: float
    up_w_per_s: float
    down_w_per_s: float
    age_s: float
    charge_efficiency: float
    discharge_efficiency: float


def shrink_wh(gap_w: float, step_w: float, period_s: float) -> float:
    """Energy of a gap that shrinks by `step_w` each cycle, the first time before it is used; 0 for no gap.

    About gap²/(2·ramp) for small steps.
    """
    if gap_w <= 0:
        return 0.0
    steps = math.floor(gap_w / step_w)
    return period_s / 3600 * step_w * (steps * gap_w / step_w - steps * (steps + 1) / 2)


def up_wh(reference_w: float, limits: Range) -> float:
    """Energy above the minimum that a jump to the ceiling would take from the battery, Wh."""
    gap_w = limits.ceiling_w - reference_w
    ramp, age = limits.up_w_per_s, limits.age_s
    energy = shrink_wh(gap_w, ramp * limits.period_s, limits.period_s)
    late = max(gap_w, 0.0) * age / 3600 + ramp * age * age / 7200
    return (energy + late) / limits.discharge_efficiency


def down_wh(reference_w: float, limits: Range) -> float:
    """Room below the maximum that a drop to the floor would fill, Wh."""
    gap_w = reference_w - limits.floor_w
    ramp, age = limits.down_w_per_s, limits.age_s
    energy = shrink_wh(gap_w, ramp * limits.period_s, limits.period_s)
    late = max(gap_w, 0.0) * age / 3600 + ramp * age * age / 7200
    return (energy + late) * limits.charge_efficiency


def cycle_wh(battery_w: float, limits: Range) -> float:
    """Energy that the store loses in one cycle at this power (discharge positive), Wh; negative when it gains."""
    factor = 1 / limits.discharge_efficiency if battery_w > 0 else limits.charge_efficiency
    return battery_w * factor * limits.period_s / 3600


def may_rise(ceiling_w: float, reference_w: float, above_min_wh: float, rating_w: float, limits: Range) -> bool:
    """Whether a higher end of the guaranteed range can be carried from where the reference is now.

    `above_min_wh` is the batteries' usable energy, `rating_w` their discharge rating: a promise is widened only when
    it can be kept at once.
    """
    raised = limits._replace(ceiling_w=ceiling_w)
    return above_min_wh >= up_wh(reference_w, raised) and rating_w >= ceiling_w - reference_w


def may_fall(floor_w: float, reference_w: float, below_max_wh: float, rating_w: float, limits: Range) -> bool:
    """Whether a lower end of the guaranteed range can be carried from where the reference is now; see `may_rise`.

    `below_max_wh` is the room in the batteries, `rating_w` their charge rating.
    """
    lowered = limits._replace(floor_w=floor_w)
    return below_max_wh >= down_wh(reference_w, lowered) and rating_w >= reference_w - floor_w


def carried_swing_w(usable_wh: float, limits: Range) -> float:
    """The widest load range above the floor that `usable_wh` carries for any sequence of loads (theorem P2), W."""
    low, high = 0.0, 1e10
    for _ in range(60):
        swing = (low + high) / 2
        tried = limits._replace(ceiling_w=limits.floor_w + swing)
        if usable_wh >= max(up_wh(tried.floor_w, tried), down_wh(tried.ceiling_w, tried)):
            low = swing
        else:
            high = swing
    return low
