"""Feed-forward: the filter, and the predictor that must never make things worse for long."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import MW, low_pass

from pswd_edge.control.rules import predict
from pswd_edge.control.rules.feed import REST_S, Feed, FeedSpec, begun, fed
from pswd_edge.model.tuning import peak_gain

T = 0.1
FILTER = FeedSpec(0.15, 0.25, T, 80 * MW, peak_gain(0.15, 0.25, T), False, 2 * MW)
PREDICTS = FILTER._replace(predicts=True)


def swing(seconds: float, frequency_hz: float, amplitude_w: float = 12 * MW, mean_w: float = 90 * MW) -> list[float]:
    """A square-ish swing, as a training job makes."""
    time_s = np.arange(round(seconds / T)) * T
    return (mean_w + amplitude_w * np.tanh(3 * np.sin(2 * math.pi * frequency_hz * time_s))).tolist()


class Late:
    """Batteries that give what is followed, `cycles` later; the grid sees what is left."""

    def __init__(self, spec: FeedSpec, first_w: float, cycles: int = 2) -> None:
        self.spec, self.state, self.waiting = spec, begun(first_w), [first_w] * cycles
        self.off: list[float] = []

    def run(self, loads_w: list[float]) -> "Late":
        for load in loads_w:
            off = self.off[-1] if self.off else math.nan
            self.state = fed(self.spec, self.state, load, off, T)
            self.waiting.append(self.state.followed_w)
            self.off.append(load - self.waiting.pop(0))
        return self

    def rms(self, last_s: float) -> float:
        return float(np.std(self.off[-round(last_s / T):]))


def test_without_a_predictor_it_is_the_low_pass() -> None:
    """The default is linear: its gain is known for every load."""
    state, expected = begun(50 * MW), 50 * MW
    for load in swing(20, 0.7):
        state, expected = fed(FILTER, state, load, math.nan, T), low_pass(expected, load, 0.15)
        assert state.followed_w == state.filtered_w == pytest.approx(expected)


@pytest.mark.parametrize("frequency_hz", [0.35, 0.6, 1.1])
def test_a_steady_rhythm_is_taken_off_the_grid(frequency_hz: float) -> None:
    """The filter leaves it larger than it was, the predictor takes two fifths off at least."""
    loads = swing(200, frequency_hz)
    raw = float(np.std(loads[-600:]))
    assert Late(FILTER, 90 * MW).run(loads).rms(60) > raw
    assert Late(PREDICTS, 90 * MW).run(loads).rms(60) < 0.6 * raw


def test_a_load_that_cannot_be_foreseen_is_left_to_the_filter() -> None:
    """White noise: nothing is gained, and no more than the filter's own amplification is lost."""
    loads = (90 * MW + np.random.default_rng(3).normal(0, 6 * MW, 3000)).tolist()
    predicted = Late(PREDICTS, 90 * MW).run(loads)
    assert predicted.rms(100) <= 1.1 * Late(FILTER, 90 * MW).run(loads).rms(100)


def test_a_step_is_followed_at_once() -> None:
    """Far outside the swing of the last seconds: the level goes there, not after a second."""
    found = Late(PREDICTS, 30 * MW).run([30 * MW] * 100 + [95 * MW])
    assert found.state.followed_w == pytest.approx(95 * MW)
    assert Late(FILTER, 30 * MW).run([30 * MW] * 100 + [95 * MW]).state.followed_w < 40 * MW


def test_after_an_abort_no_swing_is_left_over() -> None:
    """The job is gone: within two seconds the batteries rest."""
    found = Late(PREDICTS, 90 * MW).run([*swing(120, 1.0), *[28 * MW] * 20])
    found.off.clear()
    found.run([28 * MW] * 20)
    assert max(map(abs, found.off)) < 3 * MW


def test_a_grid_that_swings_more_than_the_filter_would_leave_rests_the_predictor() -> None:
    """The batteries are half a second later than anybody believes: seen at the grid, and ended."""
    wrong = Late(PREDICTS, 90 * MW, cycles=7).run(swing(90, 1.1))
    rested = [wrong.run([load]).state.rest_s for load in swing(90, 1.1)]
    assert max(rested) > REST_S - 1
    assert wrong.rms(20) <= 1.3 * float(np.std(swing(20, 1.1)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 3.0), st.floats(0.0, 30.0))
def test_it_never_follows_beyond_the_load_that_was_seen(seed: int, frequency_hz: float, noise_mw: float) -> None:
    """For any load: within its level and twice its swing, finite, and the same twice."""
    rng = np.random.default_rng(seed)
    loads = [max(0.0, v) for v in np.array(swing(40, frequency_hz)) + rng.normal(0, noise_mw * MW, 400)]
    state = again = begun(loads[0])
    for load in loads:
        state, again = fed(PREDICTS, state, load, math.nan, T), fed(PREDICTS, again, load, math.nan, T)
        assert abs(state.followed_w - state.level_w) <= 2 * state.swing_w + abs(state.filtered_w - state.level_w) + 1
        assert state.followed_w == again.followed_w


def test_small_swings_are_not_worth_the_wear() -> None:
    """Below `least_w` the batteries keep still."""
    found = Late(PREDICTS._replace(least_w=5 * MW), 90 * MW).run(swing(100, 1.0, 1 * MW))
    assert found.state.share == 0.0


def test_weeks_of_nothing_leave_the_weights_sound() -> None:
    """Without excitement the covariance would grow without end: it is bounded, finite and symmetric."""
    state, shares = predict.begun(24), predict.smear(2.5, 24)
    rng = np.random.default_rng(1)
    for k in range(20_000):
        state, _ = predict.seen(state, 0.0 if k < 15_000 else float(rng.normal()), shares, learns=True)
    assert np.isfinite(state.covariance).all()
    assert np.trace(state.covariance) <= predict.COVARIANCE_MAX * 1.001
    assert np.array_equal(state.covariance, state.covariance.T)
    assert np.abs(state.weights).max() < 10


@pytest.mark.parametrize("delay_cycles", [0.0, 0.4, 2.5, 2.57, 7.0, 22.9, 40.0])
def test_a_command_is_spread_over_two_cycles_with_its_mean_at_the_delay(delay_cycles: float) -> None:
    """The shares sum to one; a delay beyond what is looked at is taken for the longest."""
    shares = predict.smear(delay_cycles, 24)
    assert shares.sum() == pytest.approx(1.0)
    assert float(shares @ np.arange(24)) == pytest.approx(min(delay_cycles, 23.0))


def test_a_missed_cycle_is_no_swing() -> None:
    """The past is not evenly spaced then: nothing is followed in that cycle."""
    found = Late(PREDICTS, 90 * MW).run(swing(100, 1.0))
    assert found.state.share > 0.5
    late: Feed = fed(PREDICTS, found.state, 95 * MW, math.nan, 0.3)
    assert late.share == 0.0
