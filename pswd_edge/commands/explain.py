"""`pswd-edge explain [POINT] [--at TIME]`: why a set-point is what it is, now or then."""

import argparse
import difflib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pswd_edge.chain.chain_check import read_entries
from pswd_edge.clock import iso_utc
from pswd_edge.commands.ledger import add_folders
from pswd_edge.commands.moment import utc_of
from pswd_edge.commands.sentences import binding, headline, level, origin, power
from pswd_edge.commands.status import ALIVE_S
from pswd_edge.control.chronicle import input_points
from pswd_edge.errors import PswdError
from pswd_edge.image import ImageReader
from pswd_edge.model.point import Point
from pswd_edge.model.report import Report
from pswd_edge.model.site import Site

_LOOK_BACK_S = 7 * 86_400.0
_RING_NEAR_S = 1.0
_RECENT = 5


class Account(NamedTuple):
    """What is told, as numbers for `--json` and as lines for people."""

    facts: dict[str, Any]
    lines: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("point", nargs="?", help="an actuated point, as bess-1.power_setpoint_w; without it the site")
    parser.add_argument("--at", help="a time: 2026-03-01T02:10:00Z, 02:10, 02:10:30 (UTC) or -5m; without it now")
    add_folders(parser)
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(options: argparse.Namespace) -> int:
    """0 where it could be told."""
    with ImageReader(options.runtime_dir) as image:
        point = None if options.point is None else find_point(image.site, options.point)
        at = options.at
        told = now_of(image, point) if at is None else then_of(image, point, utc_of(at), options.state_dir)
    print(msgspec.json.encode(told.facts).decode() if options.json else "\n".join(told.lines))
    return 0


def find_point(site: Site, name: str) -> Point:
    """The point of that name. Raises PswdError with names that are near."""
    index = site.point_index.get(name)
    if index is None:
        names = [p.id for p in site.points if p.write is not None]
        near = difflib.get_close_matches(name, names, 3, 0.4) or [n for n in names if name in n][:3]
        hint = f"did you mean {', '.join(near)}?" if near else f"for one, {names[0]}" if names else "none is actuated"
        raise PswdError(f"{name}: the site has no such point; {hint} (nothing was explained)")
    point = site.points[index]
    if point.write is None:
        raise PswdError(f"{name}: it is measured, never written; explain tells why a set-point is what it is. For its "
                        f"value: pswd-edge read {name}")
    return point


# --- now -------------------------------------------------------------------------------------------------------------

def now_of(image: ImageReader, point: Point | None) -> Account:
    """From the image's report. Raises PswdError before the first cycle."""
    report = image.report()
    if report is None:
        raise PswdError("control has not completed a cycle yet; nothing can be explained")
    age_s = time.monotonic() - image.beat_s
    stale = [f"control is SILENT for {age_s:.0f} s: this is its last word"] if age_s > ALIVE_S else []
    inputs = list(inputs_now(image))
    facts: dict[str, Any] = {"utc": iso_utc(report.utc_s), "cycle": report.cycle, "silent_s": age_s if stale else None,
                             "inputs": inputs, "report": report}
    head = [f"{iso_utc(report.utc_s)}, cycle {report.cycle}: {report.mode.value}, {report.mode_reason}", *stale]
    if point is None:
        return Account(facts, [*head, *_site_now(image.site, report), *input_lines(inputs)])
    found = next((s for s in report.setpoints if s.point == point.index), None)
    facts = {**facts, "point": point.id, "setpoint": found}
    return Account(facts, [*head, *_point_now(point, report, found), *_law_now(report), *input_lines(inputs)])


def _point_now(point: Point, report: Report, found: Any) -> Iterator[str]:
    if found is None:
        yield (f"{point.id}: nobody wants anything of it, so nothing is written and the device goes by itself"
               + (" (OBSERVE writes nothing)" if report.mode.value == "OBSERVE" else ""))
        return
    value = "nothing is written" if found.wanted is None else amount(point, found.wanted)
    who = f"wanted by {origin(found.winner)}, with the authority of {level(found.level)}" if found.winner else \
        "nobody wants anything of it any more"
    yield f"{point.id}: {value}, {who}"
    yield (f"  held there by the limit {found.limit}" if found.limit else "  no limit changed what was asked")
    yield from (f"  not taken: {loser}" for loser in found.losers)
    written = "not known" if found.written is None else amount(point, found.written)
    waits = "" if found.waiting_since is None else f", waiting since cycle {found.waiting_since}"
    yield f"  the device has {written} ({found.state}{waits})"


