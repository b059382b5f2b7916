"""The cooling side: CDUs, a chiller, a heat exchanger to a heat network. Slow: advanced every 100 ms."""

from collections.abc import Mapping

from simulators.plant.range import check_range, check_switch
from simulators.plant.spec import CduSpec, CoolingSpec

_GLYCOL_J_PER_L_K = 3978.0      # water with 25 % propylene glycol at 35 degC
_WATER_J_PER_L_K = 4060.0       # water at 75 degC
_HEAT_TAU_S = 15.0
_PUMP_TAU_S = 8.0
_SUPPLY_TAU_S = 40.0
_CHILLER_TAU_S = 5.0
_ONE_PUMP = 0.25              # of the most flow: what is left without the main pump
_SHORTFALL_C = 12.0             # rise of all temperatures when the chiller gives nothing
RUNNING = 1.0
ALARM = 2.0
OFF = 0.0


def _follow(value: float, target: float, dt_s: float, tau_s: float) -> float:
    return value + (target - value) * min(1.0, dt_s / tau_s)


class Cdu:
    """Heat, flow and temperatures belong together: heat = flow * cp * (return - supply)."""

    def __init__(self, spec: CduSpec) -> None:
        self.spec = spec
        self.heat_w = 0.0
        self._flow_lpm = self._flow_setpoint_lpm = spec.flow_lpm
        self._supply_c = self._supply_setpoint_c = spec.supply_c
        self.leaking = self.pump_lost = False

    def advance(self, rack_w: float, shortfall: float, dt_s: float) -> None:
        """`rack_w`: rack power of its hall. `shortfall`: the share of the cooling that the chiller cannot give."""
        self.heat_w = _follow(self.heat_w, rack_w * self.spec.heat_share, dt_s, _HEAT_TAU_S)
        most_lpm = self.spec.flow_max_lpm * (_ONE_PUMP if self.pump_lost else 1.0)
        self._flow_lpm = _follow(self._flow_lpm, min(self._flow_setpoint_lpm, most_lpm), dt_s, _PUMP_TAU_S)
        supply_c = self._supply_setpoint_c + _SHORTFALL_C * shortfall
        self._supply_c = _follow(self._supply_c, supply_c, dt_s, _SUPPLY_TAU_S)

    def write(self, signal: str, value: float, time_s: float) -> None:  # noqa: ARG002 - all devices alike
        """Take a set-point; ValueError where it is not writable or out of range."""
        if signal == "supply_temperature_setpoint_c":
            self._supply_setpoint_c = check_range(self.spec.id, signal, value, 15.0, 45.0)
        elif signal == "flow_setpoint_lpm":
            self._flow_setpoint_lpm = check_range(self.spec.id, signal, value, 500.0, self.spec.flow_max_lpm)
        else:
            raise ValueError(f"{self.spec.id}.{signal}: not writable; nothing was written")

    def signals(self) -> Mapping[str, float]:
        """Current values by the standard names; state 1 running, 2 alarm; single-phase coolant, no vapour."""
        speed = self._flow_lpm / self.spec.flow_max_lpm
        rise_c = self.heat_w * 60.0 / (self._flow_lpm * _GLYCOL_J_PER_L_K)
        return {
            "supply_temperature_c": self._supply_c, "return_temperature_c": self._supply_c + rise_c,
            "flow_lpm": self._flow_lpm, "pressure_bar": 0.9 + 2.2 * speed * speed - 0.4 * self.leaking,
            "heat_w": self.heat_w, "pump_speed_percent": 100.0 * speed, "leak": float(self.leaking),
            "vapor_quality_percent": 0.0, "state": ALARM if self.leaking or self.pump_lost else RUNNING,
            "supply_temperature_setpoint_c": self._supply_setpoint_c, "flow_setpoint_lpm": self._flow_setpoint_lpm,
        }


