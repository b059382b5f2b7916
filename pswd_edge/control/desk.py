"""The desk: takes requests, checks them, has them written down, and keeps those that are in force."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pswd_edge.clock import Clock
from pswd_edge.control.arbiter import Bound, Candidate
from pswd_edge.control.ledger import Ledger
from pswd_edge.control.requests import Facts, check, decide
from pswd_edge.control.rules.placement import controller_caps, is_live, load_ceiling_w
from pswd_edge.control.rules.reserve import Range
from pswd_edge.model.command import (
    Accepted,
    Announce,
    Clamped,
    ControlWorkload,
    Failed,
    Level,
    Mode,
    Outcome,
    Request,
    SetBatteryTarget,
    SetMode,
    SetPoint,
)
from pswd_edge.model.site import Site
from pswd_edge.model.workload import Workload, WorkloadState

OUTCOMES_KEPT = 1000


class Held(NamedTuple):
    """A request in force until `until_s` (monotonic; infinite: until it is released)."""

    request: Request
    level: Level
    until_s: float
    sequence: int


class Desk:
    """State that requests make. Changed between cycles only: the cycle sees one state throughout."""

    def __init__(self, site: Site, ledger: Ledger, clock: Clock, facts: Callable[[], Facts]) -> None:
        self._site, self._ledger, self._clock, self._facts = site, ledger, clock, facts
        self._outcomes: dict[str, Outcome] = {}
        self._under_way: dict[str, asyncio.Future[Outcome]] = {}
        self._sequence = 0
        self.workloads: dict[str, Workload] = {}
        self.target: Held | None = None
        self.points: dict[int, Held] = {}
        self.mode_wanted: Mode | None = None
        self.mode_origin = ""

    # --- requests -----------------------------------------------------------------------------------------------

    async def restore(self) -> int:
        """Take up the requests of the ledger that have not expired; modes are not: a start is always OBSERVE."""
        rows = await self._ledger.open(self._clock.utc_s())
        for request, outcome, expires_utc_s in rows:
            self._remember(request.id, outcome)
            if isinstance(outcome, Accepted | Clamped) and not isinstance(request, SetMode):
                self._apply(request, outcome, Level.API, expires_utc_s)
        return len(rows)

    async def handle(self, request: Request, authority: Level) -> Outcome:
        """One request from the door: its outcome is on disk before it is returned."""
        known = self._outcomes.get(request.id) or await self._known(request.id)
        if known is not None:
            return known
        if request.id in self._under_way:
            return await asyncio.shield(self._under_way[request.id])
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._under_way[request.id] = waiting
        outcome: Outcome = Failed(id=request.id, code="interrupted", reason="control is stopping; ask again")
        try:
            outcome = await self._take(request, authority)
        finally:
            del self._under_way[request.id]
            waiting.set_result(outcome)
        return outcome

    async def _known(self, request_id: str) -> Outcome | None:
        try:
            return await self._ledger.find(request_id)
        except sqlite3.Error:
            return None  # the ledger's trouble is told by `_take`, which needs it

    async def _take(self, request: Request, authority: Level) -> Outcome:
        facts = self._facts()
        refused = check(request, authority, self._clock.utc_s())
        outcome = refused or decide(request, self._site, facts, self.workloads, authority)
        if isinstance(outcome, Failed):
            return outcome  # nothing was decided: the same id may ask again
        expires = self._expires(request, outcome)
        try:
            await self._ledger.append(request, outcome, self._clock.utc_s(), expires)
        except sqlite3.Error as error:
            return Failed(id=request.id, code="ledger", reason=f"the ledger cannot be written ({error}): nothing was "
                          "changed; free the disk and ask again")
        self._remember(request.id, outcome)
        if isinstance(outcome, Accepted | Clamped):
            self._apply(request, outcome, authority, expires)
        return outcome

    def _remember(self, request_id: str, outcome: Outcome) -> None:
        self._outcomes[request_id] = outcome
        while len(self._outcomes) > OUTCOMES_KEPT:
            del self._outcomes[next(iter(self._outcomes))]

    def _expires(self, request: Request, outcome: Outcome) -> float | None:
        """When the ledger may forget it: refusals at once, workloads never (their end is another request)."""
        if not isinstance(outcome, Accepted | Clamped):
            return self._clock.utc_s()
        if isinstance(request, Announce | ControlWorkload):
            return None
        return self._clock.utc_s() + request.ttl_s

    def _apply(self, request: Request, outcome: Outcome, level: Level, expires_utc_s: float | None) -> None:
        self._sequence += 1
        left_s = float("inf") if expires_utc_s is None else expires_utc_s - self._clock.utc_s()
        held = Held(request, level, self._clock.monotonic_s() + left_s, self._sequence)
        if isinstance(request, SetMode):
            self.mode_wanted, self.mode_origin = request.mode, request.origin
        elif isinstance(request, SetBatteryTarget):
            self.target = None if request.power_w is None else held
        elif isinstance(request, SetPoint):
            self._hold(self._site.point_index[request.point], request, held)
        elif outcome.workload is not None:
            self.workloads[outcome.workload.announcement.workload_id] = outcome.workload
            self._forget_ended()

    def _hold(self, point: int, request: SetPoint, held: Held) -> None:
        if request.value is None:
            self.points.pop(point, None)
        else:
            self.points[point] = held

    def _forget_ended(self) -> None:
        """Keep what lives and the last thousand that ended."""
        ended = [i for i, w in self.workloads.items() if not is_live(w)]
        for workload_id in ended[:-OUTCOMES_KEPT]:
            del self.workloads[workload_id]

    # --- each cycle ---------------------------------------------------------------------------------------------

    def expire(self, now_s: float) -> list[str]:
        """Let go of what has run out; returns a sentence for each."""
        gone = []
        if self.target is not None and now_s >= self.target.until_s:
            gone.append(f"battery target of {self.target.request.origin} expired")
            self.target = None
        for point in [p for p, h in self.points.items() if now_s >= h.until_s]:
            gone.append(f"{self._site.points[point].id} of {self.points[point].request.origin} expired")
            del self.points[point]
        utc_s = self._clock.utc_s()
        for workload_id, workload in self.workloads.items():
            ended = _ended(workload, utc_s)
            if ended is not None:
                self.workloads[workload_id] = ended
                gone.append(f"{workload_id}: {workload.state.value} expired, runs again")
        return gone

    def ceiling_w(self, limits: Range) -> float:
        """Upper end of the guaranteed load range."""
        return load_ceiling_w(self._site.control, limits, tuple(self.workloads.values()))

    def candidates(self) -> list[Candidate]:
        """Set-points that people and programs hold."""
        return [Candidate(p, h.request.value, h.level, h.request.origin, h.sequence)
                for p, h in self.points.items() if isinstance(h.request, SetPoint) and h.request.value is not None]

    def bounds(self) -> list[Bound]:
        """Caps that throttled, paused and conditional workloads put on load controllers."""
        spec = self._site.control
        caps = controller_caps(spec, tuple(self.workloads.values()))
        return [Bound(spec.load_controllers[c].cap, 0.0, w, Level.API, "workload") for c, w in caps.items()]


def _ended(workload: Workload, utc_s: float) -> Workload | None:
    """The workload after a pause or throttle that has run out; None where none has."""
    ends = {WorkloadState.PAUSED: workload.paused_until_utc_s, WorkloadState.THROTTLED: workload.throttled_until_utc_s}
    end = ends.get(workload.state)
    if end is None or utc_s < end:
        return None
    state = WorkloadState.CONDITIONAL if workload.conditions else WorkloadState.APPROVED
    return msgspec.structs.replace(workload, state=state, target_w=None, paused_until_utc_s=None,
                                   throttled_until_utc_s=None)
