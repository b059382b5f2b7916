"""Commissioning: an actuated point is tried, watched, put back, and written down.

In OBSERVE or MANUAL only. What is tried goes through the arbiter like everybody's wish; nothing else writes.
"""

import asyncio
from collections.abc import Callable

from pswd_edge.clock import Clock
from pswd_edge.control.arbiter import Candidate
from pswd_edge.control.battery_trial import nudge_battery
from pswd_edge.control.commissioned import Commissioned, led_points, record_of, write_records
from pswd_edge.control.journal import Journal
from pswd_edge.control.requests import check
from pswd_edge.control.rules.law import Decision
from pswd_edge.control.setpoints import beat
from pswd_edge.control.stage import Stage, TrialError
from pswd_edge.control.trial import dry_run, nudge, operate
from pswd_edge.model.command import Accepted, Commission, Failed, Level, Mode, Outcome, Rejected, Trial
from pswd_edge.model.ports import FieldPort
from pswd_edge.model.site import Site

PERCENT_MAX = 1.0
_MODES = (Mode.OBSERVE, Mode.MANUAL)
_ACTIONS = ("nudge", "dry_run", "operate", "clear")
_OUTCOMES_KEPT = 100


class Commissioning:
    """One trial at a time. `candidates` is what it wants written in this cycle."""

    def __init__(self, site: Site, field: FieldPort, clock: Clock, journal: Journal, kept: Commissioned,
                 mode: Callable[[], Mode], decision: Callable[[], Decision | None]) -> None:
        self._site, self._field, self._clock, self._journal = site, field, clock, journal
        self._mode, self._decision, self.kept = mode, decision, kept
        self._wanted: dict[int, float] = {}
        self._before_safe = mode()
        self._turn = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[Outcome]] = {}

    def bars(self) -> frozenset[int]:
        """The points that may not be led now: in AUTO, and in SAFE unless somebody led them in MANUAL before."""
        mode = self._mode()
        if mode is not Mode.SAFE:
            self._before_safe = mode
        free = mode is Mode.OBSERVE or self._before_safe is Mode.MANUAL
        return frozenset() if free else self.kept.barred

    def candidates(self, now_s: float) -> list[Candidate]:
        """What the trial wants written now; heartbeats count while it lasts."""
        if not self._wanted or self._mode() not in _MODES:
            return []
        beating = [b for b in self._site.control.batteries if b.heartbeat is not None]
        beats = {b.heartbeat: beat(self._site, b, now_s) for b in beating}
        return [Candidate(p, beats.get(p, value), Level.OPERATOR, "commissioning") for p, value in self._wanted.items()]

    async def handle(self, request: Commission, authority: Level) -> Outcome:
        """One request; the same id again gets the first outcome. It goes on where the asker gives up."""
        task = self._tasks.get(request.id)
        if task is None:
            task = self._tasks[request.id] = asyncio.create_task(self._first(request, authority))
            for old in [i for i, t in self._tasks.items() if t.done()][:-_OUTCOMES_KEPT]:
                del self._tasks[old]
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            return Failed(id=request.id, code="not_ready", reason="control stops, or its site has "
                          "changed: the trial was broken off")

    def succeed(self, site: Site) -> None:
        """Go on under another site file: its rows are judged anew. A trial under way is broken off."""
        self.close()
        self._site, self.kept = site, self.kept.under(site)

    def close(self) -> None:
        """Control stops: a trial under way is broken off, and the device falls back by itself."""
        self._wanted.clear()
        for task in self._tasks.values():
            task.cancel()

    async def _first(self, request: Commission, authority: Level) -> Outcome:
        refused = self._wrong(request, authority)
        if refused is not None:
            return refused
        index = self._site.point_index[request.point]
        if request.action == "clear":
            return self._clear(request, index)
        if self._turn.locked():
            return Failed(id=request.id, code="busy", reason="another point is being commissioned; ask again")
        async with self._turn:
            return await self._try(request, index)

    def _wrong(self, request: Commission, authority: Level) -> Rejected | None:
        """Form, age and authority; a point that can be written, and an action."""
        refused = check(request, authority, self._clock.utc_s())
        if refused is not None:
            return refused
        index = self._site.point_index.get(request.point)
        code, reason = "", ""
        if index is None or self._site.points[index].write is None:
            code, reason = "not_found", f"{request.point}: no such writable point on this site"
        elif not 0 < request.percent <= PERCENT_MAX:
            code = "invalid"
            reason = f"percent: got {request.percent:g}: expected more than 0, at most {PERCENT_MAX:g}"
        elif request.action not in _ACTIONS:
            code, reason = "invalid", f"{request.action!r}: expected one of {', '.join(_ACTIONS)}"
        return Rejected(id=request.id, code=code, reason=reason) if code else None

    def _clear(self, request: Commission, index: int) -> Outcome:
        if self._field.clear(index, request.origin):
            return Accepted(id=request.id, reason=f"{request.point}: may be operated again")
        return Rejected(id=request.id, code="conflict", reason=f"{request.point}: is not latched")

    async def _try(self, request: Commission, index: int) -> Outcome:
        if self._mode() not in _MODES:
            return Failed(id=request.id, code="not_ready", reason=f"mode is {self._mode().value}: points are "
                          "commissioned in OBSERVE or MANUAL (pswd-edge mode OBSERVE)")
        stage = Stage(self._site, self._field, self._clock, self._wanted, lambda: self._mode() in _MODES)
        try:
            trial = await self._carry_out(request, stage, index)
        except TrialError as error:
            self._journal.tell("warning", "commission_failed", request.point, f"{request.point}: {error}")
            return Failed(id=request.id, code="not_seen", reason=f"{request.point}: {error}; put back, not recorded")
        finally:
            self._wanted.clear()
        return await self._write_down(request, trial)

    async def _carry_out(self, request: Commission, stage: Stage, index: int) -> Trial:
        if request.action == "dry_run":
            return await dry_run(stage, index)
        if request.action == "operate":
            return await operate(stage, index)
        battery = next((b for b in self._site.control.batteries if index in led_points(b)), None)
        if battery is not None:
            decision = self._decision()
            found = [] if decision is None else [b for b in decision.fleet.batteries if b.id == battery.id]
            return await nudge_battery(stage, battery, found[0] if found else None, request.percent)
        return await nudge(stage, index, request.percent)

    async def _write_down(self, request: Commission, trial: Trial) -> Outcome:
        points = [self._site.points[self._site.point_index[p]] for p in trial.points]
        records = self.kept.added({p.id: record_of(self._site, p, request.origin, self._clock.utc_s(), trial.how,
                                                   trial.notes) for p in points})
        if self.kept.path is not None:
            try:
                await asyncio.to_thread(write_records, self.kept.path, records)
            except OSError as error:
                return Failed(id=request.id, code="record", reason=f"{self.kept.path}: cannot be written ({error}): "
                              "tried, but not recorded", trial=trial)
        self.kept.take(records)
        self._journal.tell("info", "commissioned", request.point, f"{', '.join(trial.points)} by {request.origin}: "
                           f"{trial.how}; {'; '.join(trial.notes)}")
        return Accepted(id=request.id, reason="; ".join(trial.notes), trial=trial)
