"""`pswd-edge bench api --profile mixed` and `flood`: what clients get, and what control feels of them."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable
from typing import Any

import aiohttp

from pswd_edge.bench import mix
from pswd_edge.bench.api_load import Operation
from pswd_edge.bench.past import write_past
from pswd_edge.bench.ticks import lateness
from pswd_edge.clock import iso_utc
from pswd_edge.commands.bench_site import Place, api_load, bench_rig, identities
from pswd_edge.commands.campus import Rig

_IDENTITIES, _FLOOD_IDENTITIES = 16, 60
_FLOOD_PER_S, _FLOOD_DOWNLOADS = 500.0, 10
_STOPPED_S, _LOOK_S = 30.0, 0.2
_SETTLE_S = 5.0      # after the start: the hour is read in, workloads are placed


class Bench:
    """One running site under load; every phase tells the answers and control's lateness meanwhile."""

    def __init__(self, rig: Rig, base: str, who: list[dict[str, str]]) -> None:
        self._rig, self._base, self._who = rig, base, who
        self.spans: dict[str, tuple[float, float]] = {}

    async def announce(self) -> None:
        """The workloads that are controlled."""
        async with aiohttp.ClientSession(headers={**self._who[0], "Content-Type": "application/json"}) as session:
            for name in mix.WORKLOADS:
                body = mix.announcement(name, 5.0).replace("{now}", iso_utc(time.time()))
                async with session.post(f"{self._base}/workload/announce", data=body) as answer:
                    answer.raise_for_status()

    async def load(self, operations: list[Operation], seconds: float, downloads: int = 0) -> dict[str, Any]:
        """What the answers were."""
        return await (await api_load(self._base, self._who, operations, seconds, downloads)).result()

    async def phase(self, name: str, work: Awaitable[Any]) -> Any:
        """Do it, and remember from when to when it was."""
        began_s = time.monotonic()
        found = await work
        self.spans[name] = (began_s, time.monotonic())
        return found

    def ticks(self) -> dict[str, Any]:
        """Lateness of the cycles of every phase."""
        rows = self._rig.image.rows(self._rig.image.layout.rows)
        period_ms = self._rig.site.control.period_ms
        first_s = min(began_s for began_s, _ in self.spans.values())
        own = rows._replace(**{field: getattr(rows, field)[rows.monotonic_s >= first_s] for field in rows._fields})
        return {name: lateness(own, *span, period_ms)._asdict() for name, span in self.spans.items()}


async def measure_mixed(place: Place, seconds: float, rate_per_s: float) -> dict[str, Any]:
    """50 requests a second; then downloads of an hour, one and two at once, with small answers beside."""
    async with bench_rig(place, write_past) as rig:
        bench = Bench(rig, f"http://127.0.0.1:{place.http_port}/v1", identities(rig, _IDENTITIES))
        await bench.announce()
        await asyncio.sleep(_SETTLE_S)
        reads = mix.small_reads(rate_per_s / 2)
        await bench.load(mix.mixed(rate_per_s), 3.0)      # warm
        found = {
            "idle": await bench.phase("idle", asyncio.sleep(seconds / 2)),
            "mixed": await bench.phase("mixed", bench.load(mix.mixed(rate_per_s), seconds)),
            "hour": await bench.phase("hour", bench.load([mix.HOUR], seconds / 4, 1)),
            "two_hours_at_once": await bench.phase("two_hours_at_once", _both(
                bench.load([mix.HOUR], seconds / 2, 2), bench.load(reads, seconds / 2))),
        }
        return _result(rig, bench, found, place.devices)


async def measure_flood(place: Place, seconds: float) -> dict[str, Any]:
    """500 requests a second and ten downloads of an hour at once; then the gateway stopped for 30 s."""
    async with bench_rig(place, write_past) as rig:
        bench = Bench(rig, f"http://127.0.0.1:{place.http_port}/v1", identities(rig, _FLOOD_IDENTITIES))
        await bench.announce()
        await asyncio.sleep(_SETTLE_S)
        found = {
            "idle": await bench.phase("idle", asyncio.sleep(seconds)),
            "flood": await bench.phase("flood", _both(
                bench.load([mix.HOUR], seconds, _FLOOD_DOWNLOADS),
                bench.load(mix.small_reads(_FLOOD_PER_S), seconds))),
            "idle_again": await bench.phase("idle_again", asyncio.sleep(seconds / 2)),
            "gateway_stopped": await bench.phase("gateway_stopped", _stopped(rig)),
        }
        return _result(rig, bench, found, place.devices)


async def _both(*work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Two at the same time, their operations in one table."""
    return {name: figures for part in await asyncio.gather(*work) for name, figures in part.items()}


async def _stopped(rig: Rig) -> None:
    """Stop the gateway for 30 s: also the new one that the supervisor starts after 10 s without a sign of life."""
    ends_s, unit = time.monotonic() + _STOPPED_S, rig.supervisor.units["gateway"]
    stopped: set[int] = set()
    while time.monotonic() < ends_s:
        if unit.pid is not None and unit.pid not in stopped:
            os.kill(unit.pid, signal.SIGSTOP)
            stopped.add(unit.pid)
        await asyncio.sleep(_LOOK_S)
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):      # killed by then
            os.kill(pid, signal.SIGCONT)


def _result(rig: Rig, bench: Bench, found: dict[str, Any], devices: int) -> dict[str, Any]:
    report = rig.image.report()
    assert report is not None  # the site was in AUTO
    return {"devices": devices, "answers": {name: seen for name, seen in found.items() if seen},
            "ticks": bench.ticks(), "cycles_missed": report.cycles_missed}
