"""Joins the parts of each process: the control process and the gateway process."""

import asyncio
import contextlib
import gc
import os
import pwd
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from pswd_edge.clock import SystemClock
from pswd_edge.config import load_site
from pswd_edge.config.secrets import resolve_secret
from pswd_edge.control.alarm_file import FILE as ALARM_FILE
from pswd_edge.control.alarm_file import AlarmFile
from pswd_edge.control.commissioned import FILE, Commissioned
from pswd_edge.control.cycle import ControlCycle, actuated_points, watched_points
from pswd_edge.control.journal import Journal
from pswd_edge.control.ledger import Ledger
from pswd_edge.control.requests import check
from pswd_edge.control.succession import shadowed
from pswd_edge.control.tier_file import FILE as TIER_FILE
from pswd_edge.control.tier_file import TierFile
from pswd_edge.door import GATEWAY_SOCKET, OPERATOR_SOCKET, DoorServer, Peer
from pswd_edge.field.drivers.base import Driver
from pswd_edge.field.drivers.registry import driver_configs, find_driver
from pswd_edge.field.field import Field
from pswd_edge.field.learnt import Learnt
from pswd_edge.field.traps import TrapReceiver
from pswd_edge.field.visitor import Visitor
from pswd_edge.field.work import Tell
from pswd_edge.gateway.server import NICENESS, run_gateway, wait_for_image
from pswd_edge.gateway.uplink.uplink import Uplink
from pswd_edge.image import ImageReader, ImageWriter
from pswd_edge.image.notify import RowBell
from pswd_edge.model.command import Accepted, Failed, Level, Outcome, Rejected, Reload
from pswd_edge.model.device import Connection
from pswd_edge.model.look import DoorAnswer, DoorRequest, Look, Looked, looked_at
from pswd_edge.model.site import Site
from pswd_edge.reload import Reloader
from pswd_edge.systemd import notify

DRIVERS = ("modbus", "opcua", "snmp")
GATEWAY_USER = "pswd-gateway"  # of systemd/pswd-edge-gateway.service


def rows_dir(runtime_dir: Path) -> Path:
    """Where readers bind their row sockets: a folder of the gateway's own, since it may not write the image's."""
    return Path(os.environ.get("PSWD_ROWS_DIR") or runtime_dir / "rows")


def compiled_site(path: Path) -> Site:
    """The site of a YAML file, drivers' settings checked too. Raises ConfigError with every mistake."""
    return load_site(path, os.environ, driver_configs(DRIVERS))


def make_driver(connection: Connection) -> Driver:
    """The driver of a connection, with its secrets resolved."""
    return find_driver(connection.driver)(resolved_settings(connection))


def resolved_settings(connection: Connection) -> dict[str, Any]:
    """A connection's settings with the secrets themselves in place of their references. Raises SecretError."""
    return {k: _resolved(v) for k, v in connection.settings.items()}


def _resolved(value: object) -> object:
    return resolve_secret(value) if isinstance(value, str) and value.startswith(("file:", "credential:")) else value


def run_control(site: Site, path: Path | None = None, *, shadow: bool = False) -> None:
    """The control process, until SIGTERM or SIGINT. SIGHUP takes up the site file at `path` as it is then.

    `shadow`: decide and write nothing, whatever the site file says.
    """
    uvloop.run(_until_stopped(lambda: control(site, path, shadow=shadow)))


async def _until_stopped(main: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def control(site: Site, path: Path | None = None, *, shadow: bool = False) -> None:
    """Field, cycle, image and door together; READY is told after the first completed cycle."""
    site = shadowed(site) if shadow else site
    clock, runtime = SystemClock(), Path(site.runtime_dir)
    journal = Journal(clock)
    image = ImageWriter(runtime, site)
    journal.attach(image)
    journal.keep_in(AlarmFile(Path(site.state_dir) / ALARM_FILE))
    actuated = actuated_points(site)
    learnt = Learnt(Path(site.state_dir) / "learnt.json")
    field = Field(site, make_driver, watched_points(site), actuated, journal.tell, learnt)
    ledger = Ledger(Path(site.state_dir) / "ledger.sqlite")
    bell = RowBell(rows_dir(runtime))
    commissioned = Commissioned(site, Path(site.state_dir) / FILE)
    cycle = ControlCycle(site, field, image, journal, ledger, clock, bell, notify, commissioned,
                         tiers=TierFile(None if site.control.shadow else Path(site.state_dir) / TIER_FILE, clock))
    await cycle.desk.restore()
    if site.recording.on:
        cycle.recorder.start()
    reloader = None if path is None else Reloader(path, site, field, cycle, image, journal,
                                                    shadow=shadow)
    looker = Looker(lambda: Visitor(field.site, lambda c, step: field.pollers[c].visit(step)), journal, clock)
    doors = [_door(runtime / GATEWAY_SOCKET, Level.API, cycle, reloader, looker, 0o660),
             _door(runtime / OPERATOR_SOCKET, Level.OPERATOR, cycle, reloader, looker, 0o600)]
    listening = await _listen_for_traps(site, field, journal.tell)
    field.start()
    for door in doors:
        await door.open()
    journal.tell("info", "started", "site",
                 f"control of {site.id}: {len(site.devices)} devices, {len(site.points)} points")
    _tame_collector()
    if reloader is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.hangup)
    try:
        await cycle.run()
    finally:
        notify("STOPPING=1")
        cycle.commissioning.close()
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        for door in doors:
            await door.close()
        await field.stop()
        await ledger.close()
        journal.close()
        await asyncio.to_thread(cycle.tiers.close)
        await asyncio.to_thread(cycle.recorder.close)
        bell.close()


