"""The GET operations of PSWD."""

from collections.abc import Callable

from aiohttp import web

from pswd_edge.gateway.heavy import breathe
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.models import RealtimeQuery, WorkloadPath
from pswd_edge.gateway.profiles.pswd.power_answer import power_measurement
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.validation import check, check_query


class Readings:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def power(self, request: web.Request) -> web.Response:
        """GET /power/realtime."""
        query, services = check_query(RealtimeQuery, request.query), self._services
        facility, quality = services.live.site.facility_id, services.power.quality()

        def make(breathe: Callable[[], None] = lambda: None) -> bytes:
            series = services.power.series(query.duration_seconds, query.resolution_ms)
            return power_measurement(facility, series, quality, breathe)

        small = services.power.small(query.duration_seconds)
        body = make() if small else await services.heavy.run(lambda: make(breathe))
        return web.Response(body=body, content_type="application/json")

    async def battery(self, _: web.Request) -> web.Response:
        """GET /battery/status."""
        return respond(answers.battery_status(self._services.battery.read(), self._now_s()))

    async def thermal(self, _: web.Request) -> web.Response:
        """GET /thermal/status."""
        return respond(answers.thermal_status(self._services.thermal.read(), self._now_s()))

    async def grid(self, _: web.Request) -> web.Response:
        """GET /grid/status."""
        return respond(answers.grid_status(self._services.grid.read(), self._now_s()))

    async def workload(self, request: web.Request) -> web.Response:
        """GET /workload/{workload_id}/status."""
        path = check(WorkloadPath, dict(request.match_info))
        return respond(answers.workload_status(self._services.workloads.read(path.workload_id), self._now_s()))

    async def health(self, _: web.Request) -> web.Response:
        """GET /system/health."""
        return respond(answers.system_health(self._services.health.read(), self._now_s()))

    def _now_s(self) -> float:
        return self._services.clock.utc_s()
