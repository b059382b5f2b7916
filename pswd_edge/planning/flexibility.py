"""How much more, and how much less, the site could take from the grid: batteries, absorbers, tiers, workloads. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pswd_edge.model.control import ControlSpec
from pswd_edge.model.report import Report
from pswd_edge.model.workload import Workload, WorkloadState
from pswd_edge.planning.announcements import running_w

HOLD_S = 900.0        # what a battery gives counts as far as it lasts so long
_RUNNING = frozenset({WorkloadState.APPROVED, WorkloadState.CONDITIONAL, WorkloadState.THROTTLED})


class Flexibility(NamedTuple):
    """W at the grid beside what is expected there; `response_s` until all of the larger one is there."""

    up_w: float
    down_w: float
    response_s: float


class Reserves(NamedTuple):
    """What stands by now, whatever runs: batteries and absorbers for more load, batteries and tiers for less, W.

    `capped_w` is what the tiers can take off each load controller, by its index: a workload's throttle takes of the
    same power.
    """

    charge_w: float
    absorb_w: float
    discharge_w: float
    shed_w: float
    capped_w: Mapping[int, float]
    ramp_w_per_s: float
    delay_s: float


def reserves_of(spec: ControlSpec, report: Report, power_w: Mapping[int, float | None],
                hold_s: float = HOLD_S) -> Reserves:
    """The reserves by control's report; `power_w` are measured powers by point, None where not known."""
    usable = [b for b in report.batteries if b.usable]
    charge_w, discharge_w = _battery_w(spec, report, hold_s) if usable else (0.0, 0.0)
    shed_w, capped_w = _tiers_w(spec, report, power_w)
    drawn = {a.id: a.power_w if a.power_w is not None else a.ordered_w for a in report.absorbers}
    absorb_w = sum(max(0.0, a.maximum_w - drawn.get(a.id, 0.0)) for a in spec.absorbers)
    loop = report.loop
    ramp = min(spec.ramp_up_w_per_s, spec.ramp_down_w_per_s) if loop is None else min(
        loop.ramp_up_w_per_s, loop.ramp_down_w_per_s)
    slow_s = max([t.actuation_s for t in spec.tiers] + [a.actuation_s for a in spec.absorbers], default=0.0)
    return Reserves(charge_w, absorb_w, discharge_w, shed_w, capped_w, ramp, spec.delay_s + slow_s)


def _battery_w(spec: ControlSpec, report: Report, hold_s: float) -> tuple[float, float]:
    """What the usable batteries take and give together for `hold_s`, W; 0 where their energy is not known."""
    if report.energy_wh is None:
        return 0.0, 0.0
    hours, usable = hold_s / 3600.0, [b for b in report.batteries if b.usable]
    out = min((b.discharge_efficiency for b in spec.batteries), default=1.0)
    into = max((b.charge_efficiency for b in spec.batteries), default=1.0)
    give_w = max(0.0, report.energy_wh - report.energy_min_wh) * out / hours
    take_w = max(0.0, report.energy_max_wh - report.energy_wh) / into / hours
    return (min(sum(b.charge_available_w for b in usable), take_w),
            min(sum(b.discharge_available_w for b in usable), give_w))


def _tiers_w(spec: ControlSpec, report: Report, power_w: Mapping[int, float | None]) -> tuple[float, dict[int, float]]:
    """What tiers that are not engaged can still take off: elsewhere, and by load controller."""
    engaged = {t.id for t in report.tiers if t.engaged}
    controllers = {c.cap: index for index, c in enumerate(spec.load_controllers)}
    elsewhere_w, capped_w = 0.0, dict[int, float]()
    for tier in spec.tiers:
        power = power_w.get(tier.power)
        if tier.id in engaged or power is None:
            continue
        off_w, controller = max(0.0, power - tier.floor_w), controllers.get(tier.setpoint)
        if controller is None:
            elsewhere_w += off_w
        else:
            capped_w[controller] = max(capped_w.get(controller, 0.0), off_w)
    return elsewhere_w, capped_w


def racks_w(reserves: Reserves, running: Sequence[Workload]) -> float:
    """What caps of load controllers take off while these workloads run, W: by their throttles or by tiers."""
    throttled_w: dict[int, float] = {}
    for workload in running:
        share = _throttle_w(workload) / (sum(workload.reserved_w) or math.inf)
        for controller, reserved_w in zip(workload.controllers, workload.reserved_w, strict=True):
            throttled_w[controller] = throttled_w.get(controller, 0.0) + share * reserved_w
    racks = {*throttled_w, *reserves.capped_w}
    return sum(max(throttled_w.get(c, 0.0), reserves.capped_w.get(c, 0.0)) for c in racks)


def flexibility(reserves: Reserves, off_w: float, load_w: float, import_limit_w: float) -> Flexibility:
    """The flexibility beside a load of `load_w`, of which caps can take off `off_w` (`racks_w`)."""
    down_w = reserves.discharge_w + min(max(0.0, load_w), reserves.shed_w + off_w)
    up_w = min(reserves.charge_w + reserves.absorb_w, max(0.0, import_limit_w - load_w))
    ramp_s = max(up_w, down_w) / reserves.ramp_w_per_s if reserves.ramp_w_per_s > 0 else math.inf
    return Flexibility(up_w, down_w, reserves.delay_s + (ramp_s if math.isfinite(ramp_s) else 0.0))


def least_w(workload: Workload) -> float:
    """What a throttled one still draws: its own minimum, or its baseline where it says none."""
    said = workload.announcement
    return max(0.0, said.baseline_w if said.minimum_w is None else said.minimum_w)


def lead_s(spec: ControlSpec, reduction_w: float) -> float:
    """How long before its begin a reduction has to start, so that the reference is down by then within its ramp."""
    return spec.delay_s + (reduction_w / spec.ramp_down_w_per_s if spec.ramp_down_w_per_s > 0 else 0.0)


def _throttle_w(workload: Workload) -> float:
    """What a throttle takes off it on average; 0 where it cannot be throttled."""
    if not workload.announcement.can_throttle or workload.state not in _RUNNING:
        return 0.0
    return max(0.0, running_w(workload) - least_w(workload))
