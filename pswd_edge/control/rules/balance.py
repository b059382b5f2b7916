"""Several batteries as one: how large a step they carry together, and who gives how much of it.

A battery that gives its full power lasts for its energy divided by its power, its endurance. Those with the longest
endurance give first; equal ones give in proportion. No other order carries a load that this one does not: with the
batteries sorted by endurance, longest first, a load is carried if and only if, for each k, what it takes above the
power of the first k is no more than the energy of the others. Source: Evans, Tindemans and Angeli, "A graphical measure
of aggregate flexibility for energy-constrained distributed energy resources", 2019.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

BLEND_S = 30.0                # endurances nearer than this share, so that no noise of an SoC throws power about
_BLEND_MIN_S = 0.01
_TINY_W = 1e-6


class Part(NamedTuple):
    """One battery in one direction: what it can give or take.

    `energy_wh` to its end, `rating_w` for seconds, `room_w` now.
    """

    energy_wh: float
    rating_w: float
    room_w: float

    @property
    def endurance_s(self) -> float:
        """For how long it gives its rating; 0 where it gives nothing."""
        return 3600 * self.energy_wh / self.rating_w if self.rating_w > _TINY_W else 0.0


def gap_wh(gap_w: float, ramp_w_per_s: float, age_s: float, drawn: float) -> float:
    """What a gap that closes at the ramp takes from the store, `age_s` of delay included, Wh.

    `drawn` is the store's loss for each Wh at the terminals. Equal to `reserve.up_wh` but for its steps.
    """
    return drawn * (gap_w + ramp_w_per_s * age_s) ** 2 / (7200 * ramp_w_per_s)


def widest_gap_w(parts: Sequence[Part], ramp_w_per_s: float, age_s: float, drawn: float) -> float:
    """The widest gap between load and reference that the parts carry until the reference has closed it, W."""
    ordered = sorted((p for p in parts if p.rating_w > _TINY_W), key=lambda p: (-p.endurance_s, -p.rating_w))
    left_wh, above_w, widest_w = sum(p.energy_wh for p in ordered), 0.0, math.inf
    for part in ordered:
        carried_w = math.sqrt(7200 * ramp_w_per_s * max(0.0, left_wh) / drawn) - ramp_w_per_s * age_s
        widest_w = min(widest_w, above_w + max(0.0, carried_w))
        left_wh, above_w = left_wh - part.energy_wh, above_w + part.rating_w
    return widest_w if ordered else 0.0


def usable_wh(parts: Sequence[Part], ramp_w_per_s: float, age_s: float, drawn: float) -> float:
    """The energy that counts: that of the widest gap they carry together; never more than they hold, Wh.

    Equal endurances count in full as far as their power can bring it. What lies in one battery beyond what its power
    can bring in time counts nothing.
    """
    held_wh = sum(p.energy_wh for p in parts if p.rating_w > _TINY_W)
    if ramp_w_per_s <= 0 or held_wh <= 0:
        return 0.0
    return min(held_wh, gap_wh(widest_gap_w(parts, ramp_w_per_s, age_s, drawn), ramp_w_per_s, age_s, drawn))


def split_w(power_w: float, parts: Sequence[Part], blend_s: float) -> list[float]:
    """Who gives how much of `power_w` (not negative), W; together exactly that, wherever they have the room.

    Each gives its rating times (endurance - level) / blend, between nothing and its room; the level is where the sum is
    right. None gives while another, longer by the blend, has room left.
    """
    blend_s, level = max(blend_s, _BLEND_MIN_S), math.inf
    given, slope = 0.0, 0.0
    for at, change in sorted(_kinks(parts, blend_s), reverse=True):
        if slope > 0 and given + slope * (level - at) >= power_w:
            break
        given, level, slope = given + (slope * (level - at) if slope > 0 else 0.0), at, slope + change
    if slope > _TINY_W and power_w > given:
        level -= (power_w - given) / slope
    found = [min(max(p.rating_w * (p.endurance_s - level) / blend_s, 0.0), p.room_w) if p.room_w > _TINY_W else 0.0
             for p in parts]
    return _exact(power_w, found, parts)


def _kinks(parts: Sequence[Part], blend_s: float) -> list[tuple[float, float]]:
    """Where, with a falling level, a part begins to give more (slope in W/s), and where its room ends."""
    kinks = []
    for p in parts:
        if p.room_w > _TINY_W:
            slope = p.rating_w / blend_s
            kinks += [(p.endurance_s, slope), (p.endurance_s - p.room_w / slope, -slope)]
    return kinks


def _exact(power_w: float, given: list[float], parts: Sequence[Part]) -> list[float]:
    """What rounding left over goes to those with room."""
    left_w = power_w - sum(given)
    for i, part in enumerate(parts):
        change_w = min(max(left_w, -given[i]), max(part.room_w, 0.0) - given[i])
        given[i] += change_w
        left_w -= change_w
    return given
