"""`pswd-edge bench api`: PSWD answers of a running demo site, warm, at a steady rate of requests."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from pswd_edge.clock import iso_utc
from pswd_edge.commands.campus import Rig, running_site, until_auto

_READS = ("/power/realtime?duration_seconds=60&resolution_ms=1000", "/battery/status", "/thermal/status",
          "/grid/status", "/system/health")
_CONTROL_EVERY_S = 1.0


class Recorder:
    """Times of 2xx answers by operation, and how many had another status."""

    def __init__(self) -> None:
        self.times_ms: dict[str, list[float]] = {}
        self.statuses: Counter[int] = Counter()

    async def ask(self, session: aiohttp.ClientSession, method: str, url: str, name: str, body: object = None) -> None:
        """One request, timed from sending to the last byte."""
        started_s = time.monotonic()
        async with session.request(method, url, json=body) as answer:
            await answer.read()
            self.statuses[answer.status] += 1
            if answer.ok:
                self.times_ms.setdefault(name, []).append((time.monotonic() - started_s) * 1e3)


async def measure(site: Path, folder: Path, http_port: int, seconds: float, rate_per_s: float) -> dict[str, Any]:
    """Reads at `rate_per_s` and a command each second, while the demo scenario runs."""
    async with running_site(site, folder, http_port, ["--scenario", "demo"]) as rig:
        await until_auto(rig)
        await rig.simulators.ask("start", True)
        base = f"http://127.0.0.1:{http_port}/v1"
        recorder = Recorder()
        async with aiohttp.ClientSession(headers=await _login(base, rig)) as session:
            workload = await _announce(session, base)
            await _warm(session, base)
            await asyncio.gather(_read(session, base, recorder, seconds, rate_per_s),
                                 _command(session, base, recorder, seconds, workload))
        report = rig.image.report()
    assert report is not None  # the site was in AUTO
    return {"seconds": seconds, "rate_per_s": rate_per_s,
            "statuses": {str(k): v for k, v in sorted(recorder.statuses.items())},
            "answers": {name: _figures(times) for name, times in sorted(recorder.times_ms.items())},
            "tick_late_p99_ms": round(report.late_p99_ms, 3), "cycles_missed": report.cycles_missed}


async def _login(base: str, rig: Rig) -> dict[str, str]:
    user = next(u for u in rig.users if u["role"] == "infrastructure_manager")
    async with aiohttp.ClientSession() as session, session.post(f"{base}/auth/login", json=user) as answer:
        answer.raise_for_status()
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}


async def _announce(session: aiohttp.ClientSession, base: str) -> str:
    workload_id = f"bench-{int(time.time())}"
    async with session.post(f"{base}/workload/announce", json={
        "PSWD_version": "1.0", "message_type": "workload_announcement", "timestamp": iso_utc(time.time()),
        "workload_id": workload_id, "workload_type": "ai_training",
        "power_profile": {"peak_power_mw": 5.0, "baseline_power_mw": 1.0, "ramp_rate_mw_per_sec": 1.0},
        "flexibility_parameters": {"throttling_capability": True, "priority_level": "normal"}}) as answer:
        answer.raise_for_status()
    return workload_id


async def _warm(session: aiohttp.ClientSession, base: str) -> None:
    for path in _READS * 3:
        async with session.get(base + path) as answer:
            await answer.read()


async def _read(
    session: aiohttp.ClientSession, base: str, recorder: Recorder, seconds: float, rate_per_s: float
) -> None:
    """At a fixed rate by absolute times, whether earlier answers came or not."""
    started_s, tasks = time.monotonic(), set()
    for i in range(round(seconds * rate_per_s)):
        await asyncio.sleep(max(0.0, started_s + i / rate_per_s - time.monotonic()))
        path = _READS[0] if i % 2 == 0 else _READS[1 + i // 2 % (len(_READS) - 1)]
        tasks.add(asyncio.create_task(recorder.ask(session, "GET", base + path, path.partition("?")[0])))
    await asyncio.gather(*tasks)


async def _command(
    session: aiohttp.ClientSession, base: str, recorder: Recorder, seconds: float, workload: str
) -> None:
    started_s = time.monotonic()
    for i in range(round(seconds / _CONTROL_EVERY_S)):
        await asyncio.sleep(max(0.0, started_s + i * _CONTROL_EVERY_S - time.monotonic()))
        now = iso_utc(time.time())
        if i % 2 == 0:
            body: dict[str, object] = {"command_type": "discharge", "timestamp": now, "target_power_mw": 1.0 + i % 5,
                                       "duration_sec": 10}
            await recorder.ask(session, "POST", f"{base}/battery/control", "/battery/control", body)
        else:
            body = {"command_type": "throttle", "timestamp": now, "target_power_mw": 3.0 + i % 3 / 2}
            await recorder.ask(session, "POST", f"{base}/workload/{workload}/control", "/workload/control", body)


def _figures(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] for p in (50, 99)]
    return {"count": len(ordered), "p50_ms": round(at[0], 1), "p99_ms": round(at[1], 1),
            "max_ms": round(ordered[-1], 1)}
