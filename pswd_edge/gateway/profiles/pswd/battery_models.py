"""What PSWD says about batteries."""

from typing import Literal

from pswd_edge.gateway.message import Answer, Percent, Progress, Time
from pswd_edge.gateway.profiles.pswd.answer_fields import CommandAnswer

Status = Literal["charging", "discharging", "standby", "maintenance", "fault"]


class BatteryPart(Answer):
    """One battery of several."""

    battery_id: str
    current_charge_level_percent: Percent | None = None
    current_power_mw: float | None = None
    operating_status: Status | None = None
    temperature_c: float | None = None


class BatteryStatus(Answer):
    """The batteries as one system; power positive when they discharge. `batteries` lists each of several."""

    battery_id: str
    current_charge_level_percent: Percent | None = None
    current_power_mw: float | None = None
    max_charge_rate_mw: float | None = None
    max_discharge_rate_mw: float | None = None
    estimated_runtime_hours: float | None = None
    operating_status: Status | None = None
    temperature_c: float | None = None
    batteries: list[BatteryPart] | None = None
    timestamp: Time


class BatteryCommandAnswer(CommandAnswer):
    """How far a battery command is."""

    command_id: str
    status: Progress
    current_charge_level_percent: Percent | None = None
    power_output_mw: float | None = None
