"""What requests are judged by."""

import math
from collections.abc import Callable
from typing import NamedTuple

from pswd_edge.control.rules.reserve import Range
from pswd_edge.model.command import Mode
from pswd_edge.model.report import AlarmReport
from pswd_edge.model.workload import Headroom


class Facts(NamedTuple):
    """What the last cycle knew; NaN where it is not known.

    `ready` is empty, or says why capacity cannot be judged or commands not be carried out now. `barred` are the points
    that may not be led, as they were not commissioned. `alarms` are those that are listed. `standing` tells where a
    set-point stands. `import_limit_w` is the one in force. `heat_w` is what the CDUs carry, `usable_wh` the window of
    the usable batteries; `rack_w` what a load controller draws, by index.
    """

    cycle: int
    utc_s: float
    mode: Mode
    ready: str
    reference_w: float
    filtered_w: float
    discharge_available_w: float
    charge_available_w: float
    limits: Range
    headroom: Headroom
    barred: frozenset[int] = frozenset()
    alarms: tuple[AlarmReport, ...] = ()
    standing: Callable[[int], float] = lambda _: math.nan
    import_limit_w: float = math.inf
    load_w: float = math.nan
    heat_w: float = math.nan
    usable_wh: float = 0.0
    rack_w: Callable[[int], float] = lambda _: math.nan
