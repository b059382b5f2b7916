"""Firm changes of the load: how they move the range that the reserves guarantee.

An announced step needs the less battery the more of the ramp comes before it: with x of the step d ramped beforehand at
R, x^2/2R is stored and (d - x)^2/2R taken; at x = d/2 both are d^2/8R. But a reference that stands x above a load that
stays must be able to come down again, which takes x^2/2R of room on top: d^2/4R in all for an announcement that may be
a lie. Only where it is firm that the step comes (the job waits for our word, or somebody answers for it) may that room
be spent; what is kept instead is the room for waiting where the reference is until the latest moment of the step.

A step that was not announced, comes late or never is contained by what is measured: the range moves only when the load
has, and moves back where it goes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules.reserve import Range


class Shift(NamedTuple):
    """A firm change: what it adds to the lower and the upper end of the load range, W (negative: a stop).

    It comes between the monotonic times `earliest_s` and `latest_s`.
    """

    low_w: float
    high_w: float
    earliest_s: float
    latest_s: float


def shifted(limits: Range, shifts: Sequence[Shift], load_w: float, now_s: float) -> Range:
    """The range with all changes that have come, and the next one that is due; `shifts` by time.

    `load_w` is filtered: whether a change has come is seen where no load lies in both ranges, before and after it.
    Where some do, both count. One that is overdue counts no more.
    """
    for shift in shifts:
        floor_w, ceiling_w = limits.floor_w + shift.low_w, limits.ceiling_w + shift.high_w
        seen = _seen(limits, shift, load_w)
        if now_s >= shift.earliest_s and seen:
            limits = limits._replace(floor_w=floor_w, ceiling_w=max(ceiling_w, floor_w))
        elif now_s <= shift.latest_s:
            return _pending(limits, shift, now_s)
    return limits


def _seen(limits: Range, shift: Shift, load_w: float) -> bool:
    """Whether the load is in the range after the change rather than in that before; never where the two overlap."""
    if shift.low_w > 0:
        after_w = limits.floor_w + shift.low_w
        return after_w > limits.ceiling_w and load_w > (limits.ceiling_w + after_w) / 2
    after_w = limits.ceiling_w + shift.high_w
    return after_w < limits.floor_w and load_w < (limits.floor_w + after_w) / 2


def _pending(limits: Range, shift: Shift, now_s: float) -> Range:
    """The change may be waited for; from its earliest moment on the reserves must be there for it, too."""
    within_s = shift.latest_s - now_s
    due = now_s >= shift.earliest_s
    if shift.low_w > 0:
        ceiling_w = limits.ceiling_w + shift.high_w if due else limits.ceiling_w
        return limits._replace(ceiling_w=ceiling_w, rise_w=shift.low_w, rise_within_s=within_s)
    if shift.high_w < 0:
        floor_w = limits.floor_w + shift.low_w if due else limits.floor_w
        return limits._replace(floor_w=floor_w, fall_w=-shift.high_w, fall_within_s=within_s)
    return limits
