"""The way of the reference before announced changes."""

import numpy as np
import pytest

from pswd_edge.planning.horizon import Capped, plan
from pswd_edge.planning.run import Bounds

R = 10e6
BOUNDS = Bounds(R, 130e6, 100e6, 100e6, 0.5e6, 4.5e6, 1.0, 1.0, 0.0)
STEP = 60e6
BOUND_WH = STEP**2 / (8 * R * 60)


def energy_wh(found, load_w: np.ndarray, step_s: float, from_wh: float) -> np.ndarray:
    """What the batteries hold after each step of the plan, without losses."""
    return from_wh - np.cumsum(load_w - np.array(found.reference_w)) * step_s / 3600


def test_the_ramp_begins_half_the_step_before_it() -> None:
    """x²/2R stored and (d - x)²/2R taken are least together at x = d/2."""
    found = plan(30e6, [(400.0, STEP)], BOUNDS, 30e6, 1e6, 2e6)
    assert found is not None
    assert found.viable
    assert found.at(400.0) == pytest.approx(30e6 + STEP / 2, abs=3e6)
    assert found.at(100.0) == pytest.approx(30e6, abs=1e6)
    assert found.at(1e9) == pytest.approx(90e6, abs=1e6)


def test_a_plan_keeps_the_ramp_and_the_energy_window() -> None:
    """A way that the law would have to leave is none."""
    found = plan(30e6, [(400.0, STEP), (900.0, -STEP)], BOUNDS, 30e6, 1e6, 2e6)
    assert found is not None
    times, reference = np.array(found.after_s), np.array(found.reference_w)
    step_s = times[1]
    assert np.abs(np.diff(reference)).max() <= R * step_s / 60 + 1
    load = 30e6 + STEP * (((times + step_s - 400) / step_s).clip(0, 1) - ((times + step_s - 900) / step_s).clip(0, 1))
    held = energy_wh(found, load, step_s, 1e6)
    assert BOUNDS.energy_min_wh - 1 <= held.min()
    assert held.max() <= BOUNDS.energy_max_wh + 1


def test_a_battery_of_little_more_than_the_bound_is_enough() -> None:
    """swing² / 8R: the reason to announce anything."""
    small = Bounds(R, 130e6, 100e6, 100e6, 0.0, 1.1 * BOUND_WH, 1.0, 1.0, 0.0)
    found = plan(30e6, [(400.0, STEP)], small, 30e6, 0.1 * BOUND_WH, 0.5 * BOUND_WH)
    assert found is not None
    assert found.viable


def test_a_battery_below_the_bound_is_not_enough_and_the_plan_says_so() -> None:
    """Else nobody would know that the announcement came to nothing."""
    small = Bounds(R, 130e6, 100e6, 100e6, 0.0, 0.8 * BOUND_WH, 1.0, 1.0, 0.0)
    found = plan(30e6, [(400.0, STEP)], small, 30e6, 0.1 * BOUND_WH, 0.5 * BOUND_WH)
    assert found is not None
    assert not found.viable


def test_room_that_is_spared_for_waiting_is_not_planned_with() -> None:
    """A start that is late by its window finds the batteries full otherwise."""
    load = 30e6

    def fullest(spared) -> float:
        found = plan(load, [(400.0, STEP)], BOUNDS, 30e6, 3.6e6, 3.6e6, spared)
        assert found is not None
        times = np.array(found.after_s)
        series = load + STEP * ((times + times[1] - 400) / times[1]).clip(0, 1)
        return float(energy_wh(found, series, times[1], 3.6e6).max())

    assert fullest((0.0, 0.5e6)) <= 4.5e6 - 0.5e6 + 1
    assert fullest((0.0, 0.0)) > 4.0e6


def test_with_nothing_to_come_the_reference_goes_to_the_load() -> None:
    """After a change the ramp has still to be ended."""
    found = plan(90e6, [], BOUNDS, 60e6, 2e6, 2e6)
    assert found is not None
    assert found.at(0.0) == pytest.approx(60e6)
    assert found.at(1e9) == pytest.approx(90e6, abs=3e6)


def test_a_change_beyond_the_horizon_waits() -> None:
    """A day of announcements must not make a programme of a day."""
    found = plan(30e6, [(50_000.0, STEP)], BOUNDS, 30e6, 2e6, 2e6)
    assert found is not None
    assert max(found.reference_w) <= 31e6
    assert len(found.after_s) <= 181


def test_an_import_limit_to_come_is_met_with_energy_that_was_gathered_before() -> None:
    """20 MW less for five minutes are 1.67 MWh, and 0.5 are there: the grid gives the rest before, at the ramp."""
    load, event = 60e6, Capped(600.0, 900.0, 40e6)
    found = plan(load, [], BOUNDS, load, 1e6, 2e6, capped=[event])
    assert found is not None
    times, reference = np.array(found.after_s), np.array(found.reference_w)
    inside = (times >= event.begin_s) & (times < event.end_s)
    assert reference[inside].max() <= event.import_w + 1
    assert reference[times < event.begin_s].max() > load + 5e6
    assert np.abs(np.diff(reference)).max() <= R * times[1] / 60 + 1
    assert energy_wh(found, np.full(len(times), load), times[1], 1e6).min() >= BOUNDS.energy_min_wh


def test_an_import_limit_that_no_energy_suffices_for_is_planned_for_all_the_same() -> None:
    """What is left is for control's tiers; a plan without a solution would help nobody."""
    found = plan(60e6, [], BOUNDS, 60e6, 1e6, 2e6, capped=[Capped(100.0, 1000.0, 10e6)])
    assert found is not None
    assert found.at(150.0) < 60e6


def test_an_import_limit_beyond_the_horizon_waits() -> None:
    """It is looked at again when it is near."""
    found = plan(60e6, [], BOUNDS, 60e6, 2e6, 2e6, capped=[Capped(1000.0, 1300.0, 10e6)])
    assert found is not None
    assert found.at(50.0) == pytest.approx(60e6, abs=1e6)
