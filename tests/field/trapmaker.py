"""Traps and informs as net-snmp sends them, and a receiver that is asked about each."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pswd_edge.bench.site import bench_site
from pswd_edge.field.traps import TrapReceiver
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.site import Site, TrapSpec
from tests.field.drivers.snmp_agents import AUTH_SECRET, COMMUNITY, PRIV_SECRET, USER
from tests.field.fieldmaker import Told, until

SNMPTRAP = shutil.which("snmptrap") or ""
SNMPINFORM = shutil.which("snmpinform") or ""
ON_BATTERY = "1.3.6.1.2.1.33.2.1"
V3: dict[str, Any] = {"host": "127.0.0.1", "username": USER, "auth_secret": AUTH_SECRET, "priv_secret": PRIV_SECRET}
V2C: dict[str, Any] = {"host": "127.0.0.1", "version": "2c", "community_secret": COMMUNITY}
ENGINE = "8000000001020304"


def trap_site(*settings: dict[str, Any], v2c: bool = False, port: int = 0) -> Site:
    """A PDU on each of these connections."""
    base = bench_site(1, 1, 20, Path("/nowhere"))
    more = {
        "connections": tuple(Connection(i, f"c{i}", "snmp", found) for i, found in enumerate(settings)),
        "devices": tuple(Device(i, f"pdu-{i + 1}", "pdu", i, 1, "test", 0, 0) for i in range(len(settings))),
        "points": (), "snmp_traps": TrapSpec("127.0.0.1", port, v2c),
    }
    return Site(**({f: getattr(base, f) for f in base.__struct_fields__} | more))


class Heard:
    """A receiver, what it told and whom it hurried."""

    def __init__(self, site: Site) -> None:
        self.told = Told()
        self.hurried: list[str] = []
        assert site.snmp_traps is not None
        settings = {c.index: c.settings for c in site.connections}
        self.receiver = TrapReceiver(site, site.snmp_traps, settings, self.told, self.hurried.append)

    @property
    def texts(self) -> list[str]:
        return [text for _, code, _, text in self.told.events if code == "snmp_trap"]

    @property
    def port(self) -> int:
        assert self.receiver.port is not None
        return self.receiver.port

    @property
    def dropped(self) -> dict[str, int]:
        return {reason: count for reason, count in self.receiver.dropped.items() if count}

    async def settled(self, count: int) -> None:
        """Until so many datagrams were opened or dropped."""
        await until(lambda: self.receiver.opened + sum(self.dropped.values()) >= count, 20.0)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def listening(site: Site) -> AsyncIterator[Heard]:
    heard = Heard(site)
    await heard.receiver.prepare()
    task = asyncio.create_task(heard.receiver.run())
    await until(lambda: heard.receiver.port is not None, 5.0)
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def v3(user: str = USER, auth: str = AUTH_SECRET, priv: str = PRIV_SECRET, level: str = "authPriv") -> list[str]:
    return ["-v3", "-u", user, "-l", level, "-a", "SHA-256", "-A", auth, "-x", "AES", "-X", priv]


def v2c(community: str = COMMUNITY) -> list[str]:
    return ["-v2c", "-c", community]


async def send(program: str, port: int, how: list[str], folder: Path, oid: str = ON_BATTERY, engine: str = ENGINE,
               ) -> int:
    """One trap or inform; the exit status, which of an inform is 0 where it was acknowledged."""
    own = ["-e", f"0x{engine}"] if program == SNMPTRAP and "-v3" in how else []
    command = [program, *how, *own, "-r", "0", "-t", "3", f"127.0.0.1:{port}", "", oid]
    environment = {**os.environ, "MIBS": "", "SNMPCONFPATH": str(folder), "SNMP_PERSISTENT_DIR": str(folder)}
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=quiet, stderr=quiet)
    return await process.wait()


async def caught(how: list[str], folder: Path, engine: str = ENGINE) -> bytes:
    """A trap as it would go out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        here.setblocking(False)
        await send(SNMPTRAP, here.getsockname()[1], how, folder, engine=engine)
        return here.recv(9000)
