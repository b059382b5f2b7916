"""What DCPI clients say and are told about workloads, with the contract's names and bounds."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Moment, Power, Time
from pswd_edge.gateway.profiles.dcpi.fields import Id

_Seconds = Annotated[int, Field(ge=0, le=10**9)]
_Degrees = Annotated[float, Field(ge=-273.15, le=1000)]
_Percent = Annotated[float, Field(ge=0)]      # over 100 is a contradiction, named with all the others
_Text = Annotated[str, Field(max_length=200)]
_Count = Annotated[float, Field(ge=0, le=1e12)]
STEPS_MAX = 288               # a day of five minutes

Status = Literal["pending_approval", "approved", "approved_with_conditions", "rejected", "throttled", "paused",
                 "migrating", "terminated", "expired"]


class WorkloadPath(Message):
    """The path parameter of the operations on one workload."""

    workload_id: Id


class ScheduledPower(Message):
    """From `timestamp` on about so much."""

    timestamp: Moment
    power_mw: Power
    phase: _Text | None = None


class PowerProfile(Message):
    """What the workload draws. A schedule may go above the peak: its highest power is the peak then."""

    peak_power_mw: Power
    baseline_power_mw: Power
    average_power_mw: Power | None = None
    ramp_rate_mw_per_sec: Power
    duration_estimate_sec: _Seconds | None = None
    power_schedule: Annotated[list[ScheduledPower], Field(max_length=STEPS_MAX, default_factory=list)]


class HeatDistribution(Message):
    """Which chips make the heat."""

    gpu_percent: _Percent | None = None
    cpu_percent: _Percent | None = None
    memory_percent: _Percent | None = None


class ThermalProfile(Message):
    """The heat that comes with it."""

    heat_generation_mw: Power | None = None
    preferred_coolant_temp_c: _Degrees | None = None
    max_silicon_temp_c: _Degrees | None = None
    critical_temp_c: _Degrees | None = None
    heat_distribution: HeatDistribution = HeatDistribution()


class Flexibility(Message):
    """What it lets us do."""

    can_delay: bool | None = None
    max_delay_sec: _Seconds | None = None
    can_throttle: bool | None = None
    min_power_mw: Power | None = None
    can_pause: bool | None = None
    max_pause_duration_sec: _Seconds | None = None
    can_migrate: bool | None = None


class Timing(Message):
    """When it has to be done, and how much it matters."""

    priority: Literal["critical", "high", "normal", "low"] | None = None
    deadline: Moment | None = None
    earliest_start: Moment | None = None
    latest_start: Moment | None = None
    business_criticality: _Text | None = None
    preemption_allowed: bool | None = None


class Classification(Message):
    """What kind of job it is: kept, and not judged by."""

    category: _Text | None = None
    subcategory: _Text | None = None
    model_size: _Text | None = None


class Resources(Message):
    """What it needs beside power: kept, and not judged by."""

    compute_nodes: _Count | None = None
    gpu_count: _Count | None = None
    memory_gb: _Count | None = None
    storage_tb: _Count | None = None


class WorkloadAnnouncement(Message):
    """POST /workloads/announce."""

    REFUSED_AS: ClassVar[dict[str, str]] = dict.fromkeys(
        ("power_profile", "thermal_profile", "flexibility", "timing_constraints"), "INVALID_WORKLOAD_PROFILE")

    workload_id: Id
    workload_type: Annotated[str, Field(min_length=1, max_length=64)]
    power_profile: PowerProfile
    classification: Classification = Classification()
    thermal_profile: ThermalProfile = ThermalProfile()
    flexibility: Flexibility = Flexibility()
    timing_constraints: Timing = Timing()
    dependencies: Annotated[list[Id], Field(max_length=8, default_factory=list)]
    resource_requirements: Resources = Resources()


class OrderParameters(Message):
    """What an order needs: a throttle its target; a pause may have an end."""

    target_power_mw: Power | None = None
    ramp_rate_mw_per_sec: Power | None = None
    pause_duration_sec: _Seconds | None = None
    reason: _Text | None = None


class WorkloadOrder(Message):
    """PUT /workloads/{workload_id}/control."""

    action: Literal["throttle", "pause", "resume", "terminate"]
    parameters: OrderParameters = OrderParameters()


# --- answers ----------------------------------------------------------------------------------------------------------


class AnnouncementReceipt(Answer):
    """The announcement is kept; its status tells how it is judged."""

    workload_id: str
    status: Literal["pending_approval"]
    request_id: str
    estimated_response_time_sec: float
    message: str


class Conditions(Answer):
    """What the approval is limited to."""

    start_time: Time | None = None
    max_power_mw: float | None = None
    duration_limit_sec: float | None = None


class Allocation(Answer):
    """Where it runs. Several loops or circuits are joined by +."""

    cooling_loop: str | None = None
    power_circuit: str | None = None
    thermal_capacity_mw: float | None = None


class GridBrief(Answer):
    """The grid at the time of the answer."""

    green_energy_available: bool | None = None
    carbon_intensity_g_co2_kwh: float | None = None
    grid_stability: Literal["normal", "alert", "emergency"] | None = None


class WorkloadStatus(Answer):
    """How a workload was judged, and what became of it. `current_power_mw` and `message` are beyond the contract."""

    workload_id: str
    status: Status
    approval_timestamp: Time | None = None
    conditions: Conditions | None = None
    infrastructure_allocation: Allocation | None = None
    grid_status: GridBrief
    current_power_mw: float | None = None
    message: str | None = None


class OrderAnswer(Answer):
    """How far an order is; the contract is silent about this body."""

    workload_id: str
    status: Status
    action: Literal["throttle", "pause", "resume", "terminate"]
    command_id: str
    command_status: Literal["executed", "pending", "failed"]
    current_power_mw: float | None = None
    granted_power_mw: float | None = None
    limit: str | None = None
    message: str | None = None
    timestamp: Time
