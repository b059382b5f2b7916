"""What PSWD says about workloads."""

from typing import Literal

from pswd_edge.gateway.message import Answer, Percent, Progress, Time
from pswd_edge.gateway.profiles.pswd.answer_fields import CommandAnswer, NotNegative


class Capacity(Answer):
    """What the site could take on top of all that it has promised."""

    available_power_mw: NotNegative | None = None
    cooling_capacity_kw: NotNegative | None = None
    battery_storage_available: bool | None = None


class ThermalCoordination(Answer):
    """How the workload would be cooled, and whether its heat can be used."""

    cooling_system_type: Literal["air", "single_phase_liquid", "two_phase_liquid"] | None = None
    heat_recovery_available: bool | None = None
    municipal_heat_integration: bool | None = None


class GridBrief(Answer):
    """The grid at the time of the answer."""

    carbon_intensity_g_co2_kwh: NotNegative | None = None
    renewable_energy_available: bool | None = None
    demand_response_required: bool | None = None


class InfrastructureResponse(Answer):
    """The verdict on an announcement, and what stands behind it."""

    PSWD_version: Literal["1.0"]
    message_type: Literal["infrastructure_response"]
    timestamp: Time
    workload_id: str
    approval_status: Literal["approved", "approved_with_conditions", "rejected"]
    approved_power_mw: NotNegative | None = None
    infrastructure_capacity: Capacity | None = None
    thermal_coordination: ThermalCoordination | None = None
    grid_status: GridBrief | None = None
    conditions: list[str] | None = None


class WorkloadCommandAnswer(CommandAnswer):
    """How far a workload's command is."""

    workload_id: str
    command_status: Progress
    current_power_mw: float | None = None


class WorkloadStatus(Answer):
    """A workload, and what its racks measure."""

    workload_id: str
    current_status: Literal["running", "paused", "throttled", "terminated", "migrating"]
    current_power_mw: float | None = None
    peak_power_mw: float | None = None
    average_power_mw: float | None = None
    current_temperature_c: float | None = None
    progress_percent: Percent | None = None
    estimated_completion_time: Time | None = None
    message: str | None = None
    timestamp: Time
