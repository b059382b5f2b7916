"""When loads must go, and when they may come back (control law, 2.4). Only physics sheds: no deficit, no shedding."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules.allocate import Fleet
from pswd_edge.control.rules.reserve import Range
from pswd_edge.model.control import ControlSpec

ENGAGE_CYCLES = 2             # a deficit that lasts so long engages; a large one at once
STUCK_AFTER_S = 1.0           # beyond its actuation time: a slow meter is no stuck tier
STUCK_SHARE = 0.5             # of what a tier was to take off: with less it did not obey
PRE_ARM_S = 5.0               # beyond a tier's actuation time: so long before the batteries are empty it must go


class TierState(NamedTuple):
    """One tier.

    `since_s` is its last change; `before_w` its power when it was engaged, `shed_w` what it takes off then, `gone_w`
    how much of that its meter shows, `shown_w` how much the filtered load shows already. `recent_s`: when it was
    engaged in the last hour.
    """

    engaged: bool = False
    since_s: float = -math.inf
    before_w: float = 0.0
    shed_w: float = 0.0
    gone_w: float = 0.0
    shown_w: float = 0.0
    recent_s: tuple[float, ...] = ()


class ShedState(NamedTuple):
    """All tiers, in shedding order, and what the decision remembers."""

    tiers: tuple[TierState, ...]
    short_cycles: int = 0
    calm_since_s: float = math.inf
    restored_s: float = -math.inf


class Need(NamedTuple):
    """What cannot be served within ramp and import limit, and what cannot be absorbed.

    A negative deficit is headroom; the surplus is never negative.
    """

    deficit_w: float
    surplus_w: float


def needs(
    filtered_w: float, reference_w: float, fleet: Fleet, limits: Range, import_limit_w: float, warning_s: float,
    tolerance_w: float = 0.0,
) -> Need:
    """What the load takes beyond what the reference and the batteries can serve from now on.

    What is above the import limit stays with the batteries for good: of that they are asked to hold `warning_s`, the
    time that shedding takes. A ramp that is broken by less than `tolerance_w` is no deficit: the tier's own step would
    be the larger evil.
    """
    stored_wh = fleet.above_min_wh * limits.discharge_efficiency
    served = min(reference_w + limits.up_w_per_s * limits.period_s + fleet.discharge_available_w,
                 _carried_w(reference_w, stored_wh, limits.up_w_per_s * 3600, import_limit_w, warning_s / 3600))
    deficit = max(filtered_w - served - tolerance_w, filtered_w - fleet.discharge_available_w - import_limit_w)
    down_wh_per = 2 * limits.down_w_per_s * 3600 / limits.charge_efficiency
    absorbed = max(reference_w - limits.down_w_per_s * limits.period_s - fleet.charge_available_w,
                   reference_w - math.sqrt(down_wh_per * fleet.below_max_wh))
    return Need(deficit, max(0.0, absorbed - filtered_w))


def _carried_w(
    reference_w: float, stored_wh: float, ramp_w_per_h: float, import_limit_w: float, warning_h: float
) -> float:
    """The highest load whose energy the batteries have, from this reference on.

    Up to the import limit the reference climbs to the load and the energy is the triangle gap²/(2·ramp). Of a load
    that is x above the limit the triangle lacks its tip, and x goes on: gap² + 2·gap·x + 2·ramp·x·warning for the gap
    from reference to limit, all over 2·ramp.
    """
    gap_w = max(0.0, import_limit_w - reference_w)
    free = 2 * ramp_w_per_h * stored_wh - gap_w * gap_w
    if free <= 0:
        return reference_w + math.sqrt(2 * ramp_w_per_h * stored_wh)
    return import_limit_w + free / (2 * gap_w + 2 * ramp_w_per_h * warning_h)


def pending_w(spec: ControlSpec, state: ShedState, now_s: float) -> float:
    """Power that engaged tiers take off and that the filtered load does not show yet.

    After the actuation time only what a tier's own meter shows counts: a tier that is stuck sheds nothing.
    """
    total = 0.0
    for tier, found in zip(spec.tiers, state.tiers, strict=True):
        if found.engaged:
            coming_w = found.shed_w if now_s - found.since_s < tier.actuation_s else found.gone_w
            total += max(0.0, coming_w - found.shown_w)
    return total


def stuck(spec: ControlSpec, state: ShedState, now_s: float) -> tuple[str, ...]:
    """Ids of engaged tiers whose own meter shows less than half of what they were to take off by now."""
    return tuple(tier.id for tier, found in zip(spec.tiers, state.tiers, strict=True)
                 if found.engaged and now_s - found.since_s >= tier.actuation_s + STUCK_AFTER_S
                 and found.gone_w < STUCK_SHARE * found.shed_w)


def warning_s(spec: ControlSpec) -> float:
    """How long before the batteries are empty shedding must begin."""
    return max((t.actuation_s for t in spec.tiers), default=0.0) + PRE_ARM_S


def decide(
    spec: ControlSpec, state: ShedState, deficit_w: float, power_w: Sequence[float], trusted: bool, now_s: float,
    dt_s: float,
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
    """
    state = _show(spec, state, power_w, dt_s)
    deficit_w -= pending_w(spec, state, now_s)
    state = state._replace(
        short_cycles=state.short_cycles + 1 if deficit_w > 0 else 0,
        calm_since_s=_calm_since(spec, state, deficit_w, now_s) if trusted else math.inf)
    if deficit_w > spec.shed_fast_w or state.short_cycles >= ENGAGE_CYCLES:
        return _engage(spec, state, deficit_w, power_w, now_s)
    return _restore(spec, state, now_s) if trusted else state


