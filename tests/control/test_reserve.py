"""The energy that must stay in the batteries, against sums made the slow way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import MW, MWH, limits

from pswd_edge.control.rules.reserve import carried_swing_w, cycle_wh, down_wh, shrink_wh, up_wh


def slow_sum_wh(gap_w: float, step_w: float, period_s: float) -> float:
    """Shrink first, then use, cycle by cycle."""
    total, left = 0.0, gap_w - step_w
    while left > 0:
        total += left * period_s / 3600
        left -= step_w
    return total


@given(st.floats(-50 * MW, 200 * MW), st.floats(0.02 * MW, 5 * MW))
def test_the_closed_form_is_the_sum_of_the_shrinking_gap(gap_w: float, step_w: float) -> None:
    """Every viability bound rests on this formula; an error here drains a battery."""
    assert shrink_wh(gap_w, step_w, 0.1) == pytest.approx(slow_sum_wh(gap_w, step_w, 0.1), rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("gap_mw", [10, 39, 78])
def test_for_small_steps_it_is_the_triangle_over_the_ramp(gap_mw: float) -> None:
    """x²/(2R): what an engineer sizes the battery with."""
    triangle_wh = (gap_mw * MW) ** 2 / (2 * 6.6 * MW * 60)
    assert shrink_wh(gap_mw * MW, 6.6 * MW / 600, 0.1) == pytest.approx(triangle_wh, rel=5e-3)


@pytest.mark.parametrize("gap_w", [0.0, -1.0, -50 * MW])
def test_no_gap_needs_no_energy(gap_w: float) -> None:
    """A reference above the ceiling must not earn credit."""
    assert shrink_wh(gap_w, 1e4, 0.1) == 0.0


def test_each_direction_uses_its_own_ramp() -> None:
    """With the wrong one in either, runs saturate by up to 55 MW."""
    uneven = limits(up_w_per_s=0.1 * MW, down_w_per_s=0.4 * MW)
    assert up_wh(20 * MW, uneven) == pytest.approx(slow_sum_wh(78 * MW, 0.01 * MW, 0.1) / 0.96)
    assert down_wh(98 * MW, uneven) == pytest.approx(slow_sum_wh(78 * MW, 0.04 * MW, 0.1) * 0.96)


def test_losses_cost_energy_upwards_and_save_room_downwards() -> None:
    """What is discharged comes out of a fuller store; what is charged fills it less."""
    lossy, ideal = (limits(discharge_efficiency=e, charge_efficiency=e) for e in (0.8, 1.0))
    assert up_wh(50 * MW, lossy) == pytest.approx(up_wh(50 * MW, ideal) / 0.8)
    assert down_wh(50 * MW, lossy) == pytest.approx(down_wh(50 * MW, ideal) * 0.8)


def test_an_old_energy_measurement_needs_more_in_reserve() -> None:
    """A BMS may be a second old: what the worst jump takes in that second is not measured yet."""
    old, late_wh = limits(age_s=2.0), 78 * MW * 2 / 3600 + 0.11 * MW * 4 / 7200
    assert up_wh(20 * MW, old) - up_wh(20 * MW, limits()) == pytest.approx(late_wh / 0.96)
    assert down_wh(98 * MW, old) - down_wh(98 * MW, limits()) == pytest.approx(late_wh * 0.96)


def test_a_cycle_costs_more_than_it_gives_and_stores_less_than_it_takes() -> None:
    """Signs and efficiencies of the store."""
    assert cycle_wh(36 * MW, limits()) == pytest.approx(1000 / 0.96)
    assert cycle_wh(-36 * MW, limits()) == pytest.approx(-1000 * 0.96)


def test_78_mw_at_6_6_mw_a_minute_take_8_mwh() -> None:
    """The sizing figure that customers are told (control law, P2)."""
    assert up_wh(20 * MW, limits()) == pytest.approx(8.0 * MWH, rel=0.01)
    assert carried_swing_w(8.0 * MWH, limits()) == pytest.approx(78 * MW, rel=0.01)


@given(st.floats(0.01 * MWH, 50 * MWH), st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.floats(0.0, 5.0))
def test_the_carried_swing_is_the_widest_that_fits(usable_wh: float, up: float, down: float, age_s: float) -> None:
    """Announcements are approved on it: a bit more must not fit."""
    found = limits(up_w_per_s=up * MW, down_w_per_s=down * MW, age_s=age_s)
    swing = carried_swing_w(usable_wh, found)

    def need(swing_w: float) -> float:
        tried = found._replace(ceiling_w=found.floor_w + swing_w)
        return max(up_wh(tried.floor_w, tried), down_wh(tried.ceiling_w, tried))

    assert swing == 0 or need(swing) <= usable_wh
    assert need(swing + 100) > usable_wh
