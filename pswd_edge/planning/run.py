"""One run of a site, as it really was: what a score is made from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """Means over `period_s`, shape (n,), W; battery discharge positive, `grid_w` = `load_w` - `shed_w` - `battery_w`.

    `load_w` is what the site would have drawn were nothing shed. `energy_wh` is what the batteries hold at the end of
    each period. `reference_w` is NaN where there was none. `tiers` has shape (n, tiers): engaged or not. Figures count
    from index `first` on; what lies before fills windows.
    """

    period_s: float
    load_w: Series
    grid_w: Series
    battery_w: Series
    energy_wh: Series
    shed_w: Series
    reference_w: Series
    tiers: NDArray[np.bool_]
    first: int = 0


@dataclass(frozen=True)
class Bounds:
    """What the site may and can do; W, Wh, W/min, fractions. `shed_max_w`: the most that tiers take off."""

    ramp_w_per_min: float
    import_limit_w: float
    discharge_w: float
    charge_w: float
    energy_min_wh: float
    energy_max_wh: float
    charge_efficiency: float
    discharge_efficiency: float
    shed_max_w: float


def averaged(values: Series, count: int) -> Series:
    """Means over `count` values each; what is left over at the end is cut off. Shape (n // count,)."""
    whole = len(values) // count * count
    return np.asarray(values[:whole].reshape(-1, count).mean(axis=1), dtype=np.float64)
