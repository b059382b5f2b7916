"""Feed-forward: which part of the load the batteries follow (control law, step 1).

By default a first-order low-pass: linear, one state, its gain is known for every frequency (`tune.py`). What is faster
stays on the grid, a little amplified, since the loop is late.

With the predictor the swing of the coming moment is followed instead. Three things keep it honest:

- The load's *level* is kept apart from its swing. A load far outside the swing of the last 20 s is a step: level and
  filter go there at once, and nothing is learnt for a while.
- Only measured skill counts. What part of the swing's power would have been taken off is known at every moment, over
  20 s and over 1.4 s; a load that is not predicted is not followed, and the low-pass does what it always does.
- The grid has the last word. Where the swing measured there is larger than the low-pass alone would leave, the
  predictor rests for a minute. And it never follows more than the swing that was seen.
"""

import math
from typing import NamedTuple

from pswd_edge.control.rules import predict
from pswd_edge.control.rules.predict import Predictor
from pswd_edge.model.tuning import filter_share

LEVEL_S = 20.0                # of the level's mean, and of the memory for swings
STEP_TIMES = 2.0             # this many times the swing: a step
ALTERNATE_S = 2.0             # two steps against each other within this time are the beginning of a swing
SETTLE_S = 2.0                # after a step nothing is learnt
SKILL_S, FAST_SKILL_S = 20.0, 1.4
FULL_SKILL = 1 / 3            # of the swing's power: from there on the prediction is followed whole
REST_S = 60.0
SMEAR_CYCLES = 24             # the longest delay that the predictor can work with
_ALTERNATE_SHARE = 0.65


class FeedSpec(NamedTuple):
    """What the feed-forward is made from: the filter's corner, the delay in s, the range of the load in W.

    `predicts` switches the predictor on; swings of less than `least_w` (peak) are not worth the batteries' wear.
    `peak_gain` is that of the filter.
    """

    filter_hz: float
    delay_s: float
    period_s: float
    range_w: float
    peak_gain: float
    predicts: bool
    least_w: float


class Skill(NamedTuple):
    """Running mean squares, per unit squared: of what prediction leaves, of the swing, and of the grid's swing."""

    left: float = 1.0
    swing: float = 1.0
    fast_left: float = 1.0
    fast_swing: float = 1.0
    grid: float = 0.0


class Feed(NamedTuple):
    """`filtered_w` is the low-passed load, `followed_w` what the batteries follow: the same without a predictor.

    `level_w` is the load without its swing, `swing_w` how far it went from there in the last 20 s, `grid_level_w` the
    mean of what the grid was off its reference. `settle_s` and `rest_s` count down. `share` is how much of the
    prediction is followed, 0..1.
    """

    filtered_w: float
    followed_w: float
    level_w: float
    swing_w: float
    grid_level_w: float = 0.0
    step_sign: float = 0.0
    since_step_s: float = math.inf
    settle_s: float = 0.0
    rest_s: float = 0.0
    share: float = 0.0
    skill: Skill = Skill()
    predictor: Predictor | None = None


def begun(load_w: float) -> Feed:
    """Take over at this load."""
    return Feed(load_w, load_w, load_w, 0.0)


def fed(spec: FeedSpec, state: Feed, load_w: float, grid_off_w: float, dt_s: float) -> Feed:
    """One cycle; `grid_off_w` is the measured grid less the reference that was meant, NaN where not known."""
    share = filter_share(spec.filter_hz, dt_s)
    filtered_w = state.filtered_w + share * (load_w - state.filtered_w)
    if not spec.predicts:
        return state._replace(filtered_w=filtered_w, followed_w=filtered_w, predictor=None, share=0.0,
                              level_w=load_w, swing_w=0.0)
    state = _levelled(spec, state._replace(filtered_w=filtered_w), load_w, dt_s)
    return _followed(spec, _judged(spec, state, load_w, grid_off_w, dt_s), dt_s)


