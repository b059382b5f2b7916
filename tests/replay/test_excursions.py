"""Droop in closed loop: the reference site, its plant with delay and lag, load and frequency that move."""

import functools
import itertools

import numpy as np
import pytest

from pswd_edge.planning.run import Run, Series
from pswd_edge.replay import excursions
from pswd_edge.replay.loop import Loop
from pswd_edge.replay.scenarios import Draw, scenario
from pswd_edge.replay.site import MW, RAMP_W_PER_MIN

DRAW = Draw(301, 1.0, 0.25, 330.0)
WINDOW = 600                  # cycles of the utility's minute
LATE = 2                      # cycles until the plant has done what was decided


def with_load(number: int, job_w: Series, frequency_hz: Series) -> Loop:
    """The site of scenario 50 under another load and frequency."""
    maker = excursions.Grid(DRAW, number)
    return Loop(maker.case("made", job_w, frequency_hz=frequency_hz), keep=True)


@functools.cache
def played(number: int) -> tuple[Loop, Run, Series]:
    """The loop, its run, and its droop from the first judged cycle on."""
    loop = Loop(scenario(number).build(DRAW), keep=True)
    run = loop.run()
    return loop, run, droop_of(loop, run)


def droop_of(loop: Loop, run: Run) -> Series:
    found = [d.droop_w for d in loop.decisions if d is not None]
    assert len(found) == len(run.grid_w)
    return np.array(found, dtype=np.float64)[run.first :]


def ramp_w_per_min(power_w: Series) -> float:
    """The largest change of the 60 s mean in 60 s."""
    total = np.concatenate(([0.0], np.cumsum(power_w)))
    mean = (total[WINDOW:] - total[:-WINDOW]) / WINDOW
    return float(np.abs(mean[WINDOW:] - mean[:-WINDOW]).max())


def without_droop(run: Run, droop_w: Series) -> Series:
    return run.grid_w[run.first :] + np.concatenate((np.zeros(LATE), droop_w[:-LATE]))


def window_holds(loop: Loop, run: Run) -> bool:
    b = loop.spec.batteries[0]
    low, high = b.soc_min_percent - 0.1, b.soc_max_percent + 0.1
    soc = 100 * run.energy_wh / b.capacity_wh
    return bool(soc.min() >= low and soc.max() <= high)


def test_the_answer_comes_in_two_cycles_and_is_what_the_droop_says() -> None:
    """40 MW/Hz beyond 36 mHz are 10.56 MW at 49.7 Hz, of which 10 may be; a wave inside the deadband is left alone."""
    _, _, droop_w = played(50)
    begin = round(excursions.LOW_FROM_S * 10)
    end = begin + round(excursions.LOW_S * 10)
    assert not droop_w[:begin].any()
    assert (droop_w[begin + 1 : end + 1] == 10 * MW).all()
    assert not droop_w[end + 2 :].any()


def test_the_grid_gets_the_droop_and_keeps_its_ramp_beside_it() -> None:
    """What the utility asked for by its frequency is not held against the site, and not paid back afterwards."""
    loop, run, droop_w = played(50)
    assert ramp_w_per_min(without_droop(run, droop_w)) < RAMP_W_PER_MIN
    begin = round(excursions.LOW_FROM_S * 10)
    before, after = run.grid_w[run.first :][begin - 50 : begin], run.grid_w[run.first :][begin + 10 : begin + 60]
    assert np.mean(after) - np.mean(before) == pytest.approx(-10 * MW, abs=1.5 * MW)
    assert window_holds(loop, run)


def test_the_reference_knows_nothing_of_the_excursion() -> None:
    """The same load with and without it: while it lasts, both references are led alike."""
    _, run, _ = played(50)
    maker = excursions.Grid(DRAW, 50)
    still = Loop(maker.case("still", maker.job([(10.0, 1e9)]))).run()
    begin = run.first + round(excursions.LOW_FROM_S * 10)
    apart = np.abs(run.reference_w[begin : begin + 600] - still.reference_w[begin : begin + 600])
    assert apart.max() < 1.0 * MW


def test_a_frequency_that_is_lost_lets_go_at_the_ramp_and_comes_back() -> None:
    """Thirty seconds without a value: less and less, never a step; then the full answer again."""
    loop, run, droop_w = played(51)
    lost = droop_w[1700:2000]
    steps = [b - a for a, b in itertools.pairwise(lost)]
    most_w = loop.spec.ramp_down_w_per_s * 0.1
    assert "frequency_unknown" in loop.seen_degraded
    assert lost[0] < -6 * MW
    assert -6 * MW < lost[-1] < 0.0
    assert all(0 < s <= 1.001 * most_w for s in steps)
    assert droop_w[2005] == pytest.approx(-40 * MW * (0.2 - 0.036))
    assert ramp_w_per_min(without_droop(run, droop_w)) < RAMP_W_PER_MIN


@pytest.mark.parametrize(("hz", "on"), [(49.0, (150.0, 1e9)), (51.0, (0.0, 150.0))])
def test_the_worst_step_of_the_load_in_an_excursion_is_carried_too(hz: float, on: tuple[float, float]) -> None:
    """Start under low frequency, abort under high: batteries give or take both, as the reserve says that they can."""
    frequency = np.full(round(DRAW.seconds / 0.02), 50.0)
    frequency[round(145.0 / 0.02) : round(225.0 / 0.02)] = hz
    maker = excursions.Grid(DRAW, 52)
    loop = with_load(52, maker.job([on]), frequency)
    run = loop.run()
    droop_w = droop_of(loop, run)
    assert (np.abs(droop_w[1452:2250]) == 10 * MW).all(), "nothing of it was taken back"
    assert ramp_w_per_min(without_droop(run, droop_w)) < RAMP_W_PER_MIN
    assert window_holds(loop, run)
    assert run.shed_w.max() == 0.0
