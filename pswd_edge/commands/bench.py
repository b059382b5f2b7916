"""`pswd-edge bench`: measurements that anyone can repeat."""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from pswd_edge.bench import control, field, opcua_site, outages, reconnects, snmp
from pswd_edge.commands import bench_api, bench_api_mixed, bench_control, bench_event, bench_streams
from pswd_edge.commands.bench_site import Place
from pswd_edge.errors import ConfigError
from pswd_edge.log import configure_log
from pswd_edge.replay.scenarios import SCENARIOS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("what", choices=["field", "opcua", "snmp", "outages", "reconnects", "event", "api", "streams",
                                         "control"],
                        help="field: the control process polling D devices beside a bare loop; opcua: the same with "
                        "OPC UA servers; snmp: the same with SNMP agents; outages: what a dead device costs the "
                        "others; reconnects: what thousands of them leave behind; event: a step at the meter to the "
                        "command at a battery; api: PSWD answers; streams: "
                        "DCPI's WebSocket streams; control: the law in its scenarios, on virtual time")
    parser.add_argument("--agents", type=int, default=20, help="snmp: agents, a connection each (default 20)")
    parser.add_argument("--oids", type=int, default=20, help="snmp: objects of each agent, 1 to 60 (default 20)")
    parser.add_argument("--devices", type=int, default=100, help="field, api: devices of 100 registers each; api: in "
                        "all, for profiles mixed and flood (default 100)")
    parser.add_argument("--seconds", type=float, default=30.0, help="field, opcua, snmp, api, streams: how long "
                        "(default 30)")
    parser.add_argument("--period-ms", type=int, default=100, help="field, opcua, snmp, event: the cycle (default "
                        "100); event: then only the grid meter and the batteries are read in every cycle")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="field: how late the devices answer (default 0)")
    parser.add_argument("--fast", type=int, help="field: so many devices in every cycle, the others every 100 ms")
    parser.add_argument("--count", type=int, default=10_000, help="reconnects: how many (default 10000)")
    parser.add_argument("--port", type=int, default=15099, help="field, snmp: loopback port of the cheap simulator")
    parser.add_argument("--servers", type=int, default=20, help="opcua: servers, a connection each (default 20)")
    parser.add_argument("--nodes", type=int, default=50, help="opcua: nodes of each, one Read (default 50)")
    parser.add_argument("--trials", type=int, default=300, help="event: number of steps (default 300)")
    parser.add_argument("--refresh-ms", type=int, default=10, help="event: the meter's register period (default 10)")
    parser.add_argument("--rate", type=float, help="api: requests a second (default 20, mixed 50)")
    parser.add_argument("--profile", choices=["reads", "mixed", "flood"], default="reads", help="api: what is asked; "
                        "reads: five kinds of answers of the demo site; mixed: these, commands and downloads of an "
                        "hour; flood: 500 a second, ten such downloads at once, the gateway stopped (default reads)")
    parser.add_argument("--clients", type=int, default=200, help="streams: how many connect (default 200)")
    parser.add_argument("--stalled", type=int, default=20, help="streams: how many of them do not read (default 20)")
    parser.add_argument("--quick", action="store_true", help="control: one seed, runs of 240 s, under two minutes")
    parser.add_argument("--scenario", type=int, action="append", default=[], help="control: this number alone; again "
                        "for more")
    parser.add_argument("--length", type=float, help="control: seconds of each run (default 900, quick 240)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[], help="control: seeds (default 301 to 312)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--site", type=Path, default=Path("config/demo.yaml"))
    parser.add_argument("--folder", type=Path, default=Path("var/bench"))
    parser.add_argument("--http-port", type=int, default=8081)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(options: argparse.Namespace) -> int:
    """0 where everything that was asked was answered."""
    configure_log("error")
    if options.what == "control":
        return _control(options)
    found, good = _measure(options)
    if options.json:
        print(json.dumps(found))
    else:
        for key, value in found.items():
            print(f"{key:24} {value}")
    return 0 if good else 1


def _control(options: argparse.Namespace) -> int:
    """0 where no limit was broken, by a scenario that is viable or by the adversary."""
    try:
        plan = control.plan_of(quick=options.quick, numbers=options.scenario, seeds=options.seeds,
                               cache=options.folder / "optimum", seconds=options.length)
    except KeyError as error:
        known = ", ".join(str(s.number) for s in SCENARIOS)
        raise ConfigError([f"--scenario: got {error}: expected one of {known}"]) from None
    found = control.measure(plan, quiet=False)
    if options.json:
        print(json.dumps(found))
    else:
        bench_control.show(found)
    broken = sum(r["limit_violations"] for r in found["scenarios"] if r["viable"])
    return 0 if broken + found["adversarial_violations"] + found["adversarial_late_violations"] == 0 else 1


def _measure(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    if options.what in ("field", "opcua", "snmp"):
        found = _polling(options)
        return found, found["slots_missed"] == 0 and found["polls_done"] > 0
    if options.what == "outages":
        found = outages.run(options.devices, options.seconds, 10, options.port)
        return found, True
    if options.what == "reconnects":
        found = reconnects.run(options.count, options.devices, options.port)
        return found, found["devices_good_at_the_end"] == options.devices
    if options.what == "event":
        return _event(options)
    if options.what == "streams":
        found = asyncio.run(bench_streams.measure(_place(options), options.clients, options.stalled, options.seconds))
        return found, found["missing"] + found["doubled"] + found["errors"] + found["live_cut"] == 0
    return _api(options)


def _api(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    if options.profile == "mixed":
        return asyncio.run(bench_api_mixed.measure_mixed(_place(options), options.seconds, options.rate or 50.0)), True
    if options.profile == "flood":
        found = asyncio.run(bench_api_mixed.measure_flood(_place(options), options.seconds))
        return found, found["ticks"]["gateway_stopped"]["missed"] == 0
    found = asyncio.run(bench_api.measure(options.site, options.folder, options.http_port, options.seconds,
                                          options.rate or 20.0))
    return found, all(200 <= int(status) < 300 for status in found["statuses"])


def _place(options: argparse.Namespace) -> Place:
    return Place(options.site, options.folder, options.http_port, options.devices)


def _polling(options: argparse.Namespace) -> dict[str, Any]:
    if options.what == "opcua":
        return opcua_site.run(options.servers, options.nodes, options.seconds, options.period_ms)
    if options.what == "snmp":
        return snmp.run(options.agents, options.oids, options.seconds, options.period_ms, options.port)
    return field.run(field.Load(options.devices, options.seconds, options.period_ms, options.port,
                                options.latency_ms, options.fast))


def _event(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    with tempfile.TemporaryDirectory(prefix="pswd-bench-") as name:
        site = options.site if options.period_ms == 100 else bench_event.in_fast_lane(
            options.site, options.period_ms, Path(name))
        found = asyncio.run(bench_event.measure(site, options.folder, options.http_port, options.trials,
                                                options.refresh_ms, options.seed))
    return {"period_ms": options.period_ms, **found}, found["not_answered"] == 0
