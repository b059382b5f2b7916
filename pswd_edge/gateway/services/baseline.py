"""What the grid's power was before a commitment: the mean of the last ten minutes in the ring."""

import numpy as np

from pswd_edge.gateway.live import LiveImage
from pswd_edge.model.quality import Quality

BASELINE_S = 600.0


def mean_grid_w(live: LiveImage, before_s: float = BASELINE_S) -> tuple[float, float] | None:
    """Mean power at the grid connection, W, import positive, and the seconds that it is the mean of.

    Of the ring's rows where the meter is kept there, else of this cycle alone; None where nothing good is known.
    """
    site = live.site
    point, period_s = site.control.grid_power.point, site.control.period_ms / 1000
    if point in site.trend_points:
        rows, column = live.reader.rows(round(before_s / period_s)), site.trend_points.index(point)
        power_w = rows.value[rows.quality[:, column] != Quality.BAD, column]
        power_w = power_w[np.isfinite(power_w)]
        if len(power_w):
            return float(power_w.mean()), len(power_w) * period_s
    report = live.report()
    return None if report is None or report.grid_w is None else (report.grid_w, period_s)
