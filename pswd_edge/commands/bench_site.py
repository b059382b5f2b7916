"""What the benchmarks of a running site share: a campus of 100 devices, identities, generators in other processes."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pswd_edge.bench.api_load import Operation
from pswd_edge.bench.campus_site import CHEAP_PORT, REGISTERS, with_cheap_meters
from pswd_edge.bench.field import process, wait_for
from pswd_edge.clock import SystemClock
from pswd_edge.commands.campus import Rig, running_site, until_auto
from pswd_edge.commands.cert_authority import CA_FILE, CertAuthority
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.keys import KeyStore
from pswd_edge.gateway.roles import DCPI_SCOPES, KEY_SCOPES, Role
from pswd_edge.model.site import Site

KEY_HEADER = "X-API-Key"


class Place(NamedTuple):
    """Where a benchmark's site comes from and what it listens to; `devices` in all, with cheap meters beside."""

    site: Path
    folder: Path
    http_port: int
    devices: int = 100


@asynccontextmanager
async def bench_rig(place: Place, prepare: Callable[[Site], object] = lambda _: None) -> AsyncIterator[Rig]:
    """A calm campus in AUTO, with its cheap meters answering."""
    with tempfile.TemporaryDirectory(prefix="pswd-bench-") as name, process(
            "simulators.servers.cheap", "--port", str(CHEAP_PORT), "--units", "1", "--registers", str(REGISTERS)):
        wait_for(CHEAP_PORT)
        site = with_cheap_meters(place.site, place.devices, Path(name))
        async with running_site(site, place.folder, place.http_port, simulated=place.site, prepare=prepare) as rig:
            await until_auto(rig)
            yield rig


def identities(rig: Rig, count: int) -> list[dict[str, str]]:
    """Headers of so many clients that may do everything: an API key each, so that each has its own rate limits."""
    keys = KeyStore(Path(rig.site.state_dir), SystemClock())
    made = [keys.create(f"bench-{n}", Role.INFRASTRUCTURE_MANAGER, tuple(KEY_SCOPES), 1.0)[1] for n in range(count)]
    return [{KEY_HEADER: text} for text in made]


def stream_identities(rig: Rig, count: int) -> list[dict[str, str]]:
    """Files of so many DCPI clients with a certificate each."""
    folder, table = rig.folder / "tls", ClientTable(Path(rig.site.state_dir))
    authority, found = CertAuthority(folder), []
    for name in (f"bench-{n}" for n in range(count)):
        table.bind(name, f"{name}.example.com", tuple(DCPI_SCOPES))
        issued = folder / authority.client(name, f"{name}.example.com", 1.0).file
        found.append({"ca": str(folder / CA_FILE), "certificate": str(issued),
                      "key": str(issued.with_name(f"{issued.stem}-key.pem"))})
    return found


class Generator(NamedTuple):
    """A process that asks; `result` is what it prints at its end."""

    process: asyncio.subprocess.Process

    async def line(self) -> str:
        """What it says next."""
        assert self.process.stdout is not None  # piped below
        return (await self.process.stdout.readline()).decode().strip()

    async def result(self) -> dict[str, Any]:
        """Its last words, read as JSON; raises RuntimeError where it failed."""
        found = await self.line()
        if await self.process.wait() != 0 or not found:
            raise RuntimeError(f"the generator ended with {self.process.returncode}: see its messages above")
        result: dict[str, Any] = json.loads(found)
        return result


async def generator(module: str, plan: dict[str, Any]) -> Generator:
    """Start a generator with its plan."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", f"pswd_edge.bench.{module}",
                                                 stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                                                 limit=1 << 24)
    assert child.stdin is not None  # piped above
    child.stdin.write(json.dumps(plan).encode() + b"\n")
    await child.stdin.drain()
    return Generator(child)


async def api_load(base: str, who: Sequence[dict[str, str]], operations: Sequence[Operation], seconds: float,
                   downloads: int = 0) -> Generator:
    """A generator of requests, see `pswd_edge.bench.api_load`."""
    return await generator("api_load", {"base": base, "identities": list(who), "seconds": seconds, "downloads":
                                        downloads, "operations": [o._asdict() for o in operations]})