async def _listen_for_traps(site: Site, field: Field, tell: Tell) -> asyncio.Task[None] | None:
    """None where the site has no `snmp_traps`."""
    if site.snmp_traps is None:
        return None
    snmp = {c.index: resolved_settings(c) for c in site.connections if c.driver == "snmp"}
    receiver = TrapReceiver(site, site.snmp_traps, snmp, tell, field.hurry)
    await receiver.prepare()
    return asyncio.create_task(receiver.run(), name="traps")


def _uids(*names: str) -> frozenset[int]:
    """Who may knock: root, the user of this process, and these where the machine has them."""
    found = {0, os.getuid()}
    for name in names:
        with contextlib.suppress(KeyError):
            found.add(pwd.getpwnam(name).pw_uid)
    return frozenset(found)


class Looker:
    """Joins the door's looks to the field. Each is told as an event, with its origin."""

    def __init__(self, visitor: Callable[[], Visitor], journal: Journal, clock: SystemClock) -> None:
        self._visitor, self._journal, self._clock = visitor, journal, clock

    async def look(self, look: Look, authority: Level) -> Looked | Rejected | Failed:
        """What was found; refused to everybody but the operator's socket."""
        refused = check(look, authority, self._clock.utc_s())
        if refused is not None:
            return refused
        if authority > Level.OPERATOR:
            return Rejected(id=look.id, code="forbidden", reason="devices are read through the operator's socket only")
        found = await self._visitor().look(look)
        outcome = f"{type(found).__name__} {found.reason}".rstrip()
        self._journal.tell("info", "looked", "devices", f"{look.origin} read {looked_at(look)}: {outcome}")
        return found


def _door(path: Path, authority: Level, cycle: ControlCycle, reloader: Reloader | None, looker: Looker,
          mode: int) -> DoorServer:
    uids = _uids(GATEWAY_USER) if authority is Level.API else _uids()

    async def handler(request: DoorRequest, peer: Peer) -> DoorAnswer:
        if isinstance(request, Look):
            return await looker.look(request, peer.authority)
        if isinstance(request, Reload):
            return await _reloaded(request, peer, reloader)
        return await cycle.handle(request, peer.authority)

    return DoorServer(path, authority, handler, uids, mode)


async def _reloaded(request: Reload, peer: Peer, reloader: Reloader | None) -> Outcome:
    if peer.authority > Level.OPERATOR:
        return Rejected(id=request.id, code="forbidden", reason="a reload is the operator's, on the operator's socket")
    if reloader is None:
        return Rejected(id=request.id, code="not_found", reason="control was not started from a site file")
    verdict = await reloader.reload(request.origin)
    if verdict.taken:
        return Accepted(id=request.id, reason=verdict.text)
    return Rejected(id=request.id, code="invalid", reason=verdict.text)


def _tame_collector() -> None:
    """What was made at start lives for ever: the collector need not look at it again in the middle of a cycle."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def run_gateway_process(runtime_dir: Path, state_dir: Path) -> int:
    """The gateway process, until SIGTERM or SIGINT."""
    uvloop.run(_until_stopped(lambda: gateway(runtime_dir, state_dir)))
    return 0


async def gateway(runtime_dir: Path, state_dir: Path) -> None:
    """HTTP and the uplink together; the one failing ends the other, and the supervisor starts both again."""
    niceness = max(0, NICENESS - os.nice(0))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run_gateway(runtime_dir, state_dir, rows_dir(runtime_dir), notify=notify, niceness=niceness))
        tasks.create_task(_uplink(runtime_dir))


async def _uplink(runtime_dir: Path) -> None:
    live = await wait_for_image(runtime_dir)
    settings = live.site.uplink
    if settings is None:
        return
    reader = ImageReader(runtime_dir)
    uplink = Uplink(settings, reader, password_of(settings.password))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(uplink.run())
        tasks.create_task(_tell_counters(uplink, rows_dir(runtime_dir) / "uplink.json"))


async def _tell_counters(uplink: Uplink, path: Path) -> None:
    """Once a second, for `status` and the demo's table: a small file beside the row sockets."""
    while True:
        names = ("published", "acknowledged", "dropped", "queued", "connected")
        found = {name: getattr(uplink, name) for name in names}
        temporary = path.with_suffix(".new")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(found))
        temporary.replace(path)
        await asyncio.sleep(1.0)


def password_of(reference: str | None) -> str | None:
    """A secret reference's value; None for None. Raises SecretError."""
    return None if reference is None else resolve_secret(reference)
