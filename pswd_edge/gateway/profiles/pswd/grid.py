"""The grid."""

from aiohttp import web

from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.grid_models import GridStatus
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on the grid."""

    async def status(_: Call) -> web.StreamResponse:
        return respond(answers.grid_status(services.grid.read(), services.clock.utc_s()))

    return [Endpoint("GET", "/grid/status", Operation.GRID_READ, Category.MONITORING, status,
                     "The grid's frequency, carbon intensity, renewables and price", GridStatus)]
