"""`pswd-edge write`: hold a point at a value. Control does it while it runs: arbiter, limits and audit apply."""

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from pswd_edge.app import compiled_site
from pswd_edge.commands.quantity import seconds, value_of
from pswd_edge.commands.running import (
    add_runtime_dir,
    control_runs,
    envelope,
    open_image,
    operator,
    refuse_while_running,
)
from pswd_edge.commands.write_direct import confirmed, shown_value, within, write_direct
from pswd_edge.errors import PswdError
from pswd_edge.image import ImageReader
from pswd_edge.model.command import Accepted, Clamped, Mode, Outcome, SetPoint
from pswd_edge.model.point import Point
from pswd_edge.model.report import SetpointReport
from pswd_edge.model.site import Site

EPILOG = """examples:
  pswd-edge write rack-1.power_cap_w 800kW --for 5min
  pswd-edge write rack-1.run_command stop
  pswd-edge write rack-1.power_cap_w release       let go before the time is over
  pswd-edge write --direct --site site.yaml rack-1.power_cap_w 800000    no control runs, nobody guards it

Batteries follow the control law: ask for their power with `pswd-edge mode MANUAL --battery-w`."""
_WAIT_S, _LOOK_S = 10.0, 0.05
_SETTLED = ("verified", "effective", "refused", "mismatch", "ineffective", "silent")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("point", help="DEVICE.SIGNAL")
    parser.add_argument("value", help="a number (SI unit), a number with its unit, a label, or `release`")
    parser.add_argument("--for", dest="seconds", type=seconds, default=60.0, metavar="TIME",
                        help="how long control holds it: 90s, 5min; at most 15min")
    add_runtime_dir(parser)
    parser.add_argument("--site", type=Path, help="with --direct: site file")
    parser.add_argument("--direct", action="store_true", help="write from here, past control; only while none runs")
    parser.add_argument("--yes", action="store_true", help="with --direct: do not ask for confirmation")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end instead of lines")


def run(options: argparse.Namespace) -> int:
    """0 where the device holds the value, 1 where it does not (yet), 2 where the request is wrong."""
    if not options.direct:
        if options.site is not None or not control_runs(options.runtime_dir):
            print(f"pswd-edge write: no control runs at {options.runtime_dir}: expected one, which limits, holds and "
                  "records what is written; to write without it: --direct --site FILE", file=sys.stderr)
            return 2
        return asyncio.run(_through_control(options))
    if options.site is None:
        print("pswd-edge write --direct: expected --site FILE; nothing was written", file=sys.stderr)
        return 2
    site = compiled_site(options.site)
    refuse_while_running(site, options.runtime_dir, "write through it: leave --direct and --site out")
    point = writable(site, options.point)
    value = value_of(options.value, point)
    rule = within(point, value)
    if not options.yes and not confirmed(point, value, rule):
        print("not confirmed: nothing was written", file=sys.stderr)
        return 1
    return asyncio.run(write_direct(site, point, value, as_json=options.json))


def writable(site: Site, name: str) -> Point:
    """The writable point of this id. Raises PswdError that lists those there are."""
    index = site.point_index.get(name)
    if index is not None and site.points[index].write is not None:
        return site.points[index]
    device = name.partition(".")[0]
    there = [p.id for p in site.points if p.write is not None and (device not in site.device_index
                                                                   or p.id.startswith(f"{device}."))]
    why = "can only be read" if index is not None else "no such point"
    raise PswdError(f"{name}: {why}; to be written are: {', '.join(there) or 'none'}")


# --- through control --------------------------------------------------------------------------------------------------


async def _through_control(options: argparse.Namespace) -> int:
    with open_image(options.runtime_dir) as image:
        point = writable(image.site, options.point)
        value = None if options.value == "release" else value_of(options.value, point)
        client = operator(options.runtime_dir)
        outcome = await client.ask(SetPoint(**envelope(), point=point.id, value=value, ttl_s=options.seconds))
        client.close()
        states: list[dict[str, Any]] = []
        if not options.json:
            _tell_outcome(outcome, image)
        if isinstance(outcome, Accepted | Clamped):
            async for state in _watch(image, point, outcome.cycle, moves=outcome.eta_s is not None):
                states.append(state)
                if not options.json:
                    print(_state_line(point, state))
        if options.json:
            told = {"kind": type(outcome).__name__, **msgspec.to_builtins(outcome)}
            print(json.dumps({"outcome": told, "states": states}))
        return 0 if states and states[-1]["holds"] else 1


def _tell_outcome(outcome: Outcome, image: ImageReader) -> None:
    limit = f" (limit: {outcome.limit})" if outcome.limit else ""
    print(f"{type(outcome).__name__}{limit} {outcome.reason}".rstrip())
    report = image.report()
    if isinstance(outcome, Accepted | Clamped) and report is not None and report.mode is Mode.OBSERVE:
        print("mode is OBSERVE: it is kept, but nothing is written before `pswd-edge mode AUTO` or MANUAL")


async def _watch(image: ImageReader, point: Point, cycle: int, *, moves: bool) -> AsyncIterator[dict[str, Any]]:
    """The set-point's states as they change, from the cycle that uses it until one that lasts; at most 10 s.

    `moves`: it goes gradually, so that its first step that the device has is enough.
    """
    ends_s, answered = time.monotonic() + _WAIT_S, image.report()
    if answered is not None:  # a slow ledger brings it into force later than the outcome could know
        cycle = max(cycle, answered.cycle + 2)
    before: dict[str, Any] = {}
    while time.monotonic() < ends_s:
        report = image.report()
        if report is not None and report.cycle >= cycle:
            found = next((s for s in report.setpoints if s.point == point.index), None)
            state = _state(point, found, image, moves=moves)
            if state != before:
                before = state
                yield state
            if (moves and state["holds"]) or _is_settled(point, found):
                return
        await asyncio.sleep(_LOOK_S)


def _is_settled(point: Point, found: SetpointReport | None) -> bool:
    if found is None or found.waiting_since is not None:
        return False
    shows = point.write is not None and point.write.read_back is not None
    if found.state == "verified" and getattr(point.write, "effect", None) is not None:
        return False  # its effect on a meter comes after it
    return found.state in _SETTLED or found.wanted is None or (found.state == "acknowledged" and not shows)


def _state(point: Point, found: SetpointReport | None, image: ImageReader, *, moves: bool) -> dict[str, Any]:
    if found is None:
        return {"state": "not written", "wanted": None, "winner": "", "limit": "", "written": None, "read_back": None,
                "holds": False}
    rule, shown = point.write, None
    if rule is not None and rule.read_back is not None:
        reading, _ = image.value(rule.read_back, time.monotonic())
        shown = reading.value if math.isfinite(reading.value) else None  # NaN
    holds = found.state in ("effective", "verified", "acknowledged") and (moves or found.waiting_since is None)
    return {"state": found.state, "wanted": found.wanted, "winner": found.winner, "limit": found.limit,
            "written": found.written, "read_back": shown, "holds": holds}


def _state_line(point: Point, state: dict[str, Any]) -> str:
    limit = f", bound by {state['limit']}" if state["limit"] else ""
    who = f" of {state['winner']}" if state["winner"] else ""
    return (f"{state['state']:12} wanted {shown_value(point, state['wanted'])}{who}{limit}; device holds "
            f"{shown_value(point, state['written'])}, shows {shown_value(point, state['read_back'])}")
