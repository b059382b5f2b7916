"""Answers of devices to readings: decoded and judged as the site's own table does it. Pure."""

import math
import time
from collections.abc import Sequence

from pswd_edge.errors import DecodeError, PswdError, RefusedError
from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.drivers.plan import Span, words_of
from pswd_edge.field.table import Table
from pswd_edge.model.look import ERROR_MAX, Exchange, FreshReading
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality, Reason


class Answer:
    """What one request brought: `reply`, or `error`."""

    def __init__(self, request: ReadRequest) -> None:
        self.request = request
        self.reply: bytes | Sequence[Value] | None = None
        self.error: PswdError | None = None
        self.round_trip_ms = math.nan


def _text(error: PswdError | None) -> str:
    return "" if error is None else str(error)[:ERROR_MAX]


def span_of(request: ReadRequest) -> Span | None:
    """The registers of a request, None in protocols that have none."""
    span = getattr(request.payload, "span", None)
    return span if isinstance(span, Span) else None


def exchange_of(answer: Answer) -> Exchange:
    """What one request brought, undecoded."""
    request, reply = answer.request, answer.reply
    span = span_of(request)
    start = 0 if span is None else span.start
    if answer.error is not None or not reply:
        return Exchange(request.text, answer.round_trip_ms, start=start, error=_text(answer.error) or "no answer",
                        problem=type(answer.error).__name__)
    if isinstance(reply, bytes):
        return Exchange(request.text, answer.round_trip_ms, start=start, raw=reply.hex())
    value = reply[0]
    return Exchange(request.text, answer.round_trip_ms, value=_number(value.value), quality=value.quality.name,
                    reason=value.reason.name, source_utc_s=value.source_utc_s)


def readings_of(points: Sequence[Point], answers: Sequence[Answer]) -> list[tuple[int, FreshReading]]:
    """Decode answers as the site's own table does; `points` are numbered from 0."""
    table = Table(points, [a.request for a in answers])
    now_s = time.monotonic()
    for slot, answer in enumerate(answers):
        if isinstance(answer.reply, bytes):
            table.put_raw(slot, answer.reply, now_s)
        elif answer.reply is not None:
            table.put_values(slot, answer.reply, now_s)
        else:
            table.put_failure(slot, _why(answer.error))
    table.settle(table.group(range(len(answers))), now_s)
    return [(p.index, _reading(table, p, a, now_s)) for a in answers for p in a.request.points]


def _reading(table: Table, point: Point, answer: Answer, now_s: float) -> FreshReading:
    found, source_utc_s = table.reading(point.index, now_s), float(table.source_utc_s[point.index])
    return FreshReading(
        point.id, _number(found.value), found.quality.name, found.reason.name, _number(source_utc_s),
        answer.request.text, _own_registers(point, answer), answer.round_trip_ms, _text(answer.error))


def _own_registers(point: Point, answer: Answer) -> str:
    address, span = point.address, span_of(answer.request)
    if not (isinstance(address, ModbusAddress) and span is not None and isinstance(answer.reply, bytes)):
        return ""
    if address.kind in ("coil", "discrete"):
        at = address.register - span.start
        return str(answer.reply[at // 8] >> at % 8 & 1)
    at = 2 * (address.register - span.start)
    return answer.reply[at : at + 2 * words_of(address)].hex()


def _why(error: PswdError | None) -> Reason:
    if isinstance(error, DecodeError):
        return Reason.UNDECODABLE
    return Reason.REFUSED if isinstance(error, RefusedError) else Reason.UNREACHABLE


def unread(point: Point, error: str) -> FreshReading:
    """A reading of a point that could not be asked for."""
    return FreshReading(point.id, None, Quality.BAD.name, Reason.NEVER_READ.name, None, "", "", 0.0, error[:ERROR_MAX])


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
