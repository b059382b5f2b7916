"""What PSWD 1.0 promises of its answers, as a table in our own words, and a checker.

A field is a kind: str, float, int, bool, "time", a tuple of the allowed words, (kind, low, high), a list of one
kind, or a dict of fields. `REQUIRED` names what an answer must have; all else may be absent, and nothing may be null.
"""

import math
import re
from typing import NamedTuple

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PERCENT = (float, 0, 100)
POSITIVE = (float, 0, math.inf)
PROGRESS = ("executed", "pending", "failed")
HEALTH = ("healthy", "degraded", "critical", "offline")
COOLING = ("air", "single_phase_liquid", "two_phase_liquid")

ANSWERS = {
    "login": {"access_token": str, "token_type": str, "expires_in": int, "role": str},
    "power": {"facility_id": str, "measurement_interval_ms": int, "measurements": [{
        "timestamp": "time", "total_power_mw": float,
        "power_quality": {"thd_percent": float, "power_factor": float, "voltage_stability": float},
        "circuit_breakdown": [{"circuit_id": str, "power_mw": float}]}]},
    "battery": {
        "battery_id": str, "current_charge_level_percent": PERCENT, "current_power_mw": float,
        "max_charge_rate_mw": float, "max_discharge_rate_mw": float, "estimated_runtime_hours": float,
        "operating_status": ("charging", "discharging", "standby", "maintenance", "fault"), "temperature_c": float,
        "timestamp": "time"},
    "battery command": {"command_id": str, "status": PROGRESS, "current_charge_level_percent": PERCENT,
                        "power_output_mw": float, "timestamp": "time"},
    "thermal": {
        "cooling_system_type": (*COOLING, "hybrid"), "current_load_percent": PERCENT, "inlet_temperature_c": float,
        "outlet_temperature_c": float, "flow_rate_l_per_min": float, "pressure_bar": float,
        "heat_recovery_active": bool, "municipal_heat_delivery_kw": float, "phase_change_efficiency_percent": float,
        "timestamp": "time"},
    "grid": {
        "grid_operator_id": str, "carbon_intensity_g_co2_kwh": POSITIVE, "renewable_energy_percent": PERCENT,
        "grid_frequency_hz": float, "demand_response_active": bool, "market_price_per_mwh": float,
        "grid_stability_index": (float, 0, 10), "timestamp": "time"},
    "announcement": {
        "PSWD_version": ("1.0",), "message_type": ("infrastructure_response",), "timestamp": "time",
        "workload_id": str, "approval_status": ("approved", "approved_with_conditions", "rejected"),
        "approved_power_mw": POSITIVE,
        "infrastructure_capacity": {"available_power_mw": POSITIVE, "cooling_capacity_kw": POSITIVE,
                                    "battery_storage_available": bool},
        "thermal_coordination": {"cooling_system_type": COOLING, "heat_recovery_available": bool,
                                 "municipal_heat_integration": bool},
        "grid_status": {"carbon_intensity_g_co2_kwh": POSITIVE, "renewable_energy_available": bool,
                        "demand_response_required": bool},
        "conditions": [str]},
    "workload": {
        "workload_id": str, "current_status": ("running", "paused", "throttled", "terminated", "migrating"),
        "current_power_mw": float, "peak_power_mw": float, "average_power_mw": float, "current_temperature_c": float,
        "progress_percent": PERCENT, "estimated_completion_time": "time", "timestamp": "time"},
    "workload command": {"workload_id": str, "command_status": PROGRESS, "current_power_mw": float,
                         "timestamp": "time"},
    "health": {
        "overall_status": HEALTH,
        "component_status": dict.fromkeys((
            "workload_interface", "power_management", "thermal_management", "grid_integration", "battery_systems"),
            HEALTH),
        "performance_metrics": {"average_response_time_ms": float, "uptime_percent": float,
                                "error_rate_percent": float},
        "timestamp": "time"},
    "forecast": {
        "facility_id": str, "forecast_horizon_hours": int, "confidence_level_percent": float, "forecasts": [{
            "timestamp": "time", "predicted_power_mw": float, "confidence_interval_lower": float,
            "confidence_interval_upper": float, "flexibility_upward_mw": float, "flexibility_downward_mw": float}]},
    "thermal command": {"command_id": str, "status": PROGRESS, "current_temperature_c": float,
                        "flow_rate_l_per_min": float, "timestamp": "time"},
    "grid signal": {"signal_id": str, "acknowledgment_status": ("acknowledged", "pending", "rejected"),
                    "grid_operator_response": str, "timestamp": "time"},
    "heat": {
        "municipal_network_id": str, "heat_delivery_active": bool, "current_heat_output_kw": float,
        "supply_temperature_c": float, "return_temperature_c": float, "flow_rate_l_per_min": float,
        "heat_quality_index": (float, 0, 10), "revenue_per_hour": float, "timestamp": "time"},
    "heat command": {"control_id": str, "delivery_status": ("active", "standby", "offline"), "heat_output_kw": float,
                     "supply_temperature_c": float, "timestamp": "time"},
    "error": {"error_code": str, "message": str, "details": str, "timestamp": "time", "request_id": str},
}

REQUIRED = {
    "announcement": {"PSWD_version", "message_type", "timestamp", "workload_id", "approval_status"},
    "error": {"error_code", "message", "timestamp"},
}

ROLES = ("workload_operator", "infrastructure_manager", "grid_operator", "municipal_utility")
PRIORITY = ("critical", "high", "normal", "low")
SECONDS = (int, 0, math.inf)

