"""What PSWD says about cooling."""

from typing import Literal

from pswd_edge.gateway.profiles.pswd.answer_fields import Answer, Percent, Time


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
    phase_change_efficiency_percent: float | None = None
    timestamp: Time
