"""`pswd-edge bench event`: from a step at the grid meter's register to the new command's arrival at a battery."""

import asyncio
import random
import statistics
import time
from pathlib import Path
from typing import Any

from pswd_edge.commands.campus import Rig, running_site, until_auto

STEP_W = 20e6
CHANGED_W = 0.5e6
_SETTLE_S = 1.5               # the filter's answer to the last step is then under CHANGED_W a cycle
_GIVE_UP_S = 1.0


async def measure(site: Path, folder: Path, http_port: int, trials: int, refresh_ms: int, seed: int) -> dict[str, Any]:
    """Latencies in ms of `trials` steps, up and down in turn, each at a random phase of the cycle.

    The load is flat and noise is off; the grid meter's register is renewed every `refresh_ms`.
    """
    words = ["--seed", str(seed), "--noise", "0", "--refresh", f"pcc={refresh_ms}"]
    async with running_site(site, folder, http_port, words) as rig:
        await until_auto(rig)
        await rig.simulators.ask("start", True)
        phase = random.Random(seed)  # noqa: S311  # a phase, not a secret
        found, lost = [], 0
        for trial in range(trials):
            latency_ms = await _trial(rig, STEP_W if trial % 2 == 0 else 0.0, phase.random() * 0.1)
            if latency_ms is None:
                lost += 1
            else:
                found.append(latency_ms)
    found.sort()
    return {"meter_refresh_ms": refresh_ms, "trials": trials, "not_answered": lost,
            "median_ms": round(statistics.median(found), 1), "p90_ms": round(_percentile(found, 90), 1),
            "p99_ms": round(_percentile(found, 99), 1), "max_ms": round(found[-1], 1)}


async def _trial(rig: Rig, level_w: float, phase_s: float) -> float | None:
    """One step; None where no battery got a changed command within a second."""
    await asyncio.sleep(_SETTLE_S + phase_s)
    before = _last_commands(await _arrivals(rig, time.monotonic() - 15.0))
    step = await rig.simulators.ask("step_load", {"power_w": level_w})
    changed_s = float(step["register_changed_monotonic"])
    while time.monotonic() < changed_s + _GIVE_UP_S:
        for device, value, arrived_s in await _arrivals(rig, changed_s):
            if device in before and abs(value - before[device]) > CHANGED_W:
                return (arrived_s - changed_s) * 1e3
        await asyncio.sleep(0.05)
    return None


async def _arrivals(rig: Rig, since_s: float) -> list[tuple[str, float, float]]:
    answer = await rig.simulators.ask("arrivals", {"since": since_s})
    return [(str(d), float(v), float(t)) for d, v, t in answer["arrivals"]]


def _last_commands(arrivals: list[tuple[str, float, float]]) -> dict[str, float]:
    return {device: value for device, value, _ in arrivals}


def _percentile(ordered: list[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
