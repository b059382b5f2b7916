"""`pswd-edge limit`: keep a limit of the site tighter for a while, through the operator's socket; or list them."""

import argparse
import asyncio
from collections.abc import Iterator

from pswd_edge.commands.moment import next_utc
from pswd_edge.commands.quantity import quantity_of, seconds
from pswd_edge.commands.running import add_runtime_dir, envelope, open_image, operator
from pswd_edge.image import ImageReader
from pswd_edge.model.command import LIMIT_NAMES, Accepted, Clamped, Outcome, SetLimit
from pswd_edge.model.report import LimitReport

EPILOG = """examples:
  pswd-edge limit                                        those in force
  pswd-edge limit import_limit_w 80MW --for 2h           reached at the ramp limit
  pswd-edge limit import_limit_w 60MW --for 15min --emergency     at once, whatever the ramp limit
  pswd-edge limit ramp_limit_w_per_min 2MW --for 1h      2 MW/min
  pswd-edge limit import_limit_w 70MW --at 14:00 --for 30min     from 14:00 UTC on; planned for
  pswd-edge limit import_limit_w --release               the site file's again"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", nargs="?", choices=LIMIT_NAMES, help="without it: list the limits in force")
    parser.add_argument("value", nargs="?", help="watts, or a number with its unit; the ramp's are a minute's")
    parser.add_argument("--for", dest="seconds", type=seconds, default=3600.0, metavar="TIME",
                        help="how long it holds: 90s, 15min, 2h; at most 24h")
    parser.add_argument("--at", metavar="TIME", help="when it begins: 2026-03-01T14:00:00Z, 14:00 (UTC, the next one) "
                        "or +30min; without it at once")
    parser.add_argument("--release", action="store_true", help="let go of it before the time is over")
    parser.add_argument("--emergency", action="store_true", help="import limit: at once, whatever the ramp limit")
    add_runtime_dir(parser)


def run(options: argparse.Namespace) -> int:
    """0 where control took it, 1 where it did not, 2 where the request is wrong."""
    if options.name is None:
        with open_image(options.runtime_dir) as image:
            print("\n".join(_listed(image)))
        return 0
    if (options.value is None) is not options.release:
        print(f"{options.name}: expected a value, or --release; nothing was asked")
        return 2
    value = None if options.release else quantity_of(options.value, "W", options.name)
    return asyncio.run(_order(options, value))


async def _order(options: argparse.Namespace, value: float | None) -> int:
    client = operator(options.runtime_dir)
    asked = envelope()
    from_utc_s = 0.0 if options.at is None else next_utc(options.at, asked["issued_utc_s"])
    ttl_s = options.seconds + max(0.0, from_utc_s - asked["issued_utc_s"])
    outcome = await client.ask(SetLimit(**asked, name=options.name, value=value, ttl_s=ttl_s,
                                        emergency=options.emergency, from_utc_s=from_utc_s))
    client.close()
    return _told(outcome)


def _told(outcome: Outcome) -> int:
    limit = f" (limit: {outcome.limit})" if outcome.limit else ""
    print(f"{type(outcome).__name__}{limit}: {outcome.reason}")
    return 0 if isinstance(outcome, Accepted | Clamped) else 1


def _listed(image: ImageReader) -> Iterator[str]:
    report = image.report()
    if report is None or not report.limits:
        yield "no limit is tighter than the site file's"
        return
    yield from map(limit_line, report.limits)


def limit_line(limit: LimitReport) -> str:
    """A limit in words."""
    unit = "MW/min" if limit.name.endswith("_w_per_min") else "MW"
    waits = f"begins in {limit.begins_s:.0f} s"
    how = waits if limit.begins_s > 0 else "binds" if limit.binds else "a tighter one binds"
    urgent = ", emergency" if limit.emergency else ""
    return (f"limit {limit.name} {limit.value / 1e6:.2f} {unit} of {limit.origin}, {how}{urgent}, for another "
            f"{limit.left_s:.0f} s")
