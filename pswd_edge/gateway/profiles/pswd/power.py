"""Power in real time."""

from collections.abc import Callable

from aiohttp import web

from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.heavy import breathe
from pswd_edge.gateway.profiles.pswd.power_answer import power_measurement
from pswd_edge.gateway.profiles.pswd.power_models import PowerMeasurement, RealtimeQuery
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on power."""

    async def realtime(call: Call) -> web.StreamResponse:
        query: RealtimeQuery = call.query
        facility, quality = services.live.site.facility_id, services.power.quality()

        def make(breathe: Callable[[], None] = lambda: None) -> bytes:
            series = services.power.series(query.duration_seconds, query.resolution_ms)
            return power_measurement(facility, series, quality, breathe)

        small = services.power.small(query.duration_seconds)
        body = make() if small else await services.heavy.run(lambda: make(breathe))
        return web.Response(body=body, content_type="application/json")

    return [Endpoint("GET", "/power/realtime", Operation.POWER_READ, Category.MONITORING, realtime,
                     "Power of the site and its circuits, up to an hour back", PowerMeasurement, query=RealtimeQuery)]
