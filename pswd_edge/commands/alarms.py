"""`pswd-edge alarms`: the list from the image; `ack` and `shelve` through the operator's socket."""

import argparse
import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pswd_edge.clock import iso_utc
from pswd_edge.commands.running import add_runtime_dir, envelope, open_image, operator
from pswd_edge.commands.status import alarm_state
from pswd_edge.control.alarm_table import kind_of
from pswd_edge.model.command import SHELVE_MAX_S, Accepted, Acknowledge, Outcome, Shelve
from pswd_edge.model.report import AlarmReport

_ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", nargs="?", choices=["list", "ack", "shelve"], default="list",
                        help="what to do; without it, list")
    parser.add_argument("code", nargs="?", metavar="CODE", help="the alarm's code; `ack all`: every one that is listed")
    parser.add_argument("--for", dest="for_s", type=float, default=3600.0, metavar="S",
                        help=f"shelve: for how long, s, at most {SHELVE_MAX_S:g}; 0 ends it")
    parser.add_argument("--json", action="store_true", help="the list, or the outcomes, as JSON")
    add_runtime_dir(parser)


def run(options: argparse.Namespace) -> int:
    """0 done; 1 refused, or a listed alarm waits to be acknowledged; 2 wrong arguments."""
    if (options.action == "list") != (options.code is None):
        expected = "no CODE" if options.action == "list" else "a CODE"
        print(f"alarms {options.action}: got {options.code or 'nothing'}: expected {expected}; nothing was asked")
        return 2
    with open_image(options.runtime_dir) as image:
        report = image.report()
    alarms = () if report is None else report.alarms
    if options.action == "list":
        return _list(alarms, as_json=options.json)
    return asyncio.run(_order(options, alarms))


def _list(alarms: tuple[AlarmReport, ...], *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(alarms).decode())
    else:
        print("\n".join(line for alarm in alarms for line in _lines(alarm)) or "no alarms")
    return 1 if any(a.acknowledged_utc_s is None and a.shelved_until_utc_s is None for a in alarms) else 0


def _lines(alarm: AlarmReport) -> Iterator[str]:
    kind = kind_of(alarm.code)
    yield f"{alarm.severity.upper():8} {alarm.code} since {iso_utc(alarm.since_utc_s)}{alarm_state(alarm)}"
    yield f"         {alarm.message}"
    if kind is not None:
        yield f"         do: {kind.advice}"


async def _order(options: argparse.Namespace, alarms: tuple[AlarmReport, ...]) -> int:
    if options.action == "ack":
        codes = [a.code for a in alarms if a.acknowledged_utc_s is None] if options.code == _ALL else [options.code]
        outcomes = await _ask(options.runtime_dir, codes, lambda code: Acknowledge(**envelope(), code=code))
    else:
        outcomes = await _ask(options.runtime_dir, [options.code],
                              lambda code: Shelve(**envelope(), code=code, seconds=options.for_s))
    if options.json:
        print(msgspec.json.encode(outcomes).decode())
    else:
        print("\n".join(f"{type(o).__name__}: {o.reason}" for o in outcomes) or "no alarm waits to be acknowledged")
    return 0 if all(isinstance(o, Accepted) for o in outcomes) else 1


async def _ask(runtime_dir: Path, codes: list[str], request: Callable[[str], Acknowledge | Shelve]) -> list[Outcome]:
    client = operator(runtime_dir)
    try:
        return [await client.ask(request(code)) for code in codes]
    finally:
        client.close()
