"""The desk: takes requests, checks them, has them written down, and keeps those that are in force."""

import asyncio
import math
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping

import msgspec
import structlog

from pswd_edge.clock import Clock
from pswd_edge.control.arbiter import Bound, Candidate
from pswd_edge.control.facts import Facts
from pswd_edge.control.holds import Ends, Held, HeldPoint, expires_of, granted
from pswd_edge.control.ledger import Entry, Ledger, own_word, unwritten
from pswd_edge.control.limits import HeldLimit, decide_limit, key_of, level_of, released, span_of, tightest
from pswd_edge.control.readiness import Readiness
from pswd_edge.control.requests import check, decide
from pswd_edge.control.reservations import Reservations
from pswd_edge.control.rules.gradual import declared_rates, slower, toward
from pswd_edge.control.rules.placement import load_ceiling_w
from pswd_edge.control.rules.reserve import Range
from pswd_edge.control.supervision import Watch, covers, covers_limit
from pswd_edge.model.command import (
    Accepted,
    Acknowledge,
    Clamped,
    Failed,
    Heartbeat,
    Level,
    Mode,
    Outcome,
    PrepareCooling,
    Request,
    SetBatteryTarget,
    SetLimit,
    SetMode,
    SetPoint,
    Shelve,
)
from pswd_edge.model.control import ControlSpec, Supervisor
from pswd_edge.model.site import Site
from pswd_edge.model.workload import Workload

OUTCOMES_KEPT = 1000
_log = structlog.get_logger("control")


