"""Power in real time."""

import orjson
from aiohttp import web

from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profiles.pswd.power_models import PowerMeasurement, RealtimeQuery
from pswd_edge.gateway.profiles.pswd.power_rows import PswdRows
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on power."""
    form = PswdRows()
    services.realtime.register(form)

    async def realtime(call: Call) -> web.StreamResponse:
        query: RealtimeQuery = call.query
        head = orjson.dumps({"facility_id": services.live.site.facility_id,
                             "measurement_interval_ms": query.resolution_ms})[:-1] + b',"measurements":['
        with services.long_answers.place(query.duration_seconds * 1000 // query.resolution_ms):
            rows = await services.realtime.rows(form, query.duration_seconds, query.resolution_ms)
            return await services.long_answers.send(call.request, head, rows, b"]}")

    return [Endpoint("GET", "/power/realtime", Operation.POWER_READ, Category.MONITORING, realtime,
                     "Power of the site and its circuits, up to an hour back", PowerMeasurement, query=RealtimeQuery)]
