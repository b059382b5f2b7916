"""Decisions in plain words: what the names in reports and in the ledger mean to an operator."""

from collections.abc import Mapping
from typing import Any

BINDINGS = {
    "target": "nothing holds the grid's power back; it follows the load's mean",
    "budget": "the ramp of the last two minutes leaves the grid no more room to move",
    "export": "the batteries may not push more into the grid than the site may export",
    "ramp_up": "the grid may not rise faster than the ramp limit; the batteries give the rest",
    "ramp_down": "the grid may not fall faster than the ramp limit; the batteries take the rest",
    "reserve_up": "the energy in the batteries is kept for a rise of the load, so the grid carries more now",
    "reserve_down": "room in the batteries is kept for a fall of the load, so the grid carries less now",
    "reserve_insufficient": "the batteries hold too little energy or room to keep the ramp limit through every change "
                            "of the load that may come",
    "battery": "the batteries are at a limit of their own and cannot give or take what is needed",
    "manual": "the operator leads the batteries",
    "safe": "SAFE: the batteries go to zero at the ramp limit",
    "blind": "the load is not known: the batteries are held a second and then go to zero at the ramp limit",
    "observe": "OBSERVE: control decides and writes nothing of it",
}
ORIGINS = {"law": "the control law", "workload": "a workload's throttle, pause or condition", "adopted":
           "the set-point that was found at the start", "commissioning": "a trial of commissioning"}
LEVELS = {0: "the device", 1: "protection", 2: "the grid", 3: "the operator", 4: "the API", 5: "the law",
          6: "the planner"}


def binding(name: str) -> str:
    """What bound the reference or the batteries."""
    return BINDINGS.get(name, name.replace("_", " "))


def origin(name: str) -> str:
    """Who won."""
    return ORIGINS.get(name, name)


def level(number: int) -> str:
    """The authority's name."""
    return LEVELS.get(number, f"level {number}")


def power(value: float | None) -> str:
    """MW with its unit."""
    return "unknown" if value is None else f"{value / 1e6:.2f} MW"


def headline(body: Mapping[str, Any]) -> str:
    """One entry of the ledger in one line."""
    subject, kind = str(body.get("subject", "")), body.get("kind")
    if kind == "request":
        return _request(body)
    if kind == "change" and subject == "site":
        tiers = [t for t, shed in (body.get("tiers") or {}).items() if shed is not None]
        extra = "".join((f"; degraded: {', '.join(body['degraded'])}" if body["degraded"] else "",
                         f"; shed: {', '.join(tiers)}" if tiers else "", _droop(body), _folded(body)))
        return (f"site: {body['mode']}, bound by {body['binding']}, load {power(body['load_w'])}, grid "
                f"{power(body['grid_w'])}, batteries {power(body['battery_w'])}{extra}")
    if kind == "change":
        return _point(body)
    words = {
        "opened": "control started" + _opened(body), "withdrawn": f"withdrawn, it was never answered: {subject}",
        "planner": str(body.get("reason", "")),
        "lost": f"{body.get('count')} entries were lost: the disk did not keep up",
        "clock": f"the clock was set by {float(body.get('step_s') or 0.0):+.1f} s",
        "pruned": f"segments up to {body.get('through_segment')} were deleted to keep the size",
        "power": f"the power record of an hour was closed: {body.get('file')}"}
    return words.get(str(kind), f"{kind} {subject}")


def _opened(body: Mapping[str, Any]) -> str:
    cut, broken = body.get("cut_bytes"), body.get("broken")
    return (f"; {cut} bytes of a torn end were cut off" if cut else "") + (f"; broken at {broken}" if broken else "")


def _droop(body: Mapping[str, Any]) -> str:
    """What the batteries gave for the frequency; entries of earlier releases do not know it."""
    return f"; droop {power(body['droop_w'])}" if body.get("droop_w") else ""


def _folded(body: Mapping[str, Any]) -> str:
    return f" ({body['folded']} changes to and fro since the entry before)" if body.get("folded") else ""


def _request(body: Mapping[str, Any]) -> str:
    asked = body.get("request") or {}
    kind, who = asked.get("type", body.get("asked")), asked.get("origin", body.get("origin"))
    outcome = body.get("outcome") or {}
    what = " ".join(f"{k}={asked[k]}" for k in ("mode", "point", "value", "power_w", "workload_id", "action")
                    if asked.get(k) is not None)
    reason = outcome.get("reason") or body.get("reason") or ""
    limit = f", limit {outcome['limit']}" if outcome.get("limit") else ""
    return f"{who} asked {kind} {what}: {body.get('answer')}{limit}{': ' if reason else ''}{reason}"


def _point(body: Mapping[str, Any]) -> str:
    limit = f", held at {body['limit']}" if body["limit"] else ""
    losers = f"; not taken: {', '.join(body['losers'])}" if body["losers"] else ""
    losers += f"; contradicted each other: {', '.join(body['tied'])}" if body.get("tied") else ""
    name = str(body["subject"]).partition(":")[2]
    if body["value"] is None:
        unknown = f" since {body['limit']} is not known" if body["limit"] else ""
        return f"{name}: nothing is written{unknown}{losers}"
    value = power(body["value"]) if body.get("unit") == "W" else f"{body['value']:g} {body.get('unit', '')}".rstrip()
    return f"{name}: {value} by {origin(body['winner'])}{limit}{losers}{_folded(body)}"
