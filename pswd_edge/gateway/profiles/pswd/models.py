"""What PSWD clients send, with the contract's names, enumerations and bounds."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pswd_edge.gateway.message import Message, Moment, Power, SignedPower
from pswd_edge.gateway.profiles.pswd.fields import Seconds, Temperature, WorkloadId


class WorkloadPath(Message):
    """The path parameter of the workload operations."""

    workload_id: WorkloadId


class BatteryControl(Message):
    """POST /battery/control. `target_power_mw`: discharge positive."""

    command_type: Literal["charge", "discharge", "standby", "load_smooth"]
    timestamp: Moment
    target_power_mw: SignedPower | None = None
    duration_sec: Seconds | None = None
    ramp_rate_mw_per_sec: Power | None = None


class PowerProfile(Message):
    """What an announced workload draws."""

    peak_power_mw: Power
    baseline_power_mw: Power
    ramp_rate_mw_per_sec: Power
    duration_estimate_sec: Seconds | None = None
    temporal_resolution_ms: Annotated[int, Field(ge=100, le=10**9)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.baseline_power_mw > self.peak_power_mw:
            raise ValueError(f"baseline_power_mw at most peak_power_mw ({self.peak_power_mw:g})")
        return self


class ThermalProfile(Message):
    """The heat that comes with it."""

    heat_generation_kw: Power | None = None
    preferred_operating_temp_c: Temperature | None = None
    critical_temp_threshold_c: Temperature | None = None


class Flexibility(Message):
    """What it lets us do."""

    throttling_capability: bool | None = None
    delay_tolerance_sec: Seconds | None = None
    migration_capable: bool | None = None
    priority_level: Literal["critical", "high", "normal", "low"] | None = None


class Timing(Message):
    """When it has to run."""

    earliest_start_time: Moment | None = None
    latest_completion_time: Moment | None = None
    deadline: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        ends = [end for end in (self.deadline, self.latest_completion_time) if end is not None]
        if self.earliest_start_time is not None and min(ends, default=self.earliest_start_time + 1) \
                <= self.earliest_start_time:
            raise ValueError("deadline and latest_completion_time after earliest_start_time")
        return self


class WorkloadAnnouncement(Message):
    """POST /workload/announce."""

    PSWD_version: Literal["1.0"]
    message_type: Literal["workload_announcement"]
    timestamp: Moment
    workload_id: WorkloadId
    workload_type: Literal["ai_training", "ai_inference", "hpc", "traditional_compute"]
    power_profile: PowerProfile
    thermal_profile: ThermalProfile = ThermalProfile()
    flexibility_parameters: Flexibility = Flexibility()
    timing_constraints: Timing = Timing()


class WorkloadControl(Message):
    """POST /workload/{workload_id}/control."""

    command_type: Literal["throttle", "pause", "resume", "terminate", "migrate"]
    timestamp: Moment
    target_power_mw: Power | None = None
    ramp_rate_mw_per_sec: Power | None = None
    pause_duration_sec: Seconds | None = None
    migration_target: Annotated[str, Field(max_length=256)] | None = None
