"""`pswd-edge record start | stop | status`: what the rules see and say, recorded by control."""

import argparse
import asyncio

import msgspec

from pswd_edge.clock import iso_utc
from pswd_edge.commands.running import add_runtime_dir, envelope, open_image, operator
from pswd_edge.model.command import Accepted, Record
from pswd_edge.model.report import RecordingReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=["start", "stop", "status"], help="what to do")
    parser.add_argument("--for", dest="seconds", type=float, default=0.0,
                        help="start: stop by itself after so many seconds (default: no end)")
    parser.add_argument("--json", action="store_true", help="status: as JSON")
    add_runtime_dir(parser)


def run(options: argparse.Namespace) -> int:
    """start, stop: 0 where control took it. status: 0 where it records."""
    if options.action != "status":
        return asyncio.run(_ask(options))
    with open_image(options.runtime_dir) as image:
        report = image.report()
    found = None if report is None else report.recording
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        print("control has not completed a cycle yet" if found is None else _told(found))
    return 0 if found is not None and found.on else 1


async def _ask(options: argparse.Namespace) -> int:
    client = operator(options.runtime_dir)
    try:
        outcome = await client.ask(Record(**envelope(), action=options.action, seconds=options.seconds))
    finally:
        client.close()
    done = isinstance(outcome, Accepted)
    print(f"{options.action}: taken" if done else f"{type(outcome).__name__}: {outcome.reason}")
    return 0 if done else 1


def _told(found: RecordingReport) -> str:
    if found.trouble:
        return found.trouble
    state = f"recording since {iso_utc(found.since_utc_s)}" if found.on else "not recording"
    until = f" until {iso_utc(found.until_utc_s)}" if found.until_utc_s is not None else ""
    each = f", {found.bytes / found.cycles:.0f} a cycle" if found.cycles else ""
    lost = f", {found.dropped} cycles are missing" if found.dropped else ""
    return (f"{state}{until}: {found.folder}/{found.file}\n{found.cycles} cycles, {found.bytes} bytes{each}{lost}"
            f"; {found.note_us:.1f} us of each cycle in the loop, {found.pack_us:.0f} us beside it")