def _law_now(report: Report) -> Iterator[str]:
    yield f"Why the batteries do what they do: {report.binding}: {binding(report.binding)}"
    yield (f"  load {power(report.load_w)} (its mean {power(report.load_filtered_w)}), grid {power(report.grid_w)}, "
           f"batteries {power(report.battery_w)} (+ is discharge)")
    yield (f"  the grid is led to {power(report.reference_w)}; the reserves allow {power(report.reference_low_w)} to "
           f"{power(report.reference_high_w)}")
    if report.battery_target_w is not None:
        yield f"  somebody asked the batteries for {power(report.battery_target_w)}"
    if report.droop_w:
        yield f"  of that {power(report.droop_w)} answer the grid's frequency; the grid has so much less"
    if report.deficit_w > 0:
        yield f"  {power(report.deficit_w)} are missing: load has to be shed by so much"
    if report.surplus_w > 0:
        yield f"  {power(report.surplus_w)} are too much for reference and batteries"
        added = sum([a.ordered_w for a in report.absorbers])
        if report.absorbers:
            yield f"  absorbers are told to draw {power(added)}; nobody is left for {power(report.surplus_unmet_w)}"


def _site_now(site: Site, report: Report) -> Iterator[str]:
    yield from _law_now(report)
    energy = "unknown" if report.energy_wh is None else f"{report.energy_wh / 1e6:.2f} MWh"
    yield (f"Energy: {energy}, used between {report.energy_min_wh / 1e6:.2f} and {report.energy_max_wh / 1e6:.2f} MWh")
    yield (f"Limits: load guaranteed from {power(report.load_floor_w)} to {power(report.load_ceiling_w)}; contract "
           f"{power(site.control.import_limit_w)}; ramp {site.control.ramp_limit_w_per_min / 1e6:g} MW/min")
    for b in report.batteries:
        can = f"can give {power(b.discharge_available_w)} and take {power(b.charge_available_w)}"
        state = f"set to {power(b.setpoint_w)}; {can}" if b.usable else "LOST (faulted, silent or not measured)"
        yield f"Battery {b.id}: {state}"
    for t in report.tiers:
        yield f"Tier {t.id}: SHED, {power(t.shed_w)} less" if t.engaged else f"Tier {t.id}: free"
    yield from (f"Degraded: {name.replace('_', ' ')}" for name in report.degraded)
    yield from (f"ALARM {a.code} since {iso_utc(a.since_utc_s)}: {a.message}" for a in report.alarms)
    for s in report.setpoints:
        if s.wanted is not None and (s.limit or s.losers or s.winner not in {"law", "adopted"}):
            p = site.points[s.point]
            yield f"{p.id}: {amount(p, s.wanted)} by {origin(s.winner)}{', held at ' + s.limit if s.limit else ''}"


def inputs_now(image: ImageReader) -> Iterator[dict[str, Any]]:
    """Value, quality and age of each control input."""
    now_s = time.monotonic()
    for index in dict.fromkeys(input_points(image.site.control)):
        reading, _ = image.value(index, now_s)
        bad = np.isnan(reading.value)
        yield {"point": image.site.points[index].id, "unit": image.site.points[index].unit,
               "value": None if bad else reading.value, "quality": reading.quality.name,
               "reason": reading.reason.name, "age_s": reading.age_s if np.isfinite(reading.age_s) else None}


# --- then ------------------------------------------------------------------------------------------------------------

def then_of(image: ImageReader, point: Point | None, at_utc_s: float, folder: Path | None) -> Account:
    """From the ledger, and from the image's ring where it still reaches back so far. Raises PswdError."""
    site = image.site
    state_dir = Path(folder or site.state_dir)
    try:
        entries = [e for e in read_entries(state_dir / "ledger", at_utc_s - _LOOK_BACK_S) if e["utc_s"] <= at_utc_s]
    except OSError as error:
        raise PswdError(f"{error.filename}: {error.strerror}; run as the user of the control process") from error
    if not entries:
        raise PswdError(f"{iso_utc(at_utc_s)}: the ledger has nothing of that time or the week before; see pswd-edge "
                        "ledger list for how far it reaches")
    subject = "site" if point is None else f"point:{point.id}"
    last = {name: next((e for e in reversed(entries) if e.get("subject") == name), None) for name in ("site", subject)}
    values = dict(ring_values(image, at_utc_s))
    lines = [f"{iso_utc(at_utc_s)}, as the ledger and the ring have it:"]
    starts = [e for e in entries if e.get("kind") == "opened"]
    decided = last["site"]
    if starts and (decided is None or starts[-1]["utc_s"] > decided["utc_s"]):
        lines.append(f"control started at {iso_utc(starts[-1]['utc_s'])} and had decided nothing new yet")
    if point is not None:
        lines += _point_then(last[subject], point, values)
    lines += _site_then(site, decided, values)
    recent = [e for e in entries if e.get("subject") == subject or e.get("kind") != "change"][-_RECENT:]
    lines += ["Before that:", *(f"  {iso_utc(e['utc_s'])} {headline(e)}" for e in reversed(recent))]
    facts = {"utc": iso_utc(at_utc_s), "site": decided, "point": None if point is None else last[subject],
             "ring": values, "recent": recent}
    return Account(facts, lines)


