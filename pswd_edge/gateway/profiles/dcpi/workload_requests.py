"""DCPI's messages about workloads as ours: MW to W, its words to ours, contradictions named all at once. Pure."""

from collections.abc import Iterator
from itertools import pairwise

from pswd_edge.gateway.profiles.dcpi.workloads_models import WorkloadAnnouncement, WorkloadOrder
from pswd_edge.gateway.projection import W_PER_MW
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.sender import Sender
from pswd_edge.gateway.services.evaluation import Impossible
from pswd_edge.gateway.validation import invalid
from pswd_edge.model.command import ControlWorkload
from pswd_edge.model.workload import SCHEDULE_MAX, Announcement, PowerStep
from pswd_edge.planning.admission import Alternative

DELAY_MAX_S = 86_400          # where it may be delayed and says neither how long nor until when
_PERCENT = 100.0
_CODES = {"power": "INSUFFICIENT_POWER_CAPACITY", "cooling": "INSUFFICIENT_COOLING_CAPACITY",
          "swing": "GRID_STABILITY_CONSTRAINT"}
_REQUESTED = {"power": "requested_power_mw", "cooling": "requested_heat_mw", "swing": "requested_swing_mw"}
_WHAT = {"power": "the workload's power is beyond what this site can ever supply",
         "cooling": "the workload's heat is beyond what this site can ever carry away",
         "swing": "the workload's swings are faster and larger than ramp and batteries can ever carry"}


def announcement_of(message: WorkloadAnnouncement) -> Announcement:
    """The announcement in SI; raises 400 INVALID_WORKLOAD_PROFILE with every contradiction in it."""
    wrong = list(_contradictions(message))
    if wrong:
        raise invalid(wrong, "INVALID_WORKLOAD_PROFILE")
    power, heat, may, when = (message.power_profile, message.thermal_profile, message.flexibility,
                              message.timing_constraints)
    return Announcement(
        workload_id=message.workload_id,
        kind=message.workload_type,
        peak_w=_peak_mw(message) * W_PER_MW,
        baseline_w=power.baseline_power_mw * W_PER_MW,
        ramp_w_per_s=power.ramp_rate_mw_per_sec * W_PER_MW,
        duration_s=power.duration_estimate_sec,
        heat_w=_watts(heat.heat_generation_mw),
        preferred_temperature_c=heat.preferred_coolant_temp_c,
        critical_temperature_c=heat.critical_temp_c,
        can_throttle=bool(may.can_throttle),
        can_migrate=bool(may.can_migrate),
        delay_tolerance_s=_delay_s(message),
        priority=when.priority or "normal",
        earliest_start_utc_s=when.earliest_start,
        deadline_utc_s=when.deadline,
        minimum_w=_watts(may.min_power_mw),
        average_w=_watts(power.average_power_mw),
        schedule=_schedule(message),
        latest_start_utc_s=when.latest_start,
        can_pause=bool(may.can_pause),
        max_pause_s=may.max_pause_duration_sec or None,
        dependencies=tuple(message.dependencies),
    )


def order_of(workload_id: str, message: WorkloadOrder, sender: Sender, utc_s: float) -> ControlWorkload:
    """The order; raises 400 for a throttle without a target."""
    asked = message.parameters
    if message.action == "throttle" and asked.target_power_mw is None:
        raise invalid(["parameters.target_power_mw: got nothing: expected a value with action throttle"])
    throttles = message.action == "throttle"
    return ControlWorkload(
        id=sender.id, origin=sender.origin, role=sender.role, issued_utc_s=utc_s, workload_id=workload_id,
        action=message.action, target_w=_watts(asked.target_power_mw) if throttles else None,
        ramp_w_per_s=(asked.ramp_rate_mw_per_sec or 0.0) * W_PER_MW,
        pause_s=(asked.pause_duration_sec or None) if message.action == "pause" else None)


def too_much(found: Impossible) -> RefusalError:
    """409 with what was asked, what there is, and what would fit."""
    return RefusalError(409, _CODES[found.kind], _WHAT[found.kind], details={
        _REQUESTED[found.kind]: round(found.requested_w / W_PER_MW, 6),
        "available_capacity_mw": round(found.available_w / W_PER_MW, 6),
        "suggested_alternatives": [alternative(a) for a in found.alternatives],
    })


