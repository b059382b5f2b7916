"""What DCPI 1.0 promises, as tables in our own words: operations, scopes, statuses, fields, words, bounds.

The forms are those of `pswd_contract`. The contract shows examples and no schema, so no field is said to be required;
words are enumerated where the contract lists them.
"""

import math
from typing import NamedTuple

POSITIVE = (float, 0, math.inf)
PERCENT = (float, 0, 100)
SHARE = (float, 0, 1)
SCOPES = ("workload:announce", "workload:control", "power:read", "power:control", "thermal:read", "thermal:control",
          "grid:communicate", "grid:read", "grid:respond", "heat:read", "heat:communicate", "system:read")
WINDOW = {"start_time": "time", "end_time": "time"}
TOKEN = {"access_token": str, "token_type": str, "expires_in": int, "scope": [str], "facility_id": str}

# code: status
ERRORS = {
    "INVALID_WORKLOAD_PROFILE": 400, "INSUFFICIENT_POWER_CAPACITY": 409, "INSUFFICIENT_COOLING_CAPACITY": 409,
    "GRID_STABILITY_CONSTRAINT": 409, "AUTHENTICATION_FAILED": 401, "AUTHORIZATION_DENIED": 403,
    "RESOURCE_NOT_FOUND": 404, "RATE_LIMIT_EXCEEDED": 429, "SYSTEM_MAINTENANCE": 503,
}
# category: requests a minute, burst
RATES = {"authentication": (10, 20), "workload": (60, 100), "monitoring": (600, 1000), "control": (30, 50),
         "grid": (20, 40)}
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

ERROR = {"error": {"code": str, "message": str, "details": {}, "timestamp": "time", "request_id": str}}

REQUESTS = {
    "token": {"client_id": str, "scope": [str], "facility_id": str},
    "refresh": {"refresh_token": str},
    "announcement": {
        "workload_id": str, "workload_type": str,
        "classification": {"category": str, "subcategory": str, "model_size": str},
        "power_profile": {
            "peak_power_mw": POSITIVE, "baseline_power_mw": POSITIVE, "average_power_mw": POSITIVE,
            "ramp_rate_mw_per_sec": POSITIVE, "duration_estimate_sec": int,
            "power_schedule": [{"timestamp": "time", "power_mw": POSITIVE, "phase": str}]},
        "thermal_profile": {
            "heat_generation_mw": POSITIVE, "preferred_coolant_temp_c": float, "max_silicon_temp_c": float,
            "critical_temp_c": float,
            "heat_distribution": {"gpu_percent": POSITIVE, "cpu_percent": POSITIVE, "memory_percent": POSITIVE}},
        "flexibility": {
            "can_delay": bool, "max_delay_sec": int, "can_throttle": bool, "min_power_mw": POSITIVE, "can_pause": bool,
            "max_pause_duration_sec": int, "can_migrate": bool},
        "timing_constraints": {
            "priority": str, "deadline": "time", "earliest_start": "time", "latest_start": "time",
            "business_criticality": str, "preemption_allowed": bool},
        "dependencies": [str],
        "resource_requirements": {"compute_nodes": float, "gpu_count": float, "memory_gb": float, "storage_tb": float}},
    "workload command": {
        "action": ("throttle", "pause", "resume", "terminate"),
        "parameters": {"target_power_mw": POSITIVE, "ramp_rate_mw_per_sec": POSITIVE, "reason": str}},
    "power command": {"commands": [{"target": str, "action": str, "parameters": {
        "power_mw": POSITIVE, "duration_sec": int, "ramp_rate_mw_per_sec": POSITIVE, "delta_power_mw": float,
        "notification_time_sec": int}}]},
    "thermal command": {
        "system_id": str,
        "commands": [{"parameter": str, "target_value": float, "unit": str, "ramp_rate_per_sec": float,
                      "tolerance": float}],
        "coordination": {"prepare_for_workload": str, "estimated_heat_load_mw": POSITIVE,
                         "preparation_time_sec": float}},
    "grid forecast": {
        "facility_id": str, "forecast_horizon_hours": int, "baseline_load_mw": POSITIVE,
        "forecast_data": [{
            "timestamp": "time", "predicted_load_mw": POSITIVE, "confidence_percent": PERCENT,
            "flexibility_up_mw": POSITIVE, "flexibility_down_mw": POSITIVE, "response_time_sec": float}]},
    "demand response": {
        "event_id": str, "response": str,
        "commitment": {"load_reduction_mw": POSITIVE, "duration_hours": POSITIVE, "response_time_sec": float,
                       "affected_workloads": [str]}},
    "availability": {
        "availability_window": WINDOW,
        "heat_profile": {"available_heat_mw": POSITIVE, "supply_temperature_c": float,
                         "maximum_flow_rate_m3h": POSITIVE, "reliability_percent": PERCENT},
        "coordination": {"workload_dependent": bool, "affected_workloads": [str], "flexibility_mw": POSITIVE}},
}

