"""Municipal heat."""

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd.heat_models import (
    MunicipalHeatCommandAnswer,
    MunicipalHeatControl,
    MunicipalHeatStatus,
)
from pswd_edge.gateway.profiles.pswd.held import held
from pswd_edge.gateway.profiles.pswd.needed import needed, settable
from pswd_edge.gateway.profiles.pswd.requests import require_fresh
from pswd_edge.gateway.projection import present, scaled
from pswd_edge.gateway.refusal import control_unavailable
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.cooling import Move, joint
from pswd_edge.gateway.services.heat import HOLD_S, Priority, What

_EXCHANGER = ("heat_exchanger",)
_WHAT: dict[str, What] = {"enable_delivery": "delivery", "disable_delivery": "delivery",
                          "adjust_temperature": "temperature", "adjust_flow": "flow"}


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on heat delivery."""
    heat = Heat(services)
    return [
        Endpoint("GET", "/municipal/heat/status", Operation.HEAT_READ, Category.MONITORING, heat.status,
                 "State of heat delivery to the heat network", MunicipalHeatStatus, refusals=(404,)),
        Endpoint("POST", "/municipal/heat/control", Operation.HEAT_CONTROL, Category.CONTROL, heat.control,
                 "Hold heat delivery at a set-point for a day", MunicipalHeatCommandAnswer,
                 body=MunicipalHeatControl, refusals=(404, 409)),
    ]


class Heat:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, _: Call) -> web.StreamResponse:
        """GET /municipal/heat/status."""
        services, facts = self._services, self._services.live.site.heat_network
        services.heat.require()
        view = services.heat.read()
        return respond(present({
            "municipal_network_id": facts.id or None, "heat_delivery_active": view.connection == "active",
            "current_heat_output_kw": scaled(view.heat_w, 1e-3, 3),
            "supply_temperature_c": scaled(view.supply_c, 1, 3), "return_temperature_c": scaled(view.return_c, 1, 3),
            "flow_rate_l_per_min": scaled(view.flow_lpm, 1, 3),
            "heat_quality_index": scaled(view.quality_index, 1, 2),
            "revenue_per_hour": scaled(view.revenue_per_h, 1, 4),
            "currency": facts.currency if view.revenue_per_h is not None else None,
            "timestamp": iso_utc(services.clock.utc_s()),
        }))

    async def control(self, call: Call) -> web.StreamResponse:
        """POST /municipal/heat/control."""
        services, message, sender = self._services, call.body, call.sender
        require_fresh(message.timestamp, services.clock.utc_s())
        services.heat.require()
        if not services.live.alive:
            raise control_unavailable()
        what = _WHAT[message.command_type]
        priority: Priority = message.priority_level or "normal"
        moves = self._moves(message)
        await services.heat.require_priority(what, priority)
        moved = await services.cooling.hold(moves, sender, message.timestamp, HOLD_S)
        note_change(call.request, **services.cooling.change(moved))
        await services.heat.note_priority(what, priority, sender.origin)
        view = services.heat.read() if services.live.alive else None    # control may have died meanwhile
        return respond(present({
            "control_id": sender.id, "status": joint(moved), "delivery_status": view.connection if view else None,
            "heat_output_kw": scaled(view.heat_w, 1e-3, 3) if view else None,
            "supply_temperature_c": scaled(view.supply_c, 1, 3) if view else None,
            **held(moved, services.live.site.points), "timestamp": iso_utc(services.clock.utc_s()),
        }))

    def _moves(self, message: MunicipalHeatControl) -> list[Move]:
        """The set-points that a command means, on all heat exchangers."""
        cooling, command = self._services.cooling, message.command_type
        if command == "adjust_temperature":
            goal_c = needed(message.target_temperature_c, "target_temperature_c", command)
            points = settable(cooling.points(_EXCHANGER, "supply_temperature_setpoint_c"), "supply temperature")
            return [Move(p, goal_c) for p in points]
        if command == "adjust_flow":
            flow_lpm = needed(message.target_flow_rate_l_per_min, "target_flow_rate_l_per_min", command)
            return cooling.shared(settable(cooling.points(_EXCHANGER, "flow_setpoint_lpm"), "flow"), flow_lpm)
        points = settable(cooling.points(_EXCHANGER, "enable"), "heat exchanger's switch")
        return [Move(p, float(command == "enable_delivery")) for p in points]
