"""Too hot: loads are capped and shed in steps, and given back in steps. Pure."""

import math
from typing import NamedTuple

from pswd_edge.model.thermal import Interlock


class InterlockState(NamedTuple):
    """One interlock.

    `step` counts the steps that are in force, 0 for none. `over_s`, `trip_s` and `calm_s` are how long the temperature
    has been over its limit, over its trip value, and below its reset value; `over_s` begins anew with each step.
    `lost_s`: how long it could not be used. `latched`: tripped, and not yet reset by the operator.
    """

    step: int = 0
    over_s: float = 0.0
    trip_s: float = 0.0
    calm_s: float = 0.0
    lost_s: float = 0.0
    latched: bool = False


def judged(spec: Interlock, state: InterlockState, hot_c: float, dt_s: float, *, reset: bool) -> InterlockState:
    """The next state.

    Args:
        spec: limits, steps, times.
        state: the state now.
        hot_c: the temperature, NaN where it cannot be used.
        dt_s: time since the last call.
        reset: the operator lets go of a latch; it counts only while the temperature is below `reset_c`.
    """
    state = _timed(spec, state, hot_c, dt_s)
    if state.trip_s >= spec.confirm_s:
        return state._replace(step=len(spec.steps), latched=True, over_s=0.0)
    if hot_c <= spec.reset_c and reset:
        state = state._replace(latched=False)
    if state.over_s >= (spec.step_s if state.step else spec.confirm_s) and state.step < _most(spec, hot_c):
        return state._replace(step=state.step + 1, over_s=0.0)
    if state.step and not state.latched and state.calm_s >= spec.release_after_s:
        return state._replace(step=state.step - 1, calm_s=0.0)
    return state


def latched(spec: Interlock) -> InterlockState:
    """Tripped before a restart: all steps, until the operator lets go."""
    return InterlockState(step=len(spec.steps), latched=True)


def lost(spec: Interlock, state: InterlockState) -> bool:
    """Whether its temperature has been unusable for longer than it may."""
    return state.lost_s >= spec.lost_after_s


def _timed(spec: Interlock, state: InterlockState, hot_c: float, dt_s: float) -> InterlockState:
    """What the temperature says, in time. One that is lost is neither calm nor, within its grace, over."""
    lost_s = state.lost_s + dt_s if math.isnan(hot_c) else 0.0
    gone = lost_s >= spec.lost_after_s
    over = hot_c >= spec.limit_c or (gone and spec.when_lost != "alarm")
    waits = math.isnan(hot_c) and not gone
    return state._replace(
        lost_s=lost_s,
        over_s=state.over_s + dt_s if over else state.over_s if waits else 0.0,
        trip_s=state.trip_s + dt_s if hot_c >= spec.trip_c else state.trip_s if waits else 0.0,
        calm_s=state.calm_s + dt_s if hot_c <= spec.reset_c else 0.0)


def _most(spec: Interlock, hot_c: float) -> int:
    """The last step that this may lead to."""
    return 1 if math.isnan(hot_c) and spec.when_lost == "first_step" else len(spec.steps)
