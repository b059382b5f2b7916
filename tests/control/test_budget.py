"""The ramp budget: what two minutes of grid leave for the next minute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import MW

from pswd_edge.control.rules.budget import begun, bounds_w, change_w_per_min, observed
from pswd_edge.planning.ramps import ramp_w_per_min

T = 0.1


def after(powers_w: list[float], first_w: float = 20 * MW):
    found = begun(first_w, T)
    for power in powers_w:
        found = observed(found, power, T)
    return found


def test_the_change_is_the_ramp_that_the_utility_finds() -> None:
    """One definition of ramp: this record and the scorecard's say the same."""
    rng = np.random.default_rng(1)
    powers = 20 * MW + np.cumsum(rng.normal(0, 0.1 * MW, 1300))
    found = after(powers.tolist())
    assert change_w_per_min(found) == pytest.approx(ramp_w_per_min(powers, T, 60.0)[-1], abs=1.0)


def test_a_quiet_grid_may_rise_by_the_limit_and_fall_by_it() -> None:
    """Standing 8 MW higher for a minute is a ramp of 8 MW/min."""
    assert bounds_w(begun(20 * MW, T), 8 * MW, 6 * MW) == pytest.approx((14 * MW, 28 * MW))


def test_a_step_that_was_let_through_is_taken_off() -> None:
    """78 MW for 0.5 s are 0.65 MW of a minute's mean."""
    climb = [20 * MW + 7 * MW * k / 600 for k in range(1200)]
    free, spent = after(climb), after([*climb[:-5], *[p + 78 * MW for p in climb[-5:]]])
    assert change_w_per_min(spent) - change_w_per_min(free) == pytest.approx(78 * MW * 0.5 / 60, rel=1e-3)
    assert bounds_w(spent, 8 * MW, 8 * MW)[1] < bounds_w(free, 8 * MW, 8 * MW)[1] - 0.5 * MW


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=30, max_size=30))
def test_a_grid_that_keeps_to_its_bounds_never_breaks_the_limit(wishes: list[float]) -> None:
    """Whatever is wished for, in steps of ten seconds: what is clipped to the bounds keeps 60 s means within them."""
    found, power, seen = begun(20 * MW, T), 20 * MW, []
    for wish in wishes:
        for _ in range(100):
            low, high = bounds_w(found, 8 * MW, 8 * MW)
            power = min(max(power + wish * MW / 60, low), high)
            found = observed(found, power, T)
            seen.append(change_w_per_min(found))
    assert max(map(abs, seen)) <= 8 * MW * 1.02  # between the eight moments that are looked at a little is open


def test_a_violation_that_is_past_mending_leaves_one_place() -> None:
    """Both bounds are the middle: the least evil."""
    low, high = bounds_w(after([20 * MW] * 700 + [90 * MW] * 400), 8 * MW, 8 * MW)
    assert low == high


def test_a_long_cycle_counts_as_several() -> None:
    """A slot that was missed is no gap in the record."""
    one, three = after([20 * MW] * 10 + [50 * MW] * 3), observed(after([20 * MW] * 10), 50 * MW, 0.3)
    assert np.allclose(one.energy_j, three.energy_j)


def test_weeks_do_not_wear_it_out() -> None:
    """The sum of energies is rebased before doubles lose watts."""
    found = begun(100 * MW, T)
    found = found._replace(energy_j=found.energy_j + 2e14)
    for _ in range(3):
        found = observed(found, 100 * MW, T)
    assert found.energy_j[-1] < 1e12
    assert bounds_w(found, 8 * MW, 8 * MW) == pytest.approx((92 * MW, 108 * MW), rel=1e-6)
