"""What control answers to a request: checked again here, whatever the gateway has checked. Pure."""

import math
from collections.abc import Iterator, Mapping

import msgspec

from pswd_edge.control.alarm_orders import ACKNOWLEDGE_ROLES, judge_alarm_order
from pswd_edge.control.facts import Facts
from pswd_edge.control.limits import LIMIT_TTL_MAX_S
from pswd_edge.control.point_orders import judge_point
from pswd_edge.control.workload_orders import decide_announcement, decide_order
from pswd_edge.model.command import (
    AHEAD_S,
    HINT_TTL_MAX_S,
    OLDEST_S,
    Accepted,
    Acknowledge,
    Announce,
    Clamped,
    Commission,
    ControlWorkload,
    Failed,
    Hint,
    Level,
    Mode,
    Outcome,
    PrepareCooling,
    Record,
    Rejected,
    Request,
    SetBatteryTarget,
    SetLimit,
    SetMode,
    SetPoint,
    Shelve,
)
from pswd_edge.model.look import DoorRequest
from pswd_edge.model.site import Site
from pswd_edge.model.workload import DEPENDENCIES_MAX, SCHEDULE_MAX, Workload

TTL_MAX_S = {Level.OPERATOR: 900.0, Level.API: 86400.0}
TEXT_MAX = 200                # bytes of UTF-8
SECONDS_MAX = 1e9             # some 30 years
UTC_MAX_S = 250e9             # before the year 10000, which no date-time can show
_NEEDED = frozenset({"id", "origin", "workload_id", "code", "dependencies", "cooler"})
_LENGTH = "length at most "
_POWERS = frozenset({"peak_w", "baseline_w", "average_w", "minimum_w", "max_power_w", "load_w", "heat_w", "target_w",
                     "ramp_w_per_s", "ramp_per_s"})
_Held = SetPoint | PrepareCooling | SetBatteryTarget | SetLimit
_SECONDS = {"duration_s": 0.0, "delay_tolerance_s": 0.0, "pause_s": 1.0, "seconds": 0.0, "max_pause_s": 0.0,
            "duration_limit_s": 1.0}
_LONGEST = {"schedule": SCHEDULE_MAX, "dependencies": DEPENDENCIES_MAX}


def check(request: DoorRequest, authority: Level, utc_s: float) -> Rejected | None:
    """Form, age, identity and authority; None where they are in order. "malformed" ones are not worth remembering."""
    def no(code: str, reason: str) -> Rejected:
        return Rejected(id=request.id[:TEXT_MAX], code=code, reason=reason)

    wrong = _wrong_form(request)
    if wrong is not None:
        return no(*wrong)
    age_s = utc_s - request.issued_utc_s
    if not -AHEAD_S <= age_s <= OLDEST_S:
        return no("expired", f"issued {age_s:.1f} s ago: expected -{AHEAD_S:g}..{OLDEST_S:g} s; send a fresh request")
    most_s = _longest_s(request, authority)
    if not 0 <= request.ttl_s <= most_s:
        return no("ttl", f"holds for {request.ttl_s:g} s: expected 0..{most_s:g} s")
    if authority > Level.OPERATOR and (reason := _operator_only(request)):
        return no("forbidden", reason)
    if isinstance(request, _Held) and request.ttl_s <= 0 and _holds(request):
        return no("ttl", "holds for 0 s: expected a time, so that nothing stays for ever")
    return None


def _longest_s(request: DoorRequest, authority: Level) -> float:
    if isinstance(request, SetLimit | Hint):
        return LIMIT_TTL_MAX_S if isinstance(request, SetLimit) else HINT_TTL_MAX_S
    return TTL_MAX_S.get(authority, TTL_MAX_S[Level.API])


def _operator_only(request: DoorRequest) -> str:
    """Why the API may not ask this; "" where it may."""
    if isinstance(request, SetMode | Commission):
        return "modes and commissioning are the operator's socket's only (pswd-edge mode, commission)"
    if isinstance(request, Record):
        return "recording is the operator's socket's only (pswd-edge record)"
    if isinstance(request, Shelve):
        return "alarms are shelved at the operator's socket only (pswd-edge alarms shelve)"
    if isinstance(request, Acknowledge) and request.role not in ACKNOWLEDGE_ROLES:
        return f"{request.role}: alarms are acknowledged by {', '.join(sorted(ACKNOWLEDGE_ROLES))}"
    return ""


def _wrong_form(request: DoorRequest) -> tuple[str, str] | None:
    """Code and reason of the first text or number that no request may carry; None where there is none."""
    values = list(_values(request))
    texts = (_wrong_text(n, v) for n, v in values if isinstance(v, str))
    numbers = (_wrong_number(n, v) for n, v in values if isinstance(v, int | float))
    if reason := next(filter(None, texts), ""):
        return "malformed", reason
    if reason := next(filter(None, numbers), ""):
        return "invalid", reason
    return None


