"""Load traces: levels, duty, dips, aborts."""

import random

import numpy as np
import pytest

from simulators.loads import FINE_TUNING, FLAT, NOISELESS, TRAINING, Enveloped, InferenceLoad, Step, TrainingJob

DT_S = 0.01


def draw(load, seconds, begin_s=0.0):
    return np.array([load.power_share(begin_s + DT_S * k, DT_S) for k in range(round(seconds / DT_S))])


def test_training_iterates_at_its_frequency_between_its_two_levels():
    """The swing that the batteries meet: 30 % at 1 Hz."""
    share = draw(TrainingJob(random.Random(4), frequency_hz=1.0, shape=TRAINING), 120.0)

    spectrum = np.abs(np.fft.rfft(share - share.mean()))
    peak_hz = np.fft.rfftfreq(len(share), DT_S)[np.argmax(spectrum)]

    assert peak_hz == pytest.approx(1.0, abs=0.15)
    assert np.percentile(share, 90) == pytest.approx(1.0, abs=0.08)
    assert np.percentile(share, 5) == pytest.approx(0.7, abs=0.1)


def test_fine_tuning_drops_almost_to_nothing():
    """Its drop is 0.8 of the peak."""
    share = draw(TrainingJob(random.Random(4), frequency_hz=0.5, shape=FINE_TUNING), 60.0)
    assert share.min() == pytest.approx(0.2, abs=0.15)


def test_noiseless_job_repeats_exactly():
    """With noise off two iterations are the same, so that tests can compute by hand."""
    share = draw(TrainingJob(random.Random(4), frequency_hz=1.0, shape=NOISELESS), 3.0, begin_s=0.001)
    assert set(share.round(12)) == {0.7, 1.0}
    assert share[100:200].mean() == pytest.approx(0.91, abs=0.01)


def test_checkpoint_dips_for_its_time_only():
    """40-50 % while it writes."""
    job = TrainingJob(random.Random(1), shape=FLAT)
    job.checkpoint(at_s=2.0, duration_s=3.0, share=0.45)
    share = draw(job, 8.0)
    assert set(share[:199]) == {1.0}
    assert set(share[201:499]) == {0.45}
    assert set(share[501:]) == {1.0}


@pytest.mark.parametrize("seed", range(5))
def test_abort_reaches_idle_within_50_to_200_ms_and_stays(seed):
    """As fast as real aborts are, and no faster."""
    job = TrainingJob(random.Random(seed), shape=FLAT)
    job.abort(1.0)
    share = draw(job, 3.0)
    idle_at_s = np.argmax(share <= 0.1 + 1e-9) * DT_S
    assert 0.05 <= idle_at_s - 1.0 <= 0.21
    assert share[-1] == pytest.approx(0.1)


def test_inference_wanders_around_its_mean():
    """A few per cent, never flat."""
    share = draw(InferenceLoad(random.Random(2)), 300.0)
    assert share.mean() == pytest.approx(1.01, abs=0.02)
    assert 0.005 < share.std() < 0.04


def test_same_generator_seed_gives_the_same_trace():
    """Loads draw from their own generator and nothing else."""
    assert np.array_equal(draw(TrainingJob(random.Random(9)), 5.0), draw(TrainingJob(random.Random(9)), 5.0))


def test_envelope_follows_its_line_and_holds_its_ends():
    """A step is two points at one time."""
    load = Enveloped(Step(0.0), [(1.0, 0.5), (1.0, 1.0), (2.0, 2.0)])
    assert [load.power_share(t, DT_S) for t in (0.5, 1.0, 1.5, 2.0, 9.0)] == [0.5, 1.0, 1.5, 2.0, 2.0]
