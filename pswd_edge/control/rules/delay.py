"""How late the batteries are, measured: from a command to the power that it has made.

The commands of the last second and a half are compared with the measured power as it would be for each of many delays;
the one with the smallest running error is the delay. Only while commands move is anything learnt.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.025
LONGEST_S = 1.5
MEMORY_S = 60.0
AGE_S = 10.0
ENOUGH = 5.0                  # of the summed, squared, relative motion: before that nothing is told
MOVED_SHARE = 0.002           # of the ratings, from cycle to cycle: less is noise
_CANDIDATES = np.arange(0.0, LONGEST_S + STEP_S / 2, STEP_S)

Vector = NDArray[np.float64]


class Delay(NamedTuple):
    """Commands with their times (s, W; oldest first), and the summed error of each candidate, per unit squared.

    `age_s` is how old the load is when it is used, smoothed; NaN where that is not known yet.
    """

    times_s: Vector
    commands_w: Vector
    errors: Vector
    weight: float = 0.0
    age_s: float = math.nan


def begun(cycles: int = 40) -> Delay:
    """Nothing was commanded yet."""
    return Delay(np.full(cycles, -np.inf), np.zeros(cycles), np.zeros(len(_CANDIDATES)))


def unled(state: Delay) -> Delay:
    """The history of a law that does not lead, or leads blindly: empty, as the power measured then answers nothing."""
    return state._replace(times_s=np.full_like(state.times_s, -np.inf))


def commanded(state: Delay, time_s: float, power_w: float) -> Delay:
    """The history with this command."""
    return state._replace(times_s=np.append(state.times_s[1:], time_s),
                          commands_w=np.append(state.commands_w[1:], power_w))


def compared(state: Delay, moment_s: float, power_w: float, rating_w: float, dt_s: float) -> Delay:
    """Judge the candidates by the power that was measured at `moment_s`.

    Between commands the power is taken to move in a line: that is the mean of a command held for a cycle, so the delay
    counts from the middle of the hold, half a cycle included.
    """
    known = np.isfinite(state.times_s)
    if not (math.isfinite(moment_s) and math.isfinite(power_w)):
        return state  # the load is not from grid and batteries, or a battery is not known: nothing to compare
    if rating_w <= 0 or not known.any() or moment_s - LONGEST_S < state.times_s[known][0]:
        return state
    wanted = np.interp(moment_s - _CANDIDATES, state.times_s[known], state.commands_w[known])
    span = float(wanted.max() - wanted.min()) / rating_w
    if span < MOVED_SHARE * LONGEST_S / dt_s / 10:
        return state
    keep = 1 - dt_s / MEMORY_S
    errors = keep * state.errors + ((wanted - power_w) / rating_w) ** 2
    return state._replace(errors=errors, weight=keep * state.weight + span)


def measured_s(state: Delay) -> float | None:
    """The delay from command to effect, s, half a cycle of hold included; None while too little has moved."""
    if state.weight < ENOUGH:
        return None
    best = len(_CANDIDATES) - 1 - int(np.argmin(state.errors[::-1]))  # of equals the longest: shorter ones are blind
    if not 0 < best < len(_CANDIDATES) - 1:
        return float(_CANDIDATES[best])
    left, middle, right = state.errors[best - 1 : best + 2]
    curve = left - 2 * middle + right
    return float(_CANDIDATES[best] + (0.0 if curve <= 0 else STEP_S * (left - right) / (2 * curve)))


def aged(state: Delay, age_s: float, dt_s: float) -> Delay:
    """The state after a cycle whose load was `age_s` old; what is no finite age changes nothing."""
    if not math.isfinite(age_s):
        return state
    smooth = age_s if math.isnan(state.age_s) else state.age_s + dt_s / AGE_S * (age_s - state.age_s)
    return state._replace(age_s=smooth)


def total_s(state: Delay) -> float | None:
    """From the load to the batteries' effect on the grid, s: the law's delay; None while it is not known."""
    found = measured_s(state)
    return None if found is None or math.isnan(state.age_s) else found + state.age_s
