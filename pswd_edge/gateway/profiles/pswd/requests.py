"""PSWD messages as requests to control: MW to W, the contract's words to ours. Pure."""

from pswd_edge.gateway.profiles.pswd.models import BatteryControl, WorkloadAnnouncement, WorkloadControl
from pswd_edge.gateway.projection import W_PER_KW, W_PER_MW
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.sender import Sender
from pswd_edge.gateway.services.dispatch import HOLD_DEFAULT_S, HOLD_MAX_S
from pswd_edge.gateway.validation import invalid
from pswd_edge.model.command import AHEAD_S, OLDEST_S, Announce, ControlWorkload, SetBatteryTarget
from pswd_edge.model.workload import Announcement


def require_fresh(timestamp_utc_s: float, now_utc_s: float) -> None:
    """Raise 400 STALE_TIMESTAMP where a command was written too long ago, or in the future."""
    age_s = now_utc_s - timestamp_utc_s
    if age_s > OLDEST_S or age_s < -AHEAD_S:
        found = f"{age_s:.1f} s old" if age_s > 0 else f"{-age_s:.1f} s ahead"
        raise RefusalError(400, "STALE_TIMESTAMP", f"timestamp: got {found}: expected at most {OLDEST_S:.0f} s "
                           f"old and {AHEAD_S:.0f} s ahead; set the clock, and send the command again")


def battery_request(message: BatteryControl, sender: Sender) -> SetBatteryTarget:
    """The target of the batteries together; raises 400 where power and command contradict each other."""
    power_w = _battery_power_w(message)
    duration_s = min(message.duration_sec or HOLD_DEFAULT_S, HOLD_MAX_S)
    return SetBatteryTarget(
        id=sender.id, origin=sender.origin, role=sender.role, issued_utc_s=message.timestamp,
        ttl_s=0.0 if power_w is None else float(duration_s), power_w=power_w,
        ramp_w_per_s=(message.ramp_rate_mw_per_sec or 0.0) * W_PER_MW,
    )


def _battery_power_w(message: BatteryControl) -> float | None:
    """Discharge positive; a charge may be given with either sign, since its command already says the direction."""
    target_mw, command = message.target_power_mw, message.command_type
    if command in ("standby", "load_smooth"):
        if target_mw:
            raise invalid([f"target_power_mw: got {target_mw:g}: expected none or 0 with command_type {command}"])
        return 0.0 if command == "standby" else None
    if target_mw is None:
        raise invalid([f"target_power_mw: got nothing: expected a value with command_type {command}"])
    if command == "discharge" and target_mw < 0:
        raise invalid([f"target_power_mw: got {target_mw:g}: expected 0 or more with command_type discharge"])
    return W_PER_MW * (target_mw if command == "discharge" else -abs(target_mw))


def announce_request(message: WorkloadAnnouncement, sender: Sender) -> Announce:
    """The announcement in SI."""
    power, heat, may, when = (message.power_profile, message.thermal_profile, message.flexibility_parameters,
                              message.timing_constraints)
    return Announce(
        id=sender.id, origin=sender.origin, role=sender.role, issued_utc_s=message.timestamp,
        workload=Announcement(
            workload_id=message.workload_id,
            kind=message.workload_type,
            peak_w=power.peak_power_mw * W_PER_MW,
            baseline_w=power.baseline_power_mw * W_PER_MW,
            ramp_w_per_s=power.ramp_rate_mw_per_sec * W_PER_MW,
            duration_s=power.duration_estimate_sec,
            heat_w=None if heat.heat_generation_kw is None else heat.heat_generation_kw * W_PER_KW,
            preferred_temperature_c=heat.preferred_operating_temp_c,
            critical_temperature_c=heat.critical_temp_threshold_c,
            can_throttle=bool(may.throttling_capability),
            can_migrate=bool(may.migration_capable),
            delay_tolerance_s=may.delay_tolerance_sec or 0,
            priority=may.priority_level or "normal",
            earliest_start_utc_s=when.earliest_start_time,
            latest_completion_utc_s=when.latest_completion_time,
            deadline_utc_s=when.deadline,
        ),
    )


def workload_request(workload_id: str, message: WorkloadControl, sender: Sender) -> ControlWorkload:
    """The command to a workload; raises 400 for a throttle without a target."""
    target_w = None
    if message.command_type == "throttle":
        if message.target_power_mw is None:
            raise invalid(["target_power_mw: got nothing: expected a value with command_type throttle"])
        target_w = message.target_power_mw * W_PER_MW
    return ControlWorkload(
        id=sender.id, origin=sender.origin, role=sender.role, issued_utc_s=message.timestamp,
        workload_id=workload_id, action=message.command_type,
        target_w=target_w,
        ramp_w_per_s=(message.ramp_rate_mw_per_sec or 0.0) * W_PER_MW,
        migration_target=(message.migration_target or "") if message.command_type == "migrate" else "",
        pause_s=(message.pause_duration_sec or None) if message.command_type == "pause" else None,  # 0: no maximum
    )
