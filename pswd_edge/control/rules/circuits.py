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
PEAK_S, PEAK_SHARE = 60.0, 0.95  # a peak that charging met is kept free until none so high has come for so long
RENEWAL_MAX_S = 1.0           # so long a meter's unchanged value may be of before a battery moved


class Hold(NamedTuple):
    """What a branch holds back, and how much of it could come back.

    `short_cycles` counts cycles in which loads must go (`relief.py`). `least_w`, `before_w` are the least rooms of this
    span of 5 s, since `span_s`, and of the one before. `cap_share` holds load controllers below to this share of their
    ratings, infinite: not; `capped_s` is its last change.
    """

    short_cycles: int = 0
    least_w: float = math.inf
    before_w: float = 0.0
    span_s: float = -math.inf
    cap_share: float = math.inf
    capped_s: float = -math.inf


NOTHING_HELD = Hold()


class BranchState(NamedTuple):
    """One branch. `load_w`: its power without the batteries that are led, as last known; NaN: never known.

    `power_w` is that with them, as measured, NaN while it is not `known`. `moment_s`: of which moment the load is.
    `over_cycles` counts cycles over the rating. `charge_w`: what batteries below charged when it was last known; more
    they may not while it is not. `peak_w`: the load that came back while they charged, and took the branch over its
    rating; minus infinity where none did. `peak_s`: when it was last so high.
    """

    load_w: float = math.nan
    power_w: float = math.nan
    known: bool = False
    moment_s: float = -math.inf
    over_cycles: int = 0
    charge_w: float = 0.0
    hold: Hold = NOTHING_HELD
    peak_w: float = -math.inf
    peak_s: float = -math.inf


class _Led(NamedTuple):
    """The batteries that are led in this cycle: power now by place (0 for others), and their pasts."""

    power_w: tuple[float, ...]
    usable: tuple[bool, ...]
    memory: Memory
    most_w: float


def looked(spec: ControlSpec, states: Sequence[BranchState], snapshot: Snapshot, memory: Memory,
           fleet: Sequence[Battery]) -> tuple[BranchState, ...]:
    """All branches in this cycle, children first. `fleet`: what the batteries can do."""
    found: list[BranchState] = []
    led = _Led(tuple([b.power_w if b.usable else 0.0 for b in fleet]), tuple([b.usable for b in fleet]), memory,
               IMPLAUSIBLE_SHARE * (spec.load_maximum_w + sum([b.charge_rating_w for b in spec.batteries])))
    for branch, state in zip(spec.branches, states or (BranchState(),) * len(spec.branches), strict=True):
        load_w, moment_s = math.nan, state.moment_s
        if branch.meter is not None:
            load_w, moment_s = _metered(branch, branch.meter, state, snapshot, led)
        if math.isnan(load_w) and branch.sums:
            load_w, moment_s = _summed(branch, found, snapshot, fleet), snapshot.time_s
        led_w = sum([led.power_w[i] for i in branch.batteries])
        found.append(_after(branch, state, load_w, moment_s, led_w, snapshot.time_s))
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


def _metered(branch: Branch, meter: Input, state: BranchState, snapshot: Snapshot, led: _Led) -> tuple[float, float]:
    """Load by the branch's meter and its moment; NaN where it cannot be read.

    The batteries are taken at the meter's moment. A value that has not changed may be older than it looks.
    """
    reading = snapshot.read(meter.point)
    if flaw(reading, meter.max_age_ms / 1000) or abs(reading.value) > led.most_w:
        return math.nan, state.moment_s
    moment_s = reading.received_s - meter.latency_ms / 1000
    if reading.unchanged > 0 and state.known and moment_s - state.moment_s < RENEWAL_MAX_S:
        return state.load_w, state.moment_s
    if not branch.batteries:
        return reading.value, moment_s
    powers_w = [at_time(led.memory.batteries[i], moment_s) for i in branch.batteries if led.usable[i]]
    return reading.value + sum(powers_w), moment_s


def _summed(branch: Branch, children: Sequence[BranchState], snapshot: Snapshot, fleet: Sequence[Battery]) -> float:
    """Load by all that hangs on the branch; NaN where a part is not known: part of a load is no load."""
    parts = [children[i].load_w if children[i].known else math.nan for i in branch.children]
    parts += [measured(snapshot.read(m.point), m.max_age_ms / 1000) for m in branch.loads]
    parts += [-fleet[i].power_w for i in branch.stores if not fleet[i].usable]
    return sum(parts)


def _after(branch: Branch, state: BranchState, load_w: float, moment_s: float, led_w: float,
           now_s: float) -> BranchState:
    if math.isnan(load_w):
        hold = state.hold if state.hold == NOTHING_HELD else state.hold._replace(least_w=0.0, before_w=0.0)
        return state._replace(power_w=math.nan, known=False, over_cycles=0, hold=hold)
    power_w = load_w - led_w
    over = state.over_cycles + 1 if abs(power_w) > branch.rating_w else 0
    peak_w, peak_s = state.peak_w, state.peak_s
    if load_w >= PEAK_SHARE * peak_w if peak_w > 0 else led_w < 0 and power_w > branch.rating_w:
        peak_w, peak_s = max(peak_w, load_w), now_s
    elif now_s - peak_s >= PEAK_S:
        peak_w = -math.inf
    return BranchState(load_w, power_w, True, moment_s, over, max(0.0, -led_w), state.hold, peak_w, peak_s)
