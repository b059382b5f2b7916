"""Commands: to the door, and on until the devices have them. Nothing is clamped or decided here."""

from collections.abc import Collection
from typing import Literal, NamedTuple, Protocol

import structlog

from pswd_edge.clock import Clock
from pswd_edge.errors import DoorError
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError, control_unavailable, unavailable
from pswd_edge.model.command import Accepted, Clamped, Failed, Outcome, Rejected, Request
from pswd_edge.model.report import NOT_APPLIED, Report

DOOR_TIMEOUT_S = 1.0
ACKNOWLEDGE_S = 0.2
HOLD_DEFAULT_S, HOLD_MAX_S = 900, 86_400    # of a command that names no time, or too long a one
_LOOK_S = 0.03
_LOG = structlog.get_logger("pswd_edge.gateway")

# What control's codes mean in HTTP; a code that is not listed says that the request is wrong (400).
_STATUS = {"not_found": 404, "forbidden": 403, "conflict": 409}
_CODE = {"expired": "STALE_TIMESTAMP"}

Progress = Literal["executed", "pending", "failed"]


class Door(Protocol):
    """The command socket."""

    async def ask(self, request: Request, timeout_s: float) -> Outcome:
        """Control's answer; raises DoorError where there is none in time."""
        ...


class Dispatched(NamedTuple):
    """A command that was taken, and how far its devices are."""

    outcome: Accepted | Clamped
    progress: Progress


class Dispatch:
    """Sends requests. `door_failed` is True since the last request that found no answer."""

    def __init__(self, live: LiveImage, door: Door, clock: Clock) -> None:
        self._live = live
        self._door = door
        self._clock = clock
        self.door_failed = False

    async def ask(self, request: Request) -> Outcome:
        """Control's outcome as it is; 503 where control is not alive or does not answer."""
        if not self._live.alive:
            raise control_unavailable()
        try:
            outcome = await self._ask_twice(request)
        except DoorError as error:
            self.door_failed = True
            _LOG.error("door: no answer", id=request.id, origin=request.origin, error=str(error))
            raise unavailable(
                "CONTROL_UNAVAILABLE", "control did not answer; the command may have been taken",
                details="repeat it with the same Idempotency-Key: a command that was taken is not carried out twice",
            ) from error
        self.door_failed = False
        _LOG.info("command", kind=type(request).__name__, id=request.id, origin=request.origin,
                  outcome=type(outcome).__name__, limit=outcome.limit, reason=outcome.reason)
        return outcome

    async def _ask_twice(self, request: Request) -> Outcome:
        """Again at once where the first try failed at once: control restarted, and the old connection was dead.

        The same id is never carried out twice, so this cannot double a command.
        """
        started_s = self._clock.monotonic_s()
        try:
            return await self._door.ask(request, DOOR_TIMEOUT_S)
        except DoorError:
            if self._clock.monotonic_s() - started_s > DOOR_TIMEOUT_S / 2:
                raise
            return await self._door.ask(request, DOOR_TIMEOUT_S)

    async def send(self, request: Request, points: Collection[int] = ()) -> Dispatched:
        """Ask, and wait at most 0.2 s for the devices.

        Args:
            request: what is asked.
            points: the set-points that it may move; those of the workload that it changed are added.

        Raises:
            RefusalError: it was rejected (its code tells 400, 403, 404 or 409), or failed (503).
        """
        outcome = accepted(await self.ask(request))
        watched = {*points, *self._workload_points(outcome)}
        return Dispatched(outcome, await self.settle(outcome.cycle, watched))

    def _workload_points(self, outcome: Outcome) -> set[int]:
        controllers = self._live.site.control.load_controllers
        own = [controllers[i] for i in outcome.workload.controllers] if outcome.workload else []
        return {point for c in own for point in (c.cap, c.run_command) if point is not None}

    async def settle(self, cycle: int, points: set[int], within_s: float = ACKNOWLEDGE_S) -> Progress:
        """Wait until the devices have what was decided in `cycle` for these set-points, `within_s` at most."""
        deadline_s = self._clock.monotonic_s() + within_s
        while True:
            report = self._live.report()
            progress = progress_of(report, cycle, points) if report is not None else "pending"
            left_s = deadline_s - self._clock.monotonic_s()
            if progress == "executed" or left_s <= 0:
                return progress
            await self._live.next_row(min(_LOOK_S, left_s))


def progress_of(report: Report, cycle: int, points: set[int]) -> Progress:
    """Failed only where every set-point in question has: one lost battery leaves the command to the others."""
    if report.cycle < cycle:
        return "pending"
    own = [s for s in report.setpoints if s.point in points and s.wanted is not None]
    if not own:
        return "executed" if report.acknowledged_cycle >= cycle else "pending"
    working = [s for s in own if s.state not in NOT_APPLIED]
    if not working:
        return "failed"
    waiting = [s for s in working if s.waiting_since is not None and s.waiting_since <= cycle]
    return "pending" if waiting else "executed"


def accepted(outcome: Outcome) -> Accepted | Clamped:
    """The outcome where it was taken; raises RefusalError where it was not."""
    if isinstance(outcome, Rejected):
        code = _CODE.get(outcome.code, outcome.code.upper() or "REJECTED")
        reason = outcome.reason or f"control rejected it: {outcome.code}"
        raise RefusalError(_STATUS.get(outcome.code, 400), code, reason,
                           details=f"limit: {outcome.limit}" if outcome.limit else None)
    if isinstance(outcome, Failed):
        raise unavailable(outcome.code.upper() or "FAILED", outcome.reason or "control could not carry it out now")
    return outcome
