"""An event of the grid, and how the operator's own words become one. Pure."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import structlog
from msgspec import Meta, Struct

_LOG = structlog.get_logger("pswd_edge.gateway")

REQUEST: Final = "demand_response_request"
CANCELLED: Final = "demand_response_cancelled"
STARTED: Final = "demand_response_started"
ENDED: Final = "demand_response_ended"
EventType = Literal["demand_response_request", "demand_response_cancelled", "grid_notification",
                    "demand_response_started", "demand_response_ended"]


class GridEvent(NamedTuple):
    """One event. `number` rises without end on this gateway; `parameters` are in SI, moments as `…_utc_s`."""

    number: int
    event_type: EventType
    event_id: str
    utc_s: float
    parameters: dict[str, Any]


class Demand(NamedTuple):
    """What the operator asks for; the price per MWh, None where it says none."""

    event_id: str
    reduction_w: float
    duration_s: float
    deadline_utc_s: float
    price_per_mwh: float | None


Moment = Annotated[datetime, Meta(tz=True)]
_EventId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class _Asked(Struct, frozen=True):
    """The parameters of a request."""

    requested_reduction_w: Annotated[float, Meta(gt=0.0, le=1e12)]
    duration_s: Annotated[float, Meta(gt=0.0, le=7 * 86_400.0)]
    response_deadline: Moment
    compensation_per_mwh: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None


class _Noticed(Struct, frozen=True):
    """The parameters of everything else."""

    message: Annotated[str, Meta(max_length=500)] = ""


class _Told(Struct, frozen=True):
    """An event as the operator tells it; the parameters are judged by its type."""

    number: Annotated[int, Meta(ge=1)]
    event_type: Literal["demand_response_request", "demand_response_cancelled", "grid_notification"]
    event_id: _EventId
    timestamp: Moment
    parameters: dict[str, Any] = {}


class Page(Struct, frozen=True):
    """An answer of the operator: events after the last that was read, in the order of its `stream`."""

    stream: Annotated[str, Meta(max_length=200)]
    events: Annotated[list[dict[str, Any]], Meta(max_length=1000)]


def judged(raw: dict[str, Any]) -> GridEvent | None:
    """The event in SI; None, and logged, where it cannot be understood: one bad event must not hold up the others."""
    try:
        told = msgspec.convert(raw, _Told)
        if told.event_type == REQUEST:
            asked = msgspec.convert(told.parameters, _Asked)
            said: dict[str, Any] = {
                "requested_reduction_w": asked.requested_reduction_w, "duration_s": asked.duration_s,
                "response_deadline_utc_s": asked.response_deadline.timestamp()}
            if asked.compensation_per_mwh is not None:
                said["compensation_per_mwh"] = asked.compensation_per_mwh
        else:
            message = msgspec.convert(told.parameters, _Noticed).message
            said = {"message": message} if message else {}
    except msgspec.ValidationError as error:
        _LOG.warning("grid events: one is not understood and left out", id=str(raw.get("event_id"))[:128],
                     reason=str(error))
        return None
    return GridEvent(0, told.event_type, told.event_id, told.timestamp.timestamp(), said)
