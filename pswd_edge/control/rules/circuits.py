"""What each circuit carries, how far it is to be believed, and what it has room for.

Per branch the load is followed, that is its power without the batteries that are led: it does not move by what control
itself does. A branch that cannot be read keeps its last load, and nothing may be added below it.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules.allocate import Battery
from pswd_edge.control.rules.estimate import Memory, at_time
from pswd_edge.control.rules.measured import flaw, measured
from pswd_edge.model.control import Branch, ControlSpec, Input
from pswd_edge.model.snapshot import Snapshot

KEPT_SHARE = 0.98             # of the rating: where batteries stop and tiers begin, so that noise is no overload
AT_ONCE_SHARE = 1.1           # of the rating: more needs no second cycle
CONFIRM_CYCLES = 2
IMPLAUSIBLE_SHARE = 1.5       # of all that the site can draw and its batteries can give
RENEWAL_MAX_S = 1.0           # so long a meter's unchanged value may be of before a battery moved


class BranchState(NamedTuple):
    """One branch. `load_w`: its power without the batteries that are led, as last known; NaN: never known.

    `power_w` is that with them, as measured, NaN while it is not `known`. `moment_s`: of which moment the load is.
    `over_cycles` counts cycles over the rating, `short_cycles` those in which loads must go (`relief.py`).
    `charge_w`: what batteries below charged when it was last known; more they may not while it is not. `least_w`,
    `before_w` are the least rooms of this span of 5 s, since `span_s`, and of the one before.
    `cap_share` holds load controllers below to this share of their ratings, infinite: not; `capped_s` its last change.
    """

    load_w: float = math.nan
    power_w: float = math.nan
    known: bool = False
    moment_s: float = -math.inf
    over_cycles: int = 0
    short_cycles: int = 0
    charge_w: float = 0.0
    least_w: float = math.inf
    before_w: float = 0.0
    span_s: float = -math.inf
    cap_share: float = math.inf
    capped_s: float = -math.inf


def looked(spec: ControlSpec, states: Sequence[BranchState], snapshot: Snapshot, memory: Memory,
           fleet: Sequence[Battery]) -> tuple[BranchState, ...]:
    """All branches in this cycle, children first. `fleet`: what the batteries can do."""
    found: list[BranchState] = []
    for branch, state in zip(spec.branches, states or (BranchState(),) * len(spec.branches), strict=True):
        load_w, moment_s = math.nan, state.moment_s
        if branch.meter is not None:
            load_w, moment_s = _metered(spec, branch, branch.meter, state, snapshot, memory, fleet)
        if math.isnan(load_w) and branch.sums:
            load_w, moment_s = _summed(branch, found, snapshot, fleet)
        found.append(_after(branch, state, load_w, moment_s, _led_w(branch, fleet)))
    return tuple(found)


def is_guarded(branch: Branch) -> bool:
    """Whether its power can be looked at."""
    return branch.meter is not None or branch.sums


def is_over(branch: Branch, state: BranchState) -> bool:
    """Whether it carries more than its rating, for two cycles, or far more."""
    return state.over_cycles >= CONFIRM_CYCLES or abs(state.power_w) > AT_ONCE_SHARE * branch.rating_w


def overloaded(spec: ControlSpec, states: Sequence[BranchState]) -> tuple[str, ...]:
    """Ids of branches over their rating."""
    return tuple([b.id for b, s in zip(spec.branches, states, strict=True) if is_over(b, s)])


def unknown(spec: ControlSpec, states: Sequence[BranchState]) -> tuple[str, ...]:
    """Ids of guarded branches that cannot be read."""
    return tuple([b.id for b, s in zip(spec.branches, states, strict=True) if not s.known and is_guarded(b)])


def _led_w(branch: Branch, fleet: Sequence[Battery]) -> float:
    """What the usable batteries below give now; those that are not usable count as load."""
    return sum([fleet[i].power_w for i in branch.batteries if fleet[i].usable])


def _metered(spec: ControlSpec, branch: Branch, meter: Input, state: BranchState, snapshot: Snapshot, memory: Memory,
             fleet: Sequence[Battery]) -> tuple[float, float]:
    """Load by the branch's meter and its moment; NaN where it cannot be read.

    The batteries are taken at the meter's moment. A value that has not changed may be older than it looks.
    """
    reading = snapshot.read(meter.point)
    most_w = IMPLAUSIBLE_SHARE * (spec.load_maximum_w + sum([b.charge_rating_w for b in spec.batteries]))
    if flaw(reading, meter.max_age_ms / 1000) or abs(reading.value) > most_w:
        return math.nan, state.moment_s
    moment_s = reading.received_s - meter.latency_ms / 1000
    if reading.unchanged > 0 and state.known and moment_s - state.moment_s < RENEWAL_MAX_S:
        return state.load_w, state.moment_s
    led_w = sum([at_time(memory.batteries[i], moment_s) for i in branch.batteries if fleet[i].usable])
    return reading.value + led_w, moment_s


def _summed(branch: Branch, children: Sequence[BranchState], snapshot: Snapshot,
            fleet: Sequence[Battery]) -> tuple[float, float]:
    """Load by all that hangs on the branch; NaN where a part is not known: part of a load is no load."""
    parts = [children[i].load_w if children[i].known else math.nan for i in branch.children]
    parts += [measured(snapshot.read(m.point), m.max_age_ms / 1000) for m in branch.loads]
    parts += [-fleet[i].power_w for i in branch.stores if not fleet[i].usable]
    return sum(parts), snapshot.time_s


def _after(branch: Branch, state: BranchState, load_w: float, moment_s: float, led_w: float) -> BranchState:
    if math.isnan(load_w):
        return state._replace(power_w=math.nan, known=False, over_cycles=0, least_w=0.0, before_w=0.0)
    power_w = load_w - led_w
    over = state.over_cycles + 1 if abs(power_w) > branch.rating_w else 0
    return state._replace(load_w=load_w, power_w=power_w, known=True, moment_s=moment_s, over_cycles=over,
                          charge_w=max(0.0, -led_w))
