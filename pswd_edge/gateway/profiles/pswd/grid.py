"""The grid, and signals to its operator."""

from typing import Any

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.audit import PENDING, note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.forecast import STEP_S
from pswd_edge.gateway.profiles.pswd.grid_models import (
    DemandResponse,
    GridSignal,
    GridSignalAnswer,
    GridStatus,
    LoadForecast,
)
from pswd_edge.gateway.profiles.pswd.requests import require_fresh
from pswd_edge.gateway.projection import W_PER_MW, present
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.delivery import Delivered
from pswd_edge.planning.flexibility import HOLD_S

FORECAST_S = 24 * 3600.0      # of our own, where a load_forecast signal brings none
_NEEDS = {"load_forecast": "load_forecast", "demand_response": "demand_response"}


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on the grid."""
    grid = Grid(services)
    return [
        Endpoint("GET", "/grid/status", Operation.GRID_READ, Category.MONITORING, grid.status,
                 "The grid's frequency and stability, carbon intensity, renewables and price", GridStatus),
        Endpoint("POST", "/grid/signal", Operation.GRID_SIGNAL, Category.GRID, grid.signal,
                 "Send a forecast or an offer to the grid operator", GridSignalAnswer, body=GridSignal,
                 refusals=(409,)),
    ]


class Grid:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, _: Call) -> web.StreamResponse:
        """GET /grid/status."""
        services = self._services
        active = services.demand_response.active
        return respond(answers.grid_status(services.grid.read(), services.clock.utc_s(), demand_response=active))

    async def signal(self, call: Call) -> web.StreamResponse:
        """POST /grid/signal."""
        services, message, sender = self._services, call.body, call.sender
        require_fresh(message.timestamp, services.clock.utc_s())
        services.delivery.require("grid")
        # what is filled in differs from moment to moment: a repeated request gets what was sent the first time
        found = await services.delivery.find(sender.id) if _is_filled(message) else None
        if found is None:
            content = await self._content(message)
            found = await services.delivery.send("grid", message.signal_type, content, sender.origin, sender.id)
        note_change(call.request, after={"message": found.id, "kind": message.signal_type, "status": found.status})
        call.request[PENDING] = found.status == "pending"
        return respond(signal_answer(found))

    async def _content(self, message: GridSignal) -> dict[str, Any]:
        """The signal in SI; where it lacks what it is about, the site's own figures."""
        given = present({
            "load_forecast": message.load_forecast and _load_forecast(message.load_forecast),
            "demand_response": message.demand_response and _demand_response(message.demand_response)})
        if not _is_filled(message):
            return given
        if message.signal_type == "load_forecast":
            return given | {"load_forecast": await self._own_forecast()}
        return given | {message.signal_type: self._own_flexibility()}

    async def _own_forecast(self) -> dict[str, Any]:
        view = await self._services.forecast.read(FORECAST_S, STEP_S)
        return {"horizon_s": FORECAST_S, "load_w": [[iso_utc(m.utc_s), round(m.load_w)] for m in view.moments]}

    def _own_flexibility(self) -> dict[str, Any]:
        found = self._services.forecast.flexibility_now()
        return {"up_w": round(found.up_w), "down_w": round(found.down_w), "response_s": round(found.response_s, 1),
                "duration_s": HOLD_S}


def _is_filled(message: GridSignal) -> bool:
    """Whether the signal lacks what it is about. Of the last two types the contract has no part at all."""
    part = _NEEDS.get(message.signal_type)
    return part is None or getattr(message, part) is None


def _load_forecast(part: LoadForecast) -> dict[str, Any]:
    hours, points = part.forecast_horizon_hours, part.predicted_load_mw
    return present({
        "horizon_s": None if hours is None else 3600.0 * hours,
        "load_w": None if points is None else [[iso_utc(p.timestamp), round(p.load_mw * W_PER_MW)] for p in points]})


def _demand_response(part: DemandResponse) -> dict[str, Any]:
    return present({
        "down_w": None if part.available_reduction_mw is None else part.available_reduction_mw * W_PER_MW,
        "response_s": part.response_time_sec,
        "duration_s": None if part.duration_hours is None else 3600.0 * part.duration_hours})


def signal_answer(found: Delivered) -> dict[str, Any]:
    """The answer to a signal."""
    return {"signal_id": found.id, "acknowledgment_status": found.status, "grid_operator_response": found.response,
            "timestamp": iso_utc(found.at_utc_s)}
