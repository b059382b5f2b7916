"""When loads may come back, and how much of them: one at a time, the last first, each with its pickup in mind."""

import math

from pswd_edge.control.rules.tiers import PICKUP, ShedState, TierState, coming_w, in_part
from pswd_edge.model.control import ControlSpec, Tier

LEAST_SHARE = 0.05            # of a tier's power: less is not worth a step of its cap


def last_engaged(state: ShedState) -> int | None:
    """The tier that comes back next."""
    for i in range(len(state.tiers) - 1, -1, -1):
        if state.tiers[i].engaged:
            return i
    return None


def calmed(spec: ControlSpec, state: ShedState, deficit_w: float, now_s: float, *, trusted: bool) -> ShedState:
    """Since when some of the last tier could have come back without a deficit, and how much of it at least."""
    last = last_engaged(state)
    room = _room_w(spec, state, deficit_w, now_s)
    if not trusted or last is None or not room >= _least_w(spec, spec.tiers[last], state.tiers[last]):
        return state._replace(calm_since_s=math.inf, calm_room_w=math.inf)
    return state._replace(calm_since_s=min(state.calm_since_s, now_s), calm_room_w=min(state.calm_room_w, room))


def restored(spec: ControlSpec, state: ShedState, now_s: float) -> ShedState:
    """Give the last engaged tier back when it has not been needed for long enough: whole, or as far as there is room.

    The gap between two steps is what the first needs to show.
    """
    last = last_engaged(state)
    if last is None or not now_s - state.calm_since_s >= spec.release_after_s:
        return state
    if now_s - state.restored_s < spec.release_gap_s:
        return state
    tier, found, room = spec.tiers[last], state.tiers[last], state.calm_room_w
    if room >= _whole_w(found):
        if now_s - found.since_s < tier.min_on_s:
            return state
        given = TierState(False, now_s, found.before_w, recent_s=found.recent_s, filtered_w=found.filtered_w)
    elif in_part(tier):
        cap = min(found.cap_w + room, PICKUP * found.before_w)
        given = found._replace(cap_w=cap, shed_w=max(0.0, found.before_w - cap), raised_s=now_s, short_since_s=math.inf)
    else:
        return state
    return state._replace(tiers=(*state.tiers[:last], given, *state.tiers[last + 1:]), restored_s=now_s,
                          calm_room_w=math.inf)


def _room_w(spec: ControlSpec, state: ShedState, deficit_w: float, now_s: float) -> float:
    """What may come back now without a deficit; NaN where that is not known."""
    return -(deficit_w + coming_w(spec, state, now_s) + spec.shed_margin_w)


def _whole_w(found: TierState) -> float:
    """What the load may rise by when the tier is given back whole."""
    drawn = found.cap_w if math.isnan(found.filtered_w) else min(found.filtered_w, found.cap_w)
    return PICKUP * found.before_w - drawn


def _least_w(spec: ControlSpec, tier: Tier, found: TierState) -> float:
    """The smallest step that is worth it."""
    whole = _whole_w(found)
    return min(whole, max(spec.shed_margin_w, LEAST_SHARE * found.before_w)) if in_part(tier) else whole
