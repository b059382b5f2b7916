"""When loads may come back, and how much of them: one at a time, the last first, each with its pickup in mind."""

import math
from collections.abc import Callable

from pswd_edge.control.rules.flexibility import Flexible
from pswd_edge.control.rules.tiers import PICKUP, ShedState, TierState, coming_w
from pswd_edge.model.control import ControlSpec

LEAST_SHARE = 0.05            # of a tier's power: less is not worth a step of its cap
UNBOUND_SHARE = 0.95          # of a cap: a load that draws less on average is not held back by it,
PEAK_SHARE = 0.1              # of its former power: but by so much at its peaks


def last_engaged(state: ShedState, may: Flexible) -> int | None:
    """The tier that comes back next: one that may not be shed any more, or else the last in shedding order.

    One whose circuit has no room is passed over.
    """
    engaged = [i for i, t in enumerate(state.tiers) if t.engaged and not (may.room_w and may.room_w[i] <= 0)]
    if not engaged:
        return None
    return max(engaged, key=_place(may))


def _place(may: Flexible) -> Callable[[int], int]:
    """Where a tier stands in the order; one that is not in it stands last."""
    place = {i: k for k, i in enumerate(may.order)}
    return lambda i: place.get(i, len(place))


def calmed(spec: ControlSpec, state: ShedState, deficit_w: float, now_s: float, may: Flexible, *,
           trusted: bool) -> ShedState:
    """Since when some of the last tier could have come back without a deficit, and how much of it at least."""
    last = last_engaged(state, may)
    room = _room_w(spec, state, deficit_w, now_s)
    if may.room_w and last is not None:
        room = min(room, may.room_w[last])
    if not trusted or last is None or not room >= _least_w(spec, state.tiers[last], whole=last in may.whole):
        return state._replace(calm_since_s=math.inf, calm_room_w=math.inf)
    return state._replace(calm_since_s=min(state.calm_since_s, now_s), calm_room_w=min(state.calm_room_w, room))


def restored(spec: ControlSpec, state: ShedState, now_s: float, may: Flexible) -> ShedState:
    """Give the last engaged tier back when it has not been needed for long enough: whole, or as far as there is room.

    The gap between two steps is what the first needs to show.
    """
    last = last_engaged(state, may)
    if last is None or not now_s - state.calm_since_s >= spec.release_after_s:
        return state
    if now_s - state.restored_s < spec.release_gap_s:
        return state
    tier, found, room = spec.tiers[last], state.tiers[last], state.calm_room_w
    if may.room_w:
        room = min(room, may.room_w[last])  # another tier's room may be in the calm
    if room >= _whole_w(found) or found.cap_w >= PICKUP * found.before_w:
        if now_s - found.since_s < tier.min_on_s:
            return state
        before_w = 0.0 if _is_back(found) else found.before_w  # no pickup to come
        given = TierState(False, now_s, before_w, recent_s=found.recent_s, filtered_w=found.filtered_w)
    elif last not in may.whole:
        cap = min(found.cap_w + room, PICKUP * found.before_w)
        given = found._replace(cap_w=cap, shed_w=max(0.0, found.before_w - cap), raised_s=now_s, short_since_s=math.inf)
    else:
        return state
    return state._replace(tiers=(*state.tiers[:last], given, *state.tiers[last + 1:]), restored_s=now_s,
                          calm_room_w=math.inf)


def _room_w(spec: ControlSpec, state: ShedState, deficit_w: float, now_s: float) -> float:
    """What may come back now without a deficit; NaN where that is not known."""
    return -(deficit_w + coming_w(spec, state, now_s) + spec.shed_margin_w)


def _is_back(found: TierState) -> bool:
    """Whether it may draw as much as before and draws less than it may: its cap holds nothing back any more."""
    return found.cap_w >= found.before_w and found.filtered_w <= UNBOUND_SHARE * found.cap_w


def _whole_w(found: TierState) -> float:
    """What the load may rise by when the tier is given back whole."""
    if _is_back(found):
        return PEAK_SHARE * found.before_w
    drawn = found.cap_w if math.isnan(found.filtered_w) else min(found.filtered_w, found.cap_w)
    return PICKUP * found.before_w - drawn


def _least_w(spec: ControlSpec, found: TierState, *, whole: bool) -> float:
    """The smallest step that is worth it."""
    most = _whole_w(found)
    return most if whole else min(most, max(spec.shed_margin_w, LEAST_SHARE * found.before_w))
