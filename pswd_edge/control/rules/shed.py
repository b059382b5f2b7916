"""When loads must go, and how much of them (control law, 2.4). Only physics sheds: no deficit, no shedding."""

import math
from collections.abc import Sequence

from pswd_edge.control.rules.deficit import Need, is_slow, needs, warning_s
from pswd_edge.control.rules.early import drawn_w, early_needs, free, slow_w
from pswd_edge.control.rules.flexibility import Flexible, of_site
from pswd_edge.control.rules.restore import calmed, restored
from pswd_edge.control.rules.tiers import ShedState, TierState, covered_w, pending_w, shown, stuck, withheld_w
from pswd_edge.model.control import ControlSpec

__all__ = ["Need", "ShedState", "TierState", "covered_w", "decide", "needs", "pending_w", "stuck", "warning_s",
           "withheld_w"]

ENGAGE_CYCLES = 2             # a deficit that lasts so long engages; a large one at once


def decide(
    spec: ControlSpec, state: ShedState, deficit_w: float, power_w: Sequence[float], trusted: bool, now_s: float,
    dt_s: float, early_w: float = -math.inf, may: Flexible | None = None,
) -> ShedState:
    """The tiers of the next cycle.

    Args:
        spec: tiers in shedding order, margins and dwell times.
        state: the tiers now.
        deficit_w: what cannot be served, before what is already being shed.
        power_w: measured power of each tier, NaN where it is not known (such a tier is not counted on).
        trusted: whether the load is measured well enough to give loads back.
        now_s: monotonic time of the snapshot.
        dt_s: time since the last one.
        early_w: what cannot be served when slow tiers have had their time.
        may: which tiers may go and in which order; None: as the site file has them.
    """
    may = may or of_site(spec)
    state = shown(spec, state._replace(unknown=False), power_w, now_s, dt_s)
    deficit_w -= pending_w(spec, state, now_s)
    early_w -= slow_w(spec, state)
    ahead = early_needs(spec, state, early_w, now_s, may)
    state = state._replace(
        short_cycles=state.short_cycles + 1 if deficit_w > 0 else 0,
        early_cycles=state.early_cycles + 1 if any(need_w > 0 for _, need_w in ahead) else 0)
    before = state = calmed(spec, state, max(deficit_w, early_w), now_s, may, trusted=trusted)
    if state.early_cycles >= ENGAGE_CYCLES:
        state = prearmed(spec, state, ahead, power_w, now_s, may)
    if deficit_w > spec.shed_fast_w or state.short_cycles >= ENGAGE_CYCLES:
        state = engaged(spec, state, deficit_w, power_w, now_s, may, slow=False)
    return restored(spec, state, now_s, may) if trusted and state is before else state


def engaged(
    spec: ControlSpec, state: ShedState, deficit_w: float, power_w: Sequence[float], now_s: float, may: Flexible,
    *, slow: bool,
) -> ShedState:
    """Engage the smallest prefix of the free tiers, quick or slow, that covers it, the last in part where it can."""
    tiers, missing_w = list(state.tiers), deficit_w + spec.shed_margin_w
    for i in may.order:
        if missing_w > 0 and is_slow(spec.tiers[i]) is slow:
            tiers[i], taken_w = _taken(spec, tiers[i], i, missing_w, power_w[i], now_s, may)
            missing_w -= taken_w
    return state._replace(tiers=tuple(tiers))


def prearmed(
    spec: ControlSpec, state: ShedState, ahead: Sequence[tuple[int, float]], power_w: Sequence[float], now_s: float,
    may: Flexible,
) -> ShedState:
    """Engage the slow tiers that will be needed when they have worked; each takes its share off the next one's need."""
    tiers, gone_w = list(state.tiers), 0.0
    for i, need_w in ahead:
        if need_w > 0 and need_w + spec.shed_margin_w > gone_w:
            tiers[i], taken_w = _taken(spec, tiers[i], i, need_w + spec.shed_margin_w - gone_w, power_w[i], now_s, may)
            gone_w += taken_w
    return state._replace(tiers=tuple(tiers))


def _taken(spec: ControlSpec, found: TierState, i: int, missing_w: float, power_w: float, now_s: float,
           may: Flexible) -> tuple[TierState, float]:
    """One tier with so much less, or as much of it as it can, and what that is; as it was where it may not go."""
    tier, whole = spec.tiers[i], i in may.whole
    if not (power_w > 0 and free(tier, found, now_s, whole=whole)):  # also where it is not known
        return found, 0.0
    drawn = drawn_w(found)
    room = drawn - may.floor_w[i]
    taken = room if whole else min(room, missing_w)
    if not taken > 0:
        return found, 0.0
    return _lowered(found, drawn - taken, max(drawn, power_w), now_s), taken


def _lowered(found: TierState, cap_w: float, power_w: float, now_s: float) -> TierState:
    if found.engaged:
        return found._replace(cap_w=cap_w, shed_w=found.before_w - cap_w, asked_s=now_s)
    recent = (*(t for t in found.recent_s if now_s - t < 3600), now_s)
    return TierState(True, now_s, power_w, power_w - cap_w, cap_w=cap_w, recent_s=recent, filtered_w=found.filtered_w,
                     asked_s=now_s, short_since_s=now_s)
