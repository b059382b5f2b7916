"""A row a minute, fifteen days of them, in the gateway's store and in memory, for metrics and forecasts."""

import asyncio
import sqlite3
from collections.abc import Callable

import numpy as np
import structlog

from pswd_edge.clock import Clock
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.performance import Counts, PerformanceMeter
from pswd_edge.gateway.services.minute import Minutes, MinuteTable, make_table, minute_of, read_minutes, write_minutes
from pswd_edge.gateway.services.power import PowerSeries, PowerService
from pswd_edge.gateway.services.sampler import Sampler, Sums
from pswd_edge.gateway.store import Store
from pswd_edge.image.layout import RING_SECONDS
from pswd_edge.model.workload import WorkloadState

KEPT_S = 15 * 86_400
_MINUTE_S = 60
_UNWRITTEN_MOST = 1440
_LOG = structlog.get_logger("pswd_edge.gateway")


class History:
    """`look` once a second, on the loop; what it finishes is written in the store's thread."""

    def __init__(self, live: LiveImage, clock: Clock, power: PowerService, sampler: Sampler, meter: PerformanceMeter,
                 store: Store) -> None:
        """Read what earlier runs have kept; raises sqlite3.Error where that cannot be."""
        self._live, self._clock, self._power = live, clock, power
        self._sampler, self._meter, self._store = sampler, meter, store
        self._table = MinuteTable(store.run_blocking(lambda db: _opened(db, clock.utc_s() - KEPT_S)))
        self._unwritten: list[Minutes] = []
        self._writing: asyncio.Task[None] | None = None
        self._lost = False
        self._begin_s = self._minute_now()
        self._sums, self._counts = Sums(), meter.counts
        self._decided: set[tuple[str, float]] | None = None
        self._decisions = [0, 0]
        self.forecast_percent: Callable[[], float | None] = lambda: None
        """How well the load is forecast: who makes forecasts needs the history first."""

    def minutes(self, since_utc_s: float) -> Minutes:
        """Finished minutes from `since_utc_s` until now; those in which nothing ran are missing."""
        now_s = self._clock.utc_s()
        return self._table.between(max(since_utc_s, now_s - KEPT_S), now_s)

    async def backfill(self, heavy: HeavyWork) -> None:
        """Loads of the ring's hour for the minutes that no gateway saw: control goes on without one."""
        before_s = self._begin_s
        series = await heavy.run(lambda: self._power.series(RING_SECONDS, self._live.site.control.period_ms))
        known, begins_s = set(self.minutes(0)["utc_s"].tolist()), series.start_ms // 60_000 * _MINUTE_S
        for begin_s in np.unique(begins_s)[1:].tolist():       # the first may have begun before the ring
            if begin_s < before_s and begin_s not in known:
                self._keep(minute_of(begin_s, from_cycles(series.part(begins_s == begin_s))))

    def look(self) -> None:
        """A second has passed."""
        begin_s = self._minute_now()
        if begin_s != self._begin_s:
            self._finish()
            self._begin_s = begin_s
        self._sums.add(self._sampler.sample())
        self._count_decisions()

    def _minute_now(self) -> int:
        return int(self._clock.utc_s()) // _MINUTE_S * _MINUTE_S

    def _finish(self) -> None:
        """Keep the minute that is over."""
        series = self._power.series(2 * _MINUTE_S, self._live.site.control.period_ms)
        inside = series.part(series.start_ms // 60_000 * _MINUTE_S == self._begin_s)
        counts, before = self._meter.counts, self._counts
        answers = {name: float(now - then) for name, now, then in zip(Counts._fields, counts, before, strict=True)}
        percent = self.forecast_percent()
        self._keep(minute_of(self._begin_s, {
            **self._sums.fields(), **from_cycles(inside), **answers, "approved": float(self._decisions[0]),
            "rejected": float(self._decisions[1]), "forecast_accuracy": None if percent is None else percent / 100}))
        self._sums, self._counts, self._decisions = Sums(), counts, [0, 0]

    def _count_decisions(self) -> None:
        """Announcements that control has decided since the last look; those of earlier runs are counted already."""
        report = self._live.report()
        if report is None:
            return
        states = {(w.announcement.workload_id, w.announced_utc_s): w.state for w in report.workloads}
        for key in states.keys() - (states.keys() if self._decided is None else self._decided):
            self._decisions[states[key] is WorkloadState.REJECTED] += 1
        self._decided = set(states)

    def _keep(self, minute: Minutes) -> None:
        self._table.put(minute, self._clock.utc_s() - KEPT_S)
        self._unwritten = [*self._unwritten, minute][-_UNWRITTEN_MOST:]
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="history")

    async def _write(self) -> None:
        """All that is not on disk yet; where that fails, with the next minute again."""
        await asyncio.sleep(0)          # a backfill keeps many at once
        rows, oldest_s = self._unwritten, self._clock.utc_s() - KEPT_S
        try:
            await self._store.run(lambda db: write_minutes(db, rows, oldest_s))
        except (sqlite3.Error, OSError) as error:
            if not self._lost:
                _LOG.error("history: minutes cannot be written; they are kept in memory", error=str(error))
            self._lost = True
            return
        if self._lost:
            _LOG.info("history: minutes are written again", minutes=len(rows))
        self._lost = False
        self._unwritten = self._unwritten[len(rows):]

    async def settle(self) -> None:
        """Wait for what is being written."""
        if self._writing is not None:
            await self._writing


def from_cycles(series: PowerSeries) -> dict[str, float | None]:
    """The fields of a minute that come from its cycles."""
    load_w, grid_w, frequency_hz = series.total_w, series.grid_w, series.quality[:, 0]
    return {
        "load_mean_w": _of(np.mean, load_w), "load_min_w": _of(np.min, load_w), "load_max_w": _of(np.max, load_w),
        "grid_mean_w": _of(np.mean, grid_w), "grid_min_w": _of(np.min, grid_w), "grid_max_w": _of(np.max, grid_w),
        "frequency_min_hz": _of(np.min, frequency_hz), "frequency_max_hz": _of(np.max, frequency_hz),
    }


def _of(how: Callable[[np.ndarray], float], values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(how(known)) if len(known) else None


def _opened(db: sqlite3.Connection, since_utc_s: float) -> Minutes:
    make_table(db)
    return read_minutes(db, since_utc_s)
