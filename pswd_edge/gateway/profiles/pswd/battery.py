"""Battery status and control."""

from aiohttp import web

from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.battery_models import BatteryCommandAnswer, BatteryStatus
from pswd_edge.gateway.profiles.pswd.models import BatteryControl
from pswd_edge.gateway.profiles.pswd.requests import battery_request, require_fresh
from pswd_edge.gateway.projection import present
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.model.command import Clamped


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on batteries."""
    return [
        Endpoint("GET", "/battery/status", Operation.BATTERY_READ, Category.MONITORING, Battery(services).status,
                 "State of the batteries", BatteryStatus, refusals=(404,)),
        Endpoint("POST", "/battery/control", Operation.BATTERY_CONTROL, Category.CONTROL, Battery(services).control,
                 "Lead the batteries to a power, or give them back to the law", BatteryCommandAnswer,
                 body=BatteryControl, refusals=(404, 409)),
    ]


class Battery:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, _: Call) -> web.StreamResponse:
        """GET /battery/status."""
        return respond(answers.battery_status(self._services.battery.read(), self._services.clock.utc_s()))

    async def control(self, call: Call) -> web.StreamResponse:
        """POST /battery/control."""
        services, message = self._services, call.body
        require_fresh(message.timestamp, services.clock.utc_s())
        services.battery.read()    # refuses where there is no battery or no control
        setpoints = [battery.setpoint for battery in services.live.site.control.batteries]
        report, order = services.live.report(), battery_request(message, call.sender)
        sent = await services.dispatch.send(order, setpoints)
        granted_w = sent.outcome.value if isinstance(sent.outcome, Clamped) else order.power_w
        note_change(call.request, before=present({"battery_target_w": report.battery_target_w if report else None}),
                    after=present({"battery_target_w": granted_w, "limit": sent.outcome.limit or None}))
        view = services.battery.read() if services.live.report() else None    # control may have died meanwhile
        return respond(answers.battery_command(sent, view, services.clock.utc_s()))
