"""The way of the grid's power over the next minutes that needs the least of the batteries, for what was announced.

The linear programme of `optimum.py` over the forecast, from the present state on; solved again every few seconds. What
is wrong in a forecast costs the benefit and nothing else: control takes the way as a wish, within its own reserves.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pswd_edge.planning.optimum import Optimum, optimum
from pswd_edge.planning.run import Bounds, Series

AHEAD_S = 900.0               # changes further ahead can wait
_REST_S = 60.0                # after the last ramp: there the horizon ends
_STEPS, _STEP_MIN_S = 180, 2.0
MARGIN = 0.02                 # of the energy window, at both ends: for what the forecast does not know
_SPARED_MOST = 0.45           # of the window, at each end


class Capped(NamedTuple):
    """An import limit of `import_w` between two times from now, s: an event of demand response that was ordered."""

    begin_s: float
    end_s: float
    import_w: float


class Plan(NamedTuple):
    """The reference wanted at `after_s` seconds from now, W; both as long. `viable`: nothing in it breaks a limit."""

    after_s: tuple[float, ...]
    reference_w: tuple[float, ...]
    viable: bool
    seconds: float

    def at(self, after_s: float) -> float:
        """The reference wanted then; the last one from its end on."""
        return float(np.interp(after_s, self.after_s, self.reference_w))


def plan(load_w: float, coming: Sequence[tuple[float, float]], bounds: Bounds, reference_w: float, energy_wh: float,
         rest_wh: float, spared_wh: tuple[float, float] = (0.0, 0.0), capped: Sequence[Capped] = ()) -> Plan | None:
    """The best way for a load that is at `load_w` and changes by W after seconds, as `coming` says, by time.

    What a ramp takes need not be back in the end: control restores it in its own time, towards `rest_wh` where there is
    no ramp. `spared_wh`: what to keep above the energy's minimum and below its maximum (`Forecast.waiting_wh`).
    `capped`: import limits to come; energy is gathered before them, and what it does not suffice for is left to
    control's tiers. None where no way was found.
    """
    near = [(s, w) for s, w in coming if s <= AHEAD_S]
    caps = [c for c in capped if c.begin_s <= AHEAD_S]
    last_s = max([s for s, _ in near] + [min(c.end_s, c.begin_s + AHEAD_S) for c in caps], default=0.0)
    gap_w = abs(load_w - reference_w) + sum(abs(w) for _, w in near)
    horizon_s = last_s + gap_w / bounds.ramp_w_per_min * 60 + _REST_S
    step_s = max(_STEP_MIN_S, horizon_s / _STEPS)
    load = _means(load_w, near, step_s, math.ceil(horizon_s / step_s))
    inside = _inside(bounds, energy_wh, spared_wh)
    if caps:
        return _around(load, caps, step_s, inside, reference_w, energy_wh)
    climbs_w = float(load[-1]) - reference_w
    end_wh = inside.energy_min_wh if climbs_w > 0 else inside.energy_max_wh if climbs_w < 0 else rest_wh
    return _way(optimum(load, step_s, inside, reference_w, energy_wh, end_wh))


def _around(load_w: Series, caps: Sequence[Capped], step_s: float, inside: Bounds, reference_w: float,
            energy_wh: float) -> Plan | None:
    """With import limits to come: the grid is at each when it begins; energy may be used up, load may be left out."""
    ends = np.arange(1, len(load_w) + 1) * step_s
    most = np.full(len(load_w), inside.import_limit_w)
    for cap in caps:
        most[(ends > cap.begin_s) & (ends - step_s < cap.end_s)] = min(cap.import_w, inside.import_limit_w)
    able = replace(inside, shed_max_w=float(load_w.max()))
    return _way(optimum(load_w, step_s, able, reference_w, energy_wh, inside.energy_min_wh, most))


def _way(found: Optimum) -> Plan | None:
    if not found.solved:
        return None
    times = np.arange(len(found.grid_w)) * found.step_s
    return Plan(tuple(times.tolist()), tuple(found.grid_w.tolist()), found.viable, found.seconds)


def _inside(bounds: Bounds, energy_wh: float, spared_wh: tuple[float, float]) -> Bounds:
    """The energy window less margins, never turned round, and as far as the energy that is there allows."""
    window = bounds.energy_max_wh - bounds.energy_min_wh
    low, high = (min(MARGIN * window + spared, _SPARED_MOST * window) for spared in spared_wh)
    return replace(bounds, energy_min_wh=min(bounds.energy_min_wh + low, energy_wh),
                   energy_max_wh=max(bounds.energy_max_wh - high, energy_wh))


def _means(load_w: float, near: Sequence[tuple[float, float]], step_s: float, count: int) -> Series:
    """The load's mean in each step; one in which it changes has its share."""
    load = np.full(count, load_w)
    begins = np.arange(count) * step_s
    for after_s, change_w in near:
        load += change_w * ((begins + step_s - after_s) / step_s).clip(0.0, 1.0)
    return load.clip(0.0)
