"""What the services know of workloads, in DCPI's words and units. Pure. What is not known is left out."""

from typing import Any

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.projection import moment, mw, present, scaled
from pswd_edge.gateway.services.announcements import LATE_S, Receipt
from pswd_edge.gateway.services.dispatch import Dispatched
from pswd_edge.gateway.services.grid import GridView
from pswd_edge.gateway.services.pending import Kept
from pswd_edge.gateway.services.workloads import Allocation, WorkloadView
from pswd_edge.model.command import Clamped
from pswd_edge.model.workload import Workload, WorkloadState

_PAUSE_LIMIT = "max_pause"


def receipt(workload_id: str, found: Receipt) -> dict[str, Any]:
    """The 202 to an announcement."""
    return {
        "workload_id": workload_id, "status": "pending_approval", "request_id": found.request_id,
        "estimated_response_time_sec": found.expected_s,
        "message": "The announcement is kept and will be judged; its status tells the outcome",
    }


def kept_status(kept: Kept, grid: GridView) -> dict[str, Any]:
    """Of an announcement that control does not have (yet, or any more)."""
    words = {"pending": "pending_approval", "rejected": "rejected"}
    said = list(kept.reasons)
    if kept.state == "pending" and said:
        said.append(f"it is tried on; after {LATE_S:.0f} s that is also in the log")
    return present({
        "workload_id": kept.said.workload_id, "status": words.get(kept.state, "terminated"),
        "grid_status": _grid(grid), "message": "; ".join(said) or None,
    })


def status(view: WorkloadView, where: Allocation, grid: GridView) -> dict[str, Any]:
    """Of a workload that control keeps."""
    workload = view.workload
    rejected = workload.state is WorkloadState.REJECTED
    notes = (*(workload.conditions if rejected else ()), *view.notes)
    return present({
        "workload_id": workload.announcement.workload_id,
        "status": workload.state.value,
        "approval_timestamp": None if rejected else iso_utc(workload.announced_utc_s),
        "conditions": None if rejected else _conditions(workload),
        "infrastructure_allocation": _allocation(workload, where),
        "grid_status": _grid(grid),
        "current_power_mw": mw(view.power_w),
        "message": "; ".join(notes) or None,
    })


def order(workload_id: str, action: str, sent: Dispatched, power_w: float | None, utc_s: float) -> dict[str, Any]:
    """The answer to an order that was taken."""
    outcome = sent.outcome
    power = isinstance(outcome, Clamped) and outcome.limit != _PAUSE_LIMIT
    return present({
        "workload_id": workload_id,
        "status": outcome.workload.state.value if outcome.workload is not None else "approved",
        "action": action, "command_id": outcome.id, "command_status": sent.progress, "current_power_mw": mw(power_w),
        "granted_power_mw": mw(outcome.value) if power and isinstance(outcome, Clamped) else None,
        "limit": outcome.limit or None, "message": outcome.reason or None, "timestamp": iso_utc(utc_s),
    })


def _conditions(workload: Workload) -> dict[str, Any] | None:
    """None where nothing is limited: an approval as announced."""
    limited = workload.approved_w < workload.announcement.peak_w or bool(workload.conditions)
    return present({
        "start_time": moment(workload.start_utc_s),
        "max_power_mw": mw(workload.approved_w) if limited else None,
        "duration_limit_sec": scaled(workload.duration_limit_s, 1, 3),
    }) or None


def _allocation(workload: Workload, where: Allocation) -> dict[str, Any] | None:
    if not workload.controllers or workload.state in (WorkloadState.TERMINATED, WorkloadState.EXPIRED):
        return None
    return present({
        "cooling_loop": "+".join(where.cooling) or None, "power_circuit": "+".join(where.circuits) or None,
        "thermal_capacity_mw": mw(where.heat_w),
    })


def _grid(grid: GridView) -> dict[str, Any]:
    green = None if grid.renewable_percent is None else grid.renewable_percent > 0
    return present({"green_energy_available": green, "carbon_intensity_g_co2_kwh": grid.carbon_intensity_g_per_kwh,
                    "grid_stability": grid.stability})
