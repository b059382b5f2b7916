"""What control answers to those who acknowledge and shelve alarms. Pure."""

from pswd_edge.clock import iso_utc
from pswd_edge.model.command import SHELVE_MAX_S, Accepted, Acknowledge, Outcome, Rejected, Shelve
from pswd_edge.model.report import AlarmReport

ACKNOWLEDGE_ROLES = frozenset({"infrastructure_manager"})    # of the API's users; the operator's socket may always
_CODES_SHOWN = 10


def judge_alarm_order(request: Acknowledge | Shelve, alarms: tuple[AlarmReport, ...], cycle: int) -> Outcome:
    """The outcome; `alarms` are those listed, `cycle` is the last one."""
    listed = next((a for a in alarms if a.code == request.code), None)
    if listed is None:
        return Rejected(id=request.id, code="not_found", reason=f"{request.code}: no such alarm is listed: expected "
                        f"{_codes(alarms)}")
    if isinstance(request, Shelve):
        return _shelve(request, cycle)
    if listed.acknowledged_utc_s is not None:
        reason = f"acknowledged before, by {listed.acknowledged_by} at {iso_utc(listed.acknowledged_utc_s)}"
        return Accepted(id=request.id, cycle=cycle + 1, reason=reason)
    reason = "still on" if listed.active else "over"
    return Accepted(id=request.id, cycle=cycle + 1, reason=f"{request.code}: acknowledged; {reason}")


def _shelve(request: Shelve, cycle: int) -> Outcome:
    if not 0 <= request.seconds <= SHELVE_MAX_S:
        return Rejected(id=request.id, code="invalid", reason=f"shelved for {request.seconds:g} s: expected "
                        f"0..{SHELVE_MAX_S:g} s")
    told = f"not told for {request.seconds:g} s" if request.seconds else "told again"
    return Accepted(id=request.id, cycle=cycle + 1, reason=f"{request.code}: {told}")


def _codes(alarms: tuple[AlarmReport, ...]) -> str:
    shown = [a.code for a in alarms[:_CODES_SHOWN]]
    return ", ".join([*shown, "…"] if len(alarms) > _CODES_SHOWN else shown) or "none, as there is no alarm"
