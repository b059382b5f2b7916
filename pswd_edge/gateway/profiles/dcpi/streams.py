"""DCPI: three WebSocket streams. Power and thermal come with every row of control, grid events when they come."""

from typing import Any

from aiohttp import web
from pydantic import BaseModel

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profiles.dcpi.streams_models import BASELINE, GridEventMessage, PowerMessage, ThermalMessage
from pswd_edge.gateway.projection import mw, percent, present, scaled
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.power import PowerQuality
from pswd_edge.gateway.services.shares import PowerShares, SharesService
from pswd_edge.gateway.streams.serving import serve_stream
from pswd_edge.gateway.streams.stream import Stream

KEPT_EVENTS = 64


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on streams."""
    shares = SharesService(services.live, services.workloads)
    power = services.hub.open("power", lambda utc_s: power_message(shares.read(), services.power.quality(), utc_s))
    thermal = services.hub.open("thermal", lambda utc_s: thermal_message(services, utc_s))
    events = services.hub.open("grid events", keep=KEPT_EVENTS)
    return [
        _endpoint(services, power, "/stream/power/realtime", Operation.POWER_READ, PowerMessage,
                  "The site's power, by workload, every 100 ms"),
        _endpoint(services, thermal, "/stream/thermal/realtime", Operation.THERMAL_READ, ThermalMessage,
                  "Temperatures, flow and heat of every cooling system, every 100 ms"),
        _endpoint(services, events, "/stream/grid/events", Operation.GRID_READ, GridEventMessage,
                  "What the grid's operator asks for, when it does; on opening also what is still to be answered"),
    ]


def _endpoint(services: Services, stream: Stream, path: str, operation: Operation, message: type[BaseModel],
              summary: str) -> Endpoint:
    async def serve(call: Call) -> web.StreamResponse:
        return await serve_stream(services, stream, call.principal.origin, call.request)

    return Endpoint("GET", path, operation, Category.MONITORING, serve, summary, message, status=101,
                    refusals=(426,), stream=True)


def power_message(shares: PowerShares, quality: PowerQuality, utc_s: float) -> dict[str, Any]:
    """PowerMessage without its number. A workload that calls itself as the rest is called counts as part of it."""
    by_name = {name: mw(max(0.0, power_w)) for name, power_w in shares.workloads_w.items() if name != BASELINE}
    rest_w = shares.rest_w
    if rest_w is not None:
        by_name[BASELINE] = mw(rest_w + shares.workloads_w.get(BASELINE, 0.0))
    return present({
        "timestamp": iso_utc(utc_s),
        "power_mw": None if shares.load_w is None else mw(max(0.0, shares.load_w)),
        "power_quality": present({"thd_percent": percent(quality.thd_percent),
                                  "power_factor": scaled(quality.power_factor, 1, 4)}) or None,
        "workload_breakdown": by_name or None,
    })


def thermal_message(services: Services, utc_s: float) -> dict[str, Any]:
    """ThermalMessage without its number."""
    live = services.live
    return {"timestamp": iso_utc(utc_s), "cooling_systems": [
        present({
            "system_id": cdu.id,
            "inlet_temp_c": scaled(live.signal(cdu.id, "supply_temperature_c"), 1, 3),
            "outlet_temp_c": scaled(live.signal(cdu.id, "return_temperature_c"), 1, 3),
            "flow_rate_lpm": _positive(live.signal(cdu.id, "flow_lpm"), 1, 3),
            "heat_load_mw": _positive(live.signal(cdu.id, "heat_w"), 1e-6, 6),
        }) for cdu in live.site.devices_of("cdu")]}


def _positive(value: float | None, factor: float, digits: int) -> float | None:
    """A meter at rest may stand a hair below 0."""
    return None if value is None else scaled(max(0.0, value), factor, digits)
