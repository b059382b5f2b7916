"""The look-ahead planner: every few seconds the best way for what is announced, sent to control as a hint.

It knows nothing that control does not check: a hint that is late, wrong or missing costs its benefit and nothing else.
Silent where nothing is announced, and wherever control has other things to do than to follow a plan.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple
from uuid import uuid4

import structlog

from pswd_edge.clock import Clock
from pswd_edge.errors import DoorError
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.services.dispatch import DOOR_TIMEOUT_S, Door
from pswd_edge.model.command import PLANNER_ORIGIN, Accepted, Clamped, Hint, Mode
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.report import Report
from pswd_edge.planning.announcements import changes
from pswd_edge.planning.forecast import Change, Forecast
from pswd_edge.planning.horizon import AHEAD_S, Capped, Plan, plan
from pswd_edge.planning.run import Bounds

LOOK_S, PLAN_S = 0.3, 5.0
TTL_S = 15.0                  # three rounds: one that is lost is not felt
LATE_S = 2.0                  # of a solution; it usually takes some 20 ms
SETTLED_S = 600.0             # after the last change: by then the plan has led the energy back
RAMP_SHARE = 0.97             # of the inner ramp: the rest is the law's, for what the plan does not know
SWING_SHARE = 0.25            # of the load's span: how far a running load swings around its level
LEAST_SHARE = 0.02            # of the largest load: a smaller change needs no plan
_BORNE = frozenset({"reserve_insufficient"})  # the one degraded mode in which a plan helps: every number is known
_LOG = structlog.get_logger("pswd_edge.gateway")

State = Literal["off", "idle", "planning", "late", "failed"]
Solver = Callable[..., Plan | None]  # as `plan`


class PlannerView(NamedTuple):
    """How the planner is. `solve_ms`: the last solution's time, None before the first. `reason`: why it is not well."""

    state: State
    reason: str
    coming: int
    solve_ms: float | None


class _Job(NamedTuple):
    """A solution that is being looked for, since `began_s`, from the state of `report`."""

    report: Report
    coming: int
    began_s: float
    future: "asyncio.Future[Plan | None]"


