"""Cooling: its state, and commands to it."""

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.held import held
from pswd_edge.gateway.profiles.pswd.needed import needed, settable
from pswd_edge.gateway.profiles.pswd.requests import require_fresh
from pswd_edge.gateway.profiles.pswd.thermal_models import ThermalCommandAnswer, ThermalControl, ThermalStatus
from pswd_edge.gateway.projection import present, scaled
from pswd_edge.gateway.refusal import control_unavailable
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.cooling import Move, joint


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on cooling."""
    thermal = Thermal(services)
    return [
        Endpoint("GET", "/thermal/status", Operation.THERMAL_READ, Category.MONITORING, thermal.status,
                 "State of cooling and heat recovery", ThermalStatus),
        Endpoint("POST", "/thermal/control", Operation.THERMAL_CONTROL, Category.CONTROL, thermal.control,
                 "Hold cooling or heat recovery at a set-point for an hour", ThermalCommandAnswer,
                 body=ThermalControl, refusals=(404, 409)),
    ]


class Thermal:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, _: Call) -> web.StreamResponse:
        """GET /thermal/status."""
        return respond(answers.thermal_status(self._services.thermal.read(), self._services.clock.utc_s()))

    async def control(self, call: Call) -> web.StreamResponse:
        """POST /thermal/control."""
        services, message, sender = self._services, call.body, call.sender
        require_fresh(message.timestamp, services.clock.utc_s())
        if not services.live.alive:
            raise control_unavailable()
        moved = await services.cooling.hold(self._moves(message), sender, message.timestamp)
        note_change(call.request, **services.cooling.change(moved))
        return respond(present({
            "command_id": sender.id, "status": joint(moved),
            "current_temperature_c": scaled(services.thermal.supply_c(), 1, 3),
            "flow_rate_l_per_min": scaled(services.thermal.flow_lpm(), 1, 3),
            **held(moved, services.live.site.points), "timestamp": iso_utc(services.clock.utc_s()),
        }))

    def _moves(self, message: ThermalControl) -> list[Move]:
        """The set-points that a command means; raises 400 without its target, 409 where the site has none of them."""
        cooling, command = self._services.cooling, message.command_type
        ramp = message.ramp_rate_c_per_sec or 0.0
        if command == "adjust_flow":
            flow_lpm = needed(message.target_flow_rate_l_per_min, "target_flow_rate_l_per_min", command)
            return cooling.shared(settable(cooling.points(("cdu",), "flow_setpoint_lpm"), "CDU flow"), flow_lpm)
        if command == "enable_heat_recovery":
            on = needed(message.heat_recovery_enabled, "heat_recovery_enabled", command)
            points = settable(cooling.points(("heat_exchanger",), "enable"), "heat exchanger's switch")
            return [Move(p, float(on)) for p in points]
        goal_c = needed(message.target_temperature_c, "target_temperature_c", command)
        if command == "phase_optimization":
            points = cooling.points(("cdu",), "condensation_temperature_setpoint_c")
            return [Move(p, goal_c, ramp) for p in settable(points, "two-phase CDU's condensation temperature")]
        points = (cooling.points(("cdu",), "supply_temperature_setpoint_c")
                  or cooling.points(("chiller",), "leaving_temperature_setpoint_c"))
        return [Move(p, goal_c, ramp) for p in settable(points, "CDU supply or chiller leaving temperature")]

