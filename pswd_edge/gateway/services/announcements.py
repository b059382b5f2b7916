"""Announcements on their way to control: judged at once for who waits, or kept and judged a moment later."""

import asyncio
import sqlite3
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.sender import Sender
from pswd_edge.gateway.services.dispatch import Dispatch
from pswd_edge.gateway.services.evaluation import Evaluation
from pswd_edge.gateway.services.pending import Kept, PendingFile
from pswd_edge.model.command import Announce, Failed, Mode, Outcome
from pswd_edge.model.window import is_live
from pswd_edge.model.workload import Announcement, WorkloadState
from pswd_edge.planning.admission import Alternative

EXPECTED_S = 5.0              # from an announcement to its judgement, as it is promised
LATE_S = 12 * EXPECTED_S      # after that it is told that there is none yet
PENDING_MAX = 500
_LOOK_S = 1.0
_LOG = structlog.get_logger("pswd_edge.gateway")


class Receipt(NamedTuple):
    """What an announcer gets at once."""

    request_id: str
    expected_s: float


class Announcements:
    """`judge` for who waits, `receive` for who does not; `run` judges what was received."""

    def __init__(self, live: LiveImage, dispatch: Dispatch, evaluation: Evaluation, file: PendingFile,
                 clock: Clock) -> None:
        self._live, self._dispatch, self._evaluation, self._file = live, dispatch, evaluation, file
        self._clock = clock
        self._waiting = {kept.said.workload_id: kept for kept in file.waiting()}
        self._why: dict[str, str] = {}
        self._told: set[str] = set()
        self._wake = asyncio.Event()

    async def judge(self, request: Announce) -> tuple[Outcome, tuple[str, ...]]:
        """Control's outcome, and what would fit instead where it does not take all that was asked.

        Raises:
            RefusalError: 409 where the workload waits for its judgement already, 503 where control does not answer.
        """
        if request.workload.workload_id in self._waiting:
            raise _conflict(request.workload.workload_id, "waits for its judgement")
        outcome = await self._dispatch.ask(await self._offered(request))
        return outcome, await self._sentences(outcome, request.workload)

    async def receive(self, said: Announcement, sender: Sender, details: bytes) -> Receipt:
        """Keep an announcement; on disk when this returns. The same sender's id again is the same announcement.

        Raises:
            RefusalError: 409 where a workload of that name is live or waits already; 503 where too many wait.
        """
        request_id = f"req-{uuid.uuid5(uuid.NAMESPACE_OID, sender.id).hex}"
        if await self._file.find(request_id) is not None:
            return Receipt(request_id, EXPECTED_S)
        self._refuse_twice(said.workload_id)
        if len(self._waiting) >= PENDING_MAX:
            raise unavailable("BUSY", f"{PENDING_MAX} announcements wait already; ask again in 5 s", retry_after_s=5)
        kept = Kept(request_id, said, sender.origin, sender.role, self._clock.utc_s())
        self._waiting[said.workload_id] = kept    # before the disk: the same name a moment later is a second one
        try:
            await self._file.add(kept, details)
        except sqlite3.Error as error:
            del self._waiting[said.workload_id]
            raise unavailable("STORE_UNAVAILABLE", "the announcement cannot be written down; free the gateway's disk, "
                              "and announce it again") from error
        finally:
            self._wake.set()    # also for one whose asker has gone meanwhile
        return Receipt(request_id, EXPECTED_S)

    def waiting(self, workload_id: str) -> Kept | None:
        """An announcement that has no judgement yet; `reasons` say why where it takes long."""
        kept = self._waiting.get(workload_id)
        why = self._why.get(workload_id, "")
        return kept._replace(reasons=(why,)) if kept is not None and why else kept

    async def latest(self, workload_id: str) -> Kept | None:
        """The last announcement by `receive` of a workload, however it was judged."""
        return self.waiting(workload_id) or await self._file.latest(workload_id)

    # --- judging ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. What goes wrong with one is told, and it is tried again."""
        while True:
            self._wake.clear()
            try:
                await self.turn()
            except Exception as error:  # noqa: BLE001  # one row or a full disk: the others still want an answer
                _LOG.exception("announcements: a round failed; it is tried again", error=str(error))
            try:
                async with asyncio.timeout(_LOOK_S if self._waiting else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def turn(self) -> None:
        """Judge all that wait, the oldest first, as far as control can now."""
        for kept in list(self._waiting.values()):
            why = await self._settle(kept)
            if not why:
                continue
            self._why[kept.said.workload_id] = why
            age_s = self._clock.utc_s() - kept.received_utc_s
            if age_s > LATE_S and kept.request_id not in self._told:
                self._told.add(kept.request_id)
                _LOG.warning("announcement: no judgement yet; it is tried on", workload=kept.said.workload_id,
                             request=kept.request_id, age_s=round(age_s), reason=why)

    async def _settle(self, kept: Kept) -> str:
        """Have one judged; returns why it could not be, or nothing."""
        report = self._live.report()
        if report is None or report.mode is Mode.SAFE:
            return "control is not running" if report is None else f"the site is in SAFE mode ({report.mode_reason})"
        request = Announce(id=f"{kept.origin}:{kept.request_id}", origin=kept.origin, role=kept.role,
                           issued_utc_s=self._clock.utc_s(), workload=kept.said)
        try:
            outcome = await self._dispatch.ask(await self._offered(request))
        except RefusalError as error:
            return error.message
        if isinstance(outcome, Failed):
            return outcome.reason
        await self._end(kept, outcome)
        return ""

    async def _end(self, kept: Kept, outcome: Outcome) -> None:
        found = outcome.workload
        taken = found is not None and found.state is not WorkloadState.REJECTED
        reasons = (outcome.reason,) if found is None else found.conditions
        more = await self._sentences(outcome, kept.said)
        settled = kept._replace(state="judged" if taken else "rejected", judged_utc_s=self._clock.utc_s(),
                                reasons=() if taken else (*reasons, *more))
        await self._file.settle(settled)
        self._waiting.pop(kept.said.workload_id, None)
        self._why.pop(kept.said.workload_id, None)
        self._told.discard(kept.request_id)

    async def _offered(self, request: Announce) -> Announce:
        offer = await self._evaluation.offer(request.workload)
        return request if offer is None else Announce(
            id=request.id, origin=request.origin, role=request.role, issued_utc_s=request.issued_utc_s,
            workload=request.workload, offer=offer)

    async def _sentences(self, outcome: Outcome, said: Announcement) -> tuple[str, ...]:
        found = outcome.workload
        if found is None or found.approved_w >= said.peak_w:
            return ()
        return sentences(await self._evaluation.alternatives(said))

    def _refuse_twice(self, workload_id: str) -> None:
        report = self._live.report()
        live = [] if report is None else [w for w in report.workloads if is_live(w)]
        if workload_id in self._waiting:
            raise _conflict(workload_id, "waits for its judgement")
        found = next((w for w in live if w.announcement.workload_id == workload_id), None)
        if found is not None:
            raise _conflict(workload_id, f"is {found.state.value}")


def _conflict(workload_id: str, state: str) -> RefusalError:
    return RefusalError(409, "CONFLICT", f"workload {workload_id}: {state}; terminate it first, or use another id")


def sentences(found: Sequence[Alternative]) -> tuple[str, ...]:
    """Alternatives for a person to read, rounded to what still fits."""
    return tuple([_SENTENCES[a.kind](a.value) for a in found])


def _reduced(most_w: float) -> str:
    return f"reduce power to {int(most_w / 1e5) / 10:g} MW"


def _delayed(wait_s: float) -> str:
    return f"delay the start by {-int(-wait_s // 60)} minutes"


def _eased(ramp_w_per_s: float) -> str:
    return f"ramp at no more than {int(ramp_w_per_s / 1e3) / 1e3:g} MW/s"


_SENTENCES = {"reduce": _reduced, "delay": _delayed, "ramp": _eased}
