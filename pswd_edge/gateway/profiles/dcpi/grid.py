"""DCPI: the grid, forecasts for its operator, and answers to demand response requests."""

from itertools import pairwise
from typing import Any

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.audit import PENDING, note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.dcpi import grid_answers
from pswd_edge.gateway.profiles.dcpi.grid_models import (
    DemandResponse,
    DemandResponseAnswer,
    ForecastEntry,
    GridForecast,
    GridForecastAnswer,
    GridStatus,
)
from pswd_edge.gateway.projection import W_PER_MW, present
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.commitment import Commitment, Offer
from pswd_edge.gateway.services.demand_response import LONGEST_S
from pswd_edge.gateway.validation import invalid


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on the grid."""
    grid = Grid(services)
    return [
        Endpoint("GET", "/grid/status", Operation.GRID_READ, Category.MONITORING, grid.status,
                 "Grid conditions, renewables, prices and the commitments in force", GridStatus),
        Endpoint("POST", "/grid/forecast", Operation.GRID_FORECAST_SUBMIT, Category.GRID, grid.forecast,
                 "Submit a load forecast to the grid operator", GridForecastAnswer, body=GridForecast,
                 refusals=(404, 409)),
        Endpoint("POST", "/grid/demand-response", Operation.GRID_RESPOND, Category.GRID, grid.respond,
                 "Answer a demand response request of the grid operator", DemandResponseAnswer, body=DemandResponse,
                 refusals=(404, 409)),
    ]


class Grid:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, _: Call) -> web.StreamResponse:
        """GET /grid/status."""
        services = self._services
        response = services.demand_response
        return respond(grid_answers.grid_status(services.grid.read(), response.current(), services.clock.utc_s(),
                                                active=response.active))

    async def forecast(self, call: Call) -> web.StreamResponse:
        """POST /grid/forecast."""
        services, message, sender = self._services, call.body, call.sender
        facility_id = services.live.site.facility_id
        if message.facility_id != facility_id:
            raise RefusalError(404, "FACILITY_NOT_FOUND", f"facility_id: got {message.facility_id}: expected "
                               f"{facility_id}")
        _require_sound(message, services.live.site.control.load_maximum_w / W_PER_MW)
        content = {"horizon_s": 3600.0 * message.forecast_horizon_hours,
                   "baseline_w": message.baseline_load_mw * W_PER_MW,
                   "moments": [_entry(entry) for entry in message.forecast_data]}
        found = await services.delivery.send("grid", "load_forecast", content, sender.origin, sender.id)
        note_change(call.request, after={"message": found.id, "kind": "load_forecast", "status": found.status})
        call.request[PENDING] = found.status == "pending"
        return respond(grid_answers.forecast_submitted(facility_id, found))

    async def respond(self, call: Call) -> web.StreamResponse:
        """POST /grid/demand-response."""
        services, message = self._services, call.body
        before = services.demand_response.find(message.event_id)
        view = await services.demand_response.respond(message.event_id, message.response, _offer(message), call.sender)
        note_change(call.request, before=None if before is None else _noted(before), after=_noted(view.commitment))
        call.request[PENDING] = True    # how a commitment stands is never the same for long
        return respond(grid_answers.demand_response(view, services.clock.utc_s()))


def _noted(made: Commitment) -> dict[str, Any]:
    """A commitment for the audit."""
    own = {"event": made.event_id, "answered": made.answered, "stage": made.stage}
    return own if made.offer is None else {
        **own, "reduction_w": made.offer.reduction_w, "import_limit_w": made.limit_w,
        "begins_utc_s": made.begin_utc_s, "ends_utc_s": made.end_utc_s}


def _require_sound(message: GridForecast, most_mw: float) -> None:
    """Raise 400 where moments do not rise, or a load is beyond what this site can draw."""
    moments = message.forecast_data
    lines = [f"forecast_data.{i + 1}.timestamp: got {iso_utc(b.timestamp)}: expected later than "
             f"{iso_utc(a.timestamp)} before it" for i, (a, b) in enumerate(pairwise(moments))
             if b.timestamp <= a.timestamp]
    lines += [f"forecast_data.{i}.predicted_load_mw: got {m.predicted_load_mw:g}: expected at most {most_mw:g}"
              for i, m in enumerate(moments) if m.predicted_load_mw > most_mw]
    if message.baseline_load_mw > most_mw:
        lines.append(f"baseline_load_mw: got {message.baseline_load_mw:g}: expected at most {most_mw:g}")
    if lines:
        raise invalid(lines[:20])


def _entry(entry: ForecastEntry) -> dict[str, Any]:
    def watts(power_mw: float | None) -> float | None:
        return None if power_mw is None else power_mw * W_PER_MW

    return present({
        "at": iso_utc(entry.timestamp), "load_w": watts(entry.predicted_load_mw),
        "confidence_percent": entry.confidence_percent, "up_w": watts(entry.flexibility_up_mw),
        "down_w": watts(entry.flexibility_down_mw), "response_s": entry.response_time_sec})


def _offer(message: DemandResponse) -> Offer | None:
    """None where it is declined; raises 400 where it would last longer than control holds a limit."""
    said = message.commitment
    if message.response == "decline" or said is None:
        return None
    duration_s = 3600.0 * said.duration_hours
    if said.response_time_sec + duration_s > LONGEST_S:
        wrong = f"got {said.duration_hours:g} after {said.response_time_sec} s"
        raise invalid([f"commitment.duration_hours: {wrong}: expected an end within {LONGEST_S / 3600:.2f} h from now"])
    return Offer(said.load_reduction_mw * W_PER_MW, duration_s, float(said.response_time_sec),
                 tuple(dict.fromkeys(said.affected_workloads)))
