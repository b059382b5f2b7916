"""Whether a battery's power swings around its set-point by itself, faster and farther than the commands explain.

What follows with a delay and a lag gives a mean of the commands that came before, so it stays between the least and the
most of them. One that oscillates passes both ends in turn. Some way beyond them is allowed for meters and overshoot.
"""

import math
from typing import NamedTuple

TOLERANCE_SHARE = 0.02        # of the rating
LEAST_W = 50e3
OVERSHOOT_SHARE = 0.1         # of the span of the commands: what a converter may overshoot after a step
PASSES = 4                    # beyond one end and then the other, so often, is no accident
PAUSE_S = 4.0                 # from one to the next; slower is no oscillation but drift
MEAN_S = 2.0                  # the others make up for the mean of one that oscillates: for its swings they are too late


class Swing(NamedTuple):
    """How often the power has passed the two ends in turn; the end passed last (1 above, -1 below); how long ago."""

    passes: int = 0
    side: int = 0
    since_s: float = 0.0


def tolerance_w(rating_w: float, span_w: float) -> float:
    """How far beyond the commands of the last seconds, which span so much, the power may be."""
    return max(TOLERANCE_SHARE * rating_w, LEAST_W) + OVERSHOOT_SHARE * span_w


def beyond(power_w: float, low_w: float, high_w: float, rating_w: float) -> int:
    """1 above, -1 below what the commands `low_w`..`high_w` explain, 0 within."""
    tolerance = tolerance_w(rating_w, high_w - low_w)
    return 1 if power_w > high_w + tolerance else -1 if power_w < low_w - tolerance else 0


def swung(state: Swing, side: int, dt_s: float) -> Swing:
    """The state after a cycle in which the power was on this side of what the commands explain."""
    since_s = state.since_s + dt_s
    if side and side != state.side:
        return Swing(state.passes + 1, side, 0.0)
    if side:
        return state._replace(since_s=0.0 if state.passes else since_s)
    return Swing() if since_s > PAUSE_S else state._replace(since_s=since_s)


def oscillates(state: Swing) -> bool:
    """Whether that is enough to be sure."""
    return state.passes >= PASSES


def mean_w(before_w: float, power_w: float, dt_s: float) -> float:
    """The running mean of its power; NaN at first, and while that is not known."""
    if math.isnan(power_w) or math.isnan(before_w):
        return power_w
    return before_w + min(1.0, dt_s / MEAN_S) * (power_w - before_w)
