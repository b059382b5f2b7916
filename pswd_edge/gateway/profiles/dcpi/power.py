"""DCPI: power in real time."""

from typing import Any

import orjson
from aiohttp import web

from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profiles.dcpi.power_models import RealtimePower, RealtimeQuery, Stability
from pswd_edge.gateway.profiles.dcpi.power_rows import DcpiRows
from pswd_edge.gateway.projection import moment, mw, present, scaled
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.power_columns import PowerQuality

_NORMAL_PERCENT, _DISTURBED_PERCENT = 95.0, 90.0    # within 5 % of nominal; within 10 %, as EN 50160 allows for a week


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on power in real time."""
    form = DcpiRows()
    services.realtime.register(form)

    async def realtime(call: Call) -> web.StreamResponse:
        query: RealtimeQuery = call.query
        rows = await services.realtime.rows(form, query.duration_sec, query.resolution_ms)
        head = orjson.dumps(_now(services))[:-1] + b',"measurements":['
        return await services.long_answers.send(call.request, head, rows, b"]}")

    return [Endpoint("GET", "/power/realtime", Operation.POWER_READ, Category.MONITORING, realtime,
                     "Power now and up to 300 s back", RealtimePower, query=RealtimeQuery)]


def power_quality(quality: PowerQuality) -> dict[str, Any] | None:
    """The fields that are known; None where none is."""
    return present({"thd_percent": scaled(quality.thd_percent, 1, 3),
                    "power_factor": scaled(quality.power_factor, 1, 4),
                    "voltage_stability": stability(quality.stability_percent)}) or None


def stability(percent: float | None) -> Stability | None:
    """The contract's word for how near the phases are to nominal; None where that is not known."""
    if percent is None:
        return None
    if percent >= _NORMAL_PERCENT:
        return "normal"
    return "disturbed" if percent >= _DISTURBED_PERCENT else "critical"


def _now(services: Services) -> dict[str, Any]:
    parts, report = services.breakdown.read(), services.live.report()
    breakdown = present({"compute_load_mw": mw(parts.compute_w), "cooling_systems_mw": mw(parts.cooling_w),
                         "infrastructure_mw": mw(parts.rest_w)})
    return present({"facility_id": services.live.site.facility_id,
                    "measurement_timestamp": moment(report.utc_s if report else None),
                    "total_power_mw": mw(parts.total_w), "power_quality": power_quality(services.power.quality()),
                    "power_breakdown": breakdown or None})
