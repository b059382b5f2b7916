"""`bench control`: the scenarios on virtual time, scored; the adversary; what the rules cost."""

import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pswd_edge.bench.adversary import Adversity, adversary
from pswd_edge.bench.announced import announced
from pswd_edge.bench.operations import Operations, operations
from pswd_edge.bench.rules_cost import rules_cost
from pswd_edge.commands.progress import Progress
from pswd_edge.replay.scenarios import DELAYS_S, F0_HZ, SCENARIOS, Draw, Scenario, scenario
from pswd_edge.replay.scoring import row_of, scored

SEEDS = tuple(range(301, 313))
FULL_S, QUICK_S = 900.0, 240.0
ADVERSARIAL_CYCLES, QUICK_CYCLES = 1_000_000, 200_000
CHUNK = 100_000
OPERATIONS_SEEDS, QUICK_SEEDS = range(4), range(2)
OPERATIONS_S, QUICK_OPERATIONS_S = 3600.0, 200.0
PERIOD_S = 0.1
ROWS = 9                      # circuits below one more, for what they cost
LATE_S = (0.25, 0.45)         # delays of the late adversary, with a fifth of the cycles each


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    numbers: tuple[int, ...]
    seeds: tuple[int, ...]
    seconds: float
    cycles: int
    cache: Path
    quick: bool = False


def draws_of(found: Scenario, plan: Plan) -> Iterator[Draw]:
    """The variants of a scenario: where its ramps are judged each rhythm and delay, with and without predictor.

    The quick plan leaves the predictor with the longer delay out, and of the filter there the rhythms in the middle.
    """
    rhythms = F0_HZ if found.judged else (1.0,)
    for seed in plan.seeds:
        for f0_hz in rhythms:
            for delay_s in DELAYS_S if found.judged else DELAYS_S[:1]:
                longer = plan.quick and delay_s > DELAYS_S[0]
                if longer and f0_hz not in (F0_HZ[0], F0_HZ[-1]):
                    continue
                both = found.judged and not longer
                for predicts in (False, True) if both else (False,):
                    yield Draw(seed, f0_hz, delay_s, plan.seconds, predicts)


def measure(plan: Plan, *, quiet: bool) -> dict[str, Any]:
    """Run everything on all cores; returns the object of `--json`."""
    began = time.perf_counter()
    cost, with_circuits = rules_cost(), rules_cost(ROWS)
    jobs = [(n, d) for n in plan.numbers for d in draws_of(scenario(n), plan)]
    progress = Progress("bench control", quiet=quiet)
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool, progress.over(len(jobs)):
        late = [pool.submit(adversary, plan.cycles // 5, 7 + i, delay_s) for i, delay_s in enumerate(LATE_S)]
        exact = [pool.submit(adversary, CHUNK, 100 + i) for i in range(plan.cycles // CHUNK)]
        worked = [pool.submit(operations, QUICK_OPERATIONS_S if plan.quick else OPERATIONS_S, seed)
                  for seed in (QUICK_SEEDS if plan.quick else OPERATIONS_SEEDS)]
        told = pool.submit(announced, Draw(plan.seeds[0], 1.0, DELAYS_S[0], plan.seconds), plan.cache, quick=plan.quick)
        runs: list[Future[dict[str, Any]]] = [pool.submit(_run, n, d, plan.cache) for n, d in jobs]
        rows = []
        for done in as_completed(runs):
            rows.append(done.result())
            progress.step()
        said = told.result()
        worst, behind, work = _sum(exact), _sum(late), _worked(worked)
    rows.sort(key=lambda r: (r["number"], r["predictor"], r["delay_s"], r["f0_hz"], r["seed"]))
    return {
        "scenarios": rows, "adversarial_cycles": worst.cycles,
        "adversarial_violations": worst.violations + worst.saturated,
        "adversarial_late_cycles": behind.cycles, "adversarial_late_violations": behind.energy + behind.power,
        "operations_hours": round(work.cycles * PERIOD_S / 3600, 3), "operations_events": work.events,
        "operations_violations": work.violations, "operations_first": work.first,
        "announced": said,
        "rules_p50_ms": cost.p50_ms, "rules_p99_ms": cost.p99_ms,
        "circuits_p50_ms": with_circuits.p50_ms - cost.p50_ms,
        "replay_speed": statistics.median(r["speed"] for r in rows) if rows else None,
        "seconds": round(time.perf_counter() - began, 1)}


def _sum(futures: list[Future[Adversity]]) -> Adversity:
    total = Adversity()
    for future in futures:
        total.add(future.result())
    return total


def _worked(futures: list[Future[Operations]]) -> Operations:
    total = Operations()
    for future in futures:
        total.add(future.result())
    return total


def _run(number: int, draw: Draw, cache: Path) -> dict[str, Any]:
    """One run, in a process of its own."""
    found = scenario(number)
    return row_of(found, draw, scored(found.build(draw), cache, found.steady_from_s))


def plan_of(*, quick: bool, numbers: list[int], seeds: list[int], cache: Path, seconds: float | None = None) -> Plan:
    """The plan of the command's arguments; `seconds` is the length of a run, None: the plan's own.

    Raises KeyError for a scenario that there is not.
    """
    for number in numbers:
        scenario(number)
    chosen = tuple(numbers) or tuple(s.number for s in SCENARIOS)
    default = SEEDS[:1] if quick else SEEDS
    return Plan(chosen, tuple(seeds) or default, seconds or (QUICK_S if quick else FULL_S),
                QUICK_CYCLES if quick else ADVERSARIAL_CYCLES, cache, quick)
