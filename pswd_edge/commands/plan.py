"""`pswd-edge plan`: points to requests, and whether each connection can make its rate."""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from pswd_edge.app import compiled_site
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.registry import find_driver
from pswd_edge.field.siteplan import plan_site
from pswd_edge.model.site import Site

_PLACEHOLDER = "not-needed-to-plan"


class Load(NamedTuple):
    """What one connection is asked in one cycle: requests, points, and the scan's length in ms at worst."""

    connection: str
    period_ms: int
    requests: int
    points: int
    scan_ms: float

    @property
    def slack_ms(self) -> float:
        """Time left of the period; negative: the rate cannot be made."""
        return self.period_ms - self.scan_ms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("site", type=Path, help="site file (YAML)")
    parser.add_argument("--round-trip-ms", type=float, default=5.0, help="assumed time of one request (default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def requests_of(site: Site) -> list[ReadRequest]:
    """Every request of a site, without touching a device or a secret."""
    drivers = {}
    for connection in site.connections:
        settings = {k: _PLACEHOLDER if isinstance(v, str) and v.startswith(("file:", "credential:")) else v
                    for k, v in connection.settings.items()}
        drivers[connection.index] = find_driver(connection.driver)(settings)
    return plan_site(site, drivers)


def loads_of(site: Site, requests: list[ReadRequest], round_trip_ms: float) -> list[Load]:
    """One line for each connection and rate class. A slower class shares its cycle with every faster one."""
    loads = []
    for connection in site.connections:
        mine = [r for r in requests if r.device.connection == connection.index]
        each_ms = round_trip_ms + connection.min_gap_ms
        for period_ms in sorted({r.period_ms for r in mine}):
            due = [r for r in mine if r.period_ms <= period_ms]
            loads.append(Load(connection.id, period_ms, len([r for r in mine if r.period_ms == period_ms]),
                              sum(len(r.points) for r in mine if r.period_ms == period_ms), len(due) * each_ms))
    return loads


def run(options: argparse.Namespace) -> int:
    """0 where every connection makes its rate, 2 where one does not."""
    site = compiled_site(options.site)
    requests = requests_of(site)
    loads = loads_of(site, requests, options.round_trip_ms)
    late = [x for x in loads if x.slack_ms < 0]
    if options.json:
        print(json.dumps({"points": len(site.points), "requests": len(requests),
                          "connections": [{**x._asdict(), "slack_ms": x.slack_ms} for x in loads]}))
        return 2 if late else 0
    print(f"{len(site.points)} points -> {len(requests)} requests; {options.round_trip_ms:g} ms a request assumed\n")
    print(f"{'connection':14} {'every ms':>8} {'requests':>8} {'points':>6} {'scan ms':>8} {'slack ms':>9}")
    for x in loads:
        print(f"{x.connection:14} {x.period_ms:8} {x.requests:8} {x.points:6} {x.scan_ms:8.1f} {x.slack_ms:9.1f}")
    print()
    for request in requests:
        print(f"{request.device.id:14} every {request.period_ms:5} ms  {request.text:24} "
              f"{len(request.points):3} points")
    for x in late:
        print(f"\n{x.connection}: a scan of {x.scan_ms:.0f} ms does not fit {x.period_ms} ms: ask less often "
              "(every: 1s in the map) or give the devices connections of their own")
    return 2 if late else 0
