"""The services' views in PSWD's words and units. Pure. What is not known is left out, never 0 and never null."""

from typing import Any

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.projection import moment, mw, percent, present, scaled
from pswd_edge.gateway.services.battery import BatteryUnit, BatteryView
from pswd_edge.gateway.services.dispatch import Dispatched
from pswd_edge.gateway.services.grid import GridView
from pswd_edge.gateway.services.health import HealthView
from pswd_edge.gateway.services.thermal import ThermalView
from pswd_edge.gateway.services.workloads import WorkloadView
from pswd_edge.model.command import Clamped
from pswd_edge.model.workload import Workload, WorkloadState

_STATUS = {
    WorkloadState.APPROVED: "running", WorkloadState.CONDITIONAL: "running", WorkloadState.THROTTLED: "throttled",
    WorkloadState.PAUSED: "paused", WorkloadState.MIGRATING: "migrating", WorkloadState.TERMINATED: "terminated",
    WorkloadState.EXPIRED: "terminated", WorkloadState.REJECTED: "terminated",
}


def battery_status(view: BatteryView, utc_s: float) -> dict[str, Any]:
    """BatteryStatus; `batteries` lists each one where there are several."""
    return present({
        "battery_id": view.id,
        "current_charge_level_percent": percent(view.soc_percent),
        "current_power_mw": mw(view.power_w),
        "max_charge_rate_mw": mw(view.charge_available_w),
        "max_discharge_rate_mw": mw(view.discharge_available_w),
        "estimated_runtime_hours": scaled(view.runtime_s, 1 / 3600, 4),
        "operating_status": view.status,
        "temperature_c": scaled(view.temperature_c, 1, 2),
        "batteries": [_unit(unit) for unit in view.units] if len(view.units) > 1 else None,
        "timestamp": iso_utc(utc_s),
    })


def _unit(unit: BatteryUnit) -> dict[str, Any]:
    return present({
        "battery_id": unit.id, "current_charge_level_percent": percent(unit.soc_percent),
        "current_power_mw": mw(unit.power_w), "operating_status": unit.status,
        "temperature_c": scaled(unit.temperature_c, 1, 2),
    })


def battery_command(sent: Dispatched, view: BatteryView | None, utc_s: float) -> dict[str, Any]:
    """The answer to a battery command; `view` None where the batteries can no longer be read."""
    return present({
        "command_id": sent.outcome.id,
        "status": sent.progress,
        "current_charge_level_percent": percent(view.soc_percent) if view else None,
        "power_output_mw": mw(view.power_w) if view else None,
        **_outcome(sent),
        "timestamp": iso_utc(utc_s),
    })


def workload_command(workload_id: str, sent: Dispatched, power_w: float | None, utc_s: float) -> dict[str, Any]:
    """The answer to a workload command."""
    return present({
        "workload_id": workload_id,
        "command_status": sent.progress,
        "current_power_mw": mw(power_w),
        **_outcome(sent),
        "timestamp": iso_utc(utc_s),
    })


def _outcome(sent: Dispatched) -> dict[str, Any]:
    """Beyond the contract: what bound the command, to what, when it will be reached, and until when it holds."""
    outcome = sent.outcome
    power = isinstance(outcome, Clamped) and outcome.limit != "max_pause"
    return {
        "limit": outcome.limit or None,
        "message": outcome.reason or None,
        "granted_power_mw": mw(outcome.value) if power and isinstance(outcome, Clamped) else None,
        "eta_sec": scaled(outcome.eta_s, 1, 1),
        "expires_at": moment(outcome.expires_utc_s),
    }


def thermal_status(view: ThermalView, utc_s: float) -> dict[str, Any]:
    """ThermalStatus."""
    return present({
        "cooling_system_type": view.cooling_type,
        "current_load_percent": percent(view.load_percent),
        "inlet_temperature_c": scaled(view.supply_c, 1, 3),
        "outlet_temperature_c": scaled(view.return_c, 1, 3),
        "flow_rate_l_per_min": scaled(view.flow_lpm, 1, 3),
        "pressure_bar": scaled(view.pressure_bar, 1, 4),
        "heat_recovery_active": view.recovery_active,
        "municipal_heat_delivery_kw": scaled(view.recovered_w, 1e-3, 3),
        "phase_change_efficiency_percent": percent(view.vapor_percent),
        "timestamp": iso_utc(utc_s),
    })


