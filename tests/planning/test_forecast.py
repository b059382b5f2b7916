"""What is to come, as far as somebody has said so."""

import math

import pytest

from pswd_edge.planning.forecast import Change, Forecast

START = Change("job-1", 60e6, 100.0, 95.0, 130.0)
STOP = Change("job-1-end", -60e6, 400.0, 395.0, 430.0)


def looked(load, until_s: float, changes=(START, STOP), swing_w: float = 25e6) -> Forecast:
    """A forecast that has looked each 0.3 s at `load(s)`."""
    forecast = Forecast(swing_w)
    for i in range(round(until_s / 0.3)):
        forecast.look(i * 0.3, load(i * 0.3), changes)
    return forecast


def test_a_change_is_still_to_come_until_the_load_has_moved() -> None:
    """Its moment alone proves nothing: it may be late."""
    still = looked(lambda _: 30e6, 110.0)
    assert still.coming(110.0, [START, STOP]) == [(0.0, 60e6), (290.0, -60e6)]


def test_a_change_that_was_seen_does_not_come_again() -> None:
    """Else the plan would ramp for a job that runs already."""
    seen = looked(lambda s: 90e6 if s >= 101 else 30e6, 120.0)
    assert seen.coming(120.0, [START, STOP]) == [(280.0, -60e6)]
    assert seen.settled_s(120.0) == pytest.approx(19.0, abs=1.0)


def test_a_change_that_never_came_is_given_up_after_its_latest_moment() -> None:
    """The announcement lied; the plan goes on with the load that is there."""
    never = looked(lambda _: 30e6, 140.0)
    assert never.coming(140.0, [START]) == []
    assert math.isinf(never.settled_s(140.0))


def test_a_load_that_moved_before_the_earliest_moment_is_not_the_change() -> None:
    """It is measured from the load that there was when the change became due."""
    early = looked(lambda s: 90e6 if s >= 50 else 30e6, 110.0)
    assert (0.0, 60e6) in early.coming(110.0, [START])


def test_half_a_step_is_not_the_step() -> None:
    """More than half of it must have come."""
    half = looked(lambda s: 58e6 if s >= 101 else 30e6, 120.0)
    assert (0.0, 60e6) in half.coming(120.0, [START])


def test_the_swing_of_a_job_is_not_its_level() -> None:
    """A plan for the crest of a swing would be 15 MW off for no reason."""
    level = looked(lambda s: 80e6 + 15e6 * math.sin(2 * math.pi * 0.9 * s), 120.0, changes=()).level_w
    assert level == pytest.approx(80e6, abs=3e6)


def test_a_step_of_the_load_moves_its_level_at_once() -> None:
    """A mean of 20 s would keep the plan wrong for a minute."""
    assert looked(lambda s: 90e6 if s >= 60 else 30e6, 62.0, changes=()).level_w == 90e6


def test_what_is_withdrawn_is_forgotten() -> None:
    """An id that is used again is another change."""
    forecast = looked(lambda s: 90e6 if s >= 101 else 30e6, 120.0, changes=[START])
    forecast.look(120.0, 90e6, [])
    again = START._replace(at_s=200.0, earliest_s=195.0, latest_s=230.0)
    forecast.look(120.3, 90e6, [again])
    assert forecast.coming(121.0, [again]) == [(79.0, 60e6)]


def test_waiting_for_a_late_start_fills_the_batteries_and_for_a_late_stop_empties_them() -> None:
    """Half the step for as long as it may be late: 30 MW for 30 s are 0.25 MWh."""
    forecast = looked(lambda _: 30e6, 50.0)
    assert forecast.waiting_wh(50.0, [START]) == (0.0, pytest.approx(0.25e6))
    assert forecast.waiting_wh(50.0, [STOP]) == (pytest.approx(0.25e6), 0.0)
    assert forecast.waiting_wh(120.0, [START])[1] == pytest.approx(30e6 * 10 / 3600)
    assert forecast.waiting_wh(140.0, [START]) == (0.0, 0.0)
