"""`pswd-edge plan`: points to requests, and whether each connection can make its rate, computed and measured."""

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pswd_edge.app import compiled_site
from pswd_edge.commands.plan_measure import by_reading, from_control
from pswd_edge.commands.plan_time import Load, Measured, loads_of
from pswd_edge.commands.running import add_runtime_dir, refuse_while_running
from pswd_edge.commands.table import table
from pswd_edge.errors import PswdError
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.registry import find_driver
from pswd_edge.field.siteplan import plan_site
from pswd_edge.model.site import Site

_PLACEHOLDER = "not-needed-to-plan"
_CLASSES_MS = {"1s": 1000, "10s": 10_000}
EPILOG = """examples:
  pswd-edge plan site.yaml                     computed, with 5 ms a request
  pswd-edge plan site.yaml --measured          beside what the running control measures
  pswd-edge plan site.yaml --measure           reads the devices 20 times; while no control runs

scan: every unit answers. dead unit: one is silent and costs a time-out. all slow: every answer comes just in time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("site", type=Path, help="site file (YAML)")
    parser.add_argument("--round-trip-ms", type=float, default=5.0, help="assumed time of one request (default 5)")
    parser.add_argument("--measured", action="store_true", help="beside what the running control measures")
    parser.add_argument("--measure", action="store_true", help="read the devices from here; refused while control runs")
    parser.add_argument("--times", type=int, default=20, help="with --measure: how often each request is sent")
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def requests_of(site: Site) -> list[ReadRequest]:
    """Every request of a site, without touching a device or a secret."""
    drivers = {}
    for connection in site.connections:
        settings = {k: _PLACEHOLDER if isinstance(v, str) and v.startswith(("file:", "credential:")) else v
                    for k, v in connection.settings.items()}
        drivers[connection.index] = find_driver(connection.driver)(settings)
    return plan_site(site, drivers)


def run(options: argparse.Namespace) -> int:
    """0 where every connection makes its rate, 2 where one does not."""
    if options.round_trip_ms <= 0 or options.times < 1:
        raise PswdError("plan: --round-trip-ms and --times: expected more than 0")
    site = compiled_site(options.site)
    requests = requests_of(site)
    measured, notes = _measured(options, site)
    loads = loads_of(site, requests, options.round_trip_ms, measured)
    late = [x for x in loads if not x.makes_its_rate]
    if options.json:
        print(json.dumps({"points": len(site.points), "requests": len(requests), "round_trip_ms": options.round_trip_ms,
                          "connections": [_plain(x) for x in loads], "notes": notes}))
        return 2 if late else 0
    print(f"{len(site.points)} points -> {len(requests)} requests; {options.round_trip_ms:g} ms a request assumed\n")
    print(_table(loads, measured=measured is not None))
    print()
    for request in requests:
        print(f"{request.device.id:14} every {request.period_ms:5} ms  {request.text:24} "
              f"{len(request.points):3} points")
    for line in [*notes, *("\n".join(advice_of(site, requests, x)) for x in late)]:
        print(f"\n{line}")
    return 2 if late else 0


def _measured(options: argparse.Namespace, site: Site) -> tuple[dict[str, Measured] | None, list[str]]:
    runtime_dir = options.runtime_dir if options.runtime_dir.exists() else Path(site.runtime_dir)
    if options.measured:
        return from_control(site, runtime_dir), []
    if options.measure:
        refuse_while_running(site, options.runtime_dir, "let it tell: plan --measured")
        return asyncio.run(by_reading(site, options.times))
    return None, []


def _plain(load: Load) -> dict[str, Any]:
    measured = None if load.measured is None else load.measured._asdict()
    return {**load._asdict(), "slack_ms": load.slack_ms, "measured": measured, "ratio": load.ratio}


def _table(loads: Sequence[Load], *, measured: bool) -> str:
    names = ["connection", "every ms", "requests", "points", "bytes", "scan ms", "slack ms", "dead unit ms",
             "all slow ms"]
    more = ["trip p50", "trip p99", "scan p50", "scan p99", "p99/computed"] if measured else []
    return table([*names, *more], [[*_cells(x), *(_measured_cells(x) if measured else [])] for x in loads],
                 right=[*names[1:], *more])


def _cells(x: Load) -> list[str]:
    size = "-" if x.size_bytes is None else str(x.size_bytes)
    return [x.connection, str(x.period_ms), str(x.requests), str(x.points), size, f"{x.scan_ms:.1f}",
            f"{x.slack_ms:.1f}", f"{x.dead_ms:.1f}", f"{x.slow_ms:.1f}"]


def _measured_cells(x: Load) -> list[str]:
    m = x.measured
    if m is None or not x.fastest:
        return ["-"] * 5
    scans = [f"{m.scan_p50_ms:.2f}", f"{m.scan_p99_ms:.2f}", f"{x.ratio:.2f}"] if x.ratio is not None else ["-"] * 3
    return [*([f"{m.trip_p50_ms:.2f}", f"{m.trip_p99_ms:.2f}"] if m.trip_p99_ms else ["-", "-"]), *scans]


def advice_of(site: Site, requests: Sequence[ReadRequest], x: Load) -> Iterator[str]:
    """Why a rate cannot be made, and what to change."""
    measured = x.measured is not None and x.fastest and x.measured.scan_p99_ms > x.period_ms
    took_ms = x.measured.scan_p99_ms if x.measured is not None and measured else x.scan_ms
    yield (f"{x.connection}: a scan of {took_ms:.0f} ms{' (measured, p99)' if measured else ''} does not fit "
           f"{x.period_ms} ms: ask less often (every: 1s in the map) or give the devices connections of their own")
    index = next(c.index for c in site.connections if c.id == x.connection)
    due = [r.device.id for r in requests if r.device.connection == index and r.period_ms <= x.period_ms]
    shares = sorted({(due.count(d), d) for d in due}, reverse=True)
    yield "  requests in that scan: " + ", ".join(f"{device} {count}" for count, device in shares)
    if x.trip_max_ms > 0:
        yield f"  as it is, a request may take {x.trip_max_ms:.1f} ms"
    gap_ms = site.connections[index].min_gap_ms
    if gap_ms and x.scan_ms - gap_ms * len(due) < x.period_ms:
        yield f"  without min_gap_ms {gap_ms} it would fit: try a smaller gap"
    fitting = [name for name, period_ms in _CLASSES_MS.items() if took_ms <= period_ms and period_ms > x.period_ms]
    if fitting:
        yield f"  it would fit every: {fitting[0]}"
