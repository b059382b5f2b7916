"""Whether a battery does what it is told: its measured power against the commands of the last two seconds.

One that does not is left out at once: what it gives on its own is measured and the others make up for it. It is tried
again when it has kept to its set-point (0) for a while, each time after a longer one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

ACKNOWLEDGE_S = 2.0           # a command must show within this: delay, lag, and a register that is a second old
OFF_S = 0.5                   # outside for so long: it does not follow
BACK_S, BACK_MAX_S = 10.0, 640.0
TOLERANCE_SHARE = 0.04        # of the rating
STRAY_AFTER_S = 0.5           # a battery that fails goes to 0: what was measured of it a moment ago is over
_LEAST_W = 50e3


class Following(NamedTuple):
    """Commands of the last `ACKNOWLEDGE_S`, oldest first; how long it was off, or on again; whether it is lost.

    `wait_s` is how long it must keep to its set-point before it is used again; `out_s` how long it was not usable.
    """

    commands_w: tuple[float, ...] = ()
    off_s: float = 0.0
    on_s: float = 0.0
    lost: bool = False
    wait_s: float = BACK_S
    out_s: float = 0.0


def judged(state: Following, power_w: float, rating_w: float, period_s: float, dt_s: float) -> Following:
    """The state after a cycle in which it gave `power_w`; NaN (not known) judges nothing."""
    full = len(state.commands_w) >= round(ACKNOWLEDGE_S / period_s)
    if not full or math.isnan(power_w):
        return state
    tolerance = max(TOLERANCE_SHARE * rating_w, _LEAST_W)
    near = min(state.commands_w) - tolerance <= power_w <= max(state.commands_w) + tolerance
    if near:
        on_s = state.on_s + dt_s
        if state.lost and on_s < state.wait_s:
            return state._replace(off_s=0.0, on_s=on_s)
        fine = not state.lost and on_s > BACK_MAX_S
        return state._replace(off_s=0.0, on_s=on_s, lost=False, wait_s=BACK_S if fine else state.wait_s)
    off_s = state.off_s + dt_s
    if off_s < OFF_S or state.lost:
        return state._replace(off_s=off_s, on_s=0.0)
    return state._replace(off_s=off_s, on_s=0.0, lost=True, wait_s=min(2 * state.wait_s, BACK_MAX_S))


def commanded(state: Following, power_w: float, period_s: float, *, acts: bool) -> Following:
    """The state after a command; where nobody leads it there is nothing to follow."""
    if not acts:
        return state._replace(commands_w=(), off_s=0.0)
    return state._replace(commands_w=(*state.commands_w, power_w)[-round(ACKNOWLEDGE_S / period_s):])


def left_out(state: Following, dt_s: float, *, usable: bool) -> Following:
    """The state after a cycle in which the battery could be used, or not."""
    return state._replace(out_s=0.0 if usable else state.out_s + dt_s)


def stray_w(states: Sequence[Following], powers_w: Sequence[float]) -> float:
    """What batteries that cannot be led give on their own, as far as it is known: the others make up for it."""
    return sum(power for state, power in zip(states, powers_w, strict=True)
               if state.out_s > (0.0 if state.lost else STRAY_AFTER_S) and not math.isnan(power))
