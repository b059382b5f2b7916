"""The services' views of cooling in DCPI's words and units. Pure. What is not known is left out."""

from collections.abc import Sequence
from typing import Any

from pswd_edge.gateway.profiles.dcpi.thermal_requests import Asked
from pswd_edge.gateway.projection import moment, mw, percent, present, scaled
from pswd_edge.gateway.services.cooling import Moved, Prepared
from pswd_edge.gateway.services.cooling_systems import CoolingSystem
from pswd_edge.gateway.services.heat import HeatView
from pswd_edge.gateway.services.sensors import Sensor

_UNITS = {"temperature": "celsius", "flow_rate": "lpm", "pressure": "bar", "vapor_quality": "percent",
          "pump_speed": "percent"}
_LOCATIONS = {
    "supply_temperature_c": "coolant_inlet", "return_temperature_c": "coolant_outlet",
    "leaving_temperature_c": "coolant_inlet", "entering_temperature_c": "coolant_outlet",
    "flow_lpm": "main_circulation", "pressure_bar": "coolant_supply", "vapor_quality_percent": "coolant_outlet",
    "condensation_temperature_c": "condenser", "pump_speed_percent": "main_pump", "temperature_c": "rack",
}
_HEAT_LOCATIONS = {"supply_temperature_c": "heat_network_supply", "return_temperature_c": "heat_network_return",
                   "flow_lpm": "heat_network_circulation"}


def system(view: CoolingSystem, recovered_w: float | None) -> dict[str, Any]:
    """One cooling system; `recovered_w` where what it recovers is known."""
    two_phase = view.kind == "two_phase"
    vapor = view.vapor_percent if two_phase else None
    return present({
        "system_id": view.id, "type": view.kind, "status": view.status,
        "inlet_temp_c": scaled(view.supply_c, 1, 3), "outlet_temp_c": scaled(view.return_c, 1, 3),
        "flow_rate_lpm": scaled(view.flow_lpm, 1, 3), "pressure_bar": scaled(view.pressure_bar, 1, 4),
        "heat_load_mw": mw(view.heat_w), "efficiency_percent": percent(view.efficiency_percent),
        "phase_change_detected": None if vapor is None else vapor > 0,
        "vapor_quality_percent": percent(vapor),
        "condensation_temp_c": scaled(view.condensation_c, 1, 3) if two_phase else None,
        "heat_recovery_mw": mw(recovered_w), "reasons": list(view.reasons) or None,
    })


def recovery(view: HeatView) -> dict[str, Any]:
    """Heat recovery toward the heat network; its demand while it says it."""
    return present({
        "municipal_interface_active": view.connection == "active", "heat_delivered_mw": mw(view.heat_w),
        "supply_temp_c": scaled(view.supply_c, 1, 3), "return_temp_c": scaled(view.return_c, 1, 3),
        "municipal_demand_mw": mw(view.demand.current_request_w),
    })


def sensor(view: Sensor, kind: str) -> dict[str, Any]:
    """One sensor; `kind` of its device."""
    signal = view.point.signal
    own = _HEAT_LOCATIONS if kind == "heat_exchanger" else _LOCATIONS
    return present({
        "sensor_id": view.point.id, "system_id": view.device, "type": view.kind,
        "location": own.get(signal) or signal or view.point.id.rpartition(".")[2],
        "value": scaled(view.value, 1, 4), "unit": _UNITS[view.kind], "accuracy": scaled(view.accuracy, 1, 6),
        "timestamp": moment(view.utc_s), "status": view.status,
    })


def result(asked: Asked, moved: Moved, measured: float | None) -> dict[str, Any]:
    """How far a command is, in its own unit; `measured` in ours."""
    tolerance, value = asked.command.tolerance, moved.value
    near = None
    if tolerance is not None and measured is not None and value is not None:
        near = abs(measured - value) <= tolerance * asked.factor
    return present({
        "parameter": asked.command.parameter, "status": moved.progress, "unit": asked.unit,
        "applied_value": scaled(value, 1 / asked.factor, 4), "current_value": scaled(measured, 1 / asked.factor, 4),
        "within_tolerance": near, "limit": moved.limit or None, "message": moved.message or None,
        "eta_sec": scaled(moved.eta_s, 1, 1), "expires_at": moment(moved.expires_utc_s),
    })


def preparation(made: Prepared) -> dict[str, Any]:
    """What a system is being made ready for."""
    return present({
        "status": "executed", "prepared_heat_load_mw": mw(made.heat_w), "limit": made.limit or None,
        "message": made.message or None, "eta_sec": scaled(made.eta_s, 1, 1), "expires_at": moment(made.expires_utc_s),
    })


def results(asked: Sequence[Asked], moved: Sequence[Moved], measured: Sequence[float | None]) -> list[dict[str, Any]]:
    """Those of all commands, in their order."""
    return [result(a, m, v) for a, m, v in zip(asked, moved, measured, strict=True)]