ANSWERS = {
    "token": TOKEN,
    "announcement": {"workload_id": str, "status": str, "request_id": str, "estimated_response_time_sec": float,
                     "message": str},
    "workload": {
        "workload_id": str, "status": str, "approval_timestamp": "time",
        "conditions": {"start_time": "time", "max_power_mw": float, "duration_limit_sec": float},
        "infrastructure_allocation": {"cooling_loop": str, "power_circuit": str, "thermal_capacity_mw": float},
        "grid_status": {"green_energy_available": bool, "carbon_intensity_g_co2_kwh": float, "grid_stability": str}},
    "power": {
        "facility_id": str, "measurement_timestamp": "time", "total_power_mw": float,
        "power_quality": {"thd_percent": float, "power_factor": float, "voltage_stability": str},
        "power_breakdown": {"compute_load_mw": float, "cooling_systems_mw": float, "infrastructure_mw": float},
        "measurements": [{"timestamp": "time", "power_mw": float, "voltage_v": float, "current_a": float,
                          "frequency_hz": float}]},
    "forecast": {
        "forecast_generated": "time", "forecast_horizon_hours": int, "baseline_load_mw": float,
        "forecast_accuracy": {"fifteen_min_percent": float, "one_hour_percent": float},
        "forecast_data": [{
            "timestamp": "time", "predicted_load_mw": float, "confidence_percent": float,
            "confidence_interval": {"lower_bound_mw": float, "upper_bound_mw": float},
            "flexibility": {"up_mw": float, "down_mw": float, "response_time_sec": float},
            "workload_composition": {"ai_training_mw": float, "inference_serving_mw": float,
                                     "traditional_compute_mw": float}}]},
    "thermal": {
        "facility_id": str, "measurement_timestamp": "time",
        "cooling_systems": [{
            "system_id": str, "type": str, "status": str, "inlet_temp_c": float, "outlet_temp_c": float,
            "flow_rate_lpm": float, "pressure_bar": float, "heat_load_mw": float, "efficiency_percent": float,
            "phase_change_detected": bool, "vapor_quality_percent": float, "condensation_temp_c": float,
            "heat_recovery_mw": float}],
        "heat_recovery": {
            "municipal_interface_active": bool, "heat_delivered_mw": float, "supply_temp_c": float,
            "return_temp_c": float, "municipal_demand_mw": float}},
    "sensors": {"sensors": [{
        "sensor_id": str, "type": str, "location": str, "value": float, "unit": str, "accuracy": float,
        "timestamp": "time", "status": str}]},
    "grid": {
        "grid_operator": str, "timestamp": "time", "grid_frequency_hz": float, "stability_status": str,
        "carbon_intensity_g_co2_kwh": float,
        "renewable_generation": {"total_available_mw": float, "wind_mw": float, "solar_mw": float, "hydro_mw": float,
                                 "percentage_of_total": float},
        "electricity_pricing": {"current_price_per_mwh": float, "next_hour_forecast": float,
                                "peak_time_active": bool},
        "demand_response_active": bool},
    "heat": {
        "municipal_partner": str, "connection_status": str,
        "heat_delivery": {"current_output_mw": float, "supply_temperature_c": float, "return_temperature_c": float,
                          "flow_rate_m3h": float, "heat_quality": str},
        "municipal_demand": {"current_request_mw": float, "peak_demand_forecast_mw": float, "seasonal_profile": str},
        "economic_metrics": {"heat_price_eur_per_mwh": float, "carbon_offset_tons_co2": float,
                             "revenue_today_eur": float}},
    "health": {
        "overall_status": str, "timestamp": "time",
        "subsystems": {
            "power_management": {"status": str, "response_time_ms": float, "accuracy_percent": float},
            "thermal_management": {"status": str, "cooling_efficiency_percent": float,
                                   "sensor_availability_percent": float},
            "grid_integration": {"status": str, "last_communication": "time", "forecast_accuracy_percent": float},
            "security": {"status": str, "certificate_expiry": "time", "intrusion_attempts": int}},
        "performance_metrics": {"api_response_time_ms": float, "uptime_percent": float, "error_rate_percent": float}},
    "metrics": {
        "metrics_window": {**WINDOW, "resolution": str},
        "power_metrics": {"average_load_mw": float, "peak_load_mw": float, "load_factor": float,
                          "power_quality_score": float},
        "thermal_metrics": {"cooling_efficiency": float, "heat_recovery_rate": float, "temperature_stability": float},
        "coordination_metrics": {"workload_approval_rate": float, "forecast_accuracy": float,
                                 "response_time_compliance": float}},
    "power message": {
        "timestamp": "time", "power_mw": float, "power_quality": {"thd_percent": float, "power_factor": float},
        "workload_breakdown": {}},
    "thermal message": {"timestamp": "time", "cooling_systems": [{
        "system_id": str, "inlet_temp_c": float, "outlet_temp_c": float, "flow_rate_lpm": float,
        "heat_load_mw": float}]},
    "grid message": {
        "event_type": str, "timestamp": "time", "event_id": str,
        "parameters": {"requested_reduction_mw": float, "duration_hours": float, "response_deadline": "time",
                       "compensation_rate": float}},
    "": {},
}

