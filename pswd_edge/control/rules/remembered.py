"""Tiers over a restart: what was written down is taken up, and what the devices show is believed over it."""

import math
from collections.abc import Mapping, Sequence

from pswd_edge.control.rules.tiers import ShedState, TierState
from pswd_edge.model.control import ControlSpec, Tier
from pswd_edge.model.kept import KeptTier
from pswd_edge.model.quality import Quality
from pswd_edge.model.snapshot import Reading, Snapshot

HOUR_S = 3600.0


def taken_up(spec: ControlSpec, names: Sequence[str], kept: Mapping[str, KeptTier], now_s: float,
             utc_s: float) -> ShedState:
    """The tiers as a former process left them.

    Args:
        spec: the tiers of this site.
        names: the id of each tier's set-point, in the site's order.
        kept: what was written down, by tier.
        now_s: monotonic time.
        utc_s: the time of day at that moment. Where it lies before what was written, the times begin now.
    """
    return ShedState(tuple([_tier(kept.get(t.id), name, now_s, utc_s)
                            for t, name in zip(spec.tiers, names, strict=True)]))


def _tier(kept: KeptTier | None, name: str, now_s: float, utc_s: float) -> TierState:
    if kept is None or kept.setpoint != name or not _sound(kept):
        return TierState()
    since_s = _moment_s(kept.since_utc_s, now_s, utc_s)
    recent = tuple([at for at in (_moment_s(u, now_s, utc_s) for u in kept.recent_utc_s) if now_s - at < HOUR_S])
    if not kept.engaged:
        return TierState(False, since_s, kept.before_w, recent_s=recent)
    return TierState(True, since_s, kept.before_w, max(0.0, kept.before_w - kept.cap_w), cap_w=kept.cap_w,
                     recent_s=recent, asked_s=since_s)


def _sound(kept: KeptTier) -> bool:
    """Whether its numbers can be worked with."""
    numbers = (kept.since_utc_s, kept.before_w, kept.cap_w, *kept.recent_utc_s)
    return all(math.isfinite(n) for n in numbers) and kept.before_w >= 0 and kept.cap_w >= 0


def _moment_s(then_utc_s: float, now_s: float, utc_s: float) -> float:
    """The monotonic time of a moment; now, where the clock was set back behind it: no time is thought to be over."""
    return now_s - max(0.0, utc_s - then_utc_s)


def observed(spec: ControlSpec, shed: ShedState, snapshot: Snapshot) -> ShedState:
    """While nothing is written: the tiers as their devices show them, so that the first write changes nothing.

    An engaged tier that somebody released meanwhile is released. Of a cap that is held elsewhere its value is taken.
    Where nothing is remembered, a cap below its released value counts as engaged. A value that the device has shown
    before it can have obeyed the last order says nothing.
    """
    found = [_observed(t, s, snapshot.read(t.read_back), snapshot.time_s, unknown=shed.unknown)
             for t, s in zip(spec.tiers, shed.tiers, strict=True)]
    return shed._replace(tiers=tuple(found))


def _observed(tier: Tier, found: TierState, shown: Reading, now_s: float, *, unknown: bool) -> TierState:
    ordered_s = max(found.asked_s, found.raised_s)
    if shown.quality is not Quality.GOOD or shown.received_s - ordered_s < tier.actuation_s:
        return found
    above = tier.action == "cap" and shown.value > tier.shown[1]
    released = above or abs(shown.value - tier.shown[1]) <= tier.tolerance
    if released:
        return _released(found, now_s) if found.engaged else found
    if tier.action != "cap" or not (found.engaged or unknown):
        return found
    if found.engaged and abs(shown.value - found.cap_w) <= tier.tolerance:
        return found
    before_w = found.before_w if found.engaged else tier.released_value
    since_s = found.since_s if found.engaged else now_s
    return found._replace(engaged=True, since_s=since_s, before_w=before_w, cap_w=shown.value,
                          shed_w=max(0.0, before_w - shown.value))


def _released(found: TierState, now_s: float) -> TierState:
    """As somebody else gave it back, not long ago."""
    return TierState(False, now_s, found.before_w, recent_s=found.recent_s, filtered_w=found.filtered_w)
