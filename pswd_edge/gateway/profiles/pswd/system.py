"""Health of the system."""

from aiohttp import web

from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.system_models import SystemHealth
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on the system itself."""

    async def health(_: Call) -> web.StreamResponse:
        return respond(answers.system_health(services.health.read(), services.clock.utc_s()))

    return [Endpoint("GET", "/system/health", Operation.HEALTH_READ, Category.MONITORING, health,
                     "Health by what is true now", SystemHealth)]
