"""Workloads that a commitment names: throttled first and in their order, let go at its end."""

from hashlib import blake2b

import structlog

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.services.commitment import Commitment, Throttled
from pswd_edge.gateway.services.dispatch import Dispatch, accepted
from pswd_edge.gateway.services.workloads import not_found
from pswd_edge.model.command import ControlWorkload
from pswd_edge.model.workload import Workload, WorkloadState
from pswd_edge.planning.announcements import running_w
from pswd_edge.planning.flexibility import least_w

_FREE = frozenset({WorkloadState.APPROVED, WorkloadState.CONDITIONAL})
_SAME_W = 1.0
_LOG = structlog.get_logger("pswd_edge.gateway")


class Throttles:
    """Sends throttles and their ends to control, in the name of who made the commitment."""

    def __init__(self, live: LiveImage, clock: Clock, dispatch: Dispatch) -> None:
        self._live, self._clock, self._dispatch = live, clock, dispatch
        self._refused: set[tuple[str, str]] = set()

    def require_known(self, names: tuple[str, ...]) -> None:
        """Raise 404 for the first workload that nobody announced here."""
        known = self._workloads()
        for name in names:
            if name not in known:
                raise not_found(name)

    def _workloads(self) -> dict[str, Workload]:
        report = self._live.report()
        return {} if report is None else {w.announcement.workload_id: w for w in report.workloads}

    async def begin(self, commitment: Commitment) -> tuple[Throttled, ...]:
        """Throttle what runs and is not throttled yet, until the reduction is reached on paper; all that are by now.

        One that cannot be throttled, or that somebody else has throttled or paused, is left alone.
        """
        assert commitment.offer is not None
        found, known = list(commitment.throttled), self._workloads()
        left_w = commitment.offer.reduction_w - sum(t.off_w for t in found)
        for name in commitment.offer.workloads:
            workload = known.get(name)
            if left_w <= _SAME_W or workload is None or not self._may(commitment, workload):
                continue
            off_w = min(left_w, max(0.0, running_w(workload) - least_w(workload)))
            made = Throttled(name, running_w(workload) - off_w, off_w)
            if await self._order(commitment, name, "throttle", made.target_w):
                found.append(made)
                left_w -= off_w
        return tuple(found)

    def _may(self, commitment: Commitment, workload: Workload) -> bool:
        said, now_utc_s = workload.announcement, self._clock.utc_s()
        return (said.can_throttle and workload.state in _FREE and (said.earliest_start_utc_s or 0.0) <= now_utc_s
                and said.workload_id not in {t.workload_id for t in commitment.throttled}
                and (commitment.event_id, said.workload_id) not in self._refused)

    async def end(self, commitment: Commitment) -> None:
        """Let go of those that are still throttled as the commitment did it."""
        known = self._workloads()
        self._refused = {key for key in self._refused if key[0] != commitment.event_id}
        for made in commitment.throttled:
            workload = known.get(made.workload_id)
            if workload is not None and workload.state is WorkloadState.THROTTLED and workload.target_w is not None \
                    and abs(workload.target_w - made.target_w) <= _SAME_W:
                await self._order(commitment, made.workload_id, "resume", None)

    async def _order(self, commitment: Commitment, name: str, action: str, target_w: float | None) -> bool:
        """Whether control took it; what it did not take is logged, and the law keeps the limit without it."""
        # both names may be as long as an id: together they would be longer than a request's id may be
        key = blake2b(f"{commitment.event_id}/{name}".encode(), digest_size=12).hexdigest()
        try:
            accepted(await self._dispatch.ask(ControlWorkload(
                id=f"dr:{key}:{action}", origin=commitment.origin, role=commitment.role,
                issued_utc_s=self._clock.utc_s(), workload_id=name, action=action, target_w=target_w)))
        except RefusalError as error:
            if error.status != 503:    # asked again in a second it would be refused again
                self._refused.add((commitment.event_id, name))
            _LOG.warning("demand response: a workload is left alone", id=commitment.event_id, workload=name,
                         action=action, reason=error.message)
            return False
        return True
