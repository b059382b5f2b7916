"""What is known of each tier, and what its own meter and the filtered load show of what was taken off."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pswd_edge.control.rules.deficit import is_slow
from pswd_edge.model.control import ControlSpec, Tier
from pswd_edge.model.tuning import filter_share

STUCK_AFTER_S = 1.0           # beyond its actuation time: a slow meter is no stuck tier
STUCK_SHARE = 0.5             # of what a tier was to take off: with less it did not obey
PICKUP = 1.5                  # times its former power may a load draw when it comes back,
PICKUP_S = 60.0               # for so long
SETTLE_S = 5.0                # beyond its actuation time: by then the filtered load shows a cap that was raised


class TierState(NamedTuple):
    """One tier.

    `since_s` is its last change between engaged and released; `before_w` the most that it may have drawn then, `cap_w`
    what it may draw now, `shed_w` the difference. `gone_w`: how much of that its meter shows. `filtered_w` is its power
    through the load's own filter, NaN where it is not known. `asked_s`, `raised_s`: when the cap was last lowered and
    raised; `short_since_s`: since when its meter has shown less than half gone, infinite while it shows more.
    `recent_s`: when it was engaged in the last hour.
    """

    engaged: bool = False
    since_s: float = -math.inf
    before_w: float = 0.0
    shed_w: float = 0.0
    gone_w: float = 0.0
    cap_w: float = 0.0
    recent_s: tuple[float, ...] = ()
    filtered_w: float = math.nan
    asked_s: float = -math.inf
    raised_s: float = -math.inf
    short_since_s: float = math.inf


class ShedState(NamedTuple):
    """All tiers, in the site's order, and what the decision remembers.

    `calm_room_w` is the least that could have come back since `calm_since_s` or the last restore: a load that swings
    has more room in its troughs than it may use. `unknown`: control has just begun, and nothing was written down.
    `unshed_w` is the mean of the load as it would be with nothing shed (`lasting.py`), NaN before the first cycle.
    """

    tiers: tuple[TierState, ...]
    short_cycles: int = 0
    calm_since_s: float = math.inf
    restored_s: float = -math.inf
    early_cycles: int = 0
    calm_room_w: float = math.inf
    unknown: bool = False
    unshed_w: float = math.nan


def shown(spec: ControlSpec, state: ShedState, power_w: Sequence[float], now_s: float, dt_s: float) -> ShedState:
    """Follow each tier's meter, with the load's own filter."""
    part = filter_share(spec.filter_hz, dt_s)
    return state._replace(tiers=tuple([_followed(t, p, part, now_s)
                                       for t, p in zip(state.tiers, power_w, strict=True)]))


def _followed(found: TierState, power_w: float, part: float, now_s: float) -> TierState:
    if not found.engaged:
        known = power_w if math.isnan(found.filtered_w) else found.filtered_w + part * (power_w - found.filtered_w)
        return found._replace(filtered_w=known)
    if math.isnan(power_w):
        return found
    gone = min(max(found.before_w - power_w, 0.0), found.shed_w)
    short = math.inf if gone >= STUCK_SHARE * found.shed_w else min(found.short_since_s, now_s)
    filtered = power_w if math.isnan(found.filtered_w) else found.filtered_w + part * (power_w - found.filtered_w)
    return found._replace(gone_w=gone, short_since_s=short, filtered_w=filtered)


def obeys(tier: Tier, found: TierState, now_s: float) -> bool:
    """False once the meter has shown less than half of it gone for longer than the tier takes."""
    return now_s - found.short_since_s < tier.actuation_s


def pending_w(spec: ControlSpec, state: ShedState, now_s: float) -> float:
    """Power that engaged tiers take off and that the filtered load does not show yet.

    After the actuation time only what a tier's own meter shows counts: a tier that is stuck sheds nothing. What a slow
    tier will take off is no answer to what is missing now.
    """
    total = 0.0
    for tier, found in zip(spec.tiers, state.tiers, strict=True):
        if found.engaged and not math.isnan(found.filtered_w):
            comes = not is_slow(tier) and now_s - found.asked_s < tier.actuation_s and obeys(tier, found, now_s)
            total += max(0.0, found.filtered_w - (found.cap_w if comes else found.before_w - found.gone_w))
    return total


def covered_w(spec: ControlSpec, state: ShedState, short_w: float, now_s: float) -> float:
    """How much of what the batteries are short of the tiers are about to take off.

    For so long the reference stays on its ramp: were it to follow the grid's excursion of a second, the grid would
    stay there.
    """
    return min(max(short_w, 0.0), pending_w(spec, state, now_s))


def coming_w(spec: ControlSpec, state: ShedState, now_s: float, of: Iterable[int] | None = None) -> float:
    """By how much the load may rise of what was given back already: up to a raised cap, or by a pickup.

    `of`: of these tiers only; None: of all.
    """
    total = 0.0
    for i in range(len(spec.tiers)) if of is None else of:
        tier, found = spec.tiers[i], state.tiers[i]
        if found.engaged and now_s - found.raised_s < tier.actuation_s + SETTLE_S:
            total += max(0.0, min(found.cap_w, found.before_w) - found.filtered_w)
        elif not found.engaged and found.before_w > 0 and now_s - found.since_s < max(PICKUP_S, tier.actuation_s):
            total += max(0.0, PICKUP * found.before_w - _known(found.filtered_w))
    return total


def withheld_w(state: ShedState) -> float:
    """What the load would rise by, were all tiers given back."""
    return sum([max(0.0, t.before_w - _known(t.filtered_w)) for t in state.tiers if t.engaged])


def stuck(spec: ControlSpec, state: ShedState, now_s: float) -> tuple[str, ...]:
    """Ids of engaged tiers whose own meter shows less than half of what they were to take off by now."""
    return tuple([tier.id for tier, found in zip(spec.tiers, state.tiers, strict=True)
                  if found.engaged and found.shed_w > 0
                  and now_s - found.short_since_s >= tier.actuation_s + STUCK_AFTER_S])


def _known(power_w: float) -> float:
    return 0.0 if math.isnan(power_w) else power_w