# A "!" after a name: the field must be there.
REQUESTS = {
    "login": {"username!": str, "password!": str, "role!": ROLES},
    "announcement": {
        "PSWD_version!": ("1.0",), "message_type!": ("workload_announcement",), "timestamp!": "time",
        "workload_id!": str, "workload_type!": ("ai_training", "ai_inference", "hpc", "traditional_compute"),
        "power_profile!": {
            "peak_power_mw!": POSITIVE, "baseline_power_mw!": POSITIVE, "ramp_rate_mw_per_sec!": POSITIVE,
            "duration_estimate_sec": SECONDS, "temporal_resolution_ms": (int, 100, math.inf)},
        "thermal_profile": {"heat_generation_kw": POSITIVE, "preferred_operating_temp_c": float,
                            "critical_temp_threshold_c": float},
        "flexibility_parameters": {"throttling_capability": bool, "delay_tolerance_sec": SECONDS,
                                   "migration_capable": bool, "priority_level": PRIORITY},
        "timing_constraints": {"earliest_start_time": "time", "latest_completion_time": "time", "deadline": "time"}},
    "workload command": {
        "command_type!": ("throttle", "pause", "resume", "terminate", "migrate"), "timestamp!": "time",
        "target_power_mw": POSITIVE, "ramp_rate_mw_per_sec": POSITIVE, "pause_duration_sec": SECONDS,
        "migration_target": str},
    "battery command": {
        "command_type!": ("charge", "discharge", "standby", "load_smooth"), "timestamp!": "time",
        "target_power_mw": float, "duration_sec": SECONDS, "ramp_rate_mw_per_sec": POSITIVE},
    "thermal command": {
        "command_type!": ("set_temperature", "adjust_flow", "enable_heat_recovery", "phase_optimization"),
        "timestamp!": "time", "target_temperature_c": float, "target_flow_rate_l_per_min": float,
        "heat_recovery_enabled": bool, "ramp_rate_c_per_sec": float},
    "grid signal": {
        "signal_type!": ("load_forecast", "demand_response", "frequency_regulation", "capacity_available"),
        "timestamp!": "time",
        "load_forecast": {"forecast_horizon_hours": int,
                          "predicted_load_mw": [{"timestamp": "time", "load_mw": float}]},
        "demand_response": {"available_reduction_mw": float, "response_time_sec": int, "duration_hours": float}},
    "heat command": {
        "command_type!": ("enable_delivery", "disable_delivery", "adjust_temperature", "adjust_flow"),
        "timestamp!": "time", "target_temperature_c": (float, 70, 90), "target_flow_rate_l_per_min": float,
        "priority_level": ("emergency", "high", "normal", "low")},
}

WORKLOAD = {"workload_id!": str}


class Promise(NamedTuple):
    """An operation of the contract: names of its body and answer here, its parameters, its statuses."""

    method: str
    path: str
    answer: str
    body: str = ""
    query: dict = {}  # noqa: RUF012  # never changed
    params: dict = {}  # noqa: RUF012
    statuses: tuple[int, ...] = (200,)


PROMISES = (
    Promise("POST", "/auth/login", "login", "login", statuses=(200, 401)),
    Promise("POST", "/workload/announce", "announcement", "announcement", statuses=(200, 400, 503)),
    Promise("POST", "/workload/{workload_id}/control", "workload command", "workload command", params=WORKLOAD,
            statuses=(200, 404)),
    Promise("GET", "/workload/{workload_id}/status", "workload", params=WORKLOAD),
    Promise("GET", "/power/realtime", "power",
            query={"duration_seconds": (int, 1, 3600, 60), "resolution_ms": (100, 250, 500, 1000)}),
    Promise("GET", "/power/forecast", "forecast", query={"horizon_hours": (int, 1, 48, 24)}),
    Promise("POST", "/battery/control", "battery command", "battery command"),
    Promise("GET", "/battery/status", "battery"),
    Promise("GET", "/thermal/status", "thermal"),
    Promise("POST", "/thermal/control", "thermal command", "thermal command"),
    Promise("GET", "/grid/status", "grid"),
    Promise("POST", "/grid/signal", "grid signal", "grid signal"),
    Promise("GET", "/municipal/heat/status", "heat"),
    Promise("POST", "/municipal/heat/control", "heat command", "heat command"),
    Promise("GET", "/system/health", "health"),
)


def breaches(name: str, answer: object) -> list[str]:
    """Everything in which the answer breaks the contract; an empty list is what we want."""
    missing = REQUIRED.get(name, set()) - set(answer)
    return [f"{field}: missing" for field in sorted(missing)] + _breaches(name, answer, ANSWERS[name])


def _breaches(path: str, found: object, kind: object) -> list[str]:
    if isinstance(kind, dict):
        if not isinstance(found, dict):
            return [f"{path}: got {found!r}: expected an object"]
        return [line for name, value in found.items() if name in kind or value is None
                for line in _breaches(f"{path}.{name}", value, kind.get(name))]
    if isinstance(kind, list):
        if not isinstance(found, list):
            return [f"{path}: got {found!r}: expected an array"]
        return [line for i, item in enumerate(found) for line in _breaches(f"{path}.{i}", item, kind[0])]
    return [] if _fits(found, kind) else [f"{path}: got {found!r}: expected {kind}"]


def _fits(found: object, kind: object) -> bool:
    if kind == "time":
        return isinstance(found, str) and TIME.fullmatch(found) is not None
    if isinstance(kind, tuple) and isinstance(kind[0], type):
        return _fits(found, kind[0]) and kind[1] <= found <= kind[2]
    if isinstance(kind, tuple):
        return found in kind
    if kind is float:
        return isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
    if kind is None:
        return False
    return type(found) is kind
