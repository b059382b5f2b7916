"""Which changes of the load are firm: jobs that we hold down ourselves, and let go at a known time. Pure.

A start is not firm, not even where we hold it back: nothing has shown that a job waits there, and it may never come. A
job that control has paused waits for our own word: its racks are capped and told to pause, and are measured to obey.
When it is let go it comes, as far as anybody can know. Whether that is far enough the site says
(`ControlSpec.firm_resumes`): for a job that does not come after all the batteries have no room left, and the ramp is
broken.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pswd_edge.control.rules.expected import Shift
from pswd_edge.control.rules.placement import is_fast, run_orders
from pswd_edge.control.rules.reserve import Range
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.window import is_live
from pswd_edge.model.workload import IDLE_SHARE, Workload, WorkloadState

COME_S = 20.0                 # a job that was let go draws its power by then
_NOTHING = Shift(0.0, 0.0, 0.0, 0.0, firm=False)
_HELD = 1.2                   # of its cap: what racks may draw and count as held


class Awaited(NamedTuple):
    """A job that is held or was let go: which announcement, what comes when, and what its racks drew while held, W."""

    workload_id: str
    announced_utc_s: float
    shift: Shift
    held_w: float


def awaited(
    spec: ControlSpec, before: Sequence[Awaited], workloads: Sequence[Workload], ends_s: Mapping[str, float],
    powers: Sequence[float], closed: frozenset[int], limits: Range, now_s: float,
) -> tuple[Awaited, ...]:
    """The firm changes now, by time.

    Args:
        spec: load controllers, by index.
        before: the last answer.
        workloads: announced, those that have ended among them.
        ends_s: when pauses end by themselves (monotonic), by workload id.
        powers: what each load controller draws, W; NaN: not known.
        closed: set-points that cannot be led.
        limits: the ramp that the grid can follow.
        now_s: monotonic.
    """
    orders, known = run_orders(workloads), {(a.workload_id, a.announced_utc_s): a for a in before}
    busy = Counter(c for w in workloads if is_live(w) for c in w.controllers)
    halted = frozenset(c for c, order in orders.items() if order == "pause" and busy[c] == 1)
    found: list[Awaited] = []
    for workload in (w for w in workloads if is_live(w) and not w.held and is_fast(w.announcement, limits)):
        name = workload.announcement.workload_id
        draws_w = sum(powers[c] for c in workload.controllers)
        if workload.state is not WorkloadState.PAUSED:
            found += _let_go(known.get((name, workload.announced_utc_s)), draws_w, now_s)
        elif halted.issuperset(workload.controllers) and _held(spec, workload, draws_w, closed):
            found += _held_back(workload, draws_w, ends_s.get(name, math.inf), now_s)
    return tuple(sorted(found, key=lambda a: (a.shift.earliest_s, a.workload_id)))


def shifts(found: Sequence[Awaited]) -> tuple[Shift, ...]:
    """For the orders: the changes, and one of nothing that is not firm.

    Where all are firm the law ramps quicker (`expected.quicker`) and reckons its reserves by that until the reference
    is there. These end as soon as the job draws its power, in the middle of the ramp: they must not change its speed.
    """
    return (*(a.shift for a in found), _NOTHING) if found else ()


def _held(spec: ControlSpec, workload: Workload, draws_w: float, closed: frozenset[int]) -> bool:
    """Whether its racks wait for our word: led by us, able to be told, and measured to obey."""
    racks = [spec.load_controllers[c] for c in workload.controllers]
    led = all(r.run_command is not None and not closed.intersection((r.cap, r.run_command)) for r in racks)
    return bool(racks) and led and draws_w <= _HELD * IDLE_SHARE * workload.approved_w


def _held_back(workload: Workload, draws_w: float, end_s: float, now_s: float) -> Iterator[Awaited]:
    """At least its baseline comes, at most all that it may draw; the ceiling has a paused job's share already."""
    said = workload.announcement
    low_w = min(said.baseline_w, workload.approved_w) - draws_w
    if low_w > 0 and now_s < end_s < math.inf:
        shift = Shift(low_w, (1 - IDLE_SHARE) * workload.approved_w, end_s, end_s + COME_S)
        yield Awaited(said.workload_id, workload.announced_utc_s, shift, draws_w)


def _let_go(last: Awaited | None, draws_w: float, now_s: float) -> Iterator[Awaited]:
    """Until its racks draw more, or it is too late; the guaranteed range has it already, as it runs."""
    if last and now_s <= last.shift.latest_s and draws_w < last.held_w + last.shift.low_w / 2:
        yield last._replace(shift=last.shift._replace(high_w=0.0))