def _show(spec: ControlSpec, state: ShedState, power_w: Sequence[float], dt_s: float) -> ShedState:
    """Follow, with the load's own filter, how much of each tier's shedding is visible."""
    share = 1 - math.exp(-2 * math.pi * spec.filter_hz * dt_s)
    tiers = []
    for found, power in zip(state.tiers, power_w, strict=True):
        if not found.engaged:
            tiers.append(found)
            continue
        gone = found.gone_w if math.isnan(power) else min(max(found.before_w - power, 0.0), found.shed_w)
        tiers.append(found._replace(gone_w=gone, shown_w=found.shown_w + share * (gone - found.shown_w)))
    return state._replace(tiers=tuple(tiers))


def _last_engaged(state: ShedState) -> int | None:
    engaged = [i for i, t in enumerate(state.tiers) if t.engaged]
    return engaged[-1] if engaged else None


def _calm_since(spec: ControlSpec, state: ShedState, deficit_w: float, now_s: float) -> float:
    """Since when the last tier could have come back without a deficit; infinite while it could not."""
    last = _last_engaged(state)
    if last is None or not deficit_w + state.tiers[last].shed_w + spec.shed_margin_w <= 0:
        return math.inf
    return min(state.calm_since_s, now_s)


def _engage(
    spec: ControlSpec, state: ShedState, deficit_w: float, power_w: Sequence[float], now_s: float
) -> ShedState:
    """Engage the smallest prefix of the free tiers that covers the deficit."""
    tiers, missing = list(state.tiers), deficit_w + spec.shed_margin_w
    for i, (tier, found) in enumerate(zip(spec.tiers, state.tiers, strict=True)):
        if missing <= 0:
            break
        recent = tuple(t for t in found.recent_s if now_s - t < 3600)
        resting = now_s - found.since_s < tier.min_off_s or len(recent) >= tier.max_events_per_h
        shed = power_w[i] - tier.floor_w
        if found.engaged or resting or not shed > 0:
            continue
        tiers[i] = TierState(True, now_s, power_w[i], shed, recent_s=(*recent, now_s))
        missing -= shed
    return state._replace(tiers=tuple(tiers), short_cycles=0)


def _restore(spec: ControlSpec, state: ShedState, now_s: float) -> ShedState:
    """Give the last engaged tier back when it has not been needed for long enough; one at a time."""
    last = _last_engaged(state)
    if last is None or now_s - state.calm_since_s < spec.release_after_s:
        return state
    if now_s - state.restored_s < spec.release_gap_s or now_s - state.tiers[last].since_s < spec.tiers[last].min_on_s:
        return state
    tiers = list(state.tiers)
    tiers[last] = TierState(False, now_s, recent_s=state.tiers[last].recent_s)
    return state._replace(tiers=tuple(tiers), restored_s=now_s, calm_since_s=math.inf)
