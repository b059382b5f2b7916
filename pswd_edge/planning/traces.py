"""Loads drawn from a seed: training jobs, fine-tuning, inference, and what goes wrong with them.

Figures are those of published training and inference power models (arXiv 2508.16457, Table I, for the pulse train). A
share is 1.0 at the nominal compute level. All series have shape (n,), one value for each step of `STEP_S`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pswd_edge.planning.run import Series

STEP_S = 0.02
PSU_LAG_S = 0.04
IDLE = 0.1
_JITTER_MAX = 0.3


@dataclass(frozen=True)
class Shape:
    """The pulse train of one kind of job: duty, depth of the fall between computing, and their scatter."""

    duty: tuple[float, float] = (0.55, 0.8)
    level_deviation: float = 0.05
    drop: float = 0.3
    drop_deviation: float = 0.05
    noise_up: tuple[float, float] = (0.02, 0.05)
    noise_down: tuple[float, float] = (0.01, 0.03)


TRAINING = Shape()
FINE_TUNING = Shape(duty=(0.7, 0.9), drop=0.8, drop_deviation=0.03)


def pulses(rng: np.random.Generator, seconds: float, frequency_hz: float | Series, jitter: float = 0.1,
           shape: Shape = TRAINING) -> Series:
    """A job that runs throughout. `frequency_hz` may be a series: the frequency drifts; `jitter`: of each period."""
    count = round(seconds / STEP_S)
    drifts = np.broadcast_to(np.asarray(frequency_hz, dtype=np.float64), (count,))
    duty, up_noise = rng.uniform(*shape.duty), rng.uniform(*shape.noise_up)
    down_noise = rng.uniform(*shape.noise_down)
    share, at = np.empty(count), 0
    while at < count:
        scatter = float(np.clip(rng.normal(0.0, jitter), -_JITTER_MAX, _JITTER_MAX)) if jitter else 0.0
        length = max(2, round(1 / (drifts[at] * (1 + scatter)) / STEP_S))
        computing = max(1, min(length - 1, int(length * duty)))
        share[at : at + computing] = 1 + rng.normal(0.0, shape.level_deviation)
        share[at + computing : at + length] = 1 - rng.normal(shape.drop, shape.drop_deviation)
        up = share[at : at + computing]
        up += rng.normal(0.0, up_noise, len(up))
        down = share[at + computing : at + length]
        down += rng.normal(0.0, down_noise, len(down))
        at += length
    return share


def inference(rng: np.random.Generator, seconds: float, scale: float = 1.0) -> Series:
    """Serving requests: a slow wander, bursts and decode noise around 1.0."""
    count = round(seconds / STEP_S)
    found = np.ones(count)
    for deviation, tau_s in ((0.012, 60.0), (0.008, 0.25)):
        keep = np.exp(-STEP_S / tau_s)
        found += scale * smoothed(rng.normal(0.0, deviation * np.sqrt(1 - keep * keep), count) / (1 - keep), tau_s)
    bursts = np.zeros(count)
    places = (np.cumsum(rng.exponential(1 / 0.3, int(seconds))) / STEP_S).astype(int)
    bursts[places[places < count]] = rng.gamma(2.0, 0.004, (places < count).sum())
    return found + scale * smoothed(bursts / (1 - np.exp(-STEP_S / 1.5)), 1.5)


def smoothed(values: Series, tau_s: float) -> Series:
    """A first-order lag."""
    keep, found, state = float(np.exp(-STEP_S / tau_s)), np.empty(len(values)), float(values[0])
    for i, value in enumerate(values.tolist()):
        state = keep * state + (1 - keep) * value
        found[i] = state
    return found


def scheduled(running: Series, on: list[tuple[float, float]], dips: list[tuple[float, float, float]] | None = None,
              idle: float = IDLE) -> Series:
    """A job that runs in the intervals `on` (s) and idles else; `dips` (from, to, share): checkpoints, stragglers."""
    time_s = np.arange(len(running)) * STEP_S
    active: NDArray[np.bool_] = np.zeros(len(running), dtype=np.bool_)
    for begin, end in on:
        active |= (time_s >= begin) & (time_s < end)
    share = np.where(active, running, idle)
    for begin, end, level in dips or []:
        inside = active & (time_s >= begin) & (time_s < end)
        share[inside] = level + 0.1 * (running[inside] - 1)
    return smoothed(share, PSU_LAG_S)