def _values(found: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every field by name, those of the structs within included."""
    for name in found.__struct_fields__:
        value = getattr(found, name)
        if isinstance(value, msgspec.Struct):
            yield from _values(value, f"{name}.")
        elif isinstance(value, tuple) and name in _LONGEST:
            yield from _listed(value, prefix + name)
        else:
            yield prefix + name, value


def _listed(values: tuple[object, ...], name: str) -> Iterator[tuple[str, object]]:
    """What a list holds, as far as a list may go, and its length."""
    most = _LONGEST[name.rpartition(".")[2]]
    yield f"{name}.{_LENGTH}{most}", len(values)
    for value in values[:most]:
        if isinstance(value, msgspec.Struct):
            yield from _values(value, f"{name}.")
        else:
            yield name, value


def _wrong_text(name: str, value: str) -> str:
    """What is wrong with a text; all of them come back in outcomes, reports and the ledger, and must stay small."""
    size = len(value.encode("utf-8", "replace"))
    if size > TEXT_MAX:
        return f"{name}: got {size} bytes: expected at most {TEXT_MAX}"
    if not value and name.rpartition(".")[2] in _NEEDED:
        return f"{name}: got nothing: expected 1..{TEXT_MAX} bytes"
    return ""


def _wrong_number(name: str, value: float) -> str:
    """What is wrong with a number, whatever it is for; ranges that depend on the site are judged later."""
    low, high = -math.inf, math.inf
    last = name.rpartition(".")[2]
    if last.startswith(_LENGTH):
        high = float(last.removeprefix(_LENGTH))
    elif last.endswith("_utc_s") or last == "utc_s":
        low, high = 0.0, UTC_MAX_S
    elif last in _SECONDS:
        low, high = _SECONDS[last], SECONDS_MAX
    elif last in _POWERS:
        low = 0.0
    if math.isfinite(value) and low <= value <= high:
        return ""
    return f"{name}: got {value:g}: expected a number" + (f" of {low:g} or more" if low > -math.inf else "")


def _holds(request: _Held) -> bool:
    if isinstance(request, PrepareCooling):
        return request.heat_w is not None
    return (request.power_w if isinstance(request, SetBatteryTarget) else request.value) is not None


def decide(
    request: Request, site: Site, facts: Facts, workloads: Mapping[str, Workload], authority: Level
) -> Outcome:
    """The outcome of a request that is in order."""
    if isinstance(request, SetMode):
        return Accepted(id=request.id, cycle=facts.cycle + 1, reason=f"mode {request.mode.value} from the next cycle")
    if isinstance(request, SetPoint | PrepareCooling):
        return judge_point(request, site, facts.cycle, facts.utc_s, facts.barred, facts.standing)
    if isinstance(request, SetBatteryTarget):
        return _battery_target(request, facts, authority)
    if isinstance(request, Announce):
        return decide_announcement(request, site, facts, workloads)
    if isinstance(request, ControlWorkload):
        return decide_order(request, site, facts, workloads)
    return _other(request, facts)


def _other(request: Request, facts: Facts) -> Outcome:
    if isinstance(request, Acknowledge | Shelve):
        return judge_alarm_order(request, facts.alarms, facts.cycle)
    return Rejected(id=request.id, code="not_found", reason=f"{type(request).__name__} is not for the control loop")


def _battery_target(request: SetBatteryTarget, facts: Facts, authority: Level) -> Outcome:
    if request.power_w is None:
        return Accepted(id=request.id, cycle=facts.cycle + 1, reason="automatic law")
    followed = facts.mode is Mode.AUTO or (facts.mode is Mode.MANUAL and authority <= Level.OPERATOR)
    if facts.ready or not followed:
        return Failed(id=request.id, code="not_ready", reason=facts.ready or f"mode is {facts.mode.value}: battery "
                      "requests are followed in AUTO, and in MANUAL from the operator's socket")
    expires = facts.utc_s + request.ttl_s
    value = min(max(request.power_w, -facts.charge_available_w), facts.discharge_available_w)
    limit = "discharge_available" if value < request.power_w else "charge_available" if value > request.power_w else ""
    now_w = facts.filtered_w - facts.reference_w
    rate = facts.limits.down_w_per_s if value > now_w else facts.limits.up_w_per_s
    if request.ramp_w_per_s > 0:
        rate = min(rate, request.ramp_w_per_s)
    eta_s = abs(value - now_w) / rate if rate > 0 else math.inf
    if limit:
        return Clamped(id=request.id, cycle=facts.cycle + 1, value=value, limit=limit, expires_utc_s=expires,
                       eta_s=None, reason=f"{request.power_w / 1e6:.2f} MW asked, {value / 1e6:.2f} MW can be given")
    if eta_s > 2 * facts.limits.period_s:
        return Clamped(id=request.id, cycle=facts.cycle + 1, value=value, limit="ramp", expires_utc_s=expires,
                       eta_s=eta_s if eta_s < SECONDS_MAX else None,
                       reason=f"reached in about {eta_s:.0f} s at the ramp limit")
    return Accepted(id=request.id, cycle=facts.cycle + 1, expires_utc_s=expires)