def grid_status(view: GridView, utc_s: float, *, demand_response: bool) -> dict[str, Any]:
    """GridStatus; `demand_response`: a commitment is in force."""
    return present({
        "grid_operator_id": view.operator_id,
        "carbon_intensity_g_co2_kwh": view.carbon_intensity_g_per_kwh,
        "renewable_energy_percent": view.renewable_percent,
        "grid_frequency_hz": scaled(view.frequency_hz, 1, 4),
        "demand_response_active": demand_response,
        "market_price_per_mwh": view.price_per_mwh,
        "grid_stability_index": scaled(view.stability_index, 1, 2),
        "source": "operator" if view.told else "contract",
        "timestamp": iso_utc(utc_s),
    })


def workload_status(view: WorkloadView, utc_s: float) -> dict[str, Any]:
    """WorkloadStatus."""
    workload = view.workload
    return present({
        "workload_id": workload.announcement.workload_id,
        "current_status": _status(workload),
        "current_power_mw": mw(view.power_w),
        "peak_power_mw": mw(view.peak_w),
        "average_power_mw": mw(view.mean_w),
        "current_temperature_c": scaled(view.temperature_c, 1, 2),
        "progress_percent": percent(view.progress_percent),
        "estimated_completion_time": moment(view.completion_utc_s),
        "message": "; ".join(view.notes) or None,
        "timestamp": iso_utc(utc_s),
    })


def _status(workload: Workload) -> str:
    """One that is held back is paused, one that came too late is terminated: the contract has no other words."""
    waits = workload.held and workload.state in (WorkloadState.APPROVED, WorkloadState.CONDITIONAL,
                                                 WorkloadState.THROTTLED)
    return "paused" if waits else _STATUS[workload.state]


def infrastructure_response(workload: Workload, conditions: list[str], thermal: dict[str, Any], grid: GridView,
                            utc_s: float) -> dict[str, Any]:
    """InfrastructureResponse to an announcement; `thermal` is its thermal_coordination."""
    room, rejected = workload.headroom, workload.state == WorkloadState.REJECTED
    renewable = None if grid.renewable_percent is None else grid.renewable_percent > 0
    judged = workload.state in (WorkloadState.CONDITIONAL, WorkloadState.REJECTED)
    return present({
        "PSWD_version": "1.0",
        "message_type": "infrastructure_response",
        "timestamp": iso_utc(utc_s),
        "workload_id": workload.announcement.workload_id,
        "approval_status": workload.state.value if judged else "approved",
        "approved_power_mw": 0.0 if rejected else mw(max(0.0, workload.approved_w)),
        "infrastructure_capacity": {
            "available_power_mw": mw(max(0.0, room.power_w)),
            "cooling_capacity_kw": scaled(max(0.0, room.cooling_w), 1e-3, 3),
            "battery_storage_available": room.swing_w > 0,
        },
        "thermal_coordination": thermal,
        "grid_status": present({
            "carbon_intensity_g_co2_kwh": grid.carbon_intensity_g_per_kwh, "renewable_energy_available": renewable,
        }),
        "conditions": conditions or None,
    })


def thermal_coordination(cooling_type: str | None, *, recovers_heat: bool) -> dict[str, Any]:
    """The announcement's part about cooling; its enumeration has no word for a mixture."""
    return present({
        "cooling_system_type": None if cooling_type == "hybrid" else cooling_type,
        "heat_recovery_available": recovers_heat,
        "municipal_heat_integration": recovers_heat,
    })


def system_health(view: HealthView, utc_s: float) -> dict[str, Any]:
    """SystemHealth; `reasons` says what is wrong."""
    figures = view.performance
    return present({
        "overall_status": view.overall,
        "component_status": view.parts,
        "performance_metrics": present({
            "average_response_time_ms": scaled(figures.response_mean_ms, 1, 3),
            "uptime_percent": scaled(figures.uptime_percent, 1, 3),
            "error_rate_percent": scaled(figures.error_percent, 1, 3),
        }),
        "reasons": list(view.reasons) or None,
        "timestamp": iso_utc(utc_s),
    })
