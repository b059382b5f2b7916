"""Grid and commitments in DCPI's words and units. Pure."""

from typing import Any

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.projection import mw, percent, present, scaled
from pswd_edge.gateway.services.commitment import Commitment, Measured
from pswd_edge.gateway.services.delivery import Delivered
from pswd_edge.gateway.services.demand_response import ResponseView
from pswd_edge.gateway.services.grid import GridView


def grid_status(view: GridView, current: list[Commitment], utc_s: float, *, active: bool) -> dict[str, Any]:
    """GridStatus."""
    told = view.renewables
    renewables = present({
        "total_available_mw": mw(told.total_w), "wind_mw": mw(told.wind_w), "solar_mw": mw(told.solar_w),
        "hydro_mw": mw(told.hydro_w), "percentage_of_total": percent(view.renewable_percent)})
    prices = present({"current_price_per_mwh": view.price_per_mwh, "next_hour_forecast": view.next_hour_price_per_mwh,
                      "peak_time_active": view.peak})
    return present({
        "grid_operator": view.operator_id, "timestamp": iso_utc(utc_s),
        "grid_frequency_hz": scaled(view.frequency_hz, 1, 4), "stability_status": view.stability,
        "carbon_intensity_g_co2_kwh": view.carbon_intensity_g_per_kwh, "renewable_generation": renewables or None,
        "electricity_pricing": prices or None, "demand_response_active": active,
        "commitments": [_current(c) for c in current] or None,
        "source": "operator" if view.told else "contract",
    })


def _current(made: Commitment) -> dict[str, Any]:
    return {"event_id": made.event_id, "commitment_status": made.stage, **committed(made)}


def committed(made: Commitment) -> dict[str, Any]:
    """Committed; only for one that was accepted."""
    assert made.offer is not None
    return present({
        "load_reduction_mw": mw(made.offer.reduction_w), "baseline_mw": mw(made.baseline_w),
        "baseline_sec": scaled(made.baseline_s, 1, 1), "import_limit_mw": mw(made.limit_w),
        "start_time": iso_utc(made.begin_utc_s), "end_time": iso_utc(made.end_utc_s),
        "throttled_workloads": [{"workload_id": t.workload_id, "target_power_mw": mw(t.target_w)}
                                for t in made.throttled],
        "delivered": _delivered(made.measured) if made.measured.seconds > 0 else None, "note": made.note or None,
    })


def _delivered(measured: Measured) -> dict[str, Any]:
    return present({
        "mean_reduction_mw": mw(measured.mean_w), "minimum_reduction_mw": mw(measured.least_w),
        "current_reduction_mw": mw(measured.now_w), "energy_mwh": mw(measured.energy_wh),
        "measured_sec": scaled(measured.seconds, 1, 1)})


def demand_response(view: ResponseView, utc_s: float) -> dict[str, Any]:
    """DemandResponseAnswer."""
    made, told = view.commitment, view.told
    return present({
        "event_id": made.event_id, "response": made.answered, "commitment_status": made.stage,
        "commitment": committed(made) if made.offer is not None else None, "acknowledgment_status": told.status,
        "grid_operator_response": told.response, "timestamp": iso_utc(utc_s)})


def forecast_submitted(facility_id: str, found: Delivered) -> dict[str, Any]:
    """GridForecastAnswer."""
    return {"submission_id": found.id, "facility_id": facility_id, "acknowledgment_status": found.status,
            "grid_operator_response": found.response, "timestamp": iso_utc(found.at_utc_s)}
