"""Announced changes of the load: how they move the range that the reserves guarantee.

An announced step needs the less battery the more of the ramp comes before it: with x of the step d ramped beforehand at
R, x^2/2R is stored and (d - x)^2/2R taken; at x = d/2 both are d^2/8R. But a reference that stands x above a load that
stays must be able to come down again, which takes x^2/2R of room on top: d^2/4R in all for an announcement that may be
a lie. Only where it is firm that the step comes (the job waits for our word, or somebody answers for it) may that room
be spent; what is kept instead is the room for waiting where the reference is until the latest moment of the step.

A step that is expected need not be told from a swing: in the gap between the ranges the filter is left out, and what it
would have left on the grid may be ramped instead (`quicker`, `stepped`).

A step that was not announced, comes late or never is contained by what is measured: the range moves only when the load
has, and moves back where it goes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules.feed import Feed
from pswd_edge.control.rules.reserve import Range
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.tuning import Tuning, inner_ramp_w_per_s, step_error_w

ARRIVES_S = 10.0              # after its latest moment a change may still be under way
_LEAVES_SHARE = 1 / 4         # of the gap between the ranges: a load that is further has left the one
_SLOWER = 0.999               # times what the delay allows: less was chosen by the site


class Shift(NamedTuple):
    """An announced change: what it adds to the lower and the upper end of the load range, W (negative: a stop).

    It comes between the monotonic times `earliest_s` and `latest_s`. It stays in the orders until the load has settled
    and the reference is there; then the range itself is ordered anew. One that is not `firm` is believed when it is
    seen, and nothing is kept or spared for it before.
    """

    low_w: float
    high_w: float
    earliest_s: float
    latest_s: float
    firm: bool = True


def shifted(limits: Range, shifts: Sequence[Shift], load_w: float, now_s: float) -> Range:
    """The range with all changes that have come, and the next one that is due; `shifts` by time.

    `load_w` is filtered: whether a change has come is seen where no load lies in both ranges, before and after it.
    Where some do, both count. One that is overdue counts no more.
    """
    ranges = _ranges(limits, shifts)
    come = _come(ranges, shifts, load_w, now_s)
    shift = next((s for s in shifts[come:] if now_s <= s.latest_s), None)
    return ranges[come] if shift is None or not shift.firm else _pending(ranges[come], shift, now_s)


def stepped(feed: Feed, limits: Range, shifts: Sequence[Shift], load_w: float, now_s: float) -> Feed:
    """The feed without its filter's lag, where the measured load is on its way between the ranges of a change.

    `limits` is the range before all changes.
    """
    ranges = _ranges(limits, shifts)
    come = _come(ranges, shifts, feed.filtered_w, now_s)
    for number, shift in enumerate(shifts):
        before = ranges[min(number, come)]
        due = number >= come - 1 and shift.earliest_s <= now_s <= shift.latest_s + ARRIVES_S
        if due and _between(before, _moved(before, shift), feed.filtered_w, load_w):
            return feed._replace(filtered_w=load_w, followed_w=load_w, level_w=load_w)
    return feed


def quicker(tuning: Tuning, spec: ControlSpec, limits: Range, shifts: Sequence[Shift],
            limit_w_per_min: float) -> Tuning:
    """The ramps that remain where the guaranteed range is narrow and its firm changes are followed unfiltered.

    Unless all changes are firm nothing is different, nor where the site's own ramp is slower than its delay demands.
    `limits` is the range before all changes.
    """
    if not shifts or not all(s.firm for s in shifts):
        return tuning
    width_w = spec.load_ceiling_w - spec.load_floor_w
    least = _SLOWER * inner_ramp_w_per_s(limit_w_per_min, width_w, tuning.filter_hz, tuning.delay_s)
    late_s = tuning.delay_s + spec.period_ms / 1000
    step_w = max(max(abs(s.low_w), abs(s.high_w)) for s in shifts)
    widest_w = max(r.ceiling_w - r.floor_w for r in _ranges(limits, shifts))
    left_w = step_error_w(widest_w, tuning.filter_hz, tuning.delay_s) + step_w * late_s / 60
    ramp = (limit_w_per_min - left_w) / 60
    if min(tuning.up_w_per_s, tuning.down_w_per_s) < least:
        return tuning
    return tuning._replace(up_w_per_s=max(tuning.up_w_per_s, ramp), down_w_per_s=max(tuning.down_w_per_s, ramp))


def _ranges(limits: Range, shifts: Sequence[Shift]) -> list[Range]:
    """The range before all changes, and the one after each."""
    found = [limits]
    for shift in shifts:
        found.append(_moved(found[-1], shift))
    return found


def _moved(limits: Range, shift: Shift) -> Range:
    """The range after a change; no load is below 0 unless some was before."""
    floor_w = max(limits.floor_w + shift.low_w, min(limits.floor_w, 0.0))
    return limits._replace(floor_w=floor_w, ceiling_w=max(limits.ceiling_w + shift.high_w, floor_w))


def _come(ranges: Sequence[Range], shifts: Sequence[Shift], load_w: float, now_s: float) -> int:
    """How many changes have come: the last one whose range the load is in.

    The last, since the stop of a start that never came must not be waited for.
    """
    for number in range(len(shifts), 0, -1):
        before, shift = ranges[number - 1], shifts[number - 1]
        if now_s >= shift.earliest_s and _seen(before, ranges[number], load_w):
            return number
    return 0


def _seen(before: Range, after: Range, load_w: float) -> bool:
    """Whether the load is in the range after the change rather than in that before; never where the two overlap."""
    if after.floor_w > before.ceiling_w:
        return load_w > (before.ceiling_w + after.floor_w) / 2
    return after.ceiling_w < before.floor_w and load_w < (before.floor_w + after.ceiling_w) / 2


def _between(before: Range, after: Range, filtered_w: float, load_w: float) -> bool:
    """Whether the load has left the range before, and the filter is not in the one after; never where they overlap."""
    if after.floor_w > before.ceiling_w:
        gap_w = after.floor_w - before.ceiling_w
        return load_w > before.ceiling_w + _LEAVES_SHARE * gap_w and filtered_w < after.floor_w
    if after.ceiling_w < before.floor_w:
        gap_w = before.floor_w - after.ceiling_w
        return load_w < before.floor_w - _LEAVES_SHARE * gap_w and filtered_w > after.ceiling_w
    return False


def _pending(limits: Range, shift: Shift, now_s: float) -> Range:
    """The change may be waited for; from its earliest moment on the reserves must be there for it, too."""
    within_s = shift.latest_s - now_s
    due = now_s >= shift.earliest_s
    after = _moved(limits, shift)
    if shift.low_w > 0:
        ceiling_w = after.ceiling_w if due else limits.ceiling_w
        return limits._replace(ceiling_w=ceiling_w, rise_w=shift.low_w, rise_within_s=within_s)
    if shift.high_w < 0:
        floor_w = after.floor_w if due else limits.floor_w
        return limits._replace(floor_w=floor_w, fall_w=-shift.high_w, fall_within_s=within_s)
    return limits
