"""Corner and ramps by the delay: the table of peak gains, and what a measured delay may change."""

import math

import pytest
from virtual import MW, small_spec

from pswd_edge.control.rules.tune import too_slow, tune
from pswd_edge.model.tuning import CORNER_MAX_HZ, GAIN_MAX, corner, gain, peak_gain, tuned


@pytest.mark.parametrize(("delay_s", "gains"), [
    (0.25, (1.10, 1.14, 1.18, 1.32)), (0.35, (1.14, 1.20, 1.25, 1.41)), (0.45, (1.18, 1.25, 1.31, 1.49)),
    (1.0, (1.35, 1.45, 1.53, 1.73))])
def test_peak_gains_are_those_of_the_analysis(delay_s: float, gains: tuple[float, ...]) -> None:
    """Worked out once by hand for corners of 0.1, 0.15, 0.2 and 0.4 Hz."""
    assert [peak_gain(f, delay_s, 0.1) for f in (0.1, 0.15, 0.2, 0.4)] == pytest.approx(gains, abs=0.006)


def test_the_gain_is_that_of_a_sampled_sine() -> None:
    """A sine through the filter, late by three cycles, against the formula: 2 %."""
    frequency, corner_hz, late = 0.5, 0.15, 3
    share, state, load, followed = 1 - math.exp(-2 * math.pi * corner_hz * 0.1), 0.0, [], []
    for k in range(4000):
        load.append(math.sin(2 * math.pi * frequency * k * 0.1))
        state += share * (load[-1] - state)
        followed.append(state)
    grid = [load[k] - followed[k - late] for k in range(2000, 4000)]
    assert max(grid) == pytest.approx(gain(frequency, corner_hz, late * 0.1, 0.1), rel=0.02)


@pytest.mark.parametrize("delay_s", [0.05, 0.25, 0.45, 1.0, 3.0])
def test_the_corner_keeps_the_peak_gain(delay_s: float) -> None:
    """Never above 0.15 Hz, and the worst swing is amplified by a quarter at most."""
    found = corner(delay_s, 0.1)
    assert found <= CORNER_MAX_HZ
    assert peak_gain(found, delay_s, 0.1) <= GAIN_MAX + 1e-9


def test_a_slow_loop_has_a_gentler_ramp() -> None:
    """A meter of one second leaves 4 of 10 MW/min; what is lost is what a step leaves in the mean."""
    assert tuned(10 * MW, 78 * MW, 0.25, 0.1).up_w_per_s * 60 == pytest.approx(8.3 * MW, rel=0.01)
    assert tuned(10 * MW, 78 * MW, 1.3, 0.1).up_w_per_s * 60 == pytest.approx(3.96 * MW, rel=0.02)


def test_a_measured_delay_tightens_and_never_loosens() -> None:
    """A loop that looks fast today may be slow again in a minute."""
    spec = small_spec()
    asked = tune(spec, spec.ramp_limit_w_per_min, None)
    assert tune(spec, spec.ramp_limit_w_per_min, 0.1) == asked
    slow = tune(spec, spec.ramp_limit_w_per_min, 2.0)
    assert slow.up_w_per_s < asked.up_w_per_s
    assert slow.filter_hz < asked.filter_hz
    assert tune(spec, spec.ramp_limit_w_per_min, spec.delay_s + 0.02) == asked  # noise


def test_a_loop_that_leaves_no_ramp_is_told() -> None:
    """And the ramp is never 0: reserves are counted in its steps."""
    spec = small_spec()
    found = tune(spec, spec.ramp_limit_w_per_min, 30.0)
    assert too_slow(found, spec.ramp_limit_w_per_min)
    assert found.up_w_per_s > 0
    assert not too_slow(tune(spec, spec.ramp_limit_w_per_min, 0.3), spec.ramp_limit_w_per_min)


def test_a_lower_limit_lowers_both_ramps() -> None:
    """The utility asks for 6 of 10."""
    spec = small_spec()
    found = tune(spec, 6 * MW, None)
    assert found.up_w_per_s < spec.ramp_up_w_per_s
    assert found.down_w_per_s < spec.ramp_down_w_per_s
