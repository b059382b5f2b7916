"""What PSWD clients ask of cooling, and what it says about it."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Moment, Percent, Progress, Time
from pswd_edge.gateway.profiles.pswd.fields import Temperature

Flow = Annotated[float, Field(ge=0, le=1e9)]


class ThermalStatus(Answer):
    """All cooling as one; heat recovery through the exchangers to the heat network."""

    cooling_system_type: Literal["air", "single_phase_liquid", "two_phase_liquid", "hybrid"] | None = None
    current_load_percent: Percent | None = None
    inlet_temperature_c: float | None = None
    outlet_temperature_c: float | None = None
    flow_rate_l_per_min: float | None = None
    pressure_bar: float | None = None
    heat_recovery_active: bool | None = None
    municipal_heat_delivery_kw: float | None = None
    phase_change_efficiency_percent: Percent | None = None
    timestamp: Time


class ThermalControl(Message):
    """POST /thermal/control. The ramp counts for temperatures."""

    command_type: Literal["set_temperature", "adjust_flow", "enable_heat_recovery", "phase_optimization"]
    timestamp: Moment
    target_temperature_c: Temperature | None = None
    target_flow_rate_l_per_min: Flow | None = None
    heat_recovery_enabled: bool | None = None
    ramp_rate_c_per_sec: Annotated[float, Field(ge=0, le=1000)] | None = None


class HeldSetPoint(Answer):
    """One set-point that a command holds, and how far its device is."""

    set_point: str
    status: Progress
    value: float | None = None
    limit: str | None = None
    message: str | None = None


class HoldAnswer(Answer):
    """Beyond the contract: what bound a command that holds set-points, when it is there, and until when it holds."""

    limit: str | None = None
    message: str | None = None
    eta_sec: float | None = None
    expires_at: Time | None = None
    timestamp: Time
    set_points: list[HeldSetPoint]


class ThermalCommandAnswer(HoldAnswer):
    """How far a command to cooling is, with the temperature and flow that go to the load now."""

    command_id: str
    status: Progress
    current_temperature_c: float | None = None
    flow_rate_l_per_min: float | None = None