def alternative(found: Alternative) -> str:
    """One that would fit, for a person to read; rounded to what still fits."""
    if found.kind == "reduce":
        return f"Reduce workload power to {int(found.value / W_PER_MW * 10) / 10:g} MW"
    if found.kind == "delay":
        return f"Delay start time by {-int(-found.value // 60)} minutes"
    return f"Ramp at no more than {int(found.value / 1e3) / 1e3:g} MW/s"


def _watts(power_mw: float | None) -> float | None:
    return None if power_mw is None else power_mw * W_PER_MW


def _peak_mw(message: WorkloadAnnouncement) -> float:
    """A schedule that goes above the peak says what the peak really is."""
    power = message.power_profile
    return max([power.peak_power_mw, *(s.power_mw for s in power.power_schedule)])


def _schedule(message: WorkloadAnnouncement) -> tuple[PowerStep, ...]:
    """Of more steps than control keeps several are one, at the highest power among them."""
    steps = message.power_profile.power_schedule
    many = -(-len(steps) // SCHEDULE_MAX) or 1
    groups = [steps[i : i + many] for i in range(0, len(steps), many)]
    return tuple([PowerStep(g[0].timestamp, max(s.power_mw for s in g) * W_PER_MW) for g in groups])


def _delay_s(message: WorkloadAnnouncement) -> int:
    """How much later it may start. One that may be delayed and says neither how long nor until when: a day."""
    may, when = message.flexibility, message.timing_constraints
    if not may.can_delay:
        return 0
    if may.max_delay_sec is not None:
        return may.max_delay_sec
    if when.latest_start is not None and when.earliest_start is not None:
        return int(when.latest_start - when.earliest_start)
    return DELAY_MAX_S


def _contradictions(message: WorkloadAnnouncement) -> Iterator[str]:
    yield from _of_power(message)
    yield from _of_time(message)
    yield from _of_heat(message)
    if message.workload_id in message.dependencies:
        yield "dependencies: got the workload itself: expected others"


def _of_power(message: WorkloadAnnouncement) -> Iterator[str]:
    power, least = message.power_profile, message.flexibility.min_power_mw
    peak, low = _peak_mw(message), power.baseline_power_mw
    if low > peak:
        yield f"power_profile.baseline_power_mw: got {low:g}: expected at most the peak ({peak:g})"
    mean = power.average_power_mw
    if mean is not None and not min(low, peak) <= mean <= peak:
        yield f"power_profile.average_power_mw: got {mean:g}: expected {low:g} to {peak:g}, baseline to peak"
    times = [s.timestamp for s in power.power_schedule]
    if any(b <= a for a, b in pairwise(times)):
        yield "power_profile.power_schedule: got times out of order: expected each after the one before"
    if least is not None and least > peak:
        yield f"flexibility.min_power_mw: got {least:g}: expected at most the peak ({peak:g})"


def _of_time(message: WorkloadAnnouncement) -> Iterator[str]:
    when = message.timing_constraints
    start = when.earliest_start
    if start is not None and when.latest_start is not None and when.latest_start < start:
        yield "timing_constraints.latest_start: got a time before earliest_start: expected it or later"
    if when.deadline is not None and start is not None and when.deadline <= start:
        yield "timing_constraints.deadline: got a time not after earliest_start: expected a later one"
    if when.deadline is not None and when.latest_start is not None and when.deadline <= when.latest_start:
        yield "timing_constraints.deadline: got a time not after latest_start: expected a later one"


def _of_heat(message: WorkloadAnnouncement) -> Iterator[str]:
    heat = message.thermal_profile
    parts = {name: value for name, value in heat.heat_distribution if value is not None}
    for name, value in parts.items():
        if value > _PERCENT:
            yield f"thermal_profile.heat_distribution.{name}: got {value:g}: expected at most 100"
    if sum(parts.values()) > _PERCENT + 1:
        yield f"thermal_profile.heat_distribution: got {sum(parts.values()):g} together: expected at most 100"
    limits = {"preferred_coolant_temp_c": heat.preferred_coolant_temp_c, "max_silicon_temp_c": heat.max_silicon_temp_c}
    for name, value in limits.items():
        if value is not None and heat.critical_temp_c is not None and value > heat.critical_temp_c:
            yield f"thermal_profile.{name}: got {value:g}: expected at most critical_temp_c ({heat.critical_temp_c:g})"
