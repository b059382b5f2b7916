"""Limits of the site that are tighter for a while: what may be asked, and which of them are in force. Pure."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from pswd_edge.clock import iso_utc
from pswd_edge.control.rules.terms import Orders
from pswd_edge.model.command import LIMIT_NAMES, Accepted, Clamped, Level, Outcome, Rejected, SetLimit
from pswd_edge.model.control import ControlSpec

LIMIT_TTL_MAX_S = 86400.0     # whoever asks: a contract that is tighter for longer belongs into the site file
LIMITS_MAX = 100              # held at a time, of all origins together
Key = tuple[str, Level, str]
RAMP_LEAST_SHARE = 0.05       # of the site's ramp: with less than that no reference could move at all


class Span(NamedTuple):
    """What a limit may be set to; `loose` is the end that the site file gives, `name` what it is called there."""

    least: float
    most: float
    loose: float
    name: str


class HeldLimit(NamedTuple):
    """A limit in force from `from_s` until `until_s` (monotonic). W, or W/min for the ramp."""

    name: str
    value: float
    level: Level
    origin: str
    until_s: float
    sequence: int
    emergency: bool = False
    from_s: float = -math.inf


def span_of(spec: ControlSpec, name: str) -> Span | None:
    """The span of a limit; None where there is no limit of this name."""
    ramp_w_per_min, floor_w = spec.ramp_limit_w_per_min, spec.load_floor_w
    spans = (
        Span(0.0, spec.import_limit_w, spec.import_limit_w, "import_limit_w"),
        Span(0.0, spec.export_limit_w, spec.export_limit_w, "export_limit_w"),
        Span(RAMP_LEAST_SHARE * ramp_w_per_min, ramp_w_per_min, ramp_w_per_min, "ramp_limit_w_per_min"),
        Span(floor_w, spec.load_maximum_w, spec.load_maximum_w, "load_range.maximum_w"),
        Span(floor_w, spec.load_ceiling_w, floor_w, "load_range.floor_w"),
    )
    return dict(zip(LIMIT_NAMES, spans, strict=True)).get(name)


def decide_limit(request: SetLimit, spec: ControlSpec, authority: Level, utc_s: float, cycle: int,
                 held: int) -> Outcome:
    """The outcome of a request for a limit. What would loosen is clamped to the site file's; the rest is taken."""
    span = span_of(spec, request.name)
    if span is None:
        return Rejected(id=request.id, code="not_found", reason=f"{request.name}: no such limit: expected one of "
                        f"{', '.join(LIMIT_NAMES)}")
    if request.value is None:
        return Accepted(id=request.id, cycle=cycle + 1, reason=f"{request.name}: the site file's again, as far as "
                        "nobody else holds it")
    if wrong := _refused(request, span, authority, held, utc_s):
        return Rejected(id=request.id, code=wrong[0], reason=wrong[1])
    expires, value = utc_s + request.ttl_s, min(max(request.value, span.least), span.most)
    if value != request.value:
        return Clamped(id=request.id, cycle=cycle + 1, value=value, limit=span.name, expires_utc_s=expires,
                       reason=f"{request.name}: {request.value:g} would loosen what the site file says, {span.loose:g}")
    begins = f" from {iso_utc(request.from_utc_s)} on" if request.from_utc_s > utc_s else ""
    return Accepted(id=request.id, cycle=cycle + 1, expires_utc_s=expires,
                    reason=f"{request.name} is {value:g}{begins}")


def _refused(request: SetLimit, span: Span, authority: Level, held: int, utc_s: float) -> tuple[str, str] | None:
    """Code and reason why a limit is not taken at all, or None."""
    assert request.value is not None
    loosens = request.value < span.least if span.loose == span.least else request.value > span.most
    if not loosens and not span.least <= request.value <= span.most:
        return "invalid", f"{request.name}: got {request.value:g}: expected {span.least:g}..{span.most:g}"
    if request.emergency and request.name != "import_limit_w":
        return "invalid", f"{request.name}: got emergency: only import_limit_w can be reached faster than the ramp"
    if wrong := _wrong_begin(request, utc_s):
        return "invalid", wrong
    if request.emergency and authority > Level.OPERATOR:
        return "forbidden", "an emergency is the operator's socket's only (pswd-edge limit --emergency)"
    if held >= LIMITS_MAX:
        return "too_many", f"{held} limits are held: release some, or let them expire"
    return None


def _wrong_begin(request: SetLimit, utc_s: float) -> str:
    if not 0 <= request.from_utc_s < utc_s + request.ttl_s:
        return (f"begins {request.from_utc_s - utc_s:.0f} s from now: expected a moment within the {request.ttl_s:g} s "
                "that it is held for")
    if request.emergency and request.from_utc_s > utc_s:
        return "an emergency is now: ask for the limit without it, and it is reached by its begin"
    return ""


def level_of(authority: Level) -> Level:
    """The level at which a limit is held: what comes by the operator's socket is the grid operator's word."""
    return Level.GRID if authority <= Level.OPERATOR else Level.API


def key_of(name: str, level: Level, origin: str, from_utc_s: float = 0.0) -> Key:
    """What a newer request takes the place of: the grid has one word on each limit and begin, programs one each."""
    who = "" if level is Level.GRID else origin
    return name, level, f"{who}@{from_utc_s:.0f}" if from_utc_s > 0 else who


def released(held: Iterable[Key], name: str, level: Level, origin: str) -> list[Key]:
    """Which of these go when their origin lets go of a limit: those to come, too."""
    own = key_of(name, level, origin)
    return [k for k in held if k == own or (k[:2] == own[:2] and k[2].startswith(f"{own[2]}@"))]


def tightest(held: Iterable[HeldLimit], now_s: float = math.inf) -> dict[str, HeldLimit]:
    """The limit in force of each name: the more restrictive wins, whoever asked; of two equal ones the higher level.

    One that begins after `now_s` (monotonic) is not in force.
    """
    found: dict[str, HeldLimit] = {}
    for limit in sorted((h for h in held if h.from_s <= now_s), key=lambda h: (int(h.level), -h.sequence)):
        before, sign = found.get(limit.name), -1.0 if limit.name == "load_floor_w" else 1.0
        if before is None or sign * limit.value < sign * before.value:
            found[limit.name] = limit
    return found


def ordered(orders: Orders, found: dict[str, HeldLimit]) -> Orders:
    """The orders with the limits in force; the guaranteed range is the caller's, since it widens with its reserve."""
    def value(name: str) -> float | None:
        return found[name].value if name in found else None

    emergency = "import_limit_w" in found and found["import_limit_w"].emergency
    return orders._replace(
        import_limit_w=value("import_limit_w"), export_limit_w=value("export_limit_w"),
        ramp_w_per_min=value("ramp_limit_w_per_min"), emergency=emergency)
