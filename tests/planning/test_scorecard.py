"""Figures of a run: one definition of ramp, true spectra, and an optimum that nothing beats."""

import math
import random

import numpy as np
import pytest

from pswd_edge.planning.optimum import optimum
from pswd_edge.planning.ramps import largest, ramp_w_per_min
from pswd_edge.planning.run import Bounds, Run, averaged
from pswd_edge.planning.scorecard import scorecard
from pswd_edge.planning.spectrum import amplification, rms_w
from simulators.score import RampScore

MW = 1e6
BOUNDS = Bounds(10 * MW, 120 * MW, 100 * MW, 100 * MW, 1 * MW, 9 * MW, 0.96, 0.96, 60 * MW)


def run_of(load_w: np.ndarray, grid_w: np.ndarray | None = None, **changes) -> Run:
    grid = load_w if grid_w is None else grid_w
    count = len(load_w)
    parts = {"period_s": 0.1, "load_w": load_w, "grid_w": grid, "battery_w": load_w - grid,
             "energy_wh": np.full(count, 5 * MW), "shed_w": np.zeros(count), "reference_w": grid,
             "tiers": np.zeros((count, 0), dtype=bool)}
    return Run(**(parts | changes))


def test_ramps_are_those_of_the_simulator_s_score() -> None:
    """The demo is judged by the same measure as the bench."""
    rng, score = random.Random(4), RampScore()
    powers = [50.0]
    for _ in range(2000):
        powers.append(powers[-1] + rng.gauss(0, 0.5))
    for power in powers:
        score.add(power, counts=True)
    found = np.array(powers) * MW
    for window in (600, 100, 10):
        mine = largest(ramp_w_per_min(found, 0.1, window / 10)) / MW
        assert mine == pytest.approx(score.max_mw_per_min[window], rel=1e-9)


def test_a_steady_ramp_scores_itself_and_a_step_scores_its_size() -> None:
    """For every window; that is what makes them comparable."""
    climb = scorecard(run_of(20 * MW + np.arange(3000) * 1000.0), BOUNDS)   # 0.6 MW/min
    assert climb.ramp_60s_max_mw_per_min == pytest.approx(0.6)
    assert climb.ramp_1s_max_mw_per_min == pytest.approx(0.6)
    step = scorecard(run_of(np.repeat([20 * MW, 60 * MW], 1500)), BOUNDS)
    assert step.ramp_60s_max_mw_per_min == pytest.approx(40.0)
    assert step.max_step_100ms_mw == pytest.approx(40.0)
    assert step.violation_s > 60


@pytest.mark.parametrize("frequency_hz", [0.61, 1.0, 2.2])
def test_a_sine_s_power_is_in_its_band(frequency_hz: float) -> None:
    """Amplitude over root two, nothing in the other bands."""
    time_s = np.arange(6000) * 0.1
    wave = 10 * MW * np.sin(2 * math.pi * frequency_hz * time_s)
    assert rms_w(wave, 0.1, (0.5, 2.5)) == pytest.approx(10 * MW / math.sqrt(2), rel=0.02)
    assert rms_w(wave, 0.1, (2.5, 5.0)) < 0.02 * MW
    assert amplification(0.5 * wave, wave, 0.1, (0.5, 2.5)) == pytest.approx(0.5)


def test_a_flat_load_has_no_amplification() -> None:
    """Not 0, and no division by nothing."""
    card = scorecard(run_of(np.full(2000, 50 * MW)), BOUNDS)
    assert math.isnan(card.amplification)
    assert card.as_dict()["amplification"] is None


def test_limits_that_are_broken_are_counted() -> None:
    """Energy outside its window, batteries beyond their rating; a watt is no violation."""
    energy = np.full(1000, 5 * MW)
    energy[100:110] = 0.9 * MW
    load = np.full(1000, 50 * MW)
    grid = load.copy()
    grid[500:503] = -60 * MW
    assert scorecard(run_of(load, grid, energy_wh=energy), BOUNDS).limit_violations == 13


def test_shedding_is_told_in_energy_events_and_length() -> None:
    """5 MW for 60 s are 83 kWh."""
    tiers = np.zeros((2000, 2), dtype=bool)
    tiers[100:700, 0] = tiers[900:1000, 0] = True
    shed = np.where(tiers[:, 0], 5 * MW, 0.0)
    card = scorecard(run_of(np.full(2000, 50 * MW), tiers=tiers, shed_w=shed), BOUNDS)
    assert card.unserved_mwh == pytest.approx(5 * 70 / 3600)
    assert (card.shed_events, card.longest_shed_s) == (2, 60.0)


def test_the_optimum_of_an_announced_step_is_the_pre_ramp() -> None:
    """Half the step before, half after: the energy of a quarter of what a step without notice needs."""
    load = np.where(np.arange(1200) < 600, 20 * MW, 80 * MW)
    found = optimum(load, 1.0, BOUNDS, 20 * MW, 5 * MW)
    assert found.solved
    assert found.viable
    assert found.unserved_wh == 0.0
    needed = found.energy_wh.max() - found.energy_wh.min()
    assert needed == pytest.approx((60 * MW) ** 2 / (8 * 600 * MW), rel=0.1)
    assert np.abs(np.diff(found.grid_w)).max() <= 10 * MW / 60 + 1


def test_what_cannot_be_served_is_shed_or_told() -> None:
    """A battery of 100 kWh: loads go; without loads to shed the ramp is broken, and the run not viable."""
    load = np.where(np.arange(400) < 200, 20 * MW, 90 * MW)
    small = Bounds(10 * MW, 120 * MW, 100 * MW, 100 * MW, 0.0, 0.1 * MW, 0.96, 0.96, 90 * MW)
    assert optimum(load, 1.0, small, 20 * MW, 0.05 * MW).unserved_wh > 0.5 * MW
    bare = Bounds(10 * MW, 120 * MW, 100 * MW, 100 * MW, 0.0, 0.1 * MW, 0.96, 0.96, 0.0)
    broken = optimum(load, 1.0, bare, 20 * MW, 0.05 * MW)
    assert broken.excess_w_per_min > 10 * MW
    assert not broken.viable


def test_means_cut_off_what_is_left_over() -> None:
    """Ten values in fours are two means."""
    assert averaged(np.arange(10.0), 4).tolist() == [1.5, 5.5]
