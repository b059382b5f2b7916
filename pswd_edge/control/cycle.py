"""The 100 ms cycle: input, latch, decide, arbitrate, output, publish. Absolute deadlines on the monotonic clock."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from pswd_edge.clock import Clock, iso_utc
from pswd_edge.control.alarms import Condition
from pswd_edge.control.chronicle import Chronicle, tried_body
from pswd_edge.control.commissioned import Commissioned
from pswd_edge.control.commissioning import Commissioning
from pswd_edge.control.conditions import contradictions, decided_conditions, silence_text, tier_changes
from pswd_edge.control.coordination import Coordination
from pswd_edge.control.desk import Desk
from pswd_edge.control.excursion import excursion
from pswd_edge.control.facts import Facts
from pswd_edge.control.guarantee import Guarantee
from pswd_edge.control.hints import Hints
from pswd_edge.control.journal import Journal
from pswd_edge.control.ledger import Ledger, unwritten
from pswd_edge.control.limits import ordered
from pswd_edge.control.modes import ModeKeeper
from pswd_edge.control.publish import Clocks, Timings, limits_of, report_of, timings_of
from pswd_edge.control.record_row import Begin, Seen
from pswd_edge.control.recorder import Recorder
from pswd_edge.control.refusals import Refusals
from pswd_edge.control.requests import check
from pswd_edge.control.rules import firm, law
from pswd_edge.control.rules.cooling import FOUND_MAX_AGE_S
from pswd_edge.control.rules.droop import is_excursion
from pswd_edge.control.rules.expected import Shift
from pswd_edge.control.rules.flexibility import flexible
from pswd_edge.control.rules.measured import SLOW_MAX_AGE_S, measured
from pswd_edge.control.rules.placement import headroom
from pswd_edge.control.rules.shed import stuck
from pswd_edge.control.setpoints import Setpoints
from pswd_edge.control.shadow import REFUSED, decided, mode_of, refuses
from pswd_edge.control.succession import carried_law, moved_controllers, moved_points
from pswd_edge.control.tier_file import TierFile
from pswd_edge.control.timing import Histogram
from pswd_edge.control.turns import Turns
from pswd_edge.image import ImageWriter
from pswd_edge.image.notify import RowBell
from pswd_edge.model.command import (
    Accepted,
    Commission,
    Failed,
    Hint,
    Level,
    Mode,
    Outcome,
    Record,
    Rejected,
    Request,
    SetBatteryTarget,
)
from pswd_edge.model.ports import FieldPort
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Snapshot
from pswd_edge.model.workload import Headroom

RECORDINGS = "recordings"     # in the state folder
_EARLY_S = 0.0005             # a timer may fire early by its resolution


class ControlCycle:
    """Owns the loop. Everything slow (disk, sockets of people) happens elsewhere."""

    def __init__(self, site: Site, field: FieldPort, image: ImageWriter, journal: Journal, ledger: Ledger,
                 clock: Clock, bell: RowBell, notify: Callable[[str], object],
                 commissioned: Commissioned | None = None, recorder: Recorder | None = None,
                 tiers: TierFile | None = None) -> None:
        self._field, self._image = field, image
        self._take_site(site)
        self._between: deque[Callable[[], None]] = deque()
        self._journal, self._clock, self._bell, self._notify = journal, clock, bell, notify
        self.desk = Desk(site, ledger, clock, self.facts)
        self._turns = Turns(self.desk, clock, self.facts,
                            lambda said: journal.tell("info", "workload", "request", said))
        self._keeper = ModeKeeper(site.control.start_mode, site.control.auto_after_s)
        self._setpoints = Setpoints(site)
        self._thermal = Coordination(site)
        self._thermal.relatch(journal.listed)
        self._hints = Hints()
        self._awaited: tuple[firm.Awaited, ...] = ()
        self._wanted: dict[int, float] = {}
        self._ledger = ledger
        self._chronicle = Chronicle(site, ledger)
        self.commissioning = Commissioning(site, field, clock, journal, commissioned or Commissioned(site),
                                           lambda: self._keeper.mode, lambda: self._decision)
        self.recorder = recorder or Recorder(Path(site.state_dir) / RECORDINGS, site.recording, clock)
        self.tiers = tiers or TierFile(None, clock)
        self._state = self._shown = law.start(site.control)._replace(shed=self.tiers.take_up(site, journal.tell))
        self._started_utc_s = clock.utc_s()
        self._encode = msgspec.msgpack.Encoder().encode
        self._late, self._rules, self._age = Histogram(), Histogram(), Histogram()
        self._timings = Timings()
        self.cycle = 0
        self.completed = 0
        self.missed = 0
        self._publish_number = 0
        self._last_s = 0.0
        self._second_s = -math.inf
        self._decision: law.Decision | None = None
        self._guarantee = Guarantee(site.control)
        self._bad = ""
        self._mode_told = self._keeper.mode
        self._headroom = Headroom(0.0, 0.0, 0.0)

    async def handle(self, request: Request, authority: Level) -> Outcome:
        """One request from the door."""
        if refuses(self._spec, request):
            return self._refused(request)
        if isinstance(request, Hint):
            return self._hinted(request, authority)
        if isinstance(request, Record):
            return self._record(request, authority)
        if isinstance(request, Commission):
            outcome = await self.commissioning.handle(request, authority)
            self._ledger.note(tried_body(request, outcome, self._clock.utc_s()))
            return outcome
        return await self.desk.handle(request, authority)

    def _hinted(self, hint: Hint, authority: Level) -> Outcome:
        """Not written down one by one: a hint every few seconds would fill the ledger."""
        refused = check(hint, authority, self._clock.utc_s())
        return refused or self._hints.take(hint, authority, self._spec, self._clock.monotonic_s(), self.cycle)

    def _record(self, request: Record, authority: Level) -> Outcome:
        utc_s = self._clock.utc_s()
        outcome = check(request, authority, utc_s) or self._ordered(request)
        self._ledger.note(unwritten(request, outcome, utc_s))
        return outcome

    def _ordered(self, request: Record) -> Rejected | Accepted:
        if request.action not in ("start", "stop") or request.seconds < 0:
            return Rejected(id=request.id, code="invalid", reason=f"{request.action!r} for {request.seconds:g} s: "
                            "expected start or stop, and 0 s (no end) or more")
        if request.action == "start":
            self.recorder.start(request.seconds)
        else:
            self.recorder.stop()
        return Accepted(id=request.id, cycle=self.cycle + 1)

    def _refused(self, request: Request) -> Outcome:
        outcome = Failed(id=request.id, code="not_ready", reason=REFUSED)
        self._ledger.note(unwritten(request, outcome, self._clock.utc_s()))
        return outcome

    def between_cycles(self, action: Callable[[], None]) -> None:
        """Do this when the present cycle has ended and the next has not begun."""
        self._between.append(action)

    def succeed(self, site: Site, image: ImageWriter) -> None:
        """Go on under another site, with its image. Called between two cycles; the field has switched already."""
        old, moved = self._site, moved_points(self._site, site)
        self._state = self._shown = carried_law(old, site, self._state)
        self._setpoints = self._setpoints.moved(site, moved)
        self._thermal = self._thermal.moved(site)
        for gone in self.desk.move(site, moved, moved_controllers(old, site)):
            self._journal.tell("warning", "expired", "request", gone)
        self._take_site(site)
        self._chronicle = Chronicle(site, self._ledger)
        self.commissioning.succeed(site)
        self._guarantee = self._guarantee.under(site.control)
        self._decision = None
        self._hints.drop()
        self._awaited, self._wanted = (), {}
        self.recorder.new_site()
        self._image, self._second_s = image, -math.inf  # so that the new image gets everything in the first cycle
        self._journal.attach(image)

    def _take_site(self, site: Site) -> None:
        self._site, self._spec = site, site.control
        self._heat = [i for d in site.devices_of("cdu") if (i := site.find(d.id, "heat_w")) is not None]
        self._limits = law.range_of(site.control, site.control.load_ceiling_w)
        self._refusals = Refusals(site.control)

    async def run(self) -> None:
        """Until cancelled. A slot that is gone is skipped and counted, never made up for."""
        period = self._spec.period_ms / 1000
        due_s = self._clock.monotonic_s() + period
        self._last_s = due_s - period
        while True:
            while (left_s := due_s - self._clock.monotonic_s()) > _EARLY_S:  # noqa: ASYNC110  # time itself is awaited
                await asyncio.sleep(left_s)
            now_s = self._clock.monotonic_s()
            self._late.add(now_s - due_s)
            await self._once(due_s, now_s)
            due_s += period
            behind = math.ceil((self._clock.monotonic_s() - due_s) / period)
            missed = max(0, behind)
            self.missed += missed
            self.cycle += missed
            due_s += missed * period
            self._keeper.overrun(missed, now_s)

    async def _once(self, due_s: float, now_s: float) -> None:
        self.cycle += 1
        while self._between:
            self._between.popleft()()
        self._field.begin()
        budget_s = self._spec.period_ms * self._spec.input_deadline_percent / 1e5
        await self._field.inputs(max(0.0, due_s + budget_s - self._clock.monotonic_s()))
        latched_s, utc_s = self._clock.monotonic_s(), self._clock.utc_s()
        snapshot = self._field.latch(self.cycle, latched_s, utc_s)
        encoded = self._decide(snapshot, now_s, utc_s)
        self._rules.add(self._clock.monotonic_s() - latched_s)
        self._field.begin_slow(self.cycle)
        self._publish(encoded, now_s, utc_s)
        self._last_s = latched_s

    # --- decide, arbitrate, output ------------------------------------------------------------------------------

    def _decide(self, snapshot: Snapshot, now_s: float, utc_s: float) -> bytes:
        for gone in self.desk.expire(now_s):
            self._journal.tell("info", "expired", "request", gone)
        for silent in self.desk.unheard(now_s):
            self._journal.tell("warning", "supervision_lost", silent.name, silence_text(silent))
            if silent.on_silence == "safe":
                self._keeper.fail(f"{silent.name} is not heard any more", now_s)
        self._turns.look(now_s)
        self.desk.ease(snapshot.time_s - self._last_s, self._standing)
        if turned := self._hints.turned(now_s):
            self._journal.tell("info", "planner", "site", turned)
            self._ledger.note({"kind": "planner", "subject": "planner", "utc_s": utc_s, "utc": iso_utc(utc_s),
                               "reason": turned})
        reset = self._follow_order(now_s)
        orders = self._orders(now_s)
        before, dt_s = self._shown, snapshot.time_s - self._last_s
        begin = Begin(self._site, self._state, self._setpoints.memory()) if self.recorder.begins else None
        asked, bounds = self.desk.candidates(), self.desk.bounds()
        self._thermal.step(snapshot, orders.mode, tuple(self.desk.workloads.values()), asked, dt_s, reset=reset,
                           prepared_w=self.desk.readiness.heat_w, stands=self._wanted)
        asked, bounds = [*asked, *self._thermal.candidates()], [*bounds, *self._thermal.bounds()]
        trial = self.commissioning.candidates(now_s)
        self._state, self._shown, decision = decided(self._spec, self._state, snapshot, orders, dt_s)
        verdicts = self._setpoints.compose(decision, self._shown, snapshot, orders.mode, asked, bounds,
                                           orders.barred, trial)
        self._wanted = {v.point: v.value for v in verdicts if v.value is not None}
        if not self._spec.shadow:
            self._field.apply([(v.point, v.value) for v in verdicts], self.cycle, snapshot.time_s)
        if self.recorder.on:
            self.recorder.note(Seen(begin, snapshot, orders, dt_s, asked, bounds, trial, decision, self._shown,
                                    verdicts))
        for severity, tier, text in tier_changes(self._spec, before, self._shown):
            self._journal.tell(severity, "tier", tier, text)
        if is_excursion(before.droop) is not is_excursion(self._shown.droop):
            self._journal.tell("info", "droop", "site", excursion(self._spec.droop, self._shown.droop))
        self.tiers.note(self._site, self._state.shed)
        bad = self._bad_inputs(snapshot, decision)
        self._keeper.update(bad, now_s)
        self._tell_mode()
        self._decision, self._bad = decision, bad
        self._age.add(snapshot.read(self._spec.grid_power.point).age_s)
        while self.desk.alarm_orders:
            self._journal.order(self.desk.alarm_orders.popleft())
        alarms = self._journal.alarms(chain(self._conditions(decision), contradictions(self._site, verdicts)))
        self._chronicle.note(snapshot, decision, self._shown, verdicts, self._keeper)
        report = report_of(
            self._spec, Clocks(self.cycle, utc_s, now_s, self.completed + 1, self.missed, self._started_utc_s),
            self._keeper, decision, self._shown, verdicts, self._field, tuple(self.desk.workloads.values()),
            self._headroom, alarms, orders.target_w, self._timings, limits_of(self.desk.limits.values(), now_s),
            self._thermal.report())
        return self._encode(report)

    def _standing(self, point: int) -> float:
        """Where a set-point stands: what was wanted of it last, or what its device shows; NaN: not known."""
        wanted = self._wanted.get(point)
        return measured(self._field.reading(point, self._last_s), FOUND_MAX_AGE_S) if wanted is None else wanted

    def _follow_order(self, now_s: float) -> bool:
        """Whether the operator has ordered a mode."""
        wanted = self.desk.mode_wanted
        if wanted is None:
            return False
        self.desk.mode_wanted = None
        self._keeper.order(wanted, self.desk.mode_origin, now_s)
        return True

    def _tell_mode(self) -> None:
        """Each change once, whoever made it: the operator, good inputs, or cycles that were missed."""
        before, mode = self._mode_told, self._keeper.mode
        if mode is not before:
            self._mode_told = mode
            self._journal.tell("warning" if mode is Mode.SAFE else "info", "mode", "site",
                               f"{before.value} to {mode.value}, {self._keeper.reason}")

    def _orders(self, now_s: float) -> law.Orders:
        """What people and programs want now; in MANUAL only the operator's word counts, not an API's from before."""
        mode, target = mode_of(self._spec, self._keeper.mode), self.desk.target
        held = self.desk.tightest.get("load_floor_w")
        ceiling_w, floor_w = self._guarantee.moved(
            self.desk.ceiling_w(self._limits), self._spec.load_floor_w if held is None else held.value, self._decision,
            self._state.reference)
        orders = law.Orders(mode, ceiling_w, barred=self._bars(), floor_w=floor_w,
                            refused=self._refusals.update(self._field, now_s),
                            flexible=flexible(self._spec, tuple(self.desk.workloads.values())),
                            silent=self.desk.silent,
                            hint_w=self._hints.at(now_s) if mode is Mode.AUTO else None)
        if self._spec.firm_resumes and mode is Mode.AUTO:
            orders = orders._replace(expected=self._firm(orders, now_s))
        orders = ordered(orders, self.desk.tightest)
        if target is None or not isinstance(target.request, SetBatteryTarget):
            return orders
        power, ramp = target.request.power_w, target.request.ramp_w_per_s or None
        if mode is not Mode.MANUAL:
            return orders._replace(target_w=power, target_ramp_w_per_s=ramp)
        return orders._replace(manual_w=power if target.level <= Level.OPERATOR else None)

    def _firm(self, orders: law.Orders, now_s: float) -> tuple[Shift, ...]:
        """What jobs that we hold will add to the load when we let them go."""
        powers = [measured(self._field.reading(c.power, now_s), SLOW_MAX_AGE_S) for c in self._spec.load_controllers]
        limits = self._limits if self._decision is None else self._decision.limits
        self._awaited = firm.awaited(
            self._spec, self._awaited, tuple(self.desk.workloads.values()), self.desk.jobs.pause_ends_s, powers,
            orders.barred | orders.refused, limits, now_s)
        return firm.shifts(self._awaited)

    def _bars(self) -> frozenset[int]:
        """Points that may not be led; what is not written need not have been tried."""
        return frozenset() if self._spec.shadow else self.commissioning.bars()

    def _bad_inputs(self, snapshot: Snapshot, decision: law.Decision) -> str:
        """Names of control inputs that are not good; empty where all are. A small battery is no bad input."""
        points = [self._spec.grid_power.point, *(p for b in self._spec.batteries for p in (b.soc.point, b.power.point))]
        bad = [self._site.points[p].id for p in points if snapshot.read(p).quality is not Quality.GOOD]
        return ", ".join(dict.fromkeys([*bad, *(() if decision.starts else decision.degraded)]))

    def _room(self, decision: law.Decision) -> Headroom:
        fleet = decision.fleet
        return headroom(self.desk.spec, decision.limits, tuple(self.desk.workloads.values()), decision.estimate.load_w,
                        self._heat_w(), fleet.above_min_wh + fleet.below_max_wh)

    def _heat_w(self) -> float:
        heat = [self._field.reading(i, self._last_s) for i in self._heat]
        return sum(r.value for r in heat) if heat and all(r.quality is not Quality.BAD for r in heat) else math.nan

    def _rack_w(self, controller: int) -> float:
        point = self._spec.load_controllers[controller].power
        return measured(self._field.reading(point, self._last_s), SLOW_MAX_AGE_S)

    def facts(self) -> Facts:
        """What requests are judged by: the last cycle's decision, and the headroom as it is now."""
        utc_s, decision, reference = self._clock.utc_s(), self._decision, self._state.reference
        if decision is None:
            return Facts(0, utc_s, Mode.OBSERVE, "control has just started", math.nan, math.nan, 0.0, 0.0,
                         self._limits, self._headroom, alarms=self._journal.listed)
        known = reference is not None and decision.estimate.source == "grid"
        return Facts(
            self.cycle, utc_s, self._keeper.mode, "" if known else f"inputs: {self._bad or 'none yet'}",
            math.nan if reference is None else reference.reference_w,
            math.nan if self._state.feed is None else self._state.feed.filtered_w,
            decision.fleet.discharge_available_w, decision.fleet.charge_available_w, decision.limits,
            self._room(decision), self._bars(), self._journal.listed, self._standing, self.desk.spec.import_limit_w,
            decision.estimate.load_w, self._heat_w(), decision.fleet.above_min_wh + decision.fleet.below_max_wh,
            self._rack_w)

    def _conditions(self, decision: law.Decision) -> Iterator[tuple[str, str] | Condition]:
        yield from decided_conditions(decision, self._shown)
        if self._keeper.mode is Mode.SAFE:
            yield "safe_state", f"SAFE: {self._keeper.reason}"
        if self._spec.shadow:
            yield "shadow", "control decides and writes nothing; set-points are what would be written"
        elif self.commissioning.kept.message:
            yield "not_commissioned", self.commissioning.kept.message
        if self._ledger.trouble:
            yield "ledger", self._ledger.trouble
        if self.recorder.trouble or self.recorder.dropped:
            yield "recording", self.recorder.trouble or f"{self.recorder.dropped} cycles are missing: the disk is slow"
        if names := stuck(self._spec, self._state.shed, self._last_s):
            yield "tier_stuck", f"{', '.join(names)}: engaged, but the meter shows less than half of it gone"
        unkept = (("tiers_not_kept", self.tiers.trouble), ("alarms_not_kept", self._journal.trouble))
        yield from ((code, trouble) for code, trouble in unkept if trouble)
        yield from self._thermal.decision.alarms

    # --- publish ------------------------------------------------------------------------------------------------

    def _publish(self, encoded: bytes, now_s: float, utc_s: float) -> None:
        self._field.settle_rest(self._clock.monotonic_s())
        columns = self._field.columns()
        self._publish_number += 1
        self._image.publish_latest(self._publish_number, columns.value, columns.source_utc_s, columns.received_s,
                                   columns.quality, columns.reason)
        self._image.publish_report(self._publish_number, encoded)
        row = self._image.publish_row(self.cycle, now_s, utc_s, columns.value, columns.quality)
        self.completed += 1
        self._image.beat(self._clock.monotonic_s())
        self._bell.ring(row)
        if now_s - self._second_s >= 1.0:
            self._each_second(now_s, utc_s)

    def _each_second(self, now_s: float, utc_s: float) -> None:
        self._second_s = now_s
        if self._decision is not None:
            self._headroom = self._room(self._decision)
        self._timings = timings_of(self._late, self._rules, self._age, self.recorder.report())
        self._image.publish_field(self._publish_number, self._encode(self._field.report(utc_s)))
        self._bell.look()
        self._journal.keep()
        word = "READY=1\n" if self.completed == 1 else ""
        shadow = "SHADOW, writes nothing; " if self._spec.shadow else ""
        self._notify(f"{word}WATCHDOG=1\nSTATUS={shadow}{self._keeper.mode.value}: {self._keeper.reason}")
