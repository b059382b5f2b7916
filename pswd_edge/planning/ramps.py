"""The utility's ramp: a mean over a window, against the same mean a minute earlier.

mean_w(t) is the mean over the w seconds that end at t; ramp_w(t) = mean_w(t) - mean_w(t - 60 s), in W/min since the two
are a minute apart. A steady ramp of 10 MW/min gives 10 for every w, a single step of X MW gives X.
"""

import numpy as np

from pswd_edge.planning.run import Series

APART_S = 60.0
WINDOWS_S = (1.0, 10.0, 60.0)


def rolling_mean(power_w: Series, count: int) -> Series:
    """Means over `count` values, by their ends; NaN before the first whole window. Shape of `power_w`."""
    sums = np.concatenate(([0.0], np.cumsum(power_w)))
    means = np.full(len(power_w), np.nan)
    means[count - 1 :] = (sums[count:] - sums[:-count]) / count
    return means


def ramp_w_per_min(power_w: Series, period_s: float, window_s: float) -> Series:
    """The ramp at each moment, W/min, signed; NaN where the windows are not full. Shape of `power_w`."""
    means = rolling_mean(power_w, max(1, round(window_s / period_s)))
    apart = round(APART_S / period_s)
    found = np.full(len(power_w), np.nan)
    found[apart:] = means[apart:] - means[:-apart]
    return found


def largest(values: Series) -> float:
    """The largest magnitude of what is known; 0.0 where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.abs(known).max()) if len(known) else 0.0
