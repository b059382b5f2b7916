"""Requests of a benchmark, from a process of its own: `python -m pswd_edge.bench.api_load`.

It reads a plan (JSON) from its standard input, works, and prints as JSON what every operation's answers were. Small
requests leave at a fixed rate by absolute times, whether earlier answers came or not; downloads follow each other.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import aiohttp
import uvloop

from pswd_edge.clock import iso_utc

_NICENESS = 15       # as the gateway: field and control go first
_TIMEOUT_S = 30.0
_SPREAD_S = 0.1      # a cycle of control: a rate that divides it would always meet the same moment of one
_LONG_BYTES = 100_000
_BUSY_S = 1.0        # after a 503
_DONE = ("executed", "approved")


class Operation(NamedTuple):
    """What is asked `per_s` times a second, its `bodies` in turn. {now} is the time, {n} the number of the request."""

    name: str
    method: str
    path: str
    per_s: float = 1.0
    bodies: Sequence[str] = ()
    answers_with: str | None = None      # the field that says whether the device has it


class Seen:
    """Of one operation: statuses, times of 2xx answers; where they tell it, of those that a device acknowledged.

    `any` time is then that of every 2xx answer; the first byte's is told of long ones.
    """

    def __init__(self) -> None:
        self.times_ms: list[float] = []
        self.first_ms: list[float] = []
        self.all_ms: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.progress: Counter[str] = Counter()
        self.bytes = self.asked = 0

    def figures(self) -> dict[str, Any]:
        """Counts and percentiles."""
        found: dict[str, Any] = {"answers": sum(self.statuses.values()), "statuses": dict(self.statuses)}
        found |= {key: value for key, value in (("progress", dict(self.progress)), ("bytes", self.bytes)) if value}
        more = [("first_byte_", self.first_ms)] if self.bytes > _LONG_BYTES else []
        more += [("any_", self.all_ms)] if self.progress else []
        for name, times in (("", self.times_ms), *more):
            if times:
                ordered = sorted(times)
                found |= {f"{name}{key}_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
                          for key, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}
        return found


class Load:
    """Asks as many identities in turn, so that each stays below its rate limit."""

    def __init__(self, base: str, identities: list[dict[str, str]], session: aiohttp.ClientSession) -> None:
        self._base, self._identities, self._session = base, identities, session
        self.seen: dict[str, Seen] = {}
        self._count = 0

    async def at_rate(self, operation: Operation, seconds: float, offset_s: float) -> None:
        """Until `seconds` are over; the answers are waited for. Each leaves at a chance phase of control's cycle."""
        started_s, tasks, chance = time.monotonic() + offset_s, [], random.Random(operation.name)  # noqa: S311
        for i in range(round(seconds * operation.per_s)):
            due_s = started_s + i / operation.per_s + chance.uniform(0.0, _SPREAD_S)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            tasks.append(asyncio.create_task(self.ask(operation)))
        await asyncio.gather(*tasks)

    async def one_after_other(self, operation: Operation, seconds: float) -> None:
        """The next as soon as the last is there; a pause after a refusal."""
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s:
            if not await self.ask(operation):
                await asyncio.sleep(_BUSY_S)

    async def ask(self, operation: Operation) -> bool:
        """One request; True where the answer was 2xx. What goes wrong on the way counts as a status of its own."""
        seen = self.seen.setdefault(operation.name, Seen())
        self._count += 1
        number, words = self._count, {"{now}": iso_utc(time.time()), "{n}": str(self._count)}
        headers = {**self._identities[number % len(self._identities)], "Content-Type": "application/json"}
        body = operation.bodies[seen.asked % len(operation.bodies)] if operation.bodies else ""
        seen.asked += 1
        started_s = time.perf_counter()
        try:
            async with self._session.request(operation.method, self._base + _filled(operation.path, words),
                                             data=_filled(body, words) or None,
                                             headers=headers) as answer:
                first = await answer.content.readany()
                first_s = time.perf_counter()
                rest = await answer.content.read()
                self._note(seen, operation, answer.status, first + rest, (started_s, first_s))
                return answer.ok
        except (aiohttp.ClientError, TimeoutError) as error:
            seen.statuses[type(error).__name__] += 1
            return False

    def _note(self, seen: Seen, operation: Operation, status: int, body: bytes, times_s: tuple[float, float]) -> None:
        ended_s = time.perf_counter()
        seen.statuses[str(status)] += 1
        if not 200 <= status < 300:
            return
        seen.all_ms.append((ended_s - times_s[0]) * 1e3)
        if operation.answers_with is not None:
            progress = str(json.loads(body).get(operation.answers_with))
            seen.progress[progress] += 1
            if progress not in _DONE:
                return
        seen.bytes = max(seen.bytes, len(body))
        seen.times_ms.append((ended_s - times_s[0]) * 1e3)
        seen.first_ms.append((times_s[1] - times_s[0]) * 1e3)


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Every operation at its rate, or `downloads` of each one after the other."""
    operations = [Operation(**fields) for fields in plan["operations"]]
    seconds, downloads = plan["seconds"], plan.get("downloads", 0)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0),
                                     timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
        load = Load(plan["base"], plan["identities"], session)
        if downloads:
            await asyncio.gather(*(load.one_after_other(o, seconds) for o in operations for _ in range(downloads)))
        else:
            await asyncio.gather(*(load.at_rate(o, seconds, i * 0.0037) for i, o in enumerate(operations)))
    return {name: seen.figures() for name, seen in sorted(load.seen.items())}


if __name__ == "__main__":
    os.nice(_NICENESS)
    print(json.dumps(uvloop.run(run(json.loads(sys.stdin.readline())))), flush=True)
