"""`pswd-edge bench event`: from a step at the grid meter's register to the new command's arrival at a battery."""

import asyncio
import random
import re
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pswd_edge.commands.campus import Rig, running_site, until_auto

STEP_W = 20e6
_CHANGED_W_PER_MS = 5e3       # a command further off is an answer: the first one to a step is 2 to 9 times that
_SETTLE_S, _SETTLE_FAST_S = 1.5, 4.0  # the answer to the last step is then less than that a cycle
_USUAL_MS = 100
_GIVE_UP_S = 1.0


def in_fast_lane(site: Path, period_ms: int, folder: Path) -> Path:
    """A copy of a site file with another cycle, in which only the devices that close the loop are read in each.

    These are the grid meter's and the batteries'; a device stands on a line of its own, as in config/demo.yaml.
    """
    text = site.read_text(encoding="utf-8")
    parts = yaml.safe_load(text)["control"]
    loop = {parts["grid_power"]["point"].partition(".")[0], *parts["batteries"]}
    text = re.sub(r"^  period_ms: \d+$", f"  period_ms: {period_ms}", text, flags=re.MULTILINE)
    text = re.sub(r"^  (\S+):( +\{map: .*)\}$", lambda m: m[0] if m[1] in loop else f"  {m[1]}:{m[2]}, every: 100ms}}",
                  text, flags=re.MULTILINE)
    path = folder / site.name
    path.write_text(text, encoding="utf-8")
    return path


async def measure(site: Path, folder: Path, http_port: int, trials: int, refresh_ms: int, seed: int) -> dict[str, Any]:
    """Latencies in ms of `trials` steps, up and down in turn, each at a random phase of the cycle.

    The load is flat and noise is off; the grid meter's register is renewed every `refresh_ms`.
    """
    words = ["--seed", str(seed), "--noise", "0", "--refresh", f"pcc={refresh_ms}"]
    async with running_site(site, folder, http_port, words) as rig:
        await until_auto(rig)
        await rig.simulators.ask("start", True)
        phase = random.Random(seed)  # noqa: S311  # a phase, not a secret
        span_s = max(0.1, refresh_ms / 1000)
        period_ms = rig.site.control.period_ms
        settle_s = _SETTLE_S if period_ms >= _USUAL_MS else _SETTLE_FAST_S
        tried = [await _trial(rig, STEP_W if i % 2 == 0 else 0.0, settle_s + phase.random() * span_s,
                              period_ms * _CHANGED_W_PER_MS) for i in range(trials)]
    found = [t for t in tried if t is not None]
    return {"meter_refresh_ms": refresh_ms, "trials": trials, "not_answered": trials - len(found),
            **_figures([t.from_register_ms for t in found], ""),
            **_figures([t.from_load_ms for t in found], "from_load_")}


class Latency(NamedTuple):
    """From the change of the meter's register, and from the change of the load itself, to the command's arrival."""

    from_register_ms: float
    from_load_ms: float


def _figures(times_ms: list[float], prefix: str) -> dict[str, float]:
    ordered = sorted(times_ms)
    return {f"{prefix}median_ms": round(statistics.median(ordered), 1),
            f"{prefix}p90_ms": round(_percentile(ordered, 90), 1),
            f"{prefix}p99_ms": round(_percentile(ordered, 99), 1), f"{prefix}max_ms": round(ordered[-1], 1)}


async def _trial(rig: Rig, level_w: float, wait_s: float, changed_w: float) -> Latency | None:
    """One step; None where no battery got a command more than `changed_w` off within a second."""
    await asyncio.sleep(wait_s)
    before = _last_commands(await _arrivals(rig, time.monotonic() - 15.0))
    asked_s = time.monotonic()
    step = await rig.simulators.ask("step_load", {"power_w": level_w})
    changed_s = float(step["register_changed_monotonic"])
    while time.monotonic() < changed_s + _GIVE_UP_S:
        for device, value, arrived_s in await _arrivals(rig, changed_s):
            if device in before and abs(value - before[device]) > changed_w:
                return Latency((arrived_s - changed_s) * 1e3, (arrived_s - asked_s) * 1e3)
        await asyncio.sleep(0.05)
    return None


async def _arrivals(rig: Rig, since_s: float) -> list[tuple[str, float, float]]:
    answer = await rig.simulators.ask("arrivals", {"since": since_s})
    return [(str(d), float(v), float(t)) for d, v, t in answer["arrivals"]]


def _last_commands(arrivals: list[tuple[str, float, float]]) -> dict[str, float]:
    return {device: value for device, value, _ in arrivals}


def _percentile(ordered: list[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
