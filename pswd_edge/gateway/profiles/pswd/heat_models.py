"""What PSWD clients ask of heat delivery, and what it says about it."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Moment, Progress, Time
from pswd_edge.gateway.profiles.pswd.answer_fields import ToTen
from pswd_edge.gateway.profiles.pswd.thermal_models import Flow, HoldAnswer


class MunicipalHeatStatus(Answer):
    """Heat delivery to the heat network; `currency`, beyond the contract, is that of the revenue."""

    municipal_network_id: str | None = None
    heat_delivery_active: bool
    current_heat_output_kw: float | None = None
    supply_temperature_c: float | None = None
    return_temperature_c: float | None = None
    flow_rate_l_per_min: float | None = None
    heat_quality_index: ToTen | None = None
    revenue_per_hour: float | None = None
    currency: str | None = None
    timestamp: Time


class MunicipalHeatControl(Message):
    """POST /municipal/heat/control."""

    command_type: Literal["enable_delivery", "disable_delivery", "adjust_temperature", "adjust_flow"]
    timestamp: Moment
    target_temperature_c: Annotated[float, Field(ge=70, le=90)] | None = None
    target_flow_rate_l_per_min: Flow | None = None
    priority_level: Literal["emergency", "high", "normal", "low"] | None = None


class MunicipalHeatCommandAnswer(HoldAnswer):
    """How far a command to heat delivery is, and what flows now."""

    control_id: str
    status: Progress
    delivery_status: Literal["active", "standby", "offline"] | None = None
    heat_output_kw: float | None = None
    supply_temperature_c: float | None = None
