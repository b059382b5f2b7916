"""A good request for each operation of both contracts, on the small campus of the tests. Times are of now."""

from typing import Any

from pswd_edge.clock import iso_utc

WORKLOAD, EVENT = "wl-1", "dr-event-1"
FACILITY = "facility-test"


def pswd(now_utc_s: float) -> dict[str, Any]:
    """Bodies by path below /v1; operations without a body are left out."""
    now, soon = iso_utc(now_utc_s), iso_utc(now_utc_s + 900)
    return {
        "/auth/login": {"username": "infrastructure_manager", "password": "infrastructure_manager-long-password",
                        "role": "infrastructure_manager"},
        "/workload/announce": {
            "PSWD_version": "1.0", "message_type": "workload_announcement", "timestamp": now, "workload_id": "wl-new",
            "workload_type": "ai_training",
            "power_profile": {"peak_power_mw": 12.5, "baseline_power_mw": 4, "ramp_rate_mw_per_sec": 0.5,
                              "duration_estimate_sec": 3600, "temporal_resolution_ms": 100},
            "thermal_profile": {"heat_generation_kw": 12000, "preferred_operating_temp_c": 60,
                                "critical_temp_threshold_c": 85},
            "flexibility_parameters": {"throttling_capability": True, "delay_tolerance_sec": 300,
                                       "migration_capable": False, "priority_level": "normal"},
            "timing_constraints": {"earliest_start_time": soon, "deadline": iso_utc(now_utc_s + 86_400)}},
        "/workload/{workload_id}/control": {"command_type": "throttle", "timestamp": now, "target_power_mw": 9,
                                            "ramp_rate_mw_per_sec": 0.2},
        "/battery/control": {"command_type": "discharge", "timestamp": now, "target_power_mw": 5, "duration_sec": 600,
                             "ramp_rate_mw_per_sec": 0.1},
        "/thermal/control": {"command_type": "set_temperature", "timestamp": now, "target_temperature_c": 28,
                             "ramp_rate_c_per_sec": 0.05},
        "/grid/signal": {
            "signal_type": "load_forecast", "timestamp": now,
            "load_forecast": {"forecast_horizon_hours": 4,
                              "predicted_load_mw": [{"timestamp": soon, "load_mw": 71.5}]}},
        "/municipal/heat/control": {"command_type": "adjust_temperature", "timestamp": now, "target_temperature_c": 80,
                                    "priority_level": "normal"},
    }


def dcpi(now_utc_s: float) -> dict[str, Any]:
    """Bodies by path below /dcpi/api/v1; what needs a token of before (/auth/refresh) is the caller's."""
    soon, later = iso_utc(now_utc_s + 900), iso_utc(now_utc_s + 3 * 3600)
    return {
        "/auth/token": {"client_id": "workload-scheduler-01", "scope": ["power:read", "thermal:read"],
                        "facility_id": FACILITY},
        "/workloads/announce": {
            "workload_id": "job-new", "workload_type": "ai_training",
            "classification": {"category": "machine_learning", "subcategory": "training", "model_size": "70B"},
            "power_profile": {"peak_power_mw": 12.5, "baseline_power_mw": 4.0, "average_power_mw": 9.0,
                              "ramp_rate_mw_per_sec": 0.5, "duration_estimate_sec": 3600,
                              "power_schedule": [{"timestamp": soon, "power_mw": 4.0, "phase": "load"}]},
            "thermal_profile": {"heat_generation_mw": 12.0, "preferred_coolant_temp_c": 45.0,
                                "max_silicon_temp_c": 85.0, "critical_temp_c": 95.0,
                                "heat_distribution": {"gpu_percent": 80, "cpu_percent": 15, "memory_percent": 5}},
            "flexibility": {"can_delay": True, "max_delay_sec": 1800, "can_throttle": True, "min_power_mw": 5.0,
                            "can_pause": True, "max_pause_duration_sec": 900, "can_migrate": False},
            "timing_constraints": {"priority": "high", "deadline": iso_utc(now_utc_s + 86_400),
                                   "earliest_start": soon, "latest_start": later,
                                   "business_criticality": "research_training", "preemption_allowed": False},
            "dependencies": [],
            "resource_requirements": {"compute_nodes": 64, "gpu_count": 512, "memory_gb": 40960, "storage_tb": 50}},
        "/workloads/{workload_id}/control": {
            "action": "throttle", "parameters": {"target_power_mw": 9.0, "ramp_rate_mw_per_sec": 0.2,
                                                 "reason": "grid_stability_request"}},
        "/power/control": {"commands": [
            {"target": "battery_system_1", "action": "discharge",
             "parameters": {"power_mw": 7.5, "duration_sec": 1800, "ramp_rate_mw_per_sec": 0.5}},
            {"target": "grid_interface", "action": "signal_load_change",
             "parameters": {"delta_power_mw": 5.0, "notification_time_sec": 300}}]},
        "/thermal/control": {
            "system_id": "cdu-1",
            "commands": [{"parameter": "flow_rate", "target_value": 1200, "unit": "lpm", "ramp_rate_per_sec": 10},
                         {"parameter": "inlet_temperature", "target_value": 28.0, "unit": "celsius",
                          "tolerance": 0.2}],
            "coordination": {"prepare_for_workload": WORKLOAD, "estimated_heat_load_mw": 12.0,
                             "preparation_time_sec": 120}},
        "/grid/forecast": {
            "facility_id": FACILITY, "forecast_horizon_hours": 4, "baseline_load_mw": 60.0,
            "forecast_data": [{"timestamp": soon, "predicted_load_mw": 71.5, "confidence_percent": 85,
                               "flexibility_up_mw": 4.0, "flexibility_down_mw": 2.5, "response_time_sec": 30}]},
        "/grid/demand-response": {
            "event_id": EVENT, "response": "accept",
            "commitment": {"load_reduction_mw": 2.5, "duration_hours": 2, "response_time_sec": 300,
                           "affected_workloads": [WORKLOAD]}},
        "/heat/municipal/availability": {
            "availability_window": {"start_time": soon, "end_time": later},
            "heat_profile": {"available_heat_mw": 4.0, "supply_temperature_c": 80.0, "maximum_flow_rate_m3h": 100,
                             "reliability_percent": 95},
            "coordination": {"workload_dependent": True, "affected_workloads": [WORKLOAD], "flexibility_mw": 1.0}},
    }
