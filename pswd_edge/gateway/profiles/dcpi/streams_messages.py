"""Messages of DCPI's streams, without their numbers. Pure but for reading values. What is not known is left out."""

from collections.abc import Callable
from typing import Any

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.profiles.dcpi.streams_models import BASELINE
from pswd_edge.gateway.projection import moment, mw, percent, present, scaled
from pswd_edge.gateway.services.grid_event import GridEvent
from pswd_edge.gateway.services.power_columns import PowerQuality
from pswd_edge.gateway.services.shares import PowerShares


def power_message(shares: PowerShares, quality: PowerQuality, utc_s: float) -> dict[str, Any]:
    """PowerMessage without its number. A workload that calls itself as the rest is called counts as part of it."""
    by_name = {name: mw(max(0.0, power_w)) for name, power_w in shares.workloads_w.items() if name != BASELINE}
    rest_w = shares.rest_w
    if rest_w is not None:
        by_name[BASELINE] = mw(rest_w + shares.workloads_w.get(BASELINE, 0.0))
    return present({
        "timestamp": iso_utc(utc_s),
        "power_mw": None if shares.load_w is None else mw(max(0.0, shares.load_w)),
        "power_quality": present({"thd_percent": percent(quality.thd_percent),
                                  "power_factor": scaled(quality.power_factor, 1, 4)}) or None,
        "workload_breakdown": by_name or None,
    })


def thermal_message(live: LiveImage, utc_s: float) -> dict[str, Any]:
    """ThermalMessage without its number."""
    return {"timestamp": iso_utc(utc_s), "cooling_systems": [
        present({
            "system_id": cdu.id,
            "inlet_temp_c": scaled(live.signal(cdu.id, "supply_temperature_c"), 1, 3),
            "outlet_temp_c": scaled(live.signal(cdu.id, "return_temperature_c"), 1, 3),
            "flow_rate_lpm": _positive(live.signal(cdu.id, "flow_lpm"), 1, 3),
            "heat_load_mw": _positive(live.signal(cdu.id, "heat_w"), 1e-6, 6),
        }) for cdu in live.site.devices_of("cdu")]}


def _hours(duration_s: float) -> float | None:
    return scaled(duration_s, 1 / 3600, 4)


def _as_it_is(value: Any) -> Any:
    return value


# Of an event's parameters: our word, the contract's, and how the value becomes its.
_PARAMETERS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("requested_reduction_w", "requested_reduction_mw", mw), ("duration_s", "duration_hours", _hours),
    ("response_deadline_utc_s", "response_deadline", moment), ("compensation_per_mwh", "compensation_rate", _as_it_is),
    ("message", "message", _as_it_is), ("reason", "reason", _as_it_is), ("reduction_w", "agreed_reduction_mw", mw),
    ("mean_reduction_w", "mean_reduction_mw", mw), ("least_reduction_w", "least_reduction_mw", mw),
    ("energy_wh", "energy_mwh", mw), ("seconds", "measured_sec", _as_it_is),
)


def grid_event_message(event: GridEvent) -> dict[str, Any]:
    """GridEventMessage without its number."""
    said = event.parameters
    return {"event_type": event.event_type, "timestamp": iso_utc(event.utc_s), "event_id": event.event_id,
            "parameters": {theirs: convert(said[ours]) for ours, theirs, convert in _PARAMETERS if ours in said}}


def _positive(value: float | None, factor: float, digits: int) -> float | None:
    """A meter at rest may stand a hair below 0."""
    return None if value is None else scaled(max(0.0, value), factor, digits)
