"""Whether a battery does what it is told: its measured power against the commands of the last two seconds.

One that does not, or that oscillates, is left out at once: what it gives on its own is measured and the others make up
for it. It is tried again when it has kept to its set-point (0) for a while, each time after a longer one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules import oscillation
from pswd_edge.control.rules.allocate import DOES_NOT_FOLLOW, OSCILLATES
from pswd_edge.control.rules.oscillation import Swing

ACKNOWLEDGE_S = 2.0           # a command must show within this: delay, lag, and a register that is a second old
OFF_S = 0.5                   # outside for so long: it does not follow
BACK_S, BACK_MAX_S = 10.0, 640.0
TOLERANCE_SHARE = 0.04        # of the rating
STRAY_AFTER_S = 0.5           # a battery that fails goes to 0: what was measured of it a moment ago is over
_LEAST_W = 50e3


class Following(NamedTuple):
    """Commands of the last `ACKNOWLEDGE_S`, oldest first; how long it was off, or on again; whether it is lost.

    `wait_s` is how long it must keep to its set-point before it is used again; `out_s` how long it was not usable.
    `swing` counts how it passes the ends of its commands; `oscillates`: that is why it is lost. `mean_w` is the running
    mean of its power, NaN where that is not known.
    """

    commands_w: tuple[float, ...] = ()
    off_s: float = 0.0
    on_s: float = 0.0
    lost: bool = False
    wait_s: float = BACK_S
    out_s: float = 0.0
    swing: Swing = Swing()
    oscillates: bool = False
    mean_w: float = math.nan


def judged(state: Following, power_w: float, rating_w: float, period_s: float, dt_s: float) -> Following:
    """The state after a cycle in which it gave `power_w`; NaN (not known) judges nothing."""
    state = state._replace(mean_w=oscillation.mean_w(state.mean_w, power_w, dt_s))
    full = len(state.commands_w) >= round(ACKNOWLEDGE_S / period_s)
    if not full or math.isnan(power_w):
        return state
    low_w, high_w = min(state.commands_w), max(state.commands_w)
    side = oscillation.beyond(power_w, low_w, high_w, rating_w)
    state = state._replace(swing=oscillation.swung(state.swing, side, dt_s))
    if oscillation.oscillates(state.swing) and not state.lost:
        return _given_up(state, oscillates=True)
    tolerance = max(TOLERANCE_SHARE * rating_w, _LEAST_W)
    near = low_w - tolerance <= power_w <= high_w + tolerance
    if near and not (state.oscillates and side):
        return _near(state, dt_s)
    state = state._replace(off_s=state.off_s + dt_s, on_s=0.0)
    return state if state.off_s < OFF_S or state.lost else _given_up(state, oscillates=False)


def _given_up(state: Following, *, oscillates: bool) -> Following:
    return state._replace(on_s=0.0, lost=True, wait_s=min(2 * state.wait_s, BACK_MAX_S), oscillates=oscillates)


def _near(state: Following, dt_s: float) -> Following:
    """Where it was told to be; for long enough, and it is used again."""
    on_s = state.on_s + dt_s
    if state.lost and on_s < state.wait_s:
        return state._replace(off_s=0.0, on_s=on_s)
    fine = not state.lost and on_s > BACK_MAX_S
    return state._replace(off_s=0.0, on_s=on_s, lost=False, wait_s=BACK_S if fine else state.wait_s, oscillates=False)


def why(state: Following) -> str:
    """Why it is left out; empty where it is not."""
    if not state.lost:
        return ""
    return OSCILLATES if state.oscillates else DOES_NOT_FOLLOW


def commanded(state: Following, power_w: float, period_s: float, *, acts: bool) -> Following:
    """The state after a command; where nobody leads it there is nothing to follow."""
    if not acts:
        return state._replace(commands_w=(), off_s=0.0, swing=Swing())
    return state._replace(commands_w=(*state.commands_w, power_w)[-round(ACKNOWLEDGE_S / period_s):])


def left_out(state: Following, dt_s: float, *, usable: bool) -> Following:
    """The state after a cycle in which the battery could be used, or not."""
    return state._replace(out_s=0.0 if usable else state.out_s + dt_s)


def stray_w(states: Sequence[Following], powers_w: Sequence[float]) -> float:
    """What batteries that cannot be led give on their own, as far as it is known: the others make up for it."""
    return sum(state.mean_w if state.oscillates else power for state, power in zip(states, powers_w, strict=True)
               if state.out_s > (0.0 if state.lost else STRAY_AFTER_S) and not math.isnan(power))
