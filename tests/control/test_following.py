"""Batteries that do not do what they are told, and how late the others are."""

import math

import numpy as np
import pytest
from virtual import MW

from pswd_edge.control.rules import delay
from pswd_edge.control.rules.following import BACK_S, Following, commanded, judged, left_out, stray_w

T, RATING = 0.1, 60 * MW


def told(state: Following, power_w: float, shown_w: float, seconds: float) -> Following:
    for _ in range(round(seconds / T)):
        state = commanded(judged(state, shown_w, RATING, T, T), power_w, T, acts=True)
    return state


def test_one_that_follows_is_trusted() -> None:
    """Within 4 % of what was asked in the last two seconds."""
    state = Following()
    for k in range(300):
        wanted = 40 * MW * math.sin(k / 20)
        state = commanded(judged(state, 40 * MW * math.sin((k - 3) / 20), RATING, T, T), wanted, T, acts=True)
        assert not state.lost


def test_one_that_ignores_is_found_within_three_seconds() -> None:
    """Two for the acknowledgement, half a one of doubt."""
    assert not told(Following(), 30 * MW, 0.0, 2.4).lost
    assert told(Following(), 30 * MW, 0.0, 3.0).lost


def test_it_comes_back_when_it_has_kept_to_zero_and_each_time_later() -> None:
    """Its set-point is 0 meanwhile."""
    state = told(Following(), 30 * MW, 0.0, 3.0)
    assert told(state, 0.0, 0.0, BACK_S).lost
    back = told(state, 0.0, 0.0, 2 * BACK_S + 3.0)
    assert not back.lost
    again = told(back, 30 * MW, 0.0, 4.0)
    assert again.lost
    assert again.wait_s == 2 * state.wait_s


def test_nobody_leads_it_nobody_judges_it() -> None:
    """In OBSERVE a battery does what it does."""
    state = Following()
    for _ in range(100):
        state = commanded(judged(state, 20 * MW, RATING, T, T), 0.0, T, acts=False)
    assert not state.lost


def test_what_is_not_known_judges_nothing() -> None:
    """A power that cannot be read is another fault, with a name of its own."""
    assert not told(Following(), 30 * MW, math.nan, 10.0).lost


def test_a_stray_is_counted_when_it_is_sure() -> None:
    """One that does not follow at once; one that has just failed is about to give nothing."""
    lost, failed = Following(lost=True, out_s=0.1), Following(out_s=0.3)
    assert stray_w([lost, failed], [5 * MW, 7 * MW]) == 5 * MW
    for _ in range(3):
        failed = left_out(failed, T, usable=False)
    assert stray_w([lost, failed], [5 * MW, 7 * MW]) == 12 * MW
    assert stray_w([lost], [math.nan]) == 0.0


@pytest.mark.parametrize("late_s", [0.05, 0.12, 0.2, 0.43, 1.0])
def test_the_delay_is_measured_to_a_tenth_of_a_cycle(late_s: float) -> None:
    """Commands held for a cycle, a power that is exactly so much later; the hold's half cycle counts."""
    rng, state = np.random.default_rng(1), delay.begun()
    commands: list[float] = []
    for k in range(1200):
        now = 100 + k * T
        commands.append(40 * MW * math.sin(k / 4) + float(rng.normal(0, 2 * MW)))
        place = (now - late_s - 100) / T
        shown = commands[max(0, math.floor(place + 1e-9))]
        state = delay.compared(state, now, shown, 100 * MW, T)
        state = delay.aged(delay.commanded(state, now, commands[-1]), 0.07, T)
    assert delay.measured_s(state) == pytest.approx(late_s + T / 2, abs=0.06)
    assert delay.total_s(state) == pytest.approx(late_s + T / 2 + 0.07, abs=0.06)


def test_what_is_not_known_teaches_nothing() -> None:
    """A blind cycle has neither moment nor power: what was learnt must not become NaN."""
    state = delay.begun()
    for k in range(100):
        state = delay.commanded(state, 100 + k * T, 40 * MW * math.sin(k / 4))
    before = state
    for moment, power in ((math.nan, 1.0), (109.0, math.nan), (math.inf, 1.0)):
        state = delay.aged(delay.compared(state, moment, power, 100 * MW, T), math.nan, T)
    assert np.array_equal(state.errors, before.errors)
    assert math.isnan(state.age_s)


def test_batteries_at_rest_teach_nothing() -> None:
    """No motion, no delay: None, not 0."""
    state = delay.begun()
    for k in range(600):
        state = delay.commanded(delay.compared(state, 100 + k * T, 0.0, 100 * MW, T), 100 + k * T, 0.0)
    assert delay.measured_s(state) is None
    assert delay.total_s(state) is None
