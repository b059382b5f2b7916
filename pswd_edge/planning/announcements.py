"""What workloads say of the load to come: starts, ends, and the ends of pauses. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pswd_edge.model.window import begin_utc_s
from pswd_edge.model.workload import IDLE_SHARE, PowerStep, Workload, WorkloadState
from pswd_edge.planning.forecast import Change

EARLY_S, LATE_S = 5.0, 60.0   # around an announced moment; a job that is later than that is planned for no more
KEPT_S = 900.0                # a change that has come is remembered for so long: its plan leads the energy back
DUTY = 2 / 3                  # of a training job: the middle of the published pulse trains (`traces.py`)
_RUNNING = frozenset({WorkloadState.APPROVED, WorkloadState.CONDITIONAL, WorkloadState.THROTTLED})


def changes(workloads: Sequence[Workload], before: Sequence[Change], utc_s: float, now_s: float,
            least_w: float) -> list[Change]:
    """Every change that is announced, on the clock of `now_s`; those under `least_w` are the law's alone.

    A workload without a time to come is none: it may begin at any moment. `before` is the last answer: a pause that has
    run out is no longer in the workload, but its job has yet to come.
    """
    found = [c for w in workloads for c in _of(w, utc_s, now_s)]
    running = {_name(w, "resume") for w in workloads if w.state in _RUNNING}
    found += [c for c in before if c.id in running]
    return [c for c in found if abs(c.step_w) >= least_w and now_s <= c.latest_s + KEPT_S]


def running_w(workload: Workload) -> float:
    """The mean power of a workload that runs, W: as it said, or between baseline and peak; within what it may draw."""
    said, throttled = workload.announcement, workload.state is WorkloadState.THROTTLED
    most_w = min(workload.approved_w, workload.target_w) if throttled and workload.target_w is not None \
        else workload.approved_w
    if said.average_w is not None:
        return min(said.average_w, most_w)
    least_w = min(max(said.baseline_w, 0.0), most_w)
    return least_w + DUTY * (most_w - least_w)


def _of(workload: Workload, utc_s: float, now_s: float) -> Iterator[Change]:
    start_utc_s, length_s = begin_utc_s(workload), workload.duration_limit_s
    length_s = workload.announcement.duration_s if length_s is None else length_s
    if workload.state is WorkloadState.PAUSED and workload.paused_until_utc_s is not None:
        step_w = running_w(workload) - IDLE_SHARE * workload.approved_w
        if workload.paused_until_utc_s >= start_utc_s:
            yield _change(_name(workload, "resume"), step_w, now_s + workload.paused_until_utc_s - utc_s)
    if workload.state not in _RUNNING:
        return
    levels = _levels(workload, start_utc_s, length_s)
    if start_utc_s > workload.announced_utc_s:
        yield _change(_name(workload, "start"), levels[0].load_w, now_s + start_utc_s - utc_s)
    for number, (before, step) in enumerate(pairwise(levels), 2):
        yield _change(_name(workload, f"step-{number}"), step.load_w - before.load_w, now_s + step.utc_s - utc_s)
    if length_s is not None:
        yield _change(_name(workload, "end"), -levels[-1].load_w, now_s + start_utc_s + length_s - utc_s)


def _levels(workload: Workload, start_utc_s: float, length_s: float | None) -> list[PowerStep]:
    """Its schedule, within what it may draw, moved to its real start; one level where it has none."""
    steps, most_w = workload.announcement.schedule, workload.approved_w
    if workload.target_w is not None:
        most_w = min(most_w, workload.target_w)
    if not steps:
        return [PowerStep(start_utc_s, running_w(workload))]
    late_s = max(0.0, start_utc_s - steps[0].utc_s)
    moved = [PowerStep(s.utc_s + late_s, min(s.load_w, most_w)) for s in steps]
    return [s for s in moved if length_s is None or s.utc_s < start_utc_s + length_s] or moved[:1]


def _change(name: str, step_w: float, at_s: float) -> Change:
    return Change(name, step_w, at_s, at_s - EARLY_S, at_s + LATE_S)


def _name(workload: Workload, what: str) -> str:
    """A name can be announced again: the moment of the announcement belongs to it."""
    return f"{workload.announcement.workload_id}@{workload.announced_utc_s}:{what}"
