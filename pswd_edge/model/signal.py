"""The standard words of each device kind: what its devices measure and may be told.

Sign: power is positive when it flows to the load, grid import is positive, and a
battery's power and set-point are positive when it discharges.
"""

from typing import NamedTuple


class Signal(NamedTuple):
    """SI unit of a signal; `writable` where a device may be told; `array` for numbered members (`outlet_state[3]`)."""

    unit: str
    writable: bool = False
    array: bool = False


_METER = {
    "active_power_w": Signal("W"), "reactive_power_var": Signal("var"), "apparent_power_va": Signal("VA"),
    "power_factor": Signal("1"), "frequency_hz": Signal("Hz"),
    "voltage_l1_v": Signal("V"), "voltage_l2_v": Signal("V"), "voltage_l3_v": Signal("V"),
    "current_l1_a": Signal("A"), "current_l2_a": Signal("A"), "current_l3_a": Signal("A"),
    "thd_percent": Signal("%"), "energy_import_wh": Signal("Wh"), "energy_export_wh": Signal("Wh"),
}
_BATTERY = {
    "soc_percent": Signal("%"), "soh_percent": Signal("%"), "power_w": Signal("W"),
    "dc_voltage_v": Signal("V"), "dc_current_a": Signal("A"), "temperature_c": Signal("degC"),
    "cell_voltage_min_v": Signal("V"), "cell_voltage_max_v": Signal("V"),
    "cell_voltages_v": Signal("V", array=True), "cell_temperatures_c": Signal("degC", array=True),
    "charge_limit_w": Signal("W"), "discharge_limit_w": Signal("W"),
    "state": Signal("1"), "alarms": Signal("1"),
    "power_setpoint_w": Signal("W", writable=True), "enable": Signal("1", writable=True),
    "heartbeat": Signal("1", writable=True), "revert_timeout_s": Signal("s", writable=True),
}
_CDU = {
    "supply_temperature_c": Signal("degC"), "return_temperature_c": Signal("degC"), "flow_lpm": Signal("L/min"),
    "pressure_bar": Signal("bar"), "heat_w": Signal("W"), "pump_speed_percent": Signal("%"), "leak": Signal("1"),
    "vapor_quality_percent": Signal("%"), "condensation_temperature_c": Signal("degC"), "state": Signal("1"),
    "supply_temperature_setpoint_c": Signal("degC", writable=True),
    "flow_setpoint_lpm": Signal("L/min", writable=True),
    "condensation_temperature_setpoint_c": Signal("degC", writable=True),
}
_CHILLER = {
    "leaving_temperature_c": Signal("degC"), "entering_temperature_c": Signal("degC"),
    "capacity_percent": Signal("%"), "active_power_w": Signal("W"), "state": Signal("1"),
    "leaving_temperature_setpoint_c": Signal("degC", writable=True),
    "demand_limit_percent": Signal("%", writable=True), "enable": Signal("1", writable=True),
}
_POWER_STRIP = {
    "active_power_w": Signal("W"), "outlet_state": Signal("1", array=True),
    "battery_charge_percent": Signal("%"), "runtime_s": Signal("s"), "output_source": Signal("1"),
    "outlet_command": Signal("1", writable=True, array=True),
}
_LOAD_CONTROLLER = {
    "active_power_w": Signal("W"), "temperature_c": Signal("degC"), "progress_percent": Signal("%"),
    "state": Signal("1"),
    "power_cap_w": Signal("W", writable=True), "run_command": Signal("1", writable=True),
}
_HEAT_EXCHANGER = {
    "heat_w": Signal("W"), "supply_temperature_c": Signal("degC"), "return_temperature_c": Signal("degC"),
    "flow_lpm": Signal("L/min"),
    "supply_temperature_setpoint_c": Signal("degC", writable=True),
    "flow_setpoint_lpm": Signal("L/min", writable=True), "enable": Signal("1", writable=True),
}

SIGNALS: dict[str, dict[str, Signal]] = {
    "meter": _METER, "battery": _BATTERY, "cdu": _CDU, "chiller": _CHILLER,
    "pdu": _POWER_STRIP, "ups": _POWER_STRIP,
    "load_controller": _LOAD_CONTROLLER, "heat_exchanger": _HEAT_EXCHANGER,
}


def find_signal(kind: str, name: str) -> Signal | None:
    """The signal that `name` means on a device of `kind`, or None; `outlet_state[3]` finds `outlet_state`."""
    base, bracket, member = name.partition("[")
    signal = SIGNALS.get(kind, {}).get(base)
    if signal is None or bool(bracket) != signal.array:
        return None
    if bracket and not (member.endswith("]") and member[:-1].isdigit()):
        return None
    return signal
