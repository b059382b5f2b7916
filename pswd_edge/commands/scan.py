"""`pswd-edge scan`: find the devices of a network, and draft a site and device maps."""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pswd_edge.clock import iso_utc
from pswd_edge.commands import scan_others
from pswd_edge.commands.pace import Pace
from pswd_edge.commands.probe_aim import settings_of
from pswd_edge.commands.progress import Progress
from pswd_edge.commands.running import Endpoint, add_runtime_dir, owned
from pswd_edge.commands.scan_draft import SITE_FILE, suggest, write_drafts
from pswd_edge.commands.scan_found import Find
from pswd_edge.commands.scan_modbus import Port
from pswd_edge.commands.scan_targets import Address, hosts_of, not_here, numbers_of, units_of
from pswd_edge.commands.table import table
from pswd_edge.config.secrets import is_reference, resolve_secret
from pswd_edge.errors import PswdError
from pswd_edge.field.drivers.snmp_config import SnmpConfig

EPILOG = """examples:
  pswd-edge scan 10.0.4.0/28 --out found           Modbus and OPC UA on a small network, drafts into found/
  pswd-edge scan 10.0.4.11 --units all             every unit behind a gateway
  pswd-edge scan 10.0.4.30 --set snmp.version=2c --set snmp.community_secret=file:/etc/pswd-edge/secrets/ups

Only reads are sent, one at a time to each host, --rate a second in all. Public addresses are refused. What a running
control has a session with is passed over: read it through control instead. No credential is guessed: SNMP is asked
only with the ones that are given. Ctrl-C keeps what was found."""
_TOGETHER = 16                # hosts at a time; the rate holds for all of them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("targets", nargs="+", help="networks, addresses or names")
    parser.add_argument("--out", type=Path, help="folder for the drafts; without it they are not written")
    parser.add_argument("--ports", default="502", help="Modbus TCP ports, as 502,1502-1505; none leaves Modbus out")
    parser.add_argument("--opcua-ports", default="4840", help="OPC UA ports; none leaves OPC UA out")
    parser.add_argument("--snmp-ports", default="161", help="SNMP ports, asked where credentials are given")
    parser.add_argument("--units", default="quick", help="Modbus units: quick, all, or 1,3,10-12")
    parser.add_argument("--set", action="append", metavar="PROTOCOL.KEY=VALUE",
                        help="a key of the connection, as snmp.username=pswd; secrets as file:PATH")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second, to all hosts together")
    parser.add_argument("--timeout-ms", type=int, default=300, help="how long to wait for an answer")
    parser.add_argument("--match", action="store_true", help="Modbus: try the known device maps on each unit")
    parser.add_argument("--nodes", type=int, default=200, help="OPC UA: nodes looked at in a server")
    parser.add_argument("--yes-large", action="store_true", help="more than 256 addresses are meant")
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def run(options: argparse.Namespace) -> int:
    """0 where something was found, 1 where nothing was, 130 after Ctrl-C."""
    if options.rate <= 0 or options.timeout_ms <= 0:
        raise PswdError("scan: --rate and --timeout-ms: expected more than 0; nothing was asked")
    if options.out is not None and (options.out / SITE_FILE).exists():
        raise PswdError(f"{options.out / SITE_FILE}: is there already and is not overwritten; give another --out")
    scan = Scan(options, hosts_of(options.targets, large=options.yes_large))
    done = asyncio.run(scan.run())
    for find in scan.finds:
        suggest(find)
    wanted = options.out is not None and scan.finds
    written = write_drafts(options.out, scan.finds, iso_utc(time.time())) if wanted else []
    _show(scan, written, as_json=options.json)
    return (0 if scan.finds else 1) if done else 130


