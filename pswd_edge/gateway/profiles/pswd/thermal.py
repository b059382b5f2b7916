"""Cooling."""

from aiohttp import web

from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.thermal_models import ThermalStatus
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on cooling."""

    async def status(_: Call) -> web.StreamResponse:
        return respond(answers.thermal_status(services.thermal.read(), services.clock.utc_s()))

    return [Endpoint("GET", "/thermal/status", Operation.THERMAL_READ, Category.MONITORING, status,
                     "State of cooling and heat recovery", ThermalStatus)]