class Chiller:
    """Electric power follows the heat, up to the demand limit; what it cannot give warms everything."""

    def __init__(self, spec: CoolingSpec) -> None:
        self._spec = spec
        self.power_w = 0.0
        self.shortfall = 0.0
        self._leaving_c = self._leaving_setpoint_c = spec.leaving_c
        self._demand_limit_percent = 100.0
        self._enable = 1.0

    def advance(self, needed_w: float, dt_s: float) -> None:
        """`needed_w`: the electric power that would carry all the heat away."""
        allowed_w = self._enable * self._spec.chiller_rating_w * self._demand_limit_percent / 100.0
        self.power_w = _follow(self.power_w, min(needed_w, allowed_w), dt_s, _CHILLER_TAU_S)
        self.shortfall = max(0.0, 1.0 - self.power_w / needed_w) if needed_w > 0.0 else 0.0
        target_c = self._leaving_setpoint_c + _SHORTFALL_C * self.shortfall
        self._leaving_c = _follow(self._leaving_c, target_c, dt_s, _SUPPLY_TAU_S)

    def write(self, signal: str, value: float, time_s: float) -> None:  # noqa: ARG002 - all devices alike
        """Take a set-point; ValueError where it is not writable or out of range."""
        if signal == "leaving_temperature_setpoint_c":
            self._leaving_setpoint_c = check_range("chiller-1", signal, value, 5.0, 25.0)
        elif signal == "demand_limit_percent":
            self._demand_limit_percent = check_range("chiller-1", signal, value, 0.0, 100.0)
        elif signal == "enable":
            self._enable = check_switch("chiller-1", signal, value)
        else:
            raise ValueError(f"chiller-1.{signal}: not writable; nothing was written")

    def signals(self) -> Mapping[str, float]:
        """Current values by the standard names; state 1 running, 0 off."""
        capacity = self.power_w / self._spec.chiller_rating_w
        return {
            "leaving_temperature_c": self._leaving_c, "entering_temperature_c": self._leaving_c + 7.0 * capacity,
            "capacity_percent": 100.0 * capacity, "active_power_w": self.power_w,
            "state": RUNNING if self._enable else OFF, "leaving_temperature_setpoint_c": self._leaving_setpoint_c,
            "demand_limit_percent": self._demand_limit_percent, "enable": self._enable,
        }


class HeatExchanger:
    """Gives part of the CDUs' heat to a heat network, lifted to 70..90 degC by its heat pump."""

    def __init__(self, share: float) -> None:
        self._share = share
        self.heat_w = 0.0
        self._supply_c = self._supply_setpoint_c = 75.0
        self._flow_lpm = self._flow_setpoint_lpm = 1000.0
        self._enable = 1.0

    def advance(self, cdu_heat_w: float, dt_s: float) -> None:
        """`cdu_heat_w`: what the CDUs carry together."""
        most_w = self._flow_lpm / 60.0 * _WATER_J_PER_L_K * 30.0
        self.heat_w = _follow(self.heat_w, self._enable * min(self._share * cdu_heat_w, most_w), dt_s, _HEAT_TAU_S)
        self._flow_lpm = _follow(self._flow_lpm, self._flow_setpoint_lpm, dt_s, _PUMP_TAU_S)
        self._supply_c = _follow(self._supply_c, self._supply_setpoint_c, dt_s, _SUPPLY_TAU_S)

    def write(self, signal: str, value: float, time_s: float) -> None:  # noqa: ARG002 - all devices alike
        """Take a set-point; ValueError where it is not writable or out of range."""
        if signal == "supply_temperature_setpoint_c":
            self._supply_setpoint_c = check_range("hx-1", signal, value, 70.0, 90.0)
        elif signal == "flow_setpoint_lpm":
            self._flow_setpoint_lpm = check_range("hx-1", signal, value, 100.0, 3000.0)
        elif signal == "enable":
            self._enable = check_switch("hx-1", signal, value)
        else:
            raise ValueError(f"hx-1.{signal}: not writable; nothing was written")

    def signals(self) -> Mapping[str, float]:
        """Current values by the standard names."""
        fall_c = self.heat_w * 60.0 / (self._flow_lpm * _WATER_J_PER_L_K)
        return {
            "heat_w": self.heat_w, "supply_temperature_c": self._supply_c,
            "return_temperature_c": self._supply_c - fall_c, "flow_lpm": self._flow_lpm,
            "supply_temperature_setpoint_c": self._supply_setpoint_c,
            "flow_setpoint_lpm": self._flow_setpoint_lpm, "enable": self._enable,
        }
