"""What control answers to those who want a set-point held, or a cooler made ready. Pure."""

import math
from collections.abc import Callable

from pswd_edge.control.rules.gradual import leads, slower
from pswd_edge.model.command import Accepted, Clamped, Failed, Outcome, PrepareCooling, Rejected, SetPoint
from pswd_edge.model.point import WriteRule
from pswd_edge.model.site import Site
from pswd_edge.model.thermal import Cooler, Lead

ETA_MAX_S = 1e9      # some 30 years: a rate that is next to nothing never gets there
Standing = Callable[[int], float]
"""Where a set-point stands now; NaN: not known."""


def judge_point(request: SetPoint | PrepareCooling, site: Site, cycle: int, utc_s: float, bars: frozenset[int],
                standing: Standing) -> Outcome:
    """The outcome. `cycle`: the last one. `bars`: points that were not commissioned. `standing`: where points stand."""
    if isinstance(request, SetPoint):
        return _set_point(request, site, cycle, utc_s, bars, standing)
    return _prepare_cooling(request, site, cycle, utc_s, bars, standing)


def _set_point(request: SetPoint, site: Site, cycle: int, utc_s: float, bars: frozenset[int],
               standing: Standing) -> Outcome:
    """Taken within what the device can take and the site declares; the outcome says what bound it, and how long."""
    index = site.point_index.get(request.point)
    rule = None if index is None else site.points[index].write
    if index is None or rule is None:
        return Rejected(id=request.id, code="not_found", reason=f"{request.point}: no such writable point on this site")
    if site.devices[site.points[index].device].kind == "battery":
        return Rejected(id=request.id, code="forbidden", reason=f"{request.point}: batteries follow the control law; "
                        "ask for a battery target instead")
    if request.value is None:
        return Accepted(id=request.id, cycle=cycle + 1)
    if index in bars:
        return barred(request.id, request.point)
    return _granted(request, request.value, rule, leads(site.control.thermal).get(index), cycle, utc_s,
                    standing(index), site.control.period_ms / 1000)


def _granted(request: SetPoint, asked: float, rule: WriteRule, lead: Lead | None, cycle: int, utc_s: float,
             stands: float, period_s: float) -> Outcome:
    expires, limit, reason = utc_s + request.ttl_s, "", ""
    value = min(max(asked, rule.minimum), rule.maximum)
    if value != asked:
        limit = "minimum" if value > asked else "maximum"
        reason = f"{request.point}: {asked:g} is outside {rule.minimum:g}..{rule.maximum:g}"
    declared = value if lead is None else min(max(value, lead.low), lead.high)
    if lead is not None and declared != value:
        value, limit = declared, "thermal_limit"
        reason = f"{request.point}: {asked:g} is outside {lead.low:g}..{lead.high:g}, which the site declares"
    rate = slower(request.ramp_per_s, 0.0 if lead is None else lead.rate_per_s)
    eta_s = abs(value - stands) / rate if rate > 0 and math.isfinite(stands) else 0.0
    slow = eta_s > 2 * period_s
    if slow and not limit:
        limit, reason = "ramp", f"{request.point}: from {stands:g} at {60 * rate:g} a minute: in about {eta_s:.0f} s"
    known_eta_s = eta_s if slow and eta_s < ETA_MAX_S else None
    if limit:
        return Clamped(id=request.id, cycle=cycle + 1, value=value, limit=limit, expires_utc_s=expires, reason=reason,
                       eta_s=known_eta_s)
    return Accepted(id=request.id, cycle=cycle + 1, expires_utc_s=expires)


def _prepare_cooling(request: PrepareCooling, site: Site, cycle: int, utc_s: float, bars: frozenset[int],
                     standing: Standing) -> Outcome:
    """Taken up to the cooler's rating; clamped too where its set-points cannot be there in time."""
    thermal = site.control.thermal
    cooler = next((c for c in (thermal.coolers if thermal else ()) if c.id == request.cooler), None)
    if cooler is None:
        return Rejected(id=request.id, code="not_found",
                        reason=f"{request.cooler}: no cooler of this site (control.thermal.coolers)")
    if request.heat_w is None:
        return Accepted(id=request.id, cycle=cycle + 1)
    shut = next((lead.point for lead in cooler.leads if lead.point in bars), None)
    if shut is not None:
        return barred(request.id, site.points[shut].id)
    value = min(request.heat_w, cooler.rating_w)
    eta_s, expires, limit = _ready_in_s(cooler, value / cooler.rating_w, standing), utc_s + request.ttl_s, ""
    reason = f"{cooler.id}: ready for {value / 1e6:.3g} MW in about {eta_s:.0f} s"
    if value < request.heat_w:
        limit, reason = "cooler_rating", f"{cooler.id} carries {cooler.rating_w / 1e6:.3g} MW at most"
    elif eta_s > request.ttl_s:
        limit, reason = "ramp", f"{reason}, after the {request.ttl_s:.0f} s that it is asked for"
    if limit:
        return Clamped(id=request.id, cycle=cycle + 1, value=value, limit=limit, expires_utc_s=expires, eta_s=eta_s,
                       reason=reason)
    return Accepted(id=request.id, cycle=cycle + 1, expires_utc_s=expires, eta_s=eta_s, reason=reason)


def _ready_in_s(cooler: Cooler, share: float, standing: Standing) -> float:
    """How long its slowest set-point takes to what `share` of all its cooling means."""
    ways = [(abs(lead.normal + share * (lead.ready - lead.normal) - standing(lead.point)), lead.rate_per_s)
            for lead in cooler.leads]
    return max((way / rate for way, rate in ways if math.isfinite(way)), default=0.0)


def barred(request_id: str, point: str) -> Failed:
    """A point that was not commissioned is led by nobody."""
    return Failed(id=request_id, code="not_commissioned", reason=f"{point} was not commissioned: AUTO leaves it alone "
                  "(pswd-edge commission)")