class PlannerService:
    """Owns a thread for the solver. `turn` every 0.3 s does all of it; `run` is that for ever."""

    def __init__(self, live: LiveImage, door: Door, clock: Clock, solver: Solver = plan) -> None:
        self._live, self._door, self._clock, self._solver = live, door, clock, solver
        self._thread = ThreadPoolExecutor(1, "planner")
        self._forecast: tuple[str, Forecast] | None = None
        self._changes: list[Change] = []
        self._job: _Job | None = None
        self._planned_s = -PLAN_S
        self._view = PlannerView("idle", "", 0, None)

    def read(self) -> PlannerView:
        """How the planner is now."""
        return self._view if self._live.site.planner.enabled else PlannerView("off", "", 0, None)

    async def run(self) -> None:
        """Until cancelled. What goes wrong in one round is told, and the next one is tried."""
        while True:
            try:
                await self.turn()
            except Exception as error:  # noqa: BLE001  # a benefit is lost; the gateway goes on serving
                _LOG.exception("planner: a round failed; the law goes on without hints")
                self._now("failed", f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_S)

    async def turn(self) -> None:
        """Look at the load; begin a solution where it is time, send one that is ready."""
        report, now_s = self._live.report(), self._clock.monotonic_s()
        if report is None or report.load_filtered_w is None or not self._live.site.planner.enabled:
            self._now("idle")
            return
        forecast = self._followed(report)
        if self._job is not None:
            await self._finish(self._job, now_s)
        elif now_s - self._planned_s >= PLAN_S:
            self._planned_s = now_s
            self._begin(report, forecast, now_s)

    def _followed(self, report: Report) -> Forecast:
        """The forecast after one more look; it begins anew with another site."""
        spec, key = self._live.site.control, self._live.reader.site_hash
        if self._forecast is None or self._forecast[0] != key:
            self._forecast = key, Forecast(SWING_SHARE * (spec.load_maximum_w - spec.load_floor_w))
        assert report.load_filtered_w is not None
        forecast = self._forecast[1]
        self._changes = changes(report.workloads, self._changes, report.utc_s, report.monotonic_s,
                                LEAST_SHARE * spec.load_maximum_w)
        forecast.look(report.monotonic_s, report.load_filtered_w, self._changes)
        return forecast

    def _begin(self, report: Report, forecast: Forecast, now_s: float) -> None:
        coming = [c for c in forecast.coming(report.monotonic_s, self._changes) if c[0] <= AHEAD_S]
        capped = capped_of(report)
        settled = not coming and not capped and forecast.settled_s(report.monotonic_s) > SETTLED_S
        if not _may_lead(report) or settled:
            self._now("idle", coming=len(coming))
            return
        bounds = bounds_of(self._live.site.control, report)
        rest_wh = (bounds.energy_min_wh + bounds.energy_max_wh) / 2
        near = [c for c in self._changes if c.at_s - report.monotonic_s <= AHEAD_S]
        spared_wh = forecast.waiting_wh(report.monotonic_s, near)
        level_w, reference_w, energy_wh = forecast.level_w, report.reference_w, report.energy_wh
        assert reference_w is not None
        assert energy_wh is not None
        future = asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self._solver(level_w, coming, bounds, reference_w, energy_wh, rest_wh, spared_wh,
                                               capped))
        self._job = _Job(report, len(coming) + len(capped), now_s, future)

    async def _finish(self, job: _Job, now_s: float) -> None:
        """Send what was found. A solver that takes too long is waited for, without a second one beside it."""
        if not job.future.done():
            if now_s - job.began_s > LATE_S:
                self._now("late", f"a solution takes more than {LATE_S:g} s", job.coming)
            return
        self._job = None
        found = job.future.result()
        if found is None:
            self._now("failed", "the programme has no solution", job.coming)
            return
        solve_ms = round(1000 * found.seconds, 1)
        if now_s - job.began_s > PLAN_S:
            self._now("late", f"a solution took {now_s - job.began_s:.1f} s; it is not used", job.coming, solve_ms)
            return
        wrong = await self._send(found, job.report)
        self._now("failed" if wrong else "planning", wrong, job.coming, solve_ms)

    async def _send(self, found: Plan, report: Report) -> str:
        """Why control has not taken it; empty where it has."""
        count = next((i for i, s in enumerate(found.after_s, 1) if s >= TTL_S + PLAN_S), len(found.after_s))
        hint = Hint(
            id=f"planner-{uuid4()}", origin=PLANNER_ORIGIN, role=PLANNER_ORIGIN, issued_utc_s=self._clock.utc_s(),
            ttl_s=TTL_S, begin_s=report.monotonic_s, after_s=found.after_s[:count],
            reference_w=found.reference_w[:count])
        try:
            outcome = await self._door.ask(hint, DOOR_TIMEOUT_S)
        except DoorError as error:
            return str(error)
        return "" if isinstance(outcome, Accepted | Clamped) else outcome.reason

    def _now(self, state: State, reason: str = "", coming: int = 0, solve_ms: float | None = None) -> None:
        before = self._view
        self._view = PlannerView(state, reason, coming, before.solve_ms if solve_ms is None else solve_ms)
        if before.state != state:
            tell = _LOG.warning if state in ("late", "failed") else _LOG.info
            tell("planner", state=state, reason=reason, changes=coming)

    def close(self) -> None:
        """End the thread; what is being solved is not waited for."""
        if self._job is not None:
            self._job.future.cancel()
        with contextlib.suppress(RuntimeError):
            self._thread.shutdown(wait=False, cancel_futures=True)


def _may_lead(report: Report) -> bool:
    """Whether control could follow a plan: nobody else leads, nothing is shed, energy and reference are known.

    While tiers are engaged the law climbs to give them back, of which a plan for the measured load knows nothing.
    """
    known = report.energy_wh is not None and report.reference_w is not None
    return (known and (report.mode is Mode.AUTO or report.shadow) and report.battery_target_w is None
            and _BORNE.issuperset(report.degraded) and not any(t.engaged for t in report.tiers))


def capped_of(report: Report) -> list[Capped]:
    """Import limits that are to begin soon, times from now."""
    return [Capped(r.begins_s, r.left_s, r.value) for r in report.limits
            if r.name == "import_limit_w" and 0 < r.begins_s <= AHEAD_S]


def bounds_of(spec: ControlSpec, report: Report) -> Bounds:
    """What the plan has to keep to: the limits in force now and what the usable batteries can give."""
    loop, usable = report.loop, [b for b in report.batteries if b.usable]
    ramp_w_per_s = min(spec.ramp_up_w_per_s, spec.ramp_down_w_per_s) if loop is None else min(
        loop.ramp_up_w_per_s, loop.ramp_down_w_per_s)
    imports = [r.value for r in report.limits if r.name == "import_limit_w" and r.begins_s == 0]
    return Bounds(
        ramp_w_per_min=RAMP_SHARE * 60 * ramp_w_per_s, import_limit_w=min([spec.import_limit_w, *imports]),
        discharge_w=sum(b.discharge_available_w for b in usable), charge_w=sum(b.charge_available_w for b in usable),
        energy_min_wh=report.energy_min_wh, energy_max_wh=report.energy_max_wh,
        charge_efficiency=max((b.charge_efficiency for b in spec.batteries), default=1.0),
        discharge_efficiency=min((b.discharge_efficiency for b in spec.batteries), default=1.0), shed_max_w=0.0)
