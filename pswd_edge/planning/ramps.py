"""The utility's ramp: a mean over a window, against the same mean a minute earlier.

mean_w(t) is the mean over the w seconds that end at t; ramp_w(t) = mean_w(t) - mean_w(t - 60 s), in W/min since the two
are a minute apart. A steady ramp of 10 MW/min gives 10 for every w, a single step of X MW gives X.

What was not measured (NaN) is a gap, never a guess: a mean stands where at least `SHARE_MIN` of its values were
measured, and is then the mean of those. A ramp without both means is not judged.
"""

import numpy as np
from numpy.typing import NDArray

from pswd_edge.planning.run import Series

APART_S = 60.0
WINDOWS_S = (1.0, 10.0, 60.0)
SHARE_MIN = 0.95


def rolling_mean(power_w: Series, count: int) -> tuple[Series, NDArray[np.int64]]:
    """Means over `count` values, by their ends, and how many were missing of them; both of the shape of `power_w`.

    NaN where the window is not full or too much of it is missing.
    """
    found = np.isfinite(power_w)
    sums = np.concatenate(([0.0], np.cumsum(np.where(found, power_w, 0.0))))
    counts = np.concatenate(([0], np.cumsum(found)))
    means, missing = np.full(len(power_w), np.nan), np.full(len(power_w), count, dtype=np.int64)
    if len(power_w) >= count:
        have = counts[count:] - counts[:-count]
        enough = have >= SHARE_MIN * count
        means[count - 1 :] = np.where(enough, (sums[count:] - sums[:-count]) / np.maximum(have, 1), np.nan)
        missing[count - 1 :] = count - have
    return means, missing


def rolling_ramp(power_w: Series, period_s: float, window_s: float) -> tuple[Series, NDArray[np.int64]]:
    """The ramp at each moment, W/min, signed, NaN where it is not judged; and the values missing in its two windows."""
    count, apart = max(1, round(window_s / period_s)), round(APART_S / period_s)
    means, missing = rolling_mean(power_w, count)
    ramp, lacking = np.full(len(means), np.nan), np.full(len(means), 2 * count, dtype=np.int64)
    if len(means) > apart:
        ramp[apart:] = means[apart:] - means[:-apart]
        lacking[apart:] = missing[apart:] + missing[:-apart]
    return ramp, lacking


def ramp_w_per_min(power_w: Series, period_s: float, window_s: float) -> Series:
    """The ramp alone."""
    return rolling_ramp(power_w, period_s, window_s)[0]


def largest(values: Series) -> float:
    """The largest magnitude of what is known; 0.0 where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.abs(known).max()) if len(known) else 0.0
