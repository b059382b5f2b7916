"""The score against arrays computed by hand."""

import math

import numpy as np
import pytest

from simulators.plant import Plant, PlantSpec, preroll
from simulators.score import Score


def scored(powers_mw, judged_from=0, battery_mw=0.0):
    score = Score()
    for k, power_mw in enumerate(powers_mw):
        if k == judged_from:
            score.start()
        score.add(0.1 * k, power_mw, battery_mw)
    return score


def test_pure_ramp_of_10_mw_per_min_scores_10():
    """The definition's anchor: all windows agree on a steady ramp."""
    summary = scored(np.arange(2400) * 0.1 / 60.0 * 10.0).summary()
    for window in ("1s", "10s", "60s"):
        assert summary[f"ramp_{window}_max_mw_per_min"] == pytest.approx(10.0, abs=1e-6)
    assert summary["max_step_100ms_mw"] == pytest.approx(1 / 60, abs=1e-9)


def test_step_scores_its_height_once_the_window_is_full_of_it():
    """A step of 30 MW: the mean over the minute after it less that over the minute before."""
    summary = scored([20.0] * 1200 + [50.0] * 1200).summary()
    assert summary["ramp_60s_max_mw_per_min"] == pytest.approx(30.0)
    assert summary["max_step_100ms_mw"] == pytest.approx(30.0)


def test_pulse_shorter_than_the_window_counts_by_its_share():
    """6 s of 40 MW more are 4 MW in a minute's mean, 24 MW in ten seconds' and all of it in one second's."""
    summary = scored([20.0] * 1500 + [60.0] * 60 + [20.0] * 1500).summary()
    assert summary["ramp_60s_max_mw_per_min"] == pytest.approx(4.0)
    assert summary["ramp_10s_max_mw_per_min"] == pytest.approx(24.0)
    assert summary["ramp_1s_max_mw_per_min"] == pytest.approx(40.0)


def test_figures_equal_a_direct_computation_on_noise():
    """The running sums against the definition, written out."""
    powers = np.random.default_rng(1).normal(50.0, 10.0, 3000)
    summary = scored(powers, judged_from=700).summary()
    for window, name in ((600, "60s"), (100, "10s"), (10, "1s")):
        means = np.convolve(powers, np.ones(window) / window, "valid")
        ends = np.arange(window, 3001)
        ramps = np.abs(means[600:] - means[:-600])[ends[600:] > 700]
        assert summary[f"ramp_{name}_max_mw_per_min"] == pytest.approx(ramps.max(), abs=1e-9)


def test_what_happened_before_the_start_fills_windows_but_is_not_judged():
    """The pre-roll's own step is not the controller's fault; a step just after the start is judged at once."""
    before = scored([20.0] * 700 + [90.0] * 300 + [90.0] * 900, judged_from=1900).summary()
    assert before["ramp_60s_max_mw_per_min"] == 0.0
    after = scored([20.0] * 700 + [50.0] * 10, judged_from=700).summary()
    assert after["ramp_1s_max_mw_per_min"] == pytest.approx(30.0)


def test_batteries_are_taken_off_the_load():
    """Load and grid are judged apart."""
    score = Score()
    score.start()
    for k in range(2400):
        load_mw = 20.0 if k < 1200 else 70.0
        score.add(0.1 * k, load_mw, load_mw - 20.0)
    summary = score.summary()
    assert summary["ramp_60s_max_mw_per_min"] == 0.0
    assert summary["load_ramp_60s_max_mw_per_min"] == pytest.approx(50.0)


def test_score_follows_a_plant_and_counts_soc_and_unserved_from_the_start():
    """Real steps: ten make a sample, what the pre-roll shed is not counted."""
    plant, score = Plant(PlantSpec(noise_scale=0.0), seed=1), Score()
    plant.write("pdu-1", "outlet_command[1]", 0.0)
    preroll(plant, 10.0, observe=score.observe)
    score.start()
    plant.write("bess-1", "power_setpoint_w", 60e6)
    for _ in range(1800):
        plant.step(0.01)
        score.observe(plant)

    summary, trace = score.summary(), score.trace()

    assert summary["shed_mwh"] == pytest.approx(2.0 * 18.0 / 3600.0, rel=0.01)
    assert summary["soc_max_percent"] == pytest.approx(75.0, abs=0.02)
    assert summary["soc_min_percent"] == pytest.approx(plant.batteries["bess-1"].soc_percent, abs=0.02)
    assert len(trace.time_s) == 280
    assert np.allclose(trace.grid_mw, trace.load_mw - trace.battery_mw)
    assert np.allclose(np.diff(trace.time_s), 0.1)


def test_trace_keeps_the_newest_and_memory_stays_bounded():
    """A demo may run for days."""
    score = Score(keep_s=10.0)
    for k in range(250):
        score.add(float(k), float(k), 0.0)
    assert list(score.trace().load_mw) == [float(k) for k in range(150, 250)]


def test_nothing_judged_yet_is_not_a_full_battery():
    """No sample, no figure."""
    assert math.isnan(Score().summary()["soc_min_percent"])
