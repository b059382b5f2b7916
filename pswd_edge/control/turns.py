"""What workloads come to by themselves: they start when their time and their room have come, run out, or are gone."""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from pswd_edge.clock import Clock
from pswd_edge.control.desk import Desk
from pswd_edge.control.facts import Facts
from pswd_edge.control.holds import Ends
from pswd_edge.control.rules.placement import controller_caps, quiet_w
from pswd_edge.control.workload_orders import lack, spec_now, why_held
from pswd_edge.model.command import Mode
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.window import is_live
from pswd_edge.model.workload import Workload, WorkloadState

RETRY_S = 1.0                 # between two looks at one that waits for more than its time
_REASON_MAX = 200
_DRAINED = 1.2                # of its caps: what racks may draw and count as idle


class Turn(NamedTuple):
    """What becomes of a workload: `action` "start", "expire", "terminate"; "": it waits for another reason."""

    action: str
    workload: Workload


def turn_of(workload: Workload, workloads: Mapping[str, Workload], ends: Ends, spec: ControlSpec, facts: Facts,
            now_s: float) -> Turn | None:
    """What becomes of a live workload now; None: nothing. Pure.

    Args:
        workload: the one in question.
        workloads: all, itself among them.
        ends: its times, on the clock of `now_s`.
        spec: the site.
        facts: of the last cycle.
        now_s: monotonic.
    """
    if now_s >= ends.limit_s:
        return _ended(workload, "terminate", f"it has run for the {workload.duration_limit_s:.0f} s that were approved")
    if workload.state is WorkloadState.MIGRATING:
        gone = workload.held or _drained(spec, workload, tuple(workloads.values()), facts.rack_w)
        return _ended(workload, "terminate", f"handed over to {workload.migration_target}") if gone else None
    if not workload.held:
        return None
    if now_s > ends.latest_s:
        return _ended(workload, "expire", f"its latest start has passed; until then: {workload.held}"[:_REASON_MAX])
    held = _held(workload, workloads, ends, spec, facts, now_s)
    if held:
        return None if held == workload.held else Turn("", msgspec.structs.replace(workload, held=held))
    return Turn("start", msgspec.structs.replace(workload, held="", started_utc_s=facts.utc_s, unannounced_w=()))


def _held(workload: Workload, workloads: Mapping[str, Workload], ends: Ends, spec: ControlSpec, facts: Facts,
          now_s: float) -> str:
    """Why it may not start now; empty where it may. Its own clock counts, not the wall's."""
    if now_s < ends.start_s:
        return workload.held
    why = why_held(workload, workloads, math.inf)
    if why:
        return why
    if facts.ready or facts.mode is Mode.SAFE:
        return facts.ready or "mode is SAFE: nothing new is taken on"
    return lack(spec_now(spec, facts), facts, workloads.values(), workload)


def _ended(workload: Workload, action: str, reason: str) -> Turn:
    state = WorkloadState.EXPIRED if action == "expire" else WorkloadState.TERMINATED
    return Turn(action, msgspec.structs.replace(workload, state=state, reason=reason, target_w=None,
                                                paused_until_utc_s=None, throttled_until_utc_s=None))


def _drained(spec: ControlSpec, workload: Workload, workloads: tuple[Workload, ...],
             rack_w: Callable[[int], float]) -> bool:
    """Whether its racks are measured to draw no more than they may; not while that is not known."""
    caps = controller_caps(spec, workloads)
    return all(rack_w(c) <= max(_DRAINED * caps.get(c, 0.0), quiet_w(spec, c)) for c in workload.controllers)


class Turns:
    """Looks at the workloads each cycle; what has to be written down happens beside the loop."""

    def __init__(self, desk: Desk, clock: Clock, facts: Callable[[], Facts], tell: Callable[[str], object]) -> None:
        self._desk, self._clock, self._facts, self._tell = desk, clock, facts, tell
        self._again_s: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def look(self, now_s: float) -> None:
        """Called each cycle; costs a comparison for a workload that runs."""
        if self._task is not None and not self._task.done():
            return
        due = self._due(now_s)
        if due:
            self._task = asyncio.get_running_loop().create_task(self.turn(due))

    async def turn(self, due: list[str] | None = None) -> None:
        """Bring all that is due into force, one after the other: each is judged by what the one before has changed."""
        for workload_id in self._due(self._clock.monotonic_s()) if due is None else due:
            said = await self._desk.enact(workload_id, self._turn)
            if said:
                self._tell(said)

    def _turn(self, workload: Workload, ends: Ends, spec: ControlSpec) -> tuple[str, Workload] | None:
        now_s = self._clock.monotonic_s()
        found = turn_of(workload, self._desk.workloads, ends, spec, self._facts(), now_s)
        return None if found is None else (found.action, found.workload)

    def _due(self, now_s: float) -> list[str]:
        due = []
        for workload_id, workload in self._desk.workloads.items():
            if not is_live(workload):
                continue
            ends = self._desk.jobs.ends[workload_id]
            waits = bool(workload.held) or workload.state is WorkloadState.MIGRATING
            wakes_s = min(ends.limit_s, *((ends.start_s, ends.latest_s) if waits else ()), math.inf)
            if now_s >= max(wakes_s, self._again_s.get(workload_id, wakes_s)):
                due.append(workload_id)
        for workload_id in due:
            self._again_s[workload_id] = now_s + RETRY_S
        if len(self._again_s) > len(self._desk.workloads):
            self._again_s = {i: s for i, s in self._again_s.items() if i in self._desk.workloads}
        return due
