"""What slow tiers (chillers) are needed for: the deficit that is left when they have worked, as far as it is theirs.

A slow tier is no answer to a deficit that is there. It is engaged so long before one as it takes, and only for what the
quick tiers before it in the order will not take; quick tiers after it are relieved by it.
"""

import math

from pswd_edge.control.rules.deficit import is_slow
from pswd_edge.control.rules.flexibility import Flexible
from pswd_edge.control.rules.tiers import ShedState, TierState, obeys
from pswd_edge.model.control import ControlSpec, Tier


def slow_w(spec: ControlSpec, state: ShedState) -> float:
    """What slow tiers were told to take off and the filtered load does not show yet."""
    return sum([max(0.0, s.filtered_w - s.cap_w) for t, s in zip(spec.tiers, state.tiers, strict=True)
                if s.engaged and is_slow(t) and not math.isnan(s.filtered_w)])


def early_needs(spec: ControlSpec, state: ShedState, early_w: float, now_s: float,
                may: Flexible) -> list[tuple[int, float]]:
    """Each slow tier that may be shed, in the order, with the power that will be missing when it has worked, W.

    `early_w` is the deficit at that time with the load as it is filtered now, less what slow tiers were told already.
    """
    if math.isinf(early_w):
        return []
    found, before_w = [], 0.0
    after_w = sum([_gone_w(state.tiers[i]) for i in may.order if not is_slow(spec.tiers[i])])
    for i in may.order:
        tier, known = spec.tiers[i], state.tiers[i]
        if is_slow(tier):
            found.append((i, early_w - before_w + after_w))
        else:
            after_w -= _gone_w(known)
            before_w += _left_w(tier, known, may.floor_w[i], now_s, whole=i in may.whole)
    return found


def _gone_w(found: TierState) -> float:
    """What a quick tier has taken off, as the filtered load shows it."""
    return max(0.0, found.before_w - found.filtered_w) if found.engaged and not math.isnan(found.filtered_w) else 0.0


def _left_w(tier: Tier, found: TierState, floor_w: float, now_s: float, *, whole: bool) -> float:
    """What a quick tier will still take off: what it was told and does not show, and what it can be told."""
    if math.isnan(found.filtered_w):
        return 0.0
    coming_w = max(0.0, found.filtered_w - found.cap_w) if found.engaged and obeys(tier, found, now_s) else 0.0
    return coming_w + (max(0.0, drawn_w(found) - floor_w) if free(tier, found, now_s, whole=whole) else 0.0)


def drawn_w(found: TierState) -> float:
    """What a tier draws, or will when it has done what it was told; NaN where that is not known."""
    return min(found.cap_w, found.filtered_w) if found.engaged else found.filtered_w


def free(tier: Tier, found: TierState, now_s: float, *, whole: bool) -> bool:
    """Whether it may be told to take off more: by its times and its count, or as it obeys and goes in part."""
    if found.engaged:
        return not whole and obeys(tier, found, now_s)
    recent = [t for t in found.recent_s if now_s - t < 3600]
    return now_s - found.since_s >= tier.min_off_s and len(recent) < tier.max_events_per_h
