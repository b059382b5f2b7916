"""Means over equal intervals of ring rows. Vectorised, no I/O."""

import numpy as np
from numpy.typing import NDArray


def cycle_times_ms(monotonic_s: NDArray[np.float64], utc_s: NDArray[np.float64], period_ms: int) -> NDArray[np.int64]:
    """UTC milliseconds at which each cycle was due, shape (n,), n at least 1.

    Cycles begin some ms late; near the edge of an interval that would put two cycles into one and none into the
    next. So each is put back on the grid of its period, whose phase is the circular mean over all rows. UTC is the
    newest row's: a wall clock that was set meanwhile makes neither holes nor doubles.
    """
    since_ms = 1000 * (monotonic_s - monotonic_s[-1])
    angle = 2 * np.pi * since_ms / period_ms
    phase_ms = period_ms / (2 * np.pi) * np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())
    slot = np.round((since_ms - phase_ms) / period_ms).astype(np.int64)
    anchor_ms = round(1000 * float(utc_s[-1]) + float(phase_ms))
    return np.asarray(anchor_ms + slot * period_ms)


def interval_means(
    time_ms: NDArray[np.int64], value: NDArray[np.float64], start_ms: int, count: int, width_ms: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of `value` (n, k) in each of `count` intervals of `width_ms` from `start_ms`, and the rows in each.

    NaN does not count; an interval without any value of a column has NaN there. Shapes (count, k), (count,).
    """
    place = (time_ms - start_ms) // width_ms
    inside = (place >= 0) & (place < count)
    place, value = place[inside], value[inside]
    rows = np.bincount(place, minlength=count)
    means = np.full((count, value.shape[1]), np.nan)
    for column in range(value.shape[1]):
        known = ~np.isnan(value[:, column])
        number = np.bincount(place[known], minlength=count)
        total = np.bincount(place[known], weights=value[known, column], minlength=count)
        np.divide(total, number, out=means[:, column], where=number > 0)
    return means, rows
