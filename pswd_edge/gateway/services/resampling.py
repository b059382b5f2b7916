"""Means over equal intervals of ring rows. Vectorised, no I/O."""

import numpy as np
from numpy.typing import NDArray


def interval_means(
    time_ms: NDArray[np.int64], value: NDArray[np.float64], start_ms: int, count: int, width_ms: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of `value` (n, k) in each of `count` intervals of `width_ms` from `start_ms`, and the rows in each.

    NaN does not count; an interval without any value of a column has NaN there. Shapes (count, k), (count,).
    """
    means, rows = np.full((count, value.shape[1]), np.nan), np.zeros(count, np.int64)
    place = (time_ms - start_ms) // width_ms
    inside = (place >= 0) & (place < count)
    place, value = place[inside], value[inside]
    if not len(place):
        return means, rows
    if (np.diff(place) < 0).any():
        order = np.argsort(place, kind="stable")
        place, value = place[order], value[order]
    first = np.flatnonzero(np.diff(place, prepend=-1))
    known = ~np.isnan(value)
    number = np.add.reduceat(known, first, axis=0, dtype=np.int64)
    total = np.add.reduceat(np.where(known, value, 0.0), first, axis=0)
    rows[place[first]] = np.diff(first, append=len(place))
    means[place[first]] = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return means, rows
