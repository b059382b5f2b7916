"""What the load's swing will be when a command sent now takes effect: a linear predictor that learns as it goes.

Synchronous training swings in a rhythm. The last seconds say what comes next, and the weights are learnt by recursive
least squares. A command does not act at one moment: delay and lag smear it over two or three cycles, with shares that
sum to 1. The regression is therefore made against the past as the batteries would have smeared it (filtered-x), so that
the weights make the sum of load and *effect* small, not of load and command.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ORDER = 30                    # 3 s at 100 ms: the slowest swing that is worth following is 0.3 Hz
FORGET = 0.999                # 100 s of memory
COVARIANCE_FIRST = 1e3
COVARIANCE_MAX = 1e7          # of the trace: what is not excited must not grow for weeks

Vector = NDArray[np.float64]


class Predictor(NamedTuple):
    """Weights (ORDER,), their covariance (ORDER, ORDER), and past swings, newest first (ORDER + smear), per unit."""

    weights: Vector
    covariance: Vector
    past: Vector


def begun(smear_cycles: int) -> Predictor:
    """Knows nothing: predicts 0."""
    return Predictor(np.zeros(ORDER), COVARIANCE_FIRST * np.eye(ORDER), np.zeros(ORDER + smear_cycles))


def smear(delay_cycles: float, length: int) -> Vector:
    """How a command spreads over the cycles after it: two neighbours whose mean is the delay. Shape (length,)."""
    shares = np.zeros(length)
    first = min(int(delay_cycles), length - 2)
    shares[first + 1] = min(1.0, delay_cycles - first)
    shares[first] = 1.0 - shares[first + 1]
    return shares


def seen(state: Predictor, swing: float, shares: Vector, *, learns: bool) -> tuple[Predictor, float]:
    """Take in this cycle's swing (per unit); returns what the prediction made for it was wrong by.

    `shares` as of `smear`, as long as the state was begun with. Where it does not `learn`, only the past moves on.
    """
    past = np.concatenate(([swing], state.past[:-1]))
    places = np.flatnonzero(shares)
    smeared = sum((shares[j] * past[j : j + ORDER] for j in places), np.zeros(ORDER))
    error = swing - float(state.weights @ smeared)
    if not learns:
        return state._replace(past=past), error
    product = state.covariance @ smeared
    gain = product / (FORGET + float(smeared @ product))
    covariance = (state.covariance - gain[:, None] * product) / FORGET
    covariance = (covariance + covariance.T) / 2  # rounding must not make it lopsided over weeks
    trace = float(np.trace(covariance))
    if trace > COVARIANCE_MAX:
        covariance = covariance * (COVARIANCE_MAX / trace)
    return Predictor(state.weights + gain * error, covariance, past), error


def next_swing(state: Predictor) -> float:
    """The swing to command now, per unit."""
    return float(state.weights @ state.past[:ORDER])
