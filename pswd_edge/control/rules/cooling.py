"""Cooling that goes ahead of heat: announced, drawn by the racks, or shown by what comes back warm. Pure."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from pswd_edge.control.rules.gradual import toward
from pswd_edge.control.rules.measured import measured
from pswd_edge.control.rules.placement import granted_w
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.snapshot import Snapshot
from pswd_edge.model.thermal import Cooler, Lead, ThermalSpec
from pswd_edge.model.window import begin_utc_s, is_live
from pswd_edge.model.workload import Workload

LOST_AFTER_S = 10.0           # a return temperature that is missing for so long asks for all the cooling there is
FOUND_MAX_AGE_S = 30.0        # of a set-point that is read back
NOWHERE: Mapping[int, float] = MappingProxyType({})
_TINY_W = 1.0


class CoolerState(NamedTuple):
    """One cooler: its share of all cooling, 0..1, and its set-points in the order of `leads`.

    `values` is empty until the first cycle. `lost_s`: how long the return temperature could not be used.
    """

    share: float = 0.0
    values: tuple[float, ...] = ()
    lost_s: float = 0.0


class Coming(NamedTuple):
    """Announced heat at one load controller, W: of workloads that should be running, and of those that are to start."""

    begun_w: float = 0.0
    ahead_w: float = 0.0


def coming_w(
    control: ControlSpec, spec: ThermalSpec, workloads: Sequence[Workload], utc_s: float
) -> dict[int, Coming]:
    """Announced heat by load controller. A workload without a start time starts when it is announced.

    One that is held back beyond its start may be let start at any moment: it stays about to start.
    """
    found: dict[int, Coming] = {}
    for workload in (w for w in workloads if is_live(w) and w.approved_w > 0):
        said = workload.announcement
        start_utc_s = max(begin_utc_s(workload), math.nextafter(utc_s, math.inf) if workload.held else 0.0)
        ends_s = min(spec.hold_s, math.inf if said.duration_s is None else said.duration_s)
        if not start_utc_s - spec.lead_s <= utc_s <= start_utc_s + ends_s:
            continue
        heat = 1.0 if said.heat_w is None or said.peak_w <= 0 else said.heat_w / said.peak_w
        share = heat * granted_w(workload) / max(sum(workload.reserved_w), _TINY_W)
        for i, reserved_w in zip(workload.controllers, workload.reserved_w, strict=True):
            if i < len(control.load_controllers):
                begun, ahead = found.get(i, Coming())
                mine = reserved_w * share
                found[i] = Coming(begun, ahead + mine) if utc_s < start_utc_s else Coming(begun + mine, ahead)
    return found


def expected_w(control: ControlSpec, controller: int, power_w: float, coming: Coming) -> float:
    """The heat to be ready for at one load controller, W; power that is not known (NaN) counts as its rating."""
    rating_w = control.load_controllers[controller].rating_w
    now_w = rating_w if math.isnan(power_w) else power_w
    return min(max(now_w, coming.begun_w) + coming.ahead_w, rating_w)


def led(
    spec: Cooler, ease_s: float, state: CoolerState, snapshot: Snapshot, expected: Sequence[float], dt_s: float, *,
    acts: bool, held: frozenset[int], stands: Mapping[int, float] = NOWHERE, prepared_w: float = 0.0,
    urgent: bool = False,
) -> CoolerState:
    """The next state: more cooling at once (as fast as each set-point may move), less over `ease_s`.

    Args:
        spec: the cooler.
        ease_s: the time from all cooling to none.
        state: the state now.
        snapshot: the inputs.
        expected: heat to be ready for, W, by load controller.
        dt_s: time since the last cycle.
        acts: False: set-points follow what is found, so that taking over makes no step.
        held: points that somebody else leads now; they are followed in the same way.
        stands: where such points stand: what was wanted of them last.
        prepared_w: heat that somebody asked to be ready for, W.
        urgent: what it cools is too hot: all the cooling there is.
    """
    hot_c = math.nan if spec.hot is None else measured(snapshot.read(spec.hot.point), spec.hot.max_age_s)
    lost_s = state.lost_s + dt_s if spec.hot is not None and math.isnan(hot_c) else 0.0
    heat_w = max(spec.heat_share * sum(expected[i] for i in spec.serves), prepared_w)
    goal = max(heat_w / spec.rating_w, 1.0 if urgent or lost_s >= LOST_AFTER_S else _asked_by(spec, hot_c))
    goal = min(max(goal, 0.0), 1.0)
    share = max(goal, state.share - dt_s / ease_s)
    before = state.values or tuple(math.nan for _ in spec.leads)
    values = tuple(followed(lead, value, lead.normal + share * (lead.ready - lead.normal), snapshot, dt_s,
                            free=acts and lead.point not in held, stands=stands)
                   for lead, value in zip(spec.leads, before, strict=True))
    return CoolerState(share, values, lost_s)


def followed(lead: Lead, value: float, goal: float, snapshot: Snapshot, dt_s: float, *, free: bool,
             stands: Mapping[int, float] = NOWHERE) -> float:
    """The next value of a set-point: toward its goal at its rate where it is free, else where it stands.

    That is what was wanted of it last, or what is found on the device. Where nothing is known yet (NaN) it begins from
    what is found, or from `normal`. A goal of NaN moves nothing.
    """
    if not free and lead.point in stands:
        return stands[lead.point]
    if not free or math.isnan(value):
        found = measured(snapshot.read(lead.point), FOUND_MAX_AGE_S)
        value = found if math.isfinite(found) else lead.normal if math.isnan(value) else value
    if not free:
        return value
    goal = value if math.isnan(goal) else min(max(goal, lead.low), lead.high)
    return toward(value, goal, lead.rate_per_s * dt_s)


def _asked_by(spec: Cooler, hot_c: float) -> float:
    """The share that what comes back asks for; none where it is not watched or not known for a moment."""
    if math.isnan(hot_c) or math.isnan(spec.goal_c):
        return 0.0
    return (hot_c - spec.goal_c) / spec.band_c