WORKLOAD = {"workload_id!": str}


class Promise(NamedTuple):
    """An operation of the contract. `scope` empty: it names none. `answer` empty: it does not show one."""

    method: str
    path: str
    scope: str
    answer: str = ""
    body: str = ""
    query: dict = {}  # noqa: RUF012  # never changed
    params: dict = {}  # noqa: RUF012
    statuses: tuple[int, ...] = (200,)
    stream: bool = False


PROMISES = (
    Promise("POST", "/auth/token", "", "token", "token"),
    Promise("POST", "/auth/refresh", "", "token", "refresh"),
    Promise("POST", "/workloads/announce", "workload:announce", "announcement", "announcement", statuses=(202,)),
    Promise("GET", "/workloads/{workload_id}/status", "", "workload", params=WORKLOAD),
    Promise("PUT", "/workloads/{workload_id}/control", "workload:control", "", "workload command", params=WORKLOAD),
    Promise("GET", "/power/realtime", "power:read", "power",
            query={"resolution_ms": (int, 100, 1000, 100), "duration_sec": (int, 1, 300, 60)}),
    Promise("POST", "/power/control", "power:control", "", "power command"),
    Promise("GET", "/power/forecast", "power:read", "forecast",
            query={"horizon_hours": (int, 1, 48, 24), "resolution_minutes": (int, 1, 60, 15)}),
    Promise("GET", "/thermal/status", "thermal:read", "thermal"),
    Promise("POST", "/thermal/control", "thermal:control", "", "thermal command"),
    Promise("GET", "/thermal/sensors", "thermal:read", "sensors",
            query={"system_id": str, "sensor_type": str, "resolution_sec": (int, 1, 60, 1)}),
    Promise("POST", "/grid/forecast", "grid:communicate", "", "grid forecast"),
    Promise("GET", "/grid/status", "grid:read", "grid"),
    Promise("POST", "/grid/demand-response", "grid:respond", "", "demand response"),
    Promise("GET", "/heat/municipal/status", "heat:read", "heat"),
    Promise("POST", "/heat/municipal/availability", "heat:communicate", "", "availability"),
    Promise("GET", "/system/health", "system:read", "health"),
    Promise("GET", "/system/metrics", "system:read", "metrics",
            query={"metric_type": ("power", "thermal", "grid", "security"), "time_range": ("1h", "24h", "7d")}),
    Promise("GET", "/stream/power/realtime", "", "power message", stream=True, statuses=(101,)),
    Promise("GET", "/stream/thermal/realtime", "", "thermal message", stream=True, statuses=(101,)),
    Promise("GET", "/stream/grid/events", "", "grid message", stream=True, statuses=(101,)),
)
