"""When loads must go, and how much of them (control law, 2.4). Only physics sheds: no deficit, no shedding."""

import math
from collections.abc import Sequence

from pswd_edge.control.rules.deficit import Need, is_slow, needs, warning_s
from pswd_edge.control.rules.flexibility import Flexible, of_site
from pswd_edge.control.rules.restore import calmed, restored
from pswd_edge.control.rules.tiers import ShedState, TierState, covered_w, obeys, pending_w, shown, stuck, withheld_w
from pswd_edge.model.control import ControlSpec, Tier

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
        early_w: what cannot be served by the time that slow tiers take.
        may: which tiers may go and in which order; None: as the site file has them.
    """
    may = may or of_site(spec)
    state = shown(spec, state._replace(unknown=False), power_w, now_s, dt_s)
    deficit_w -= pending_w(spec, state, now_s)
    early_w -= _slow_w(spec, state)
    state = state._replace(
        short_cycles=state.short_cycles + 1 if deficit_w > 0 else 0,
        early_cycles=state.early_cycles + 1 if early_w > 0 else 0)
    before = state = calmed(spec, state, max(deficit_w, early_w), now_s, may, trusted=trusted)
    if state.early_cycles >= ENGAGE_CYCLES:
        state = engaged(spec, state, early_w, power_w, now_s, may, slow=True)
    if deficit_w > spec.shed_fast_w or state.short_cycles >= ENGAGE_CYCLES:
        state = engaged(spec, state, deficit_w, power_w, now_s, may, slow=False)
    return restored(spec, state, now_s, may) if trusted and state is before else state


def _slow_w(spec: ControlSpec, state: ShedState) -> float:
    """What slow tiers were told to take off and the filtered load does not show yet."""
    return sum([max(0.0, s.filtered_w - s.cap_w) for t, s in zip(spec.tiers, state.tiers, strict=True)
                if s.engaged and is_slow(t) and not math.isnan(s.filtered_w)])


def engaged(
    spec: ControlSpec, state: ShedState, deficit_w: float, power_w: Sequence[float], now_s: float,
    may: Flexible, *, slow: bool,
) -> ShedState:
    """Engage the smallest prefix of the free tiers that covers the deficit, the last of them in part where it can."""
    tiers, missing = list(state.tiers), deficit_w + spec.shed_margin_w
    for i in may.order:
        if missing <= 0:
            break
        tier, found, whole = spec.tiers[i], tiers[i], i in may.whole
        free = not whole and obeys(tier, found, now_s) if found.engaged else _may_go(tier, found, now_s)
        if is_slow(tier) is not slow or not free:
            continue
        drawn = min(found.cap_w, found.filtered_w) if found.engaged else found.filtered_w
        room = drawn - may.floor_w[i]
        taken = room if whole else min(room, missing)
        if not (taken > 0 and power_w[i] > 0):  # also where it is not known
            continue
        tiers[i] = _lowered(found, drawn - taken, max(drawn, power_w[i]), now_s)
        missing -= taken
    return state._replace(tiers=tuple(tiers))


def _may_go(tier: Tier, found: TierState, now_s: float) -> bool:
    recent = [t for t in found.recent_s if now_s - t < 3600]
    return now_s - found.since_s >= tier.min_off_s and len(recent) < tier.max_events_per_h


def _lowered(found: TierState, cap_w: float, drawn_w: float, now_s: float) -> TierState:
    if found.engaged:
        return found._replace(cap_w=cap_w, shed_w=found.before_w - cap_w, asked_s=now_s)
    recent = (*(t for t in found.recent_s if now_s - t < 3600), now_s)
    return TierState(True, now_s, drawn_w, drawn_w - cap_w, cap_w=cap_w, recent_s=recent, filtered_w=found.filtered_w,
                     asked_s=now_s, short_since_s=now_s)
