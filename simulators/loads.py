"""Load traces: what a job draws, as a share of its peak, deterministic by the generator that it is given.

Figures are those of published training and inference power models (arXiv 2508.16457, Table I, for the pulse train;
production spectra of 0.2-3 Hz from arXiv 2508.14318). A share is 1.0 at the nominal compute level and may pass it by
some per cent. `power_share` is called once a step, with rising time.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class LoadShape(Protocol):
    """Anything that draws power."""

    def power_share(self, t_s: float, dt_s: float) -> float:
        """Share of the peak drawn at plant time `t_s`, which is `dt_s` after the call before."""
        ...


@dataclass(frozen=True)
class TrainingShape:
    """The pulse train of one kind of job; ranges are drawn once per job, deviations once per iteration.

    `drop` is how far the share falls between computing; `noise_up` and `noise_down` are the ranges of the white
    noise's deviation at the two levels. `psu_lag_s` is the first-order lag of the power supplies (30-50 ms).
    """

    frequency_spread: float = 0.1
    duty: tuple[float, float] = (0.55, 0.8)
    level_deviation: float = 0.05
    drop: float = 0.3
    drop_deviation: float = 0.05
    noise_up: tuple[float, float] = (0.02, 0.05)
    noise_down: tuple[float, float] = (0.01, 0.03)
    psu_lag_s: float = 0.04
    idle: float = 0.1
    abort_s: tuple[float, float] = (0.05, 0.2)


TRAINING = TrainingShape()
FINE_TUNING = TrainingShape(duty=(0.7, 0.9), drop=0.8, drop_deviation=0.03)
NOISELESS = TrainingShape(
    frequency_spread=0.0, duty=(0.7, 0.7), level_deviation=0.0, drop_deviation=0.0, noise_up=(0.0, 0.0),
    noise_down=(0.0, 0.0), psu_lag_s=0.0,
)
FLAT = TrainingShape(
    frequency_spread=0.0, level_deviation=0.0, drop=0.0, drop_deviation=0.0, noise_up=(0.0, 0.0),
    noise_down=(0.0, 0.0), psu_lag_s=0.0,
)


class TrainingJob:
    """A synchronous training job: all its racks compute and wait together. It starts as a step, at full level."""

    def __init__(self, rng: random.Random, frequency_hz: float = 1.0, shape: TrainingShape = TRAINING) -> None:
        self._rng = rng
        self._shape = shape
        self._frequency_hz = frequency_hz
        self._duty = rng.uniform(*shape.duty)
        self._noise_up = rng.uniform(*shape.noise_up)
        self._noise_down = rng.uniform(*shape.noise_down)
        self._abort_length_s = rng.uniform(*shape.abort_s)
        self._abort_at_s = math.inf
        self._abort_from = 0.0
        self._dip = (math.inf, math.inf, 0.0)
        self._iteration_ends_s = -math.inf
        self._drop_at_s = -math.inf
        self._up = self._down = 1.0
        self._share = shape.idle
        self._lag_gain = (0.0, 1.0)

    def checkpoint(self, at_s: float, duration_s: float, share: float = 0.45) -> None:
        """Write a checkpoint from `at_s` on: the job waits at `share` for `duration_s`."""
        self._dip = (at_s, at_s + duration_s, share)

    def abort(self, at_s: float) -> None:
        """Fall to idle from `at_s` on, within 50-200 ms; for good."""
        self._abort_at_s = at_s

    def power_share(self, t_s: float, dt_s: float) -> float:
        """See LoadShape."""
        if t_s >= self._abort_at_s:
            return self._falling(t_s)
        lag_s = self._shape.psu_lag_s
        wanted = self._wanted(t_s)
        if lag_s > 0.0:
            if dt_s != self._lag_gain[0]:
                self._lag_gain = (dt_s, 1.0 - math.exp(-dt_s / lag_s))
            wanted = self._share + self._lag_gain[1] * (wanted - self._share)
        self._share = self._abort_from = wanted
        return wanted

    def _wanted(self, t_s: float) -> float:
        if t_s >= self._iteration_ends_s:
            self._begin_iteration(t_s)
        dip = self._dip
        if dip[0] <= t_s < dip[1]:
            return dip[2] + self._rng.gauss(0.0, self._noise_down)
        if t_s < self._drop_at_s:
            return self._up + self._rng.gauss(0.0, self._noise_up)
        return self._down + self._rng.gauss(0.0, self._noise_down)

    def _begin_iteration(self, t_s: float) -> None:
        shape, gauss = self._shape, self._rng.gauss
        jitter = min(0.3, max(-0.3, gauss(0.0, shape.frequency_spread)))
        period_s = 1.0 / (self._frequency_hz * (1.0 + jitter))
        self._iteration_ends_s = t_s + period_s
        self._drop_at_s = t_s + self._duty * period_s
        self._up = 1.0 + gauss(0.0, shape.level_deviation)
        self._down = 1.0 - gauss(shape.drop, shape.drop_deviation)

    def _falling(self, t_s: float) -> float:
        left = 1.0 - (t_s - self._abort_at_s) / self._abort_length_s
        return self._shape.idle + max(0.0, left) * (self._abort_from - self._shape.idle)


class InferenceLoad:
    """Serving requests: a slow wander, bursts of requests (gamma-sized, Poisson arrivals) and decode noise.

    The share wanders around 1.0. `scale` multiplies every deviation; 0 makes it flat.
    """

    def __init__(self, rng: random.Random, scale: float = 1.0) -> None:
        self._rng = rng
        self._scale = scale
        self._slow = self._decode = self._burst = 0.0
        self._next_burst_s = -math.inf
        self._gains = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def power_share(self, t_s: float, dt_s: float) -> float:
        """See LoadShape."""
        if self._scale == 0.0:
            return 1.0
        if dt_s != self._gains[0]:
            self._gains = (dt_s, *_wander(dt_s, 60.0, 0.012), *_wander(dt_s, 0.25, 0.008), math.exp(-dt_s / 1.5))
        _, keep_slow, push_slow, keep_decode, push_decode, keep_burst = self._gains
        gauss = self._rng.gauss
        self._slow = keep_slow * self._slow + gauss(0.0, push_slow)
        self._decode = keep_decode * self._decode + gauss(0.0, push_decode)
        self._burst *= keep_burst
        if t_s >= self._next_burst_s:
            self._burst += self._rng.gammavariate(2.0, 0.004)
            self._next_burst_s = t_s + self._rng.expovariate(0.3)
        return 1.0 + self._scale * (self._slow + self._decode + self._burst)


class Step:
    """One step from `low` to `high` at `at_s`, flat before and after."""

    def __init__(self, at_s: float, low: float = 0.0, high: float = 1.0) -> None:
        self._at_s = at_s
        self._low = low
        self._high = high

    def power_share(self, t_s: float, dt_s: float) -> float:  # noqa: ARG002 - LoadShape has it
        """See LoadShape."""
        return self._high if t_s >= self._at_s else self._low


class Enveloped:
    """Another load times a line through `points` (plant time in s, factor), level before the first and after the last.

    Points may share a time: that is a step.
    """

    def __init__(self, load: LoadShape, points: Sequence[tuple[float, float]]) -> None:
        self._load = load
        self._points = tuple(points)
        self._segment = 0

    def power_share(self, t_s: float, dt_s: float) -> float:
        """See LoadShape."""
        return self._factor(t_s) * self._load.power_share(t_s, dt_s)

    def _factor(self, t_s: float) -> float:
        points = self._points
        while self._segment < len(points) and t_s >= points[self._segment][0]:
            self._segment += 1
        if self._segment in (0, len(points)):
            return points[max(0, self._segment - 1)][1]
        (t0_s, f0), (t1_s, f1) = points[self._segment - 1], points[self._segment]
        return f0 + (f1 - f0) * (t_s - t0_s) / (t1_s - t0_s)


def _wander(dt_s: float, tau_s: float, deviation: float) -> tuple[float, float]:
    """Keep and push factors of a mean-reverting wander (Ornstein-Uhlenbeck) with that standard deviation."""
    keep = math.exp(-dt_s / tau_s)
    return keep, deviation * math.sqrt(1.0 - keep * keep)
