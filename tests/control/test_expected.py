"""Announced changes of the load: what they move, when they are believed, and what is kept for those that lie."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import MW, MWH, World, battery_spec, limits, small_spec

from pswd_edge.control.rules import expected
from pswd_edge.control.rules.expected import ARRIVES_S, Shift
from pswd_edge.control.rules.feed import begun
from pswd_edge.control.rules.law import Orders
from pswd_edge.control.rules.reserve import down_wh, up_wh
from pswd_edge.control.rules.terms import range_of, sound
from pswd_edge.control.rules.tune import tune
from pswd_edge.model.command import Mode
from pswd_edge.model.tuning import tuned

IDLE = limits(floor_w=20 * MW, ceiling_w=22 * MW)
BUSY = limits(floor_w=90 * MW, ceiling_w=98 * MW)
START = Shift(70 * MW, 76 * MW, 1000.0, 1030.0)
STOP = Shift(-70 * MW, -76 * MW, 1000.0, 1030.0)


def at(limits_now, shift: Shift, load_mw: float, now_s: float):
    return expected.shifted(limits_now, [shift], load_mw * MW, now_s)


def test_a_start_that_comes_moves_the_range() -> None:
    """From then on only the loads of the running job are carried; the idle ones are no longer promised."""
    found = at(IDLE, START, 95, 1010.0)
    assert (found.floor_w, found.ceiling_w, found.rise_w) == (90 * MW, 98 * MW, 0.0)


def test_a_start_that_is_still_far_only_lets_the_reference_wait() -> None:
    """Before its earliest moment nothing is promised for it: a load that jumps earlier was not announced so."""
    found = at(IDLE, START, 21, 900.0)
    assert (found.ceiling_w, found.rise_w, found.rise_within_s) == (22 * MW, 70 * MW, 130.0)


def test_a_start_that_is_due_is_carried_whether_it_comes_or_not() -> None:
    """Between the earliest and the latest moment both loads are possible."""
    found = at(IDLE, START, 21, 1010.0)
    assert (found.floor_w, found.ceiling_w, found.rise_within_s) == (20 * MW, 98 * MW, 20.0)


def test_a_start_that_never_comes_is_forgotten_after_its_latest_moment() -> None:
    """A lie may not widen the promise for good: the range is what was ordered, the load decides."""
    assert at(IDLE, START, 21, 1030.1) == IDLE


def test_a_start_that_comes_after_its_latest_moment_is_still_believed() -> None:
    """What is measured counts, however late."""
    assert at(IDLE, START, 95, 1100.0).floor_w == 90 * MW


def test_a_start_that_comes_before_its_earliest_moment_is_not_taken_for_it() -> None:
    """Something else has begun: the announced one may come on top."""
    found = at(IDLE, START, 95, 990.0)
    assert (found.floor_w, found.ceiling_w) == (20 * MW, 22 * MW)


def test_a_start_of_half_the_size_is_not_taken_for_the_whole() -> None:
    """The range does not move above the load that is there."""
    assert at(IDLE, START, 50, 1010.0).floor_w == 20 * MW


def test_a_start_twice_as_large_moves_the_range_as_far_as_it_was_announced() -> None:
    """The rest is a load above the ceiling: the law stretches the range to it, as it does for any other."""
    assert at(IDLE, START, 171, 1010.0).ceiling_w == 98 * MW


def test_a_load_that_leaves_again_takes_the_range_back_with_it() -> None:
    """The job aborts within its window: what is promised follows what is measured."""
    assert at(IDLE, START, 95, 1010.0).floor_w == 90 * MW
    assert at(IDLE, START, 21, 1011.0).floor_w == 20 * MW


def test_a_stop_moves_the_range_down_in_the_same_way() -> None:
    """Pending, due, come, never."""
    assert at(BUSY, STOP, 94, 900.0).fall_w == 76 * MW
    due = at(BUSY, STOP, 94, 1010.0)
    assert (due.floor_w, due.ceiling_w, due.fall_within_s) == (20 * MW, 98 * MW, 20.0)
    come = at(BUSY, STOP, 21, 1010.0)
    assert (come.floor_w, come.ceiling_w, come.fall_w) == (20 * MW, 22 * MW, 0.0)
    assert at(BUSY, STOP, 94, 1031.0) == BUSY


def test_a_change_that_is_not_firm_moves_nothing_before_it_is_seen() -> None:
    """Nobody answers for it: no room is spent on its word, and the range moves with the load alone."""
    maybe = START._replace(firm=False)
    assert at(IDLE, maybe, 21, 900.0) == IDLE
    assert at(IDLE, maybe, 21, 1010.0) == IDLE
    assert at(IDLE, maybe, 95, 1010.0).floor_w == 90 * MW


def test_ranges_that_overlap_tell_nothing_about_whether_a_change_has_come() -> None:
    """A small change inside a wide range: until its latest moment both ranges count, after it the ordered one."""
    wide, small = limits(), Shift(5 * MW, 5 * MW, 1000.0, 1030.0)
    assert at(wide, small, 97, 1010.0).ceiling_w == 103 * MW
    assert at(wide, small, 97, 1010.0).floor_w == wide.floor_w
    assert at(wide, small, 97, 1031.0) == wide


def test_a_second_change_counts_only_when_the_first_has_come() -> None:
    """A start and the stop after it: what is pending is the next one, on top of what has come."""
    stop = STOP._replace(earliest_s=2000.0, latest_s=2030.0)
    before = expected.shifted(IDLE, [START, stop], 21 * MW, 900.0)
    between = expected.shifted(IDLE, [START, stop], 95 * MW, 1500.0)
    after = expected.shifted(IDLE, [START, stop], 21 * MW, 2010.0)
    assert (before.rise_w, before.fall_w) == (70 * MW, 0.0)
    assert (between.floor_w, between.fall_w, between.fall_within_s) == (90 * MW, 76 * MW, 530.0)
    assert (after.floor_w, after.ceiling_w) == (20 * MW, 22 * MW)


def test_the_stop_of_a_start_that_never_came_changes_nothing() -> None:
    """The load is where the stop would have brought it; 70 MW less of that would be a load below zero."""
    stop = STOP._replace(earliest_s=2000.0, latest_s=2030.0)
    found = expected.shifted(IDLE, [START, stop], 21 * MW, 2010.0)
    assert (found.floor_w, found.ceiling_w, found.fall_w) == (20 * MW, 22 * MW, 0.0)


def test_a_firm_rise_needs_the_room_of_waiting_instead_of_that_of_going_back() -> None:
    """39 MW above the load for 30 s is 0.3 MWh; to come down again would take 1.9 MWh."""
    reference_w, waits = 59 * MW, IDLE._replace(rise_w=70 * MW, rise_within_s=30.0)
    assert down_wh(reference_w, waits) == pytest.approx(39 * MW * 30 / 3600 * 0.96, rel=1e-6)
    assert down_wh(reference_w, IDLE) > 1.7 * MWH
    fall = BUSY._replace(fall_w=76 * MW, fall_within_s=30.0)
    assert up_wh(59 * MW, fall) == pytest.approx(39 * MW * 30 / 3600 / 0.96, rel=1e-6)


@given(st.floats(0, 120 * MW), st.floats(0, 80 * MW), st.floats(0, 600))
@settings(max_examples=60, deadline=None)
def test_waiting_never_asks_for_more_than_going_back(reference_w: float, step_w: float, within_s: float) -> None:
    """An announcement can only make a reserve smaller: one that is far away changes nothing."""
    assert down_wh(reference_w, IDLE._replace(rise_w=step_w, rise_within_s=within_s)) <= down_wh(reference_w, IDLE)
    assert up_wh(reference_w, BUSY._replace(fall_w=step_w, fall_within_s=within_s)) <= up_wh(reference_w, BUSY)


def test_a_step_that_is_due_is_followed_without_the_filter() -> None:
    """It need not be told from a swing: 78 MW that the filter lets through for a second are 1.4 MW/min of ramp."""
    feed = begun(21 * MW)
    assert expected.stepped(feed, IDLE, [START], 95 * MW, 1010.0).filtered_w == 95 * MW
    assert expected.stepped(begun(95 * MW), BUSY, [STOP], 21 * MW, 1010.0).followed_w == 21 * MW


@pytest.mark.parametrize(("load_mw", "now_s"), [(95, 990.0), (95, 1030.0 + ARRIVES_S + 1), (30, 1010.0)])
def test_what_is_not_the_announced_step_is_filtered_as_ever(load_mw: float, now_s: float) -> None:
    """Too early, too late, too small: it may be a swing, and a late answer to a swing makes it larger."""
    feed = begun(21 * MW)
    assert expected.stepped(feed, IDLE, [START], load_mw * MW, now_s) == feed


def test_once_the_job_runs_its_swing_is_filtered() -> None:
    """The filter is left out in the gap between the ranges alone."""
    feed = begun(95 * MW)
    assert expected.stepped(feed, IDLE, [START], 60 * MW, 1010.0) == feed


def test_where_changes_are_firm_what_the_filter_would_leave_is_ramped_instead() -> None:
    """10 MW/min less a narrow range's swing and the delay's part of the step."""
    given = tuned(10 * MW, 78 * MW, 0.25, 0.1)
    spec = small_spec(ramp_up_w_per_s=given.up_w_per_s, ramp_down_w_per_s=given.down_w_per_s)
    tuning = tune(spec, 10 * MW, None)
    idle = range_of(spec, 22 * MW, tuning)
    firm = expected.quicker(tuning, spec, idle, [START], 10 * MW)
    left_w = 8 * MW * (1 / (2 * math.pi * 0.15) + 0.25) / 60 + 76 * MW * 0.35 / 60
    assert firm.up_w_per_s * 60 == pytest.approx(10 * MW - left_w, rel=1e-6)
    assert expected.quicker(tuning, spec, idle, [], 10 * MW) == tuning
    assert expected.quicker(tuning, spec, idle, [START, STOP._replace(firm=False)], 10 * MW) == tuning


def test_a_ramp_that_the_site_chose_to_be_slow_stays_slow() -> None:
    """Somebody had a reason for it that no announcement knows."""
    spec = small_spec(ramp_up_w_per_s=0.05 * MW)
    tuning = tune(spec, 10 * MW, None)
    assert expected.quicker(tuning, spec, range_of(spec, 22 * MW, tuning), [START], 10 * MW) == tuning


def test_a_change_that_is_no_number_was_not_announced() -> None:
    """NaN passes through every comparison: the reserves would be NaN, and the batteries with them."""
    spec = small_spec()
    for wrong in (START._replace(low_w=math.nan), START._replace(latest_s=math.inf)):
        asked = World(spec, 30 * MW).step(expected=(wrong,))
        assert math.isfinite(asked.battery_w)
        assert not sound(spec, Orders(Mode.AUTO, 30 * MW, expected=(wrong,))).expected


SHIFTS = st.lists(st.builds(Shift, st.floats(-90 * MW, 90 * MW), st.floats(-90 * MW, 90 * MW), st.floats(990, 1010),
                            st.floats(990, 1030), st.booleans()), max_size=3)
LOADS = st.lists(st.tuples(st.floats(0, 130 * MW), st.integers(1, 40)), min_size=2, max_size=6)


@given(SHIFTS, LOADS, st.one_of(st.none(), st.floats(-300 * MW, 300 * MW)))
@settings(max_examples=40, deadline=None)
def test_no_announcement_and_no_hint_gets_a_battery_beyond_its_limits(shifts, loads, hint_w) -> None:
    """Any lie, any load, small batteries: energy stays in its window and power within the rating."""
    spec = small_spec(batteries=(battery_spec(1, capacity_wh=1 * MWH), battery_spec(2, capacity_wh=2 * MWH)))
    world = World(spec, 30 * MW)
    world.run(3)
    for load_w, cycles in loads:
        world.load_w = load_w
        for _ in range(cycles):
            world.step(expected=tuple(shifts), hint_w=hint_w, ceiling_w=40 * MW)
            for b in spec.batteries:
                assert abs(world.power_w[b.id]) <= b.discharge_rating_w + 1
                assert b.soc_min_percent - 1e-6 <= world.soc_percent[b.id] <= b.soc_max_percent + 1e-6