class Scan:
    """One scan: `finds` grows while it runs, so that what was found survives Ctrl-C."""

    def __init__(self, options: argparse.Namespace, hosts: Sequence[Address]) -> None:
        self.finds: list[Find] = []
        self.passed_over: list[str] = []
        self.pace = Pace(options.rate)
        self.seconds = 0.0
        self._hosts = [str(h) for h in hosts]
        self._settings = settings_by_protocol(options.set or ())
        self._modbus = ports_of(options.ports, "--ports")
        self._opcua = ports_of(options.opcua_ports, "--opcua-ports")
        self._snmp = ports_of(options.snmp_ports, "--snmp-ports") if "snmp" in self._settings else []
        self._units = units_of(options.units)
        self._timeout_s, self._nodes, self._match = options.timeout_ms / 1000, options.nodes, options.match
        self._owned = owned(options.runtime_dir)
        self._progress = Progress("scan", quiet=options.json)
        for host in not_here(hosts)[:1]:
            self._progress.say(f"no interface of this machine is on {host}'s network: it is asked through a router")

    async def run(self) -> bool:
        """True where it came to its end, False where it was interrupted."""
        started_s, turn = time.monotonic(), asyncio.Semaphore(_TOGETHER)
        steps = len(self._hosts) * (len(self._modbus) + len(self._opcua) + len(self._snmp))
        try:
            with self._progress.over(steps):
                async with asyncio.TaskGroup() as tasks:
                    for host in self._hosts:
                        tasks.create_task(self._host(host, turn))
        except asyncio.CancelledError:
            return False
        finally:
            self.seconds = time.monotonic() - started_s
        return True

    async def _host(self, host: str, turn: asyncio.Semaphore) -> None:
        """All of one host in turn: one request in flight."""
        async with turn:
            ports = [*((self._modbus_port, p) for p in self._modbus), *((self._opcua_port, p) for p in self._opcua),
                     *((self._snmp_port, p) for p in self._snmp)]
            for ask, port in ports:
                before = len(self.finds)
                if not self._is_owned(host, port):
                    await ask(host, port)
                for find in self.finds[before:]:
                    if find.host == host:
                        self._progress.say(f"{find.where}: {find.protocol} {find.title}".rstrip())
                self._progress.step()

    def _is_owned(self, host: str, port: int) -> bool:
        """A host of control's is left alone altogether; on loopback, where each port is a device, only the port is."""
        loopback = host.startswith("127.") or host == "::1"
        mine = Endpoint(host, port) in self._owned or (not loopback and any(e.host == host for e in self._owned))
        where = f"{host}:{port}"
        if mine and where not in self.passed_over:
            self.passed_over.append(where)
            self._progress.say(f"{where}: control has a session there: passed over; use pswd-edge read and probe")
        return mine

    async def _modbus_port(self, host: str, port: int) -> None:
        link = Port(host, port, self.pace, self._timeout_s, match=self._match)
        if not await link.open():
            return
        try:
            await link.units(self._units, self.finds, lambda: self._progress.note(f"{host}:{port}"))
        finally:
            await link.close()

    async def _opcua_port(self, host: str, port: int) -> None:
        if await scan_others.listens(host, port, self.pace, self._timeout_s):
            found = await scan_others.opcua(host, port, self.pace, self._settings.get("opcua", {}), self._nodes)
            self.finds += [] if found is None else [found]

    async def _snmp_port(self, host: str, port: int) -> None:
        found = await scan_others.snmp(host, port, self.pace, self._settings["snmp"], self._timeout_s)
        self.finds += [] if found is None else [found]


def settings_by_protocol(pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The keys of each protocol, secrets resolved. Raises PswdError."""
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        protocol, dot, rest = pair.partition(".")
        if not dot or protocol not in ("snmp", "opcua"):
            raise PswdError(f"--set {protocol}: expected snmp.KEY=VALUE or opcua.KEY=VALUE")
        for key, value in settings_of([rest]).items():
            secret = isinstance(value, str) and is_reference(value)
            found.setdefault(protocol, {})[key] = resolve_secret(str(value)) if secret else value
    if "snmp" in found:
        try:
            SnmpConfig.model_validate({**found["snmp"], "host": "localhost"})
        except ValidationError as error:
            raise PswdError(f"--set snmp: {error.errors()[0]['msg']}; nothing was asked") from None
    return found


def ports_of(text: str, what: str) -> list[int]:
    """Port numbers; `none` is none."""
    return [] if text == "none" else numbers_of(text, 1, 65535, what)


def _show(scan: Scan, written: Sequence[Path], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"found": [_plain(f) for f in scan.finds], "passed_over": scan.passed_over,
                          "requests": scan.pace.asked, "seconds": round(scan.seconds, 2),
                          "written": [str(p) for p in written]}))
        return
    rows = [[f.where, f.protocol, f.title or "-", _what(f), ", ".join(f.maps) or "-"] for f in scan.finds]
    if rows:
        print(table(["where", "protocol", "says it is", "what", "maps that may fit"], rows))
    for find in scan.finds:
        for note in find.notes:
            print(f"{find.where}: {note}")
    print(f"{len(scan.finds)} devices found with {scan.pace.asked} requests in {scan.seconds:.1f} s"
          + (f"; {len(scan.passed_over)} passed over, control has them" if scan.passed_over else ""))
    if written:
        print("\n".join(f"written: {path}" for path in written))
        print("next: read the drafts, probe what has no map, then pswd-edge check and plan")


def _plain(find: Find) -> dict[str, Any]:
    return {**asdict(find), "offers": [o._asdict() for o in find.offers],
            "variables": [v._asdict() for v in find.variables]}


def _what(find: Find) -> str:
    if find.models:
        return f"SunSpec at {find.sunspec_base}: {', '.join(map(str, find.models))}"
    if find.offers:
        offers = dict.fromkeys(f"{o.policy}/{o.mode.rstrip('_')} ({', '.join(o.tokens)})" for o in find.offers)
        return f"{'; '.join(offers)}; {len(find.variables)} numbers"
    return find.identity.get("object_id", "")
