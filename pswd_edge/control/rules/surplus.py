"""Loads that take what reference and batteries cannot absorb: load banks, burners, early cooling (control law, 2.4).

When the load falls faster than the ramp and the batteries are full, shedding cannot help: load has to be added, at once
and in part, and taken away again no faster than the ramp.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.model.control import Absorber, ControlSpec

ENGAGE_CYCLES = 2             # a surplus that lasts so long is absorbed; a large one at once
OBEYS_SHARE = 0.5             # of what was ordered: with less, for longer than it takes, it does not obey
ADOPT_SHARE = 0.01            # of its maximum: what an absorber must draw to be taken for one that is on


class Absorbing(NamedTuple):
    """One absorber.

    `ordered_w` is its set-point, `shown_w` what its meter shows, `filtered_w` the same through the load's own filter;
    both NaN where that is not known. `raised_s` is when the order was last raised, `short_since_s` since when the meter
    has shown less than half of it, infinite while it shows more.
    """

    ordered_w: float = 0.0
    shown_w: float = math.nan
    filtered_w: float = math.nan
    raised_s: float = -math.inf
    short_since_s: float = math.inf


class SurplusState(NamedTuple):
    """All absorbers, in the site's order. `unmet_w`: what none of them is left to take."""

    absorbers: tuple[Absorbing, ...] = ()
    cycles: int = 0
    unmet_w: float = 0.0


def begun(spec: ControlSpec) -> SurplusState:
    """Before the first cycle: nothing is on."""
    return SurplusState(tuple(Absorbing() for _ in spec.absorbers))


def observed(spec: ControlSpec, power_w: Sequence[float], now_s: float) -> SurplusState:
    """While nothing is written: an absorber that draws power is on with so much; it is then taken away at the ramp."""
    return SurplusState(tuple([_adopted(a, p, now_s) for a, p in zip(spec.absorbers, power_w, strict=True)]))


def _adopted(absorber: Absorber, power_w: float, now_s: float) -> Absorbing:
    if not power_w > ADOPT_SHARE * absorber.maximum_w:  # also where it is not known
        return Absorbing(shown_w=power_w, filtered_w=power_w)
    return Absorbing(min(power_w, absorber.maximum_w), power_w, power_w, now_s)


def decide(spec: ControlSpec, state: SurplusState, surplus_w: float, power_w: Sequence[float], now_s: float,
           dt_s: float, down_w_per_s: float) -> SurplusState:
    """The absorbers of the next cycle.

    Args:
        spec: absorbers in the order in which they are asked, margins.
        state: the absorbers now.
        surplus_w: what cannot be absorbed with the load as it is measured; negative: by so much the load may fall.
        power_w: measured power of each absorber, NaN where it is not known (such a one is not asked for more).
        now_s: monotonic time of the snapshot.
        dt_s: time since the last one.
        down_w_per_s: how fast the load may fall for good.
    """
    part = 1 - math.exp(-2 * math.pi * spec.filter_hz * dt_s)
    state = state._replace(absorbers=tuple([_followed(a, p, part, now_s)
                                            for a, p in zip(state.absorbers, power_w, strict=True)]))
    missing_w = surplus_w - pending_w(spec, state, now_s)
    cycles = state.cycles + 1 if missing_w > spec.shed_margin_w else 0
    state = state._replace(cycles=cycles, unmet_w=0.0)
    if missing_w > spec.shed_fast_w or cycles >= ENGAGE_CYCLES:
        return _raised(spec, state, missing_w, now_s)
    if missing_w < -spec.shed_margin_w:
        return _lowered(state, min(-missing_w - spec.shed_margin_w, down_w_per_s * dt_s))
    return state


def _followed(found: Absorbing, power_w: float, part: float, now_s: float) -> Absorbing:
    if math.isnan(power_w):
        return found._replace(shown_w=power_w)
    filtered_w = power_w if math.isnan(found.filtered_w) else found.filtered_w + part * (power_w - found.filtered_w)
    short = power_w < OBEYS_SHARE * found.ordered_w
    return found._replace(shown_w=power_w, filtered_w=filtered_w,
                          short_since_s=min(found.short_since_s, now_s) if short else math.inf)


def comes(absorber: Absorber, found: Absorbing, now_s: float) -> bool:
    """Whether its last order may still be under way, and it has not shown less than half for as long as that takes."""
    return now_s - found.raised_s < absorber.actuation_s and now_s - found.short_since_s < absorber.actuation_s


def pending_w(spec: ControlSpec, state: SurplusState, now_s: float) -> float:
    """Power that was ordered and that the filtered load does not show yet; negative where it was taken away.

    After the actuation time only what an absorber's own meter shows counts.
    """
    total = 0.0
    for absorber, found in zip(spec.absorbers, state.absorbers, strict=True):
        told = math.isnan(found.shown_w) or comes(absorber, found, now_s)
        sure_w = found.ordered_w if told else min(found.ordered_w, found.shown_w)
        total += sure_w - (0.0 if math.isnan(found.filtered_w) else found.filtered_w)
    return total


def covered_w(spec: ControlSpec, state: SurplusState, short_w: float, now_s: float) -> float:
    """How much of what the batteries cannot take the absorbers are about to: so long the reference keeps its ramp."""
    return min(max(short_w, 0.0), max(pending_w(spec, state, now_s), 0.0))


def added_w(state: SurplusState) -> float:
    """What the filtered load is higher by: it goes away again, and the reference should not wait for it."""
    return sum([a.filtered_w for a in state.absorbers if a.ordered_w > 0 and not math.isnan(a.filtered_w)])


def _raised(spec: ControlSpec, state: SurplusState, missing_w: float, now_s: float) -> SurplusState:
    """Ask the first ones for as much as is missing, the last of them in part."""
    absorbers, missing_w = list(state.absorbers), missing_w + spec.shed_margin_w
    for i, (absorber, found) in enumerate(zip(spec.absorbers, state.absorbers, strict=True)):
        more_w = min(missing_w, absorber.maximum_w - found.ordered_w)
        if more_w <= 0 or math.isnan(found.shown_w) or not (found.ordered_w == 0 or _moves(absorber, found, now_s)):
            continue
        absorbers[i] = found._replace(ordered_w=found.ordered_w + more_w, raised_s=now_s)
        missing_w -= more_w
    return state._replace(absorbers=tuple(absorbers), unmet_w=max(0.0, missing_w - spec.shed_margin_w))


def _moves(absorber: Absorber, found: Absorbing, now_s: float) -> bool:
    """Whether one that is on can be asked for more: not one that has taken its time and shows too little."""
    return math.isinf(found.short_since_s) or comes(absorber, found, now_s)


def _lowered(state: SurplusState, by_w: float) -> SurplusState:
    """Take away so much, from the last that was asked."""
    absorbers = list(state.absorbers)
    for i in reversed(range(len(absorbers))):
        less_w = min(by_w, absorbers[i].ordered_w)
        absorbers[i] = absorbers[i]._replace(ordered_w=absorbers[i].ordered_w - less_w)
        by_w -= less_w
    return state._replace(absorbers=tuple(absorbers))
