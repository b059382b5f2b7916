"""Power of the site and of its circuits, live and of the last hour."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import BEAT_MAX_AGE_S, LiveImage, PerSite
from pswd_edge.gateway.services.power_columns import (
    FIRST_CIRCUIT,
    PowerQuality,
    find_columns,
    grid_points,
    power_factor,
    stability_percent,
    values,
)
from pswd_edge.gateway.services.resampling import interval_means
from pswd_edge.gateway.services.timeline import Timeline
from pswd_edge.gateway.services.whole import whole_sum

_INLINE_ROWS = 1000     # some 4 ms of work: the default request is 600 rows


class PowerSeries(NamedTuple):
    """Means over intervals of `interval_ms`; NaN where nothing good was measured.

    `start_ms` (n,) begins of the intervals in UTC milliseconds, multiples of `interval_ms`; `total_w` (n,) is the
    load: what the site consumes, without what its batteries take or give; `grid_w` (n,) is what the grid gives;
    `quality` (n, 6) in the order of `PowerQuality`; `circuits_w` (n, k), one column for each of `circuit_ids`.
    """

    interval_ms: int
    start_ms: NDArray[np.int64]
    total_w: NDArray[np.float64]
    grid_w: NDArray[np.float64]
    quality: NDArray[np.float64]
    circuit_ids: tuple[str, ...]
    circuits_w: NDArray[np.float64]

    def part(self, chosen: slice | NDArray[np.bool_]) -> "PowerSeries":
        """Some of the intervals."""
        return self._replace(start_ms=self.start_ms[chosen], total_w=self.total_w[chosen], grid_w=self.grid_w[chosen],
                             quality=self.quality[chosen], circuits_w=self.circuits_w[chosen])

    def with_newest(self, now: PowerQuality) -> "PowerSeries":
        """Where the newest interval has no quality of its own, that of now: it is true of the newest alone."""
        if not len(self.start_ms):
            return self
        quality = self.quality.copy()
        known = np.array([np.nan if value is None else value for value in now])
        quality[-1] = np.where(np.isnan(quality[-1]), known, quality[-1])
        return self._replace(quality=quality)


def series_of(
    interval_ms: int, start_ms: int, end_ms: int, time_ms: NDArray[np.int64], value: NDArray[np.float64],
    circuit_ids: tuple[str, ...],
) -> PowerSeries:
    """Whole intervals from `start_ms` to `end_ms`, those without any cycle left out; `value` as of `values`."""
    means, found = interval_means(time_ms, value, start_ms, max(0, (end_ms - start_ms) // interval_ms), interval_ms)
    begins = start_ms + interval_ms * np.arange(len(found), dtype=np.int64)
    means, begins = means[found > 0], begins[found > 0]
    return PowerSeries(interval_ms, begins, means[:, 0], means[:, 1], means[:, 2:FIRST_CIRCUIT], circuit_ids,
                       means[:, FIRST_CIRCUIT:])


class PowerService:
    """Reads the ring. `series` may run in another thread: it takes the reader once and changes nothing."""

    def __init__(self, live: LiveImage, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._columns = PerSite(live, find_columns)
        self._points = PerSite(live, grid_points)

    def small(self, duration_s: int) -> bool:
        """True where a series is so short that the event loop may make it."""
        return duration_s * 1000 // self._live.site.control.period_ms <= _INLINE_ROWS

    def series(self, duration_s: int, interval_ms: int, line: Timeline | None = None) -> PowerSeries:
        """The last `duration_s`: whole intervals only, the newest last, those without any cycle left out.

        `line` dates the rows where it is known already.
        """
        reader, columns = self._columns.get()
        period_ms = reader.site.control.period_ms
        rows = reader.rows((duration_s * 1000 + interval_ms + 2000) // period_ms)
        if len(rows.number) == 0:
            return _empty(interval_ms, columns.circuit_ids)
        line = line or Timeline.of(period_ms, rows.monotonic_s, rows.utc_s)
        time_ms = line.utc_ms(rows.monotonic_s)
        end_ms = (int(time_ms[-1]) + period_ms) // interval_ms * interval_ms
        start_ms = end_ms - duration_s * 1000 // interval_ms * interval_ms
        series = series_of(interval_ms, start_ms, end_ms, time_ms, values(rows, columns), columns.circuit_ids)
        return series.part(series.start_ms >= start_ms + self.silent_ms(float(rows.monotonic_s[-1])))

    def silent_ms(self, newest_s: float) -> int:
        """For how long nothing came after the row of `newest_s` (monotonic); 0 within a second."""
        return round(1000 * max(0.0, self._clock.monotonic_s() - newest_s - BEAT_MAX_AGE_S))

    def total_w(self) -> float | None:
        """What the site consumes now: its load meters, else grid and batteries; None where neither is whole."""
        control = self._live.site.control
        load_w = self._sum([meter.point for meter in control.load_meters])
        if load_w is None:
            load_w = self._sum([control.grid_power.point, *(battery.power.point for battery in control.batteries)])
        return load_w

    def quality(self) -> PowerQuality:
        """Power quality at the grid connection; the power factor from active and reactive power where need be."""
        live, points = self._live, self._points.get()[1]
        factor = live.value(points.factor)
        if factor is None:
            factor = _number(power_factor(*(self._column(p) for p in (points.active, points.reactive))))
        voltages = [live.value(point) for point in points.voltages]
        known = [value for value in voltages if value is not None]
        nominal_v, stability = live.site.grid.nominal_voltage_v, None
        if nominal_v and known and len(known) == len(voltages):
            stability = _number(stability_percent(np.array([known]), nominal_v))
        return PowerQuality(live.value(points.frequency), live.value(points.thd), factor, self._mean(points.voltages),
                            self._mean(points.currents), stability)

    def _column(self, point: int | None) -> NDArray[np.float64]:
        value = self._live.value(point)
        return np.array([np.nan if value is None else value])

    def _sum(self, points: list[int]) -> float | None:
        return whole_sum(self._live.value(point) for point in points)

    def _mean(self, points: tuple[int, ...]) -> float | None:
        total = self._sum(list(points))
        return None if total is None else total / len(points)


def _number(found: NDArray[np.float64]) -> float | None:
    return None if np.isnan(found[0]) else float(found[0])


def _empty(interval_ms: int, circuit_ids: tuple[str, ...]) -> PowerSeries:
    return PowerSeries(interval_ms, np.zeros(0, np.int64), np.zeros(0), np.zeros(0),
                       np.zeros((0, FIRST_CIRCUIT - 2)), circuit_ids, np.zeros((0, len(circuit_ids))))
