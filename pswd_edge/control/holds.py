"""What requests hold, and for how long: by the monotonic clock, whatever happens to the wall clock."""

from typing import NamedTuple

import msgspec

from pswd_edge.control.ledger import Entry
from pswd_edge.model.command import Accepted, Announce, Clamped, ControlWorkload, Level, Outcome, Request
from pswd_edge.model.point import WriteRule
from pswd_edge.model.workload import Workload, WorkloadState

INFINITE = float("inf")


class Held(NamedTuple):
    """A request in force until `until_s` (monotonic); `sequence` rises with each request."""

    request: Request
    level: Level
    until_s: float
    sequence: int


class HeldPoint(NamedTuple):
    """A set-point in force: `value` is what was granted, not what was asked; `ramp_per_s` 0: no ramp was asked for."""

    value: float
    level: Level
    origin: str
    until_s: float
    sequence: int
    ramp_per_s: float = 0.0


class HeldHeat(NamedTuple):
    """Heat that a cooler is to be ready for until `until_s` (monotonic), W."""

    heat_w: float
    origin: str
    until_s: float


class Ends(NamedTuple):
    """When a workload's pause and throttle end (monotonic); infinite where there is none, or it has no end.

    `start_s`: before that it may not start; `latest_s`: after that it may not start any more; `limit_s`: it ends.
    """

    pause_s: float = INFINITE
    throttle_s: float = INFINITE
    start_s: float = -INFINITE
    latest_s: float = INFINITE
    limit_s: float = INFINITE


def granted(asked: float, entry: Entry, rule: WriteRule) -> float:
    """The value of a set-point as it was answered, within what the point can take today."""
    value = entry.outcome.value if isinstance(entry.outcome, Clamped) else asked
    return min(max(value, rule.minimum), rule.maximum)


def ends_of(workload: Workload, entry: Entry, began_s: float, before: Ends | None) -> Ends:
    """The ends of a workload that `entry`, taken at `began_s`, made or changed.

    Its UTC ends count from when the entry was written. A throttle that goes on under a pause keeps its own end.
    """
    def end_s(utc_s: float | None) -> float:
        return INFINITE if utc_s is None else began_s + utc_s - entry.received_utc_s

    throttles = isinstance(entry.request, ControlWorkload) and entry.request.action == "throttle"
    throttle_s = end_s(workload.throttled_until_utc_s) if throttles or before is None else before.throttle_s
    pause_s = end_s(workload.paused_until_utc_s) if workload.state is WorkloadState.PAUSED else INFINITE
    paced = Ends(pause_s, throttle_s if workload.target_w is not None else INFINITE)
    if before is not None and isinstance(entry.request, ControlWorkload) and entry.request.action != "start":
        return paced._replace(start_s=before.start_s, latest_s=before.latest_s, limit_s=before.limit_s)
    return paced._replace(
        start_s=-INFINITE if workload.start_utc_s is None else end_s(workload.start_utc_s),
        latest_s=end_s(workload.announcement.latest_start_utc_s), limit_s=end_s(_limit_utc_s(workload)))


def _limit_utc_s(workload: Workload) -> float | None:
    """When a workload has run as long as was approved; None where it may run on, or does not run."""
    begun, limit_s = workload.started_utc_s, workload.duration_limit_s
    return None if begun is None or limit_s is None else begun + limit_s


def expires_of(request: Request, outcome: Outcome, utc_s: float) -> float | None:
    """When the ledger may forget it: refusals at once, workloads never (their end is another request)."""
    if isinstance(outcome, Accepted | Clamped):
        return None if isinstance(request, Announce | ControlWorkload) else utc_s + request.ttl_s
    return utc_s


def run_out(workload: Workload, ends: Ends, now_s: float) -> Workload | None:
    """The workload after a pause or throttle that has run out; None where none has."""
    paused = workload.state is WorkloadState.PAUSED
    if not paused and workload.state is not WorkloadState.THROTTLED:
        return None
    if now_s < (ends.pause_s if paused else ends.throttle_s):
        return None
    if paused and workload.target_w is not None and now_s < ends.throttle_s:
        return msgspec.structs.replace(workload, state=WorkloadState.THROTTLED, paused_until_utc_s=None)
    state = WorkloadState.CONDITIONAL if workload.conditions else WorkloadState.APPROVED
    return msgspec.structs.replace(workload, state=state, target_w=None, paused_until_utc_s=None,
                                   throttled_until_utc_s=None)
