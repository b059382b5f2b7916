"""How well the grid was served, by the plant's true power: what no meter, poller or controller can colour.

Definitions. Time is cut into samples of 100 ms; P is the mean true power of each, in MW. With w = 60, 10 or 1 s::

    mean_w(t)  = mean of P over the w seconds that end at t
    ramp_w(t)  = |mean_w(t) - mean_w(t - 60 s)|      in MW/min, since the two are one minute apart

For w = 60 s these are the mean over the last minute and the mean over the minute before it. A figure is the largest
ramp_w(t) over every t after `start()` for which both windows are full; samples from before `start()` (the pre-roll)
fill windows, none of them is older than the `Score`. So a steady ramp of 10 MW/min scores 10 for every w, and a
single step of X MW scores X. The largest step is max |P(t) - P(t - 100 ms)|, t after `start()`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.plant import Plant

SAMPLE_S = 0.1
LAG_SAMPLES = 600
WINDOWS_SAMPLES = (600, 100, 10)
_HISTORY = LAG_SAMPLES + max(WINDOWS_SAMPLES) + 1


class RampScore:
    """Largest ramps of one power, sample by sample; holds two minutes and never more."""

    def __init__(self) -> None:
        self._sums = [0.0] * _HISTORY      # ring of running sums: a mean is a difference of two
        self._count = 0
        self._sum = 0.0
        self._last_mw: float | None = None
        self.max_mw_per_min = dict.fromkeys(WINDOWS_SAMPLES, 0.0)
        self.max_step_mw = 0.0

    def add(self, power_mw: float, *, counts: bool) -> None:
        """Take one sample; with `counts` False it fills windows but no ramp that ends with it is judged."""
        if counts and self._last_mw is not None:
            self.max_step_mw = max(self.max_step_mw, abs(power_mw - self._last_mw))
        self._last_mw = power_mw
        self._sum += power_mw
        self._count += 1
        self._sums[self._count % _HISTORY] = self._sum
        if not counts:
            return
        for window in WINDOWS_SAMPLES:
            if self._count >= window + LAG_SAMPLES:
                ramp = abs(self._mean(self._count, window) - self._mean(self._count - LAG_SAMPLES, window))
                self.max_mw_per_min[window] = max(self.max_mw_per_min[window], ramp)

    def _mean(self, end: int, window: int) -> float:
        return (self._sums[end % _HISTORY] - self._sums[(end - window) % _HISTORY]) / window


@dataclass(frozen=True)
class Trace:
    """The kept 100 ms means, oldest first: seconds of plant time at each sample's end, and MW."""

    time_s: NDArray[np.float64]
    load_mw: NDArray[np.float64]
    grid_mw: NDArray[np.float64]
    battery_mw: NDArray[np.float64]


class Score:
    """Follows a plant from its first `observe` on, judges it from `start()` on. Keeps the last `keep_s` as a trace."""

    def __init__(self, keep_s: float = 3600.0) -> None:
        self._grid = RampScore()
        self._load = RampScore()
        self._kept = np.zeros((max(1, round(keep_s / SAMPLE_S)), 4))
        self._samples = 0
        self._load_j = self._battery_j = self._elapsed_s = 0.0
        self._time_s: float | None = None
        self._counts = False
        self._unserved_from_wh = self._unserved_wh = 0.0
        self.soc_percent: dict[str, tuple[float, float]] = {}

    def start(self) -> None:
        """Judge from here on."""
        self._counts = True
        self._unserved_from_wh = self._unserved_wh

    def observe(self, plant: Plant) -> None:
        """Take the plant's state after a step; call it after each, and once before the first."""
        before_s, self._time_s = self._time_s, plant.time_s
        if before_s is None:
            self._unserved_wh = self._unserved_from_wh = plant.unserved_wh
            return
        dt_s = plant.time_s - before_s
        self._elapsed_s += dt_s
        self._load_j += plant.true_load_w * dt_s
        self._battery_j += plant.true_battery_w * dt_s
        if self._elapsed_s >= SAMPLE_S - 1e-6:
            self._close_sample(plant)

    def _close_sample(self, plant: Plant) -> None:
        load_mw = self._load_j / self._elapsed_s / 1e6
        battery_mw = self._battery_j / self._elapsed_s / 1e6
        self._load_j = self._battery_j = self._elapsed_s = 0.0
        self.add(plant.time_s, load_mw, battery_mw)
        self._unserved_wh = plant.unserved_wh
        if self._counts:
            for battery_id, battery in plant.batteries.items():
                soc = battery.soc_percent
                low, high = self.soc_percent.get(battery_id, (soc, soc))
                self.soc_percent[battery_id] = (min(low, soc), max(high, soc))

    def add(self, time_s: float, load_mw: float, battery_mw: float) -> None:
        """Take one 100 ms mean."""
        self._grid.add(load_mw - battery_mw, counts=self._counts)
        self._load.add(load_mw, counts=self._counts)
        self._kept[self._samples % len(self._kept)] = (time_s, load_mw, load_mw - battery_mw, battery_mw)
        self._samples += 1

    def trace(self) -> Trace:
        """A copy of what is kept."""
        kept = len(self._kept)
        rows = self._kept[: self._samples] if self._samples <= kept else np.roll(self._kept, -(self._samples % kept), 0)
        time_s, load_mw, grid_mw, battery_mw = rows.T.copy()
        return Trace(time_s, load_mw, grid_mw, battery_mw)

    def summary(self) -> dict[str, float]:
        """The figures, since `start()`. SoC over all batteries: NaN before the first judged sample."""
        lows, highs = zip(*self.soc_percent.values(), strict=True) if self.soc_percent else ((np.nan,), (np.nan,))
        minute, ten, one = WINDOWS_SAMPLES
        return {
            "ramp_60s_max_mw_per_min": self._grid.max_mw_per_min[minute],
            "ramp_10s_max_mw_per_min": self._grid.max_mw_per_min[ten],
            "ramp_1s_max_mw_per_min": self._grid.max_mw_per_min[one],
            "max_step_100ms_mw": self._grid.max_step_mw,
            "load_ramp_60s_max_mw_per_min": self._load.max_mw_per_min[minute],
            "soc_min_percent": min(lows),
            "soc_max_percent": max(highs),
            "shed_mwh": (self._unserved_wh - self._unserved_from_wh) / 1e6,
        }
