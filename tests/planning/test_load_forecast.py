"""The load of the next hours: level, announcements, past days, and intervals from measured errors."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState
from pswd_edge.planning.announcements import running_w
from pswd_edge.planning.load_forecast import (
    LEADS_S,
    SAMPLES_LEAST,
    Past,
    daily_profile,
    predict,
    spans_of,
)

MW, NOW, HOUR = 1e6, 1_780_000_000.0, 3600.0


def workload(name="w", start_s=None, duration_s=None, state=WorkloadState.APPROVED, **changes):
    said = Announcement(name, "ai_training", 30 * MW, 12 * MW, 1 * MW, duration_s=duration_s,
                        earliest_start_utc_s=None if start_s is None else NOW + start_s)
    settings = {"approved_w": 30 * MW, "controllers": (0,), "reserved_w": (30 * MW,), "conditions": (),
                "announced_utc_s": NOW - 100.0, "headroom": Headroom(0, 0, 0)}
    return Workload(said, state, **{**settings, **changes})


MEAN_W = running_w(workload())


def past(level_w=60 * MW, spread_w=0.5 * MW, profile_w=None, errors_w=None):
    return Past(level_w, spread_w, profile_w, errors_w or {})


def ahead(made_of, workloads, *hours, drawn=None):
    at = NOW + HOUR * np.array(hours, float)
    return predict(made_of, spans_of(workloads, NOW, drawn or {}), NOW, at, 130 * MW)


def test_nothing_announced_and_nothing_past_means_as_now():
    """The best guess where nobody knows more."""
    assert ahead(past(), [], 0.25, 24, 48).load_w.tolist() == [60 * MW] * 3


def test_an_announced_start_and_end_are_seen_at_their_times():
    """Time-aware: nothing before, the mean power while it runs, nothing after."""
    made = ahead(past(), [workload(start_s=2 * HOUR, duration_s=4 * HOUR)], 1, 3, 5.9, 7)
    assert made.load_w == pytest.approx([60 * MW, 60 * MW + MEAN_W, 60 * MW + MEAN_W, 60 * MW])


def test_a_running_workload_takes_with_it_what_it_draws():
    """The level has it already; its end takes off what is measured of it, not what was announced."""
    running = workload(duration_s=int(2 * HOUR))
    assert ahead(past(), [running], 1, 3).load_w == pytest.approx([60 * MW, 60 * MW - MEAN_W])
    assert ahead(past(), [running], 3, drawn={"w": 5 * MW}).load_w == pytest.approx([55 * MW])


def test_a_pause_ends_and_a_paused_one_without_an_end_does_not_come():
    """Resumes are announced changes too."""
    paused = workload(state=WorkloadState.PAUSED, paused_until_utc_s=NOW + HOUR)
    assert ahead(past(), [paused], 0.5, 2).load_w == pytest.approx([60 * MW, 60 * MW + MEAN_W])
    assert ahead(past(), [workload(state=WorkloadState.PAUSED)], 2).load_w == pytest.approx([60 * MW])


@pytest.mark.parametrize("state", [WorkloadState.REJECTED, WorkloadState.TERMINATED])
def test_what_has_ended_is_not_expected(state):
    """A terminated job does not come back at its announced time."""
    assert ahead(past(), [workload(start_s=HOUR, state=state)], 2).load_w == pytest.approx([60 * MW])


def test_the_shape_of_past_days_is_followed_and_today_s_difference_fades():
    """6 h later a third of it is left."""
    minutes = NOW // 60 * 60 + 60.0 * np.arange(-2 * 1440, 0)
    shape = 50 * MW + 20 * MW * np.sin(2 * np.pi * minutes / 86_400)
    profile = daily_profile(minutes, shape)
    at = NOW + HOUR * np.array([6.0, 24.0])
    then = 50 * MW + 20 * MW * np.sin(2 * np.pi * at / 86_400)
    now_w = 50 * MW + 20 * MW * math.sin(2 * math.pi * NOW / 86_400)
    made = ahead(past(level_w=now_w + 6 * MW, profile_w=profile), [], 6, 24)
    assert made.load_w == pytest.approx(then + 6 * MW * np.exp([-1.0, -4.0]), abs=0.2 * MW)


def test_a_running_workload_does_not_fade_with_the_day():
    """What a job accounts for stays until it ends."""
    profile = np.full(1440, 50 * MW)
    job = workload(duration_s=int(20 * HOUR))
    made = ahead(past(level_w=50 * MW + MEAN_W, profile_w=profile), [job], 12, 23)
    assert made.load_w == pytest.approx([50 * MW + MEAN_W, 50 * MW], rel=1e-6)


def test_less_than_a_day_makes_no_profile():
    """Half a day repeated would be a wrong day."""
    minutes = 60.0 * np.arange(1439)
    assert daily_profile(minutes, np.full(1439, 5.0)) is None
    gappy = np.where(np.arange(2880) % 1440 < 700, 5.0, np.nan)
    assert daily_profile(60.0 * np.arange(2880), gappy) is None


def test_a_few_missing_minutes_do_not_matter():
    """A restart of the gateway must not cost the profile for days."""
    load = np.full(3000, 7.0)
    load[100:130] = np.nan
    assert daily_profile(60.0 * np.arange(3000), load) == pytest.approx(np.full(1440, 7.0))


def test_before_any_error_is_measured_the_interval_is_the_load_s_spread_and_says_so():
    """And grows with the time ahead."""
    made = ahead(past(), [], 0.25, 1, 24)
    assert not made.measured.any()
    assert made.half_w[0] == pytest.approx(1.645 * 0.5 * MW * math.sqrt(2.0))
    assert np.all(np.diff(made.half_w) > 0)


def test_measured_errors_replace_the_spread_up_to_the_longest_lead_that_has_enough():
    """The 90 % quantile of each lead, never narrower further ahead."""
    errors = {900.0: np.full(SAMPLES_LEAST, 2 * MW), 3600.0: np.full(SAMPLES_LEAST, 1 * MW),
              4 * HOUR: np.full(SAMPLES_LEAST - 1, 9 * MW)}
    made = ahead(past(errors_w=errors), [], 0.1, 0.25, 1, 2, 48)
    assert made.measured.tolist() == [True, True, True, False, False]
    assert made.half_w[:3] == pytest.approx([2 * MW] * 3)
    assert made.half_w[3] >= 2 * MW


def test_errors_of_a_lead_become_its_interval():
    """A tenth of the errors is larger than the half interval."""
    errors = np.linspace(0, 10 * MW, 101)
    made = ahead(past(errors_w=dict.fromkeys(LEADS_S, errors)), [], 48)
    assert made.half_w == pytest.approx([9 * MW])


def test_a_start_that_has_yet_to_come_is_doubtful():
    """It may come late, or draw its peak: the interval is wider while it is announced to run."""
    made = ahead(past(), [workload(start_s=2 * HOUR, duration_s=HOUR)], 1.9, 2.5, 3.1)
    assert made.half_w[1] > made.half_w[0] + 5 * MW
    assert made.half_w[1] > made.half_w[2] + 5 * MW


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])    # a busy machine is no fault
@given(st.lists(st.tuples(st.floats(-1e5, 2e5), st.integers(1, 10**6), st.sampled_from(WorkloadState)), max_size=6),
       st.floats(0, 130e6))
def test_whatever_is_announced_the_load_stays_between_nothing_and_the_site_s_maximum(found, level_w):
    """Finite, and never negative."""
    jobs = [workload(f"w{i}", start_s, duration_s, state) for i, (start_s, duration_s, state) in enumerate(found)]
    made = ahead(past(level_w=level_w), jobs, *np.linspace(0.1, 48, 50))
    assert np.all((made.load_w >= 0) & (made.load_w <= 130e6))
    assert np.all(np.isfinite(made.half_w) & (made.half_w >= 0))