def _point_then(entry: dict[str, Any] | None, point: Point, values: dict[str, float | None]) -> Iterator[str]:
    if entry is None:
        yield f"{point.id}: the ledger has no decision about it up to then: nothing was written"
        return
    shown = f"; the device had {amount(point, v)} at that moment" if (v := values.get(point.id)) is not None else ""
    who = f"led by {origin(entry['winner'])}, with the authority of {level(entry['level'])}" if entry["winner"] else \
        "led by nobody"
    yield f"{point.id}: {who}, since {iso_utc(entry['utc_s'])}{shown}"
    yield f"  it began with {headline(entry)}"


def _site_then(site: Site, entry: dict[str, Any] | None, values: dict[str, float | None]) -> Iterator[str]:
    if entry is None:
        yield "of the site the ledger has no decision up to then"
        return
    yield (f"since {iso_utc(entry['utc_s'])} {entry['mode']} ({entry['mode_reason']}), bound by {entry['binding']}: "
           f"{binding(entry['binding'])}")
    yield (f"  then: load {power(entry['load_w'])} (its mean {power(entry['load_filtered_w'])}), grid "
           f"{power(entry['grid_w'])}, batteries {power(entry['battery_w'])}, led to {power(entry['reference_w'])} "
           f"within {power(entry['reference_low_w'])} to {power(entry['reference_high_w'])}")
    if entry.get("droop_w"):
        yield f"  of that {power(entry['droop_w'])} answered the grid's frequency"
    limits = entry["limits"]
    yield (f"  limits: load from {power(limits['floor_w'])} to {power(limits['ceiling_w'])}, contract "
           f"{power(limits['import_w'])}; missing {power(max(0.0, entry['deficit_w'] or 0.0))}")
    shed = [f"{t} ({power(w)})" for t, w in entry["tiers"].items() if w is not None]
    yield f"  shed: {', '.join(shed) or 'nothing'}; degraded: {', '.join(entry['degraded']) or 'nothing'}"
    if entry.get("folded"):
        yield f"  it went to and fro: {entry['folded']} changes before this entry were counted, not written"
    yield f"Decided at {iso_utc(entry['utc_s'])} by:"
    yield from (f"  {line}" for line in ledger_inputs(site, entry))
    if values:
        yield "Measured at the moment that was asked for, from the ring:"
        yield from (f"  {name} {'BAD' if v is None else amount(site.points[site.point_index[name]], v)}"
                    for name, v in values.items())


def ledger_inputs(site: Site, entry: dict[str, Any]) -> Iterator[str]:
    """One line an input: value, quality, age."""
    for name, (value, quality, reason, age_s) in (entry.get("inputs") or {}).items():
        why = "" if quality == "GOOD" else f" {reason}"
        age = "never answered" if age_s is None else f"{age_s:.2f} s old"
        index = site.point_index.get(name)  # None: the site file has changed since
        shown = "unknown" if value is None else f"{value:g}" if index is None else amount(site.points[index], value)
        yield f"{name} {shown}, {quality}{why}, {age}"


def ring_values(image: ImageReader, at_utc_s: float) -> Iterator[tuple[str, float | None]]:
    """Control inputs and actuated points that the ring keeps, in the last row up to that time; None where BAD."""
    rows = image.rows(image.layout.rows)
    before = np.flatnonzero(rows.utc_s <= at_utc_s)
    if not len(before) or at_utc_s - rows.utc_s[before[-1]] > _RING_NEAR_S:
        return
    wanted = set(input_points(image.site.control))
    for column, index in enumerate(image.site.trend_points):
        point, value = image.site.points[index], float(rows.value[before[-1], column])
        if index in wanted or point.write is not None:
            yield point.id, None if np.isnan(value) else value


# --- words -----------------------------------------------------------------------------------------------------------

def amount(point: Point, value: float) -> str:
    """A value as people say it: MW for large powers, the name of a code."""
    label = point.labels.get(int(value)) if value == int(value) else None
    if label is not None:
        return label
    large = point.unit == "W" and (abs(value) >= 1e4 or value == 0)
    return power(value) if large else f"{value:g} {point.unit}".rstrip()


def input_lines(inputs: list[dict[str, Any]]) -> Iterator[str]:
    """What it was decided by; those that are not good first."""
    yield "Decided by:"
    for i in sorted(inputs, key=lambda i: i["quality"] == "GOOD"):
        why = "" if i["quality"] == "GOOD" else f" {i['reason']}"
        age = "never answered" if i["age_s"] is None else f"{i['age_s']:.2f} s old"
        known = power(i["value"]) if i["unit"] == "W" else f"{i['value'] or 0.0:.4g} {i['unit']}"
        value = "unknown" if i["value"] is None else known
        yield f"  {i['point']} {value}, {i['quality']}{why}, {age}"
