"""The power forecast: the load of the next hours with intervals, and the flexibility beside it.

`look` once a second follows the load; `run` keeps minutes, remembers what is forecast, and learns from the errors.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from pswd_edge.clock import Clock
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import control_unavailable, unavailable
from pswd_edge.gateway.services.fresh import Fresh
from pswd_edge.gateway.services.load_record import LoadRecord
from pswd_edge.gateway.services.workloads import WorkloadService
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.report import Report
from pswd_edge.model.workload import Workload
from pswd_edge.planning.flexibility import HOLD_S, Flexibility, Reserves, flexibility, racks_w, reserves_of
from pswd_edge.planning.load_forecast import (
    LEADS_S,
    LEVEL_PERCENT,
    LoadForecast,
    Past,
    Span,
    daily_profile,
    predict,
    runs,
    spans_of,
)

ACCURACY_LEADS_S = (900.0, 3600.0)
CACHE_S = 10.0
REMEMBER_S = 300.0
PROFILE_S, PROFILE_DAYS = 900.0, 14
_LEVEL_S, _SPREAD_S = 60.0, 900.0
_SPREAD_LEAST = 0.02          # of the level: before the load has been seen for long
_FLOOR_SHARE = 0.01           # of the load's maximum: the least truth that an error is divided by
_LOOKS_LEAST = 30             # in a minute, for a mean of it
_LOG = structlog.get_logger("pswd_edge.gateway")


class PastMinutes(Protocol):
    """Who keeps the past of the site by minutes."""

    def minutes(self, since_utc_s: float) -> NDArray[np.void]:
        """Finished minutes since then: rows with `utc_s` (their begin) and `load_mean_w` (NaN: not known)."""
        ...


class Moment(NamedTuple):
    """One moment of a forecast. `measured`: the interval comes from past errors; else from the load's spread.

    `by_kind_w` is what announced workloads of each kind draw then.
    """

    utc_s: float
    load_w: float
    low_w: float
    high_w: float
    measured: bool
    flexibility: Flexibility
    by_kind_w: dict[str, float]


class ForecastView(NamedTuple):
    """A forecast. `baseline_w` is the present load without announced workloads.

    `accuracy_percent` by lead in s: 100 less the mean error in % of the last day; leads without enough of it are left
    out.
    """

    made_utc_s: float
    horizon_s: float
    step_s: float
    confidence_percent: float
    baseline_w: float
    accuracy_percent: dict[float, float]
    moments: tuple[Moment, ...]


class _Basis(NamedTuple):
    """All that a forecast is made of: taken on the loop, used in the thread."""

    now_utc_s: float
    report: Report
    spec: ControlSpec
    past: Past
    spans: list[Span]
    reserves: Reserves


class ForecastService:
    """Makes forecasts; keeps the last ones for ten seconds."""

    def __init__(self, live: LiveImage, clock: Clock, heavy: HeavyWork, workloads: WorkloadService,
                 record: LoadRecord, past: PastMinutes | None = None) -> None:
        """`past` None: no day is known, and the present level is all that there is."""
        self._live, self._clock, self._heavy, self._workloads, self._record = live, clock, heavy, workloads, record
        self._minutes = past
        self._loads: deque[tuple[float, float]] = deque(maxlen=int(_SPREAD_S))
        self._drawn_w: dict[str, float] = {}
        self._minute: tuple[int, float, int] = (0, 0.0, 0)
        self._profile: tuple[float, NDArray[np.float64] | None] = (-math.inf, None)
        self._errors_w: dict[float, NDArray[np.float64]] = {}
        self._accuracy: dict[float, float] = {}
        self._views: Fresh[ForecastView] = Fresh(clock, CACHE_S)
        self._answers: Fresh[bytes] = Fresh(clock, CACHE_S)
        self._remembered_s = -math.inf

    # --- a client's ----------------------------------------------------------------------------------------------

    async def read(self, horizon_s: float, step_s: float) -> ForecastView:
        """The forecast for `horizon_s` from now, at multiples of `step_s` of UTC.

        Raises:
            RefusalError: 503 where control is not alive, or its load is not known.
        """
        return await self._views.get((horizon_s, step_s), lambda: self._make(horizon_s, step_s))

    async def _make(self, horizon_s: float, step_s: float) -> ForecastView:
        basis, accuracy = self._basis(), dict(self._accuracy)
        return await self._heavy.run(lambda: _view(basis, horizon_s, step_s, accuracy))

    async def encoded(self, horizon_s: float, step_s: float, form: Callable[[ForecastView], bytes]) -> bytes:
        """As `read`, in the form of a profile: `form` runs in the thread, and its answer is kept as long."""
        async def make() -> bytes:
            view = await self.read(horizon_s, step_s)
            return await self._heavy.run(lambda: form(view))

        return await self._answers.get((form, horizon_s, step_s), make)

    def flexibility_now(self, hold_s: float = HOLD_S) -> Flexibility:
        """What could be taken or given now, batteries for `hold_s`; errors as `read`."""
        basis = self._basis(hold_s)
        running = [s.workload for s in basis.spans if s.from_utc_s <= basis.now_utc_s]
        return flexibility(basis.reserves, racks_w(basis.reserves, running), basis.past.level_w,
                           _import_limit_w(basis, basis.now_utc_s))

    def _basis(self, hold_s: float = HOLD_S) -> _Basis:
        report, spec = self._live.report(), self._live.site.control
        if report is None:
            raise control_unavailable()
        past = self._past()
        if past is None:
            raise unavailable("LOAD_UNKNOWN", "the load is not measured now: nothing can be forecast; ask again in 2 s")
        powers = {t.power: self._live.value(t.power) for t in spec.tiers}
        now_utc_s = self._clock.utc_s()
        return _Basis(now_utc_s, report, spec, past, spans_of(report.workloads, now_utc_s, self._drawn_w),
                      reserves_of(spec, report, powers, hold_s))

    def _past(self) -> Past | None:
        """None where the load has not been seen for a minute."""
        self.look()
        now_s = self._clock.monotonic_s()
        minute = [w for s, w in self._loads if now_s - s <= _LEVEL_S]
        if not minute:
            return None
        level_w = sum(minute) / len(minute)
        spread_w = float(np.std([w for s, w in self._loads if now_s - s <= _SPREAD_S]))
        return Past(level_w, max(spread_w, _SPREAD_LEAST * level_w), self._profile[1], self._errors_w)

    # --- once a second -------------------------------------------------------------------------------------------

    def look(self) -> tuple[int, float] | None:
        """Take note of the load; the minute that has just ended and its mean, where one has."""
        report, now_s = self._live.report(), self._clock.monotonic_s()
        if self._loads and now_s - self._loads[-1][0] < 0.5:    # asked twice in a second
            return None
        if report is None or report.load_w is None:
            return None
        self._loads.append((now_s, report.load_w))
        self._follow(report.workloads)
        (number, total_w, looks), current = self._minute, int(self._clock.utc_s() // 60)
        if current == number:
            self._minute = number, total_w + report.load_w, looks + 1
            return None
        self._minute = current, report.load_w, 1
        return (number, total_w / looks) if looks >= _LOOKS_LEAST else None

    def _follow(self, workloads: Sequence[Workload]) -> None:
        """The mean of what each workload draws, over about a minute."""
        drawn = {}
        for workload in workloads:
            name, power_w = workload.announcement.workload_id, self._workloads.power_w(workload)
            if power_w is not None:
                before_w = self._drawn_w.get(name, power_w)
                drawn[name] = before_w + (power_w - before_w) / _LEVEL_S
        self._drawn_w = drawn

    async def turn(self) -> None:
        """One look, and what is due after it: a minute to keep, a forecast to remember."""
        ended = self.look()
        if ended is not None:
            await self._record.note(*ended)
            await self._learn(ended[0])
        if self._clock.monotonic_s() - self._remembered_s >= REMEMBER_S and self._past() is not None:
            self._remembered_s = self._clock.monotonic_s()
            await self._remember()

    async def _begin(self) -> None:
        """What earlier runs have learnt."""
        await self._learn(int(self._clock.utc_s() // 60))

    async def _learn(self, minute: int) -> None:
        self._errors_w = await self._record.errors_w()
        now_s, floor_w = self._clock.monotonic_s(), _FLOOR_SHARE * self._live.site.control.load_maximum_w
        if now_s - self._profile[0] >= PROFILE_S:
            self._profile = now_s, await self._heavy.run(self._daily_profile)
        found = {lead: await self._record.accuracy(lead, minute, floor_w) for lead in ACCURACY_LEADS_S}
        self._accuracy = {lead: percent for lead, percent in found.items() if percent is not None}

    def _daily_profile(self) -> NDArray[np.float64] | None:
        if self._minutes is None:
            return None
        rows = self._minutes.minutes(self._clock.utc_s() - PROFILE_DAYS * 86_400.0)
        return daily_profile(rows["utc_s"].astype(np.float64), rows["load_mean_w"])

    def accuracy_percent(self, lead_s: float = ACCURACY_LEADS_S[0]) -> float | None:
        """100 less the mean error of the last day's forecasts of this lead; None until it is measured."""
        return self._accuracy.get(lead_s)

    async def _remember(self) -> None:
        """What is forecast now for whole minutes, so that each can be compared with its truth."""
        basis = self._basis()
        minutes = [int((basis.now_utc_s + lead) // 60) for lead in LEADS_S]
        middle_s = np.array([60.0 * m + 30.0 for m in minutes])
        made = predict(basis.past, basis.spans, basis.now_utc_s, middle_s, basis.spec.load_maximum_w)
        await self._record.remember([(m, lead, float(w)) for m, lead, w in zip(minutes, LEADS_S, made.load_w,
                                                                              strict=True)])

    async def run(self) -> None:
        """Until cancelled. What goes wrong in one turn is told; the next one is tried."""
        turn = self._begin
        while True:
            try:
                await turn()
                turn = self.turn
            except Exception as error:  # noqa: BLE001  # a figure is missing; forecasts go on
                _LOG.error("forecast: a turn failed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(1.0)


def _view(basis: _Basis, horizon_s: float, step_s: float, accuracy: dict[float, float]) -> ForecastView:
    first_s = math.floor(basis.now_utc_s / step_s) * step_s + step_s
    at_s: NDArray[np.float64] = first_s + step_s * np.arange(round(horizon_s / step_s), dtype=np.float64)
    made = predict(basis.past, basis.spans, basis.now_utc_s, at_s, basis.spec.load_maximum_w)
    baseline_w = max(0.0, basis.past.level_w - sum(s.now_w for s in basis.spans))
    return ForecastView(basis.now_utc_s, horizon_s, step_s, LEVEL_PERCENT, baseline_w, accuracy,
                        _moments(basis, made))


def _moments(basis: _Basis, made: LoadForecast) -> tuple[Moment, ...]:
    """The moments; what depends on the running workloads alone is worked out once for each set of them."""
    running = np.array([runs(s, made.utc_s) for s in basis.spans], bool).reshape(len(basis.spans), len(made.utc_s))
    seen: dict[bytes, tuple[float, dict[str, float]]] = {}
    moments = []
    for i, (utc_s, load_w, half_w) in enumerate(zip(made.utc_s, made.load_w, made.half_w, strict=True)):
        key = running[:, i].tobytes()
        if key not in seen:
            now = [s for s, on in zip(basis.spans, running[:, i], strict=True) if on]
            seen[key] = racks_w(basis.reserves, [s.workload for s in now]), _by_kind(now)
        off_w, by_kind_w = seen[key]
        moments.append(Moment(
            float(utc_s), float(load_w), max(0.0, float(load_w - half_w)), float(load_w + half_w),
            bool(made.measured[i]), flexibility(basis.reserves, off_w, float(load_w), _import_limit_w(basis, utc_s)),
            by_kind_w))
    return tuple(moments)


def _by_kind(spans: Sequence[Span]) -> dict[str, float]:
    found: dict[str, float] = {}
    for span in spans:
        kind = span.workload.announcement.kind
        found[kind] = found.get(kind, 0.0) + span.power_w
    return found


def _import_limit_w(basis: _Basis, utc_s: float) -> float:
    """The tightest import limit that is in force at a moment, as far as it is known now."""
    after_s = utc_s - basis.now_utc_s
    tighter = [r.value for r in basis.report.limits
               if r.name == "import_limit_w" and r.begins_s <= after_s < r.begins_s + r.left_s]
    return min([basis.spec.import_limit_w, *tighter])
