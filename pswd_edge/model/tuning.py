"""The two numbers that the delay of the loop decides: the corner of the feed-forward filter and the inner ramp.

A battery that copies the load `delay_s` late, through a first-order low-pass with the corner f_c, leaves
1 - H(f) exp(-j 2 pi f delay) of each frequency f on the grid. Its largest magnitude is the peak gain: what the law may
make of the worst of all swings.
"""

import cmath
import math
from functools import lru_cache
from typing import NamedTuple

GAIN_MAX = 1.25
CORNER_MAX_HZ = 0.15          # a higher one shortens steps no further than it widens swings
_STEP = 1.02                  # of the grid of frequencies and corners
_LOWEST_HZ, _CORNER_MIN_HZ = 0.005, 0.01
WINDOW_S, APART_S = 60.0, 60.0  # the utility's ramp: mean over a window, against the one so much earlier


class Tuning(NamedTuple):
    """What was chosen: corner, the peak gain that it gives, inner ramps (W/s), and the delay that they stand on."""

    delay_s: float
    filter_hz: float
    peak_gain: float
    up_w_per_s: float
    down_w_per_s: float


def filter_share(corner_hz: float, period_s: float) -> float:
    """What a first-order low-pass with this corner takes of a new value, sampled each `period_s`."""
    return 1 - math.exp(-2 * math.pi * corner_hz * period_s)


def gain(frequency_hz: float, corner_hz: float, delay_s: float, period_s: float) -> float:
    """Grid over load at one frequency, of the sampled filter; 1 means that the battery changes nothing."""
    share = filter_share(corner_hz, period_s)
    z = cmath.exp(-2j * math.pi * frequency_hz * period_s)
    return abs(1 - share / (1 - (1 - share) * z) * cmath.exp(-2j * math.pi * frequency_hz * delay_s))


@lru_cache(maxsize=256)
def peak_gain(corner_hz: float, delay_s: float, period_s: float) -> float:
    """The largest gain below the Nyquist frequency of the loop."""
    highest_hz, frequency_hz, most = 0.5 / period_s, _LOWEST_HZ, 0.0
    while frequency_hz <= highest_hz:
        most = max(most, gain(frequency_hz, corner_hz, delay_s, period_s))
        frequency_hz *= _STEP
    return most


@lru_cache(maxsize=256)
def corner(delay_s: float, period_s: float) -> float:
    """The highest corner up to 0.15 Hz whose peak gain is at most 1.25, Hz; the lowest one where none is.

    The gain grows with the corner, so halving finds it: a delay that is learnt while control runs has no tenth of a
    second to spare for all corners in turn.
    """
    good, bad = math.ceil(math.log(CORNER_MAX_HZ / _CORNER_MIN_HZ, _STEP)), -1
    while good - bad > 1:
        middle = (good + bad) // 2
        fits = peak_gain(CORNER_MAX_HZ / _STEP**middle, delay_s, period_s) <= GAIN_MAX
        good, bad = (middle, bad) if fits else (good, middle)
    return CORNER_MAX_HZ / _STEP**good


def step_error_w(swing_w: float, corner_hz: float, delay_s: float) -> float:
    """What one step of `swing_w` leaves in a 60 s mean of the grid: swing * (filter's time constant + delay) / 60 s.

    Source: the mean over W of a first-order step response that begins `delay_s` late.
    """
    return swing_w * (1 / (2 * math.pi * corner_hz) + delay_s) / WINDOW_S


def inner_ramp_w_per_s(limit_w_per_min: float, swing_w: float, corner_hz: float, delay_s: float) -> float:
    """The ramp of the reference that leaves room for one step of the whole range, W/s; 0 or less: impossible.

    One step is enough since the ramp budget (`control/rules/budget.py`) takes what a step has left in the window off
    the ramp that follows; without it two opposite steps within 120 s need twice as much.
    """
    return (limit_w_per_min - step_error_w(swing_w, corner_hz, delay_s) * 60 / APART_S) / 60


def tuned(limit_w_per_min: float, swing_w: float, delay_s: float, period_s: float,
          filter_hz: float | None = None) -> Tuning:
    """Corner and ramps for a delay; `filter_hz` keeps a corner that somebody chose."""
    corner_hz = corner(delay_s, period_s) if filter_hz is None else filter_hz
    ramp = inner_ramp_w_per_s(limit_w_per_min, swing_w, corner_hz, delay_s)
    return Tuning(delay_s, corner_hz, peak_gain(corner_hz, delay_s, period_s), ramp, ramp)
