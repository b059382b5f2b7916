"""DCPI: three WebSocket streams. Power and thermal come with every row of control, grid events when they come."""

from aiohttp import web
from pydantic import BaseModel

from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profiles.dcpi.streams_messages import grid_event_message, power_message, thermal_message
from pswd_edge.gateway.profiles.dcpi.streams_models import GridEventMessage, PowerMessage, ThermalMessage
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.grid_event import CANCELLED, REQUEST, GridEvent
from pswd_edge.gateway.services.grid_events import GridEvents
from pswd_edge.gateway.services.shares import SharesService
from pswd_edge.gateway.streams.serving import serve_stream
from pswd_edge.gateway.streams.stream import Kept, Stream

KEPT_EVENTS = 64


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on streams."""
    shares = SharesService(services.live, services.workloads, services.power)
    power = services.hub.open("power", lambda utc_s: power_message(shares.read(), services.power.quality(), utc_s))
    thermal = services.hub.open("thermal", lambda utc_s: thermal_message(services.live, utc_s))
    events = services.hub.open("grid events", keep=KEPT_EVENTS)
    services.hub.feed(lambda: _follow_events(services.grid_events, events))
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


async def _follow_events(events: GridEvents, stream: Stream) -> None:
    """What is kept already first; then what comes, for ever."""
    subscription = events.subscribe()
    try:
        for event in events.recent():
            _send_event(stream, event)
        async for event in subscription:
            _send_event(stream, event)
    finally:
        subscription.close()


def _send_event(stream: Stream, event: GridEvent) -> None:
    """A request is kept for those who join before its deadline, until it is cancelled."""
    if event.event_type == CANCELLED:
        stream.forget(event.event_id)
    kept = None
    if event.event_type == REQUEST:
        kept = Kept(event.event_id, event.parameters["response_deadline_utc_s"])
    stream.send(grid_event_message(event), event.number, kept)
