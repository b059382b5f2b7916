"""Every control input, wrong in every way: found in time, named, and the grid and the batteries stay within limits."""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest
from virtual import GRID, LOAD, MW, World, bad, small_spec

from pswd_edge.control.rules import law
from pswd_edge.model.quality import Reason
from pswd_edge.model.snapshot import Reading

SPEC = small_spec()
B1 = SPEC.batteries[0]
SETTLE, FAULT = 70, 60        # cycles: 7 s of running, 6 s of the fault
FOUND_S, SAFE_S = 0.5, 2.0    # the time to name it, and to be safe
INPUTS = {"grid": GRID, "load": LOAD, "power": B1.power.point, "soc": B1.soc.point}
MOST_W = {"grid": 2e9, "load": 2e9, "power": 2e9, "soc": 6553.5}


def word_swapped(value: float) -> float:
    """A 32-bit number read with its words in the wrong order."""
    raw = round(value) & 0xFFFFFFFF
    swapped = (raw & 0xFFFF) << 16 | raw >> 16
    return float(swapped - (1 << 32) if swapped & 0x80000000 else swapped)


class Fault(NamedTuple):
    """What a reading becomes; `held` is the reading when the fault began, `late` the one of 0.3 s ago."""

    make: Callable[[Reading, Reading, Reading, str, int], Reading]


def scaled(factor: float) -> Fault:
    return Fault(lambda now, held, late, name, k: now._replace(value=now.value * factor))


FAULTS = {
    "unreachable": Fault(lambda now, held, late, name, k: bad(Reason.UNREACHABLE)),
    "stale": Fault(lambda now, held, late, name, k: held._replace(age_s=(k + 1) / 10)),
    "frozen": Fault(lambda now, held, late, name, k: now._replace(value=held.value, unchanged=k)),
    "not_a_number": Fault(lambda now, held, late, name, k: now._replace(value=math.nan)),
    "infinite": Fault(lambda now, held, late, name, k: now._replace(value=-math.inf)),
    "min": Fault(lambda now, held, late, name, k: now._replace(value=-MOST_W[name])),
    "max": Fault(lambda now, held, late, name, k: now._replace(value=MOST_W[name])),
    "flipped": scaled(-1.0),
    "delayed": Fault(lambda now, held, late, name, k: late._replace(age_s=0.3)),
    "duplicated": Fault(lambda now, held, late, name, k: late if k % 2 else now),
    "kilo": scaled(1e3),
    "milli": scaled(1e-3),
    "word_swapped": Fault(lambda now, held, late, name, k: now._replace(value=word_swapped(now.value))),
}
HARMLESS = {
    *((name, fault) for name in INPUTS for fault in ("delayed", "duplicated")),
    ("soc", "frozen"), ("soc", "milli"),     # within 0..100 %: how a SoC may look
    ("soc", "word_swapped"),
    *(("load", fault) for fault in (          # nothing is led by load meters while the grid meter is good
        "frozen", "min", "max", "flipped", "kilo", "milli", "word_swapped")),
    ("power", "frozen"), ("power", "flipped"), ("power", "milli"),  # found as a load that contradicts, or not followed
}
"""What no name is due for within half a second; what is safe is asked of them all the same."""
SLOW = {("grid", "frozen"), ("grid", "flipped"), ("grid", "milli")}
"""Told from the truth by comparison, which needs the batteries to move or the meters to disagree for 1.5 s."""


class Run(NamedTuple):
    """One run: what the true grid did in each cycle, W, and what was decided."""

    grid_w: list[float]
    decisions: list[law.Decision]


@cache
def run(name: str, fault: str) -> Run:
    """One fault of one input, as all tests of it look at it."""
    world, point, seen = World(SPEC, swinging(0)), INPUTS[name], []
    true: list[float] = []
    decisions: list[law.Decision] = []
    for k in range(SETTLE + FAULT):
        world.load_w = swinging(k)
        world.override.clear()
        now = world.snapshot().read(point)
        seen.append(now)
        if k >= SETTLE:
            world.override[point] = FAULTS[fault].make(now, seen[SETTLE - 1], seen[max(0, k - 3)], name, k - SETTLE)
        decisions.append(world.step())
        true.append(world.grid_w)
    return Run(true, decisions)


def swinging(k: int) -> float:
    """60 MW with 10 MW at 0.3 Hz: the batteries have to move, so that what stands still can be told."""
    return 60 * MW + 10 * MW * math.sin(2 * math.pi * 0.3 * k / 10)


MATRIX = [(name, fault) for name in INPUTS for fault in FAULTS]


@pytest.mark.parametrize(("name", "fault"), MATRIX)
def test_no_command_is_beyond_a_limit_whatever_an_input_says(name: str, fault: str) -> None:
    """P7 for inputs: no number, no sum beyond the batteries, no battery beyond its own."""
    for decision in run(name, fault).decisions:
        assert math.isfinite(decision.battery_w)
        for b in decision.fleet.batteries:
            share = decision.shares.get(b.id, 0.0)
            assert -b.charge_available_w - 1 <= share <= b.discharge_available_w + 1
            assert b.usable or share == 0.0


@pytest.mark.parametrize(("name", "fault"), [p for p in MATRIX if p not in HARMLESS and p not in SLOW])
def test_it_is_named_within_half_a_second(name: str, fault: str) -> None:
    """The operator reads the name; the law acts on it in the same cycle."""
    late = round(FOUND_S * 10) + (round(0.1 * SPEC.grid_power.max_age_ms / 10) if fault == "stale" else 0)
    late += round(B1.soc.max_age_ms / 100) if (name, fault) == ("soc", "stale") else 0
    decisions = run(name, fault).decisions
    assert decisions[SETTLE - 1].degraded == ()
    assert any(d.degraded for d in decisions[SETTLE : SETTLE + late + 1])


@pytest.mark.parametrize(("name", "fault"), sorted(SLOW))
def test_what_only_comparison_shows_is_named_in_its_own_time(name: str, fault: str) -> None:
    """Two meters that disagree for 1.5 s; 20 equal answers for a frozen one."""
    decisions = run(name, fault).decisions
    assert any(d.degraded for d in decisions[SETTLE : SETTLE + 30])


@pytest.mark.parametrize(("name", "fault"), MATRIX)
def test_within_two_seconds_the_grid_is_led_again_as_before(name: str, fault: str) -> None:
    """The mean of a swing period, from 2 s on: the true grid must not run away because an input lies."""
    made = run(name, fault)
    period = 33
    before_w = sum(made.grid_w[SETTLE - period : SETTLE]) / period
    after_w = sum(made.grid_w[-period:]) / period
    assert abs(after_w - before_w) < 6 * SPEC.ramp_limit_w_per_min / 60 + 2 * MW
    assert max(made.grid_w[SETTLE + 20 :]) <= SPEC.import_limit_w
