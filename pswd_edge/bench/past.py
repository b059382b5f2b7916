"""An hour of rows before a site's first cycle, so that answers of an hour can be measured without waiting for one."""

import math
import time
from pathlib import Path

import numpy as np

from pswd_edge.image import ImageWriter
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site


def write_past(site: Site) -> int:
    """Rows of the hour up to now in a generation of its own; control takes them over as after a restart.

    Every point moves, so that no two rows are the same text. Returns how many rows there are.
    """
    Path(site.runtime_dir).mkdir(parents=True, exist_ok=True)
    writer = ImageWriter(Path(site.runtime_dir), site)
    count, period_s = writer.layout.rows - 1, site.control.period_ms / 1000
    now_s, utc_s = time.monotonic(), time.time()
    points = np.arange(len(site.points))
    quality = np.full(len(points), Quality.GOOD, np.uint8)
    for row in range(count):
        ago_s = (count - row) * period_s
        value = 30e6 * (1.2 + np.sin(points + row / 50)) * (1 + 0.1 * math.sin(row / 700))
        writer.publish_row(row + 1, now_s - ago_s, utc_s - ago_s, value, quality)
    return count
