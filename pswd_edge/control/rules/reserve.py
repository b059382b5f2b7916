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

    `rise_w` > 0: it is firm that within `rise_within_s` the whole range lies so much higher, `fall_w` the same downward
    (see `expected.py`): then the reference may wait for it where it is, instead of being able to go back.
    """

    floor_w: float
    ceiling_w: float
    period_s: float
    up_w_per_s: float
    down_w_per_s: float
    age_s: float
    charge_efficiency: float
    discharge_efficiency: float
    rise_w: float = 0.0
    rise_within_s: float = 0.0
    fall_w: float = 0.0
    fall_within_s: float = 0.0


def shrink_wh(gap_w: float, step_w: float, period_s: float) -> float:
    """Energy of a gap that shrinks by `step_w` each cycle, the first time before it is used; 0 for no gap.

    About gap²/(2·ramp) for small steps.
    """
    if gap_w <= 0:
        return 0.0
    steps = math.floor(gap_w / step_w)
    return period_s / 3600 * step_w * (steps * gap_w / step_w - steps * (steps + 1) / 2)


def up_wh(reference_w: float, limits: Range) -> float:
    """Energy above the minimum that a jump to the ceiling would take from the battery, Wh.

    Where a fall is firm: or what waiting for it at the ceiling takes, and a jump to the lower ceiling afterwards.
    """
    gap_w = limits.ceiling_w - reference_w
    energy = _carried_wh(gap_w, limits.up_w_per_s, limits)
    if limits.fall_w > 0:
        then = _carried_wh(gap_w - limits.fall_w, limits.up_w_per_s, limits)
        energy = min(energy, max(gap_w, 0.0) * limits.fall_within_s / 3600 + then)
    return energy / limits.discharge_efficiency


def down_wh(reference_w: float, limits: Range) -> float:
    """Room below the maximum that a drop to the floor would fill, Wh.

    Where a rise is firm: or what waiting for it at the floor fills, and a drop to the higher floor afterwards.
    """
    gap_w = reference_w - limits.floor_w
    energy = _carried_wh(gap_w, limits.down_w_per_s, limits)
    if limits.rise_w > 0:
        then = _carried_wh(gap_w - limits.rise_w, limits.down_w_per_s, limits)
        energy = min(energy, max(gap_w, 0.0) * limits.rise_within_s / 3600 + then)
    return energy * limits.charge_efficiency


def _carried_wh(gap_w: float, ramp_w_per_s: float, limits: Range) -> float:
    """A gap that shrinks at the ramp, and what passes while the energy's measurement ages."""
    age = limits.age_s
    late = max(gap_w, 0.0) * age / 3600 + ramp_w_per_s * age * age / 7200
    return shrink_wh(gap_w, ramp_w_per_s * limits.period_s, limits.period_s) + late


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
