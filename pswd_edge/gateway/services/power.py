"""Power of the site and of its circuits, live and of the last hour."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import BEAT_MAX_AGE_S, LiveImage, PerSite
from pswd_edge.gateway.services.resampling import cycle_times_ms, interval_means
from pswd_edge.image.reader import Rows
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site

_INLINE_ROWS = 1500     # about 2 ms of work: the default request is 600 rows


class PowerQuality(NamedTuple):
    """At the grid connection now; None where it is not measured."""

    thd_percent: float | None
    power_factor: float | None


class PowerSeries(NamedTuple):
    """Means over intervals of `interval_ms`; W. NaN where nothing good was measured.

    `start_ms` (n,) begins of the intervals in UTC milliseconds, multiples of `interval_ms`; `total_w` (n,) is the
    load: what the site consumes, without what its batteries take or give; `circuits_w` (n, k), one column for each
    of `circuit_ids`.
    """

    interval_ms: int
    start_ms: NDArray[np.int64]
    total_w: NDArray[np.float64]
    circuit_ids: tuple[str, ...]
    circuits_w: NDArray[np.float64]


class _Columns(NamedTuple):
    """Ring columns: of the load meters, of the grid and the batteries; None where one of them has no trend."""

    load: tuple[int, ...] | None
    grid_and_batteries: tuple[int, ...] | None
    circuits: tuple[int, ...]
    circuit_ids: tuple[str, ...]


class PowerService:
    """Reads the ring. `series` may run in another thread: it takes the reader once and changes nothing."""

    def __init__(self, live: LiveImage, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._columns = PerSite(live, _find_columns)

    def small(self, duration_s: int) -> bool:
        """True where a series is so short that the event loop may make it."""
        return duration_s * 1000 // self._live.site.control.period_ms <= _INLINE_ROWS

    def series(self, duration_s: int, interval_ms: int) -> PowerSeries:
        """The last `duration_s`: whole intervals only, the newest last, those without any cycle left out."""
        reader, columns = self._columns.get()
        period_ms = reader.site.control.period_ms
        rows = reader.rows((duration_s * 1000 + interval_ms + 2000) // period_ms)
        if len(rows.number) == 0:
            return _empty(interval_ms, columns.circuit_ids)
        time_ms = cycle_times_ms(rows.monotonic_s, rows.utc_s, period_ms)
        end_ms = (int(time_ms[-1]) + period_ms) // interval_ms * interval_ms
        start_ms = end_ms - duration_s * 1000 // interval_ms * interval_ms
        means, found = interval_means(time_ms, _values(rows, columns), start_ms,
                                      (end_ms - start_ms) // interval_ms, interval_ms)
        begins = start_ms + interval_ms * np.arange(len(found), dtype=np.int64)
        silent_s = max(0.0, self._clock.monotonic_s() - float(rows.monotonic_s[-1]) - BEAT_MAX_AGE_S)
        keep = (found > 0) & (begins >= start_ms + round(1000 * silent_s))
        return PowerSeries(interval_ms, begins[keep], means[keep, 0], columns.circuit_ids, means[keep, 1:])

    def quality(self) -> PowerQuality:
        """Power quality at the grid connection; the power factor from active and reactive power where need be."""
        site, live = self._live.site, self._live
        device = site.devices[site.points[site.control.grid_power.point].device].id
        factor = live.signal(device, "power_factor")
        if factor is None:
            active_w = live.value(site.control.grid_power.point)
            reactive_var = live.signal(device, "reactive_power_var")
            if active_w is not None and reactive_var is not None and (active_w or reactive_var):
                factor = abs(active_w) / float(np.hypot(active_w, reactive_var))
        return PowerQuality(live.signal(device, "thd_percent"), factor)


def _find_columns(site: Site) -> _Columns:
    place = {point: column for column, point in enumerate(site.trend_points)}
    control = site.control
    circuits = [(c.id, place[c.meter]) for c in site.circuits if c.meter is not None and c.meter in place]

    def all_of(points: Sequence[int]) -> tuple[int, ...] | None:
        return tuple(place[p] for p in points) if points and all(p in place for p in points) else None

    return _Columns(
        all_of([meter.point for meter in control.load_meters]),
        all_of([control.grid_power.point, *(battery.power.point for battery in control.batteries)]),
        tuple(column for _, column in circuits),
        tuple(circuit for circuit, _ in circuits),
    )


def _values(rows: Rows, columns: _Columns) -> NDArray[np.float64]:
    """Load and circuits of each row, (n, 1 + k); NaN where BAD. A sum with a BAD term is NaN."""
    value = np.where(rows.quality == Quality.BAD, np.nan, rows.value)
    load_w = np.full(len(value), np.nan)
    if columns.load is not None:
        load_w = value[:, columns.load].sum(axis=1)
    if columns.grid_and_batteries is not None:
        load_w = np.where(np.isnan(load_w), value[:, columns.grid_and_batteries].sum(axis=1), load_w)
    return np.column_stack([load_w, value[:, columns.circuits]])


def _empty(interval_ms: int, circuit_ids: tuple[str, ...]) -> PowerSeries:
    return PowerSeries(interval_ms, np.zeros(0, np.int64), np.zeros(0), circuit_ids, np.zeros((0, len(circuit_ids))))
