"""How late control's cycles began, told from the image's rows: each has the moment of its cycle's first statement."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.image.reader import Rows


class Lateness(NamedTuple):
    """Of the cycles of a time: ms behind the least late one of the whole run. `missed` cycles never began."""

    cycles: int
    missed: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


def lateness(rows: Rows, begin_s: float, end_s: float, period_ms: int) -> Lateness:
    """Of the cycles from `begin_s` to `end_s` (monotonic); the grid of due times is taken from all of `rows`."""
    offset_ms = rows.monotonic_s * 1e3 - rows.cycle.astype(np.float64) * period_ms
    chosen = (rows.monotonic_s >= begin_s) & (rows.monotonic_s < end_s)
    late_ms: NDArray[np.float64] = (offset_ms - offset_ms.min())[chosen]
    cycles = rows.cycle[chosen].astype(np.int64)
    if not len(cycles):
        return Lateness(0, 0, 0.0, 0.0, 0.0, 0.0)
    p50, p99, p999 = np.percentile(late_ms, [50, 99, 99.9])
    return Lateness(len(cycles), int(cycles[-1] - cycles[0] + 1 - len(cycles)), *(round(float(v), 3) for v in (
        p50, p99, p999, late_ms.max())))
