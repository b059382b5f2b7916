"""When workloads hold what was reserved for them: two of them that are never there together share it. Pure."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from pswd_edge.model.workload import Workload, WorkloadState

_LIVE = frozenset({WorkloadState.APPROVED, WorkloadState.CONDITIONAL, WorkloadState.THROTTLED, WorkloadState.PAUSED,
                   WorkloadState.MIGRATING})
_SLOWED = frozenset({WorkloadState.THROTTLED, WorkloadState.PAUSED})


class Window(NamedTuple):
    """From `begin_utc_s` until before `end_utc_s`; infinite where there is no end."""

    begin_utc_s: float
    end_utc_s: float


def is_live(workload: Workload) -> bool:
    """Whether the workload holds a reservation."""
    return workload.state in _LIVE


def begin_utc_s(workload: Workload) -> float:
    """When it starts or has started, as far as that is known."""
    if workload.started_utc_s is not None:
        return workload.started_utc_s
    said = workload.announcement.earliest_start_utc_s or 0.0
    return max(workload.announced_utc_s, workload.start_utc_s or 0.0, said)


def window_of(workload: Workload, utc_s: float) -> Window:
    """When a live workload is there, looked at from now (`utc_s`).

    One that runs has begun, and is there at least now, whatever it said about its end. The end is what it announced: an
    estimate, so that nothing may rely on it without asking again when the time has come. One that is slowed has none.
    """
    begun = begin_utc_s(workload)
    if workload.held:
        begun = max(begun, utc_s)    # overdue, its whole length is still to come
    begin = begun if workload.held else -math.inf
    limit_s = workload.duration_limit_s
    if limit_s is None:
        limit_s = math.inf if workload.state in _SLOWED else workload.announcement.duration_s
    end = math.inf if limit_s is None else begun + limit_s
    return Window(begin, max(end, math.nextafter(max(begin, utc_s), math.inf)))


def rivals(workloads: Iterable[Workload], window: Window, utc_s: float) -> tuple[Workload, ...]:
    """The live workloads that are there in some part of `window`: what they hold is not to be had in it."""
    found = [(w, window_of(w, utc_s)) for w in workloads if is_live(w)]
    return tuple([w for w, theirs in found
                  if theirs.begin_utc_s < window.end_utc_s and window.begin_utc_s < theirs.end_utc_s])