def _levelled(spec: FeedSpec, state: Feed, load_w: float, dt_s: float) -> Feed:
    """Level and swing; a step moves the level at once, the first swings of a job move it half."""
    off_w = load_w - state.level_w
    since_s, sign, settle_s = state.since_step_s + dt_s, state.step_sign, max(0.0, state.settle_s - dt_s)
    level_w, swing_w, filtered_w = state.level_w, max(state.swing_w, spec.least_w), state.filtered_w
    if abs(off_w) > STEP_TIMES * swing_w:
        alternates = off_w * sign < 0 and since_s < ALTERNATE_S
        swing_w = max(swing_w, _ALTERNATE_SHARE * abs(off_w)) if alternates else swing_w
        level_w += off_w / 2 if alternates else off_w
        filtered_w = level_w
        since_s, sign, settle_s = 0.0, math.copysign(1.0, off_w), SETTLE_S
    swing_w = max(spec.least_w, abs(load_w - level_w), swing_w * math.exp(-dt_s / LEVEL_S))
    level_w += (1 - math.exp(-dt_s / LEVEL_S)) * (load_w - level_w)
    return state._replace(filtered_w=filtered_w, level_w=level_w, swing_w=swing_w, step_sign=sign,
                          since_step_s=since_s, settle_s=settle_s)


def _judged(spec: FeedSpec, state: Feed, load_w: float, grid_off_w: float, dt_s: float) -> Feed:
    """Learn from this cycle, and judge both the prediction and what the grid made of it."""
    shares = predict.smear(spec.delay_s / spec.period_s, SMEAR_CYCLES)
    swing = (load_w - state.level_w) / spec.range_w
    learns = state.settle_s <= 0
    predictor, error = predict.seen(state.predictor or predict.begun(SMEAR_CYCLES), swing, shares, learns=learns)
    slow, fast = 1 - math.exp(-dt_s / SKILL_S), 1 - math.exp(-dt_s / FAST_SKILL_S)
    old, grid_level_w, grid = state.skill, state.grid_level_w, state.skill.grid
    if learns and not math.isnan(grid_off_w):
        grid_level_w += slow * (grid_off_w - grid_level_w)
        grid += slow * (((grid_off_w - grid_level_w) / spec.range_w) ** 2 - grid)
    skill = Skill(old.left + slow * (error * error - old.left) if learns else old.left,
                  old.swing + slow * (swing * swing - old.swing) if learns else old.swing,
                  old.fast_left + fast * (error * error - old.fast_left),
                  old.fast_swing + fast * (swing * swing - old.fast_swing), grid)
    worse = state.share > 0 and learns and skill.grid > spec.peak_gain**2 * skill.swing
    rest_s = REST_S if worse else max(0.0, state.rest_s - dt_s)
    return state._replace(predictor=predictor, skill=skill, grid_level_w=grid_level_w, rest_s=rest_s)


def _followed(spec: FeedSpec, state: Feed, dt_s: float) -> Feed:
    """The filtered load, and the predicted swing in place of what the filter follows of it."""
    assert state.predictor is not None
    quiet = state.rest_s > 0 or state.swing_w <= spec.least_w or dt_s > 1.5 * spec.period_s
    share = 0.0 if quiet else min(1.0, max(0.0, _skill(state.skill)) / FULL_SKILL)
    swing_w = predict.next_swing(state.predictor) * spec.range_w
    swing_w = min(max(swing_w, -state.swing_w), state.swing_w)
    followed_w = state.filtered_w + share * (swing_w - (state.filtered_w - state.level_w))
    return state._replace(followed_w=followed_w, share=share)


def _skill(skill: Skill) -> float:
    """Which part of the swing's power the prediction takes off, over 20 s or over 1.4 s, whichever is less."""
    tiny = 1e-9
    return min(1 - skill.left / max(skill.swing, tiny), 1 - skill.fast_left / max(skill.fast_swing, tiny))
