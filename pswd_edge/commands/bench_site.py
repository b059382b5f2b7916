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
from pswd_edge.gateway.tokens import Bearer, TokenIssuer, open_key
from pswd_edge.gateway.users import add_user
from pswd_edge.model.site import Site

_ROLE = "infrastructure_manager"


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
    """Headers of so many infrastructure managers; their tokens are made here, since logins are limited."""
    state = Path(rig.site.state_dir)
    tokens = TokenIssuer(open_key(state), f"pswd-edge/{rig.site.id}", SystemClock())
    names = [f"bench-{n}" for n in range(count)]
    for name in names:
        add_user(state, name, f"{name}-password-of-the-benchmark", [_ROLE])
    return [{"Authorization": f"Bearer {tokens.issue(Bearer(name, _ROLE))}"} for name in names]


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
