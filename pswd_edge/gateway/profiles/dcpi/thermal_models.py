"""What DCPI clients ask of cooling, and what it says about it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pswd_edge.gateway.message import Answer, Message, Percent, Power, Time
from pswd_edge.gateway.profiles.dcpi.fields import Id

Parameter = Literal["flow_rate", "inlet_temperature", "supply_temperature", "condensation_temperature",
                    "demand_limit", "enable"]
Unit = Literal["lpm", "m3h", "celsius", "percent", "boolean"]
_Value = Annotated[float, Field(ge=-1e9, le=1e9)]
_Rate = Annotated[float, Field(ge=0, le=1e9)]


class CoolingSystem(Answer):
    """One CDU or chiller; `reasons`, beyond the contract, says why it is not operational."""

    system_id: str
    type: Literal["single_phase", "two_phase", "chiller"]
    status: Literal["operational", "degraded", "fault", "offline"]
    inlet_temp_c: float | None = None
    outlet_temp_c: float | None = None
    flow_rate_lpm: float | None = None
    pressure_bar: float | None = None
    heat_load_mw: float | None = None
    efficiency_percent: Percent | None = None
    phase_change_detected: bool | None = None
    vapor_quality_percent: Percent | None = None
    condensation_temp_c: float | None = None
    heat_recovery_mw: float | None = None
    reasons: list[str] | None = None


class HeatRecovery(Answer):
    """Toward the heat network."""

    municipal_interface_active: bool | None = None
    heat_delivered_mw: float | None = None
    supply_temp_c: float | None = None
    return_temp_c: float | None = None
    municipal_demand_mw: float | None = None


class ThermalStatus(Answer):
    """Every cooling system, and heat recovery where there is any."""

    facility_id: str
    measurement_timestamp: Time
    cooling_systems: list[CoolingSystem]
    heat_recovery: HeatRecovery | None = None


class ThermalCommand(Message):
    """One set-point of a system. `tolerance`, in the same unit, is how near the measured value counts as reached."""

    parameter: Parameter
    target_value: _Value
    unit: Unit | None = None
    ramp_rate_per_sec: _Rate | None = None
    tolerance: _Rate | None = None


class Coordination(Message):
    """Cooling that goes ahead of a workload's heat."""

    prepare_for_workload: Id | None = None
    estimated_heat_load_mw: Power | None = None
    preparation_time_sec: Annotated[float, Field(gt=0, le=86_400)] | None = None

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if self.prepare_for_workload is None and self.estimated_heat_load_mw is None:
            raise ValueError("prepare_for_workload or estimated_heat_load_mw")
        return self


class ThermalControl(Message):
    """POST /thermal/control."""

    system_id: Id
    commands: Annotated[list[ThermalCommand], Field(max_length=16)] = Field(default_factory=list)
    coordination: Coordination | None = None

    @model_validator(mode="after")
    def _something_once(self) -> Self:
        if not self.commands and self.coordination is None:
            raise ValueError("at least one of commands, or a coordination")
        names = [c.parameter for c in self.commands]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"each parameter once; twice there are {', '.join(twice)}")
        return self


class CommandResult(Answer):
    """How far one set-point is. `applied_value` is what was granted; `current_value` what is measured."""

    parameter: Parameter
    status: Literal["executed", "pending", "failed"]
    unit: Unit
    applied_value: float | None = None
    current_value: float | None = None
    within_tolerance: bool | None = None
    limit: str | None = None
    message: str | None = None
    eta_sec: float | None = None
    expires_at: Time | None = None


class Preparation(Answer):
    """What a system is being made ready for, when it will be, and until when it is kept so."""

    status: Literal["executed", "failed"]
    prepared_heat_load_mw: float | None = None
    limit: str | None = None
    message: str | None = None
    eta_sec: float | None = None
    expires_at: Time | None = None


class ThermalControlAnswer(Answer):
    """The answer to all commands of a request; `status` is failed where all are, pending where one still is."""

    command_id: str
    system_id: str
    status: Literal["executed", "pending", "failed"]
    commands: list[CommandResult]
    coordination: Preparation | None = None
    timestamp: Time


class SensorQuery(Message):
    """GET /thermal/sensors."""

    system_id: Id | None = None
    sensor_type: Literal["temperature", "flow", "flow_rate", "pressure", "vapor_quality", "pump_speed"] | None = None
    resolution_sec: Annotated[int, Field(ge=1, le=60)] = 1


class Sensor(Answer):
    """One sensor; what is stale or in fault has no value."""

    sensor_id: str
    system_id: str
    type: Literal["temperature", "flow_rate", "pressure", "vapor_quality", "pump_speed"]
    location: str
    value: float | None = None
    unit: Literal["celsius", "lpm", "bar", "percent"]
    accuracy: float | None = None
    timestamp: Time | None = None
    status: Literal["normal", "warning", "fault", "stale"]


class Sensors(Answer):
    """All that were asked for."""

    sensors: list[Sensor]