class Desk:
    """State that requests make. Changed between cycles only: the cycle sees one state throughout."""

    def __init__(self, site: Site, ledger: Ledger, clock: Clock, facts: Callable[[], Facts]) -> None:
        self._site, self._ledger, self._clock, self._facts = site, ledger, clock, facts
        self._outcomes: dict[str, Outcome] = {}
        self._under_way: dict[str, asyncio.Task[Outcome]] = {}
        self._turn = asyncio.Lock()
        self._sequence = 0
        self._targets: dict[Level, Held] = {}
        self._rates = declared_rates(site.control.thermal)
        self._led: dict[tuple[int, Level], float] = {}
        self.jobs = Reservations(site)
        self.points: dict[tuple[int, Level], HeldPoint] = {}
        self.limits: dict[tuple[str, Level, str], HeldLimit] = {}
        self.mode_wanted: Mode | None = None
        self.mode_origin = ""
        self._watch = Watch(site.control.supervision, clock.monotonic_s())
        self.readiness = Readiness()
        self.alarm_orders: deque[Acknowledge | Shelve] = deque()    # for the next cycle

    def move(self, site: Site, points: Mapping[int, int], controllers: Mapping[int, int]) -> list[str]:
        """Go on under another site; both mappings are old index to new. Returns a sentence for each thing gone."""
        before, self._site = self._site, site
        self._rates, self._led = declared_rates(site.control.thermal), {}
        self._watch = self._watch.moved(site.control.supervision, self._clock.monotonic_s())
        gone = [f"{before.points[i].id} of {held.origin}: the site has no such point any more"
                for (i, _), held in self.points.items() if i not in points]
        self.points = {(points[i], level): held for (i, level), held in self.points.items() if i in points}
        return [*gone, *self.jobs.move(site, controllers)]

    @property
    def workloads(self) -> dict[str, Workload]:
        """Those that live and the last that ended, by id, in the order in which they changed."""
        return self.jobs.workloads

    # --- requests -----------------------------------------------------------------------------------------------

    async def restore(self) -> int:
        """Take up the requests of the ledger that have not expired; modes are not: a start is always OBSERVE.

        A ledger that cannot be opened costs the requests, never the start: what came before is forgotten, and every
        command fails until control is started again with a ledger that works.
        """
        utc_s = self._clock.utc_s()
        try:
            entries = await self._ledger.open(utc_s)
        except (sqlite3.Error, OSError) as error:
            _log.error("ledger: cannot be opened; commands are refused until it can, and control is started again",
                       error=str(error))
            return 0
        now_s = self._clock.monotonic_s()
        for entry in entries:
            self._apply(entry, now_s - max(0.0, utc_s - entry.received_utc_s))
        self.expire(now_s)
        return len(entries)

    async def handle(self, request: Request, authority: Level) -> Outcome:
        """One request from the door: its outcome is on disk before it is returned.

        It goes on where the asker gives up: what is written down is also done.
        """
        if isinstance(request, Heartbeat):
            return self._heard(request, authority)
        known = self._outcomes.get(request.id)
        if known is not None:
            return known
        task = self._under_way.get(request.id)
        if task is None:
            task = self._under_way[request.id] = asyncio.create_task(self._first(request, authority))
            task.add_done_callback(lambda _: self._under_way.pop(request.id))
        return await asyncio.shield(task)

    def _heard(self, request: Heartbeat, authority: Level) -> Outcome:
        refused = check(request, authority, self._clock.utc_s())
        return refused or self._watch.beat(request, authority, self._clock.monotonic_s(), self._facts().cycle)

    async def _first(self, request: Request, authority: Level) -> Outcome:
        known = await self._known(request.id)
        if known is not None:
            return known
        async with self._turn:  # each is judged by what the one before has changed, not by what it is about to
            return await self._take(request, authority)

    async def _known(self, request_id: str) -> Outcome | None:
        try:
            return await self._ledger.find(request_id)
        except (sqlite3.Error, msgspec.MsgspecError):
            return None  # the ledger's trouble is told by `_take`, which needs it

    async def _take(self, request: Request, authority: Level) -> Outcome:
        now_s, utc_s = self._clock.monotonic_s(), self._clock.utc_s()
        refused = check(request, authority, utc_s)
        if refused is not None and refused.code == "malformed":
            self._ledger.note(unwritten(request, refused, utc_s))
            return refused
        outcome = refused or self._decided(request, utc_s, authority)
        if isinstance(outcome, Failed):
            self._ledger.note(unwritten(request, outcome, utc_s))
            return outcome  # nothing was decided: the same id may ask again
        entry = Entry(request, outcome, authority, utc_s, expires_of(request, outcome, utc_s))
        try:
            await self._ledger.append(entry)
        except (sqlite3.Error, OSError) as error:
            return Failed(id=request.id, code="ledger", reason=f"the ledger cannot be written ({error}): nothing was "
                          "changed; free the disk and ask again")
        self._remember(request.id, outcome)
        self._apply(entry, now_s)
        if isinstance(outcome, Accepted | Clamped):
            self._watch.hear(request.origin, authority, now_s)
        return outcome

    async def enact(self, workload_id: str, turn: Callable[[Workload, Ends, ControlSpec], tuple[str, Workload] | None],
                    ) -> str:
        """Control's own word on a workload, in force when it is written down; returns a sentence about it, or nothing.

        `turn` says action and workload afterwards; without an action only the reason for waiting has changed.
        """
        async with self._turn:
            now_s, utc_s, workload = self._clock.monotonic_s(), self._clock.utc_s(), self.workloads.get(workload_id)
            found = None if workload is None else turn(workload, self.jobs.ends[workload_id], self._site.control)
            if found is None:
                return ""
            action, changed = found
            if not action:
                self.workloads[workload_id] = changed
                return ""
            entry = own_word(changed, action, utc_s, self._facts().cycle + 1)
            try:
                await self._ledger.append(entry)
            except (sqlite3.Error, OSError) as error:
                _log.error("ledger: a workload's turn cannot be written; tried again", workload=workload_id,
                           action=action, error=str(error))
                return ""
            self._apply(entry, now_s)
            return f"{workload_id}: {action}" + (f", {changed.reason}" if changed.reason else "")

    def _decided(self, request: Request, utc_s: float, authority: Level) -> Outcome:
        facts = self._facts()._replace(utc_s=utc_s)
        if isinstance(request, SetLimit):
            return decide_limit(request, self._site.control, authority, utc_s, facts.cycle, len(self.limits))
        return decide(request, self._site, facts, self.workloads, authority)

    def _remember(self, request_id: str, outcome: Outcome) -> None:
        self._outcomes[request_id] = outcome
        while len(self._outcomes) > OUTCOMES_KEPT:
            del self._outcomes[next(iter(self._outcomes))]

    # --- what is in force ---------------------------------------------------------------------------------------

    def _apply(self, entry: Entry, began_s: float) -> None:
        """Bring a request that was taken at `began_s` (monotonic) into force; a refused one changes nothing."""
        request, outcome, level = entry.request, entry.outcome, entry.level
        if not isinstance(outcome, Accepted | Clamped):
            return
        self._sequence += 1
        if isinstance(request, SetMode):
            self.mode_wanted, self.mode_origin = request.mode, request.origin
        elif isinstance(request, SetBatteryTarget):
            self._targets.pop(level, None)
            if request.power_w is not None:
                self._targets[level] = Held(request, level, began_s + request.ttl_s, self._sequence)
        elif isinstance(request, SetPoint):
            self._hold(request, entry, began_s)
        elif isinstance(request, PrepareCooling):
            self.readiness.take(request, outcome, began_s)
        elif isinstance(request, Acknowledge | Shelve):
            self.alarm_orders.append(request)
        elif isinstance(request, SetLimit):
            self._tighten(request, entry, began_s)
        elif outcome.workload is not None:
            self.jobs.keep(outcome.workload, entry, began_s)

    def _hold(self, request: SetPoint, entry: Entry, began_s: float) -> None:
        point = self._site.point_index.get(request.point)
        rule = None if point is None else self._site.points[point].write
        if point is None or rule is None:
            _log.warning("restored set-point: the site has no such writable point any more", point=request.point)
            return
        self.points.pop((point, entry.level), None)
        if request.value is not None:
            self.points[point, entry.level] = HeldPoint(granted(request.value, entry, rule), entry.level,
                                                        request.origin, began_s + request.ttl_s, self._sequence,
                                                        request.ramp_per_s)

    def _tighten(self, request: SetLimit, entry: Entry, began_s: float) -> None:
        """Hold a limit within what the site file says today: the site may have another than when it was asked."""
        level = level_of(entry.level)
        key = key_of(request.name, level, request.origin, request.from_utc_s)
        span = span_of(self._site.control, request.name)
        gone = [key] if request.value is not None else released(self.limits, request.name, level, request.origin)
        for old in gone:
            self.limits.pop(old, None)
        if request.value is not None and span is not None:
            value = min(max(request.value, span.least), span.most)
            from_s = began_s + request.from_utc_s - entry.received_utc_s if request.from_utc_s > 0 else -math.inf
            self.limits[key] = HeldLimit(request.name, value, level, request.origin, began_s + request.ttl_s,
                                         self._sequence, request.emergency, from_s)

    # --- each cycle ---------------------------------------------------------------------------------------------

    def expire(self, now_s: float) -> list[str]:
        """Let go of what has run out; returns a sentence for each."""
        targets = [level for level, held in self._targets.items() if now_s >= held.until_s]
        points = [key for key, held in self.points.items() if now_s >= held.until_s]
        gone = [f"battery target of {self._targets.pop(i).request.origin} expired" for i in targets]
        gone += [f"{self._site.points[i[0]].id} of {self.points.pop(i).origin} expired" for i in points]
        limits = [key for key, held in self.limits.items()
                  if now_s >= held.until_s and not self._watch.keeps(held, now_s)]
        gone += [f"{i[0]} of {self.limits.pop(i).origin} expired" for i in limits]
        return [*gone, *self.readiness.expire(now_s), *self.jobs.expire(now_s)]

    def unheard(self, now_s: float) -> list[Supervisor]:
        """Supervisors that have just become silent; their set-points and targets are let go, limits stay."""
        found = self._watch.newly_silent(self._holds, now_s)
        for supervisor in found:
            self._targets = {level: h for level, h in self._targets.items()
                             if not covers(supervisor, h.request.origin, level)}
            self.points = {key: h for key, h in self.points.items() if not covers(supervisor, h.origin, h.level)}
        return found

    def _holds(self, supervisor: Supervisor) -> bool:
        return (any(covers(supervisor, h.request.origin, h.level) for h in self._targets.values())
                or any(covers(supervisor, h.origin, h.level) for h in self.points.values())
                or any(covers_limit(supervisor, h) for h in self.limits.values()))

    @property
    def silent(self) -> tuple[str, ...]:
        """Supervisors that are not heard any more."""
        return self._watch.silent

    @property
    def target(self) -> Held | None:
        """The battery target of the highest priority, or None."""
        return self._targets[min(self._targets)] if self._targets else None

    def ceiling_w(self, limits: Range) -> float:
        """Upper end of the guaranteed load range."""
        ceiling_w, held = load_ceiling_w(self.spec, limits, tuple(self.workloads.values())), self.tightest
        return min(ceiling_w, held["load_ceiling_w"].value) if "load_ceiling_w" in held else ceiling_w

    @property
    def tightest(self) -> dict[str, HeldLimit]:
        """The limits in force that are tighter than the site file's, by name."""
        return tightest(self.limits.values(), self._clock.monotonic_s()) if self.limits else {}

    @property
    def spec(self) -> ControlSpec:
        """What the site promises with the import limit of now: what workloads are judged by."""
        spec, held = self._site.control, self.tightest.get("import_limit_w")
        return spec if held is None else msgspec.structs.replace(spec, import_limit_w=held.value)

    def candidates(self) -> list[Candidate]:
        """Set-points that people and programs hold, and what workloads' commands mean for their racks."""
        held = [Candidate(key[0], self._led.get(key, h.value), h.level, h.origin, h.sequence)
                for key, h in self.points.items()]
        return [*held, *self.jobs.run_commands()]

    def ease(self, dt_s: float, standing: Callable[[int], float]) -> None:
        """Move workloads' allowed powers and held set-points toward what they are to be, at the ramps asked for.

        `standing` tells where a set-point stands: what control wanted last, or what is found; NaN: not known. A
        set-point of the thermal part also keeps to the rate that the site declares, whoever asks.
        """
        self._led = {}
        for key, held in self.points.items():
            rate = slower(held.ramp_per_s, self._rates.get(key[0], 0.0))
            if rate > 0:
                self._led[key] = toward(standing(key[0]), held.value, rate * max(0.0, dt_s))
        self.jobs.ease(dt_s)

    def bounds(self) -> list[Bound]:
        """Caps that throttled, paused, held and conditional workloads put on load controllers."""
        return self.jobs.bounds()
