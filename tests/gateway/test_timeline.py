"""Dates of the ring's cycles: on the grid of their period, and the same for ever."""

import numpy as np

from pswd_edge.gateway.services.resampling import interval_means
from pswd_edge.gateway.services.timeline import Timeline


def line_of(monotonic_s, utc_s=None):
    return Timeline.of(100, monotonic_s, monotonic_s + 5e8 if utc_s is None else utc_s)


def test_cycles_are_put_back_on_their_grid():
    """Up to 40 ms late and around the edge of an interval: still one cycle in each."""
    rng = np.random.default_rng(1)
    for phase_ms in (0.0, 99.9, 50.0, 0.1):
        due_s = 1000 + (np.arange(100) * 100 + phase_ms) / 1000
        late_s = due_s + rng.uniform(0, 0.04, 100)
        times = line_of(late_s).utc_ms(late_s)

        assert set(np.diff(times)) == {100}
        assert np.abs(times / 1000 - 5e8 - due_s).max() < 0.045
        assert interval_means(times, np.ones((100, 1)), int(times[0]) // 100 * 100, 100, 100)[1].tolist() == [1] * 100


def test_a_set_wall_clock_makes_no_holes():
    """NTP steps the clock by half a second in mid-ring: durations are monotonic."""
    monotonic_s = 1000 + np.arange(50) / 10
    utc_s = 1.78e9 + np.arange(50) / 10
    utc_s[:25] -= 0.5

    times = line_of(monotonic_s, utc_s).utc_ms(monotonic_s)

    assert set(np.diff(times)) == {100}
    assert times[-1] == 1_780_000_004_900


def test_missed_cycles_stay_missing():
    """A gap is no value."""
    monotonic_s = np.array([0.0, 0.1, 0.5, 0.6])

    times = line_of(monotonic_s, monotonic_s).utc_ms(monotonic_s)
    means, rows = interval_means(times, np.array([[1.0], [3.0], [5.0], [np.nan]]), 0, 4, 200)

    assert times.tolist() == [0, 100, 500, 600]
    assert rows.tolist() == [2, 0, 1, 1]
    np.testing.assert_array_equal(means[:, 0], [2.0, np.nan, 5.0, np.nan])


def test_a_restarted_control_has_its_own_rhythm():
    """It begins 60 ms out of step; both halves must have one cycle in each of their intervals."""
    first_s = 1000 + np.arange(100) / 10
    second_s = 1012.06 + np.arange(100) / 10
    both_s = np.concatenate([first_s, second_s])

    times = line_of(both_s).utc_ms(both_s)

    assert set(np.diff(times[:100])) == {100}
    assert set(np.diff(times[120:])) == {100}
    assert times[-1] == round(1000 * (second_s[-1] + 5e8))


def test_a_date_once_given_stays():
    """Rows are encoded as they come: whatever follows, but a set clock, must not date them again."""
    rng = np.random.default_rng(3)
    due_s = np.concatenate([1000 + np.arange(200) / 10, 1025.04 + np.arange(200) / 10, 1050.09 + np.arange(50) / 10])
    monotonic_s = due_s + rng.exponential(0.003, len(due_s))
    line, given = line_of(monotonic_s[:1]), []
    for k in range(len(monotonic_s)):
        seen = monotonic_s[max(0, k - 9) : k + 1]
        line = line.following(seen, seen + 5e8)
        given.append(int(line.utc_ms(monotonic_s[k : k + 1])[0]))

    assert line.utc_ms(monotonic_s).tolist() == given
    assert len(line.since_s) == 3
    assert line.since(1040.0).utc_ms(monotonic_s[-100:]).tolist() == given[-100:]


def test_late_cycles_are_no_new_rhythm():
    """A busy machine delays three in a row by 40 ms."""
    monotonic_s = 1000 + np.arange(50) / 10
    monotonic_s[20:23] += 0.04

    assert len(line_of(monotonic_s).since_s) == 1


def test_a_set_clock_is_noticed_at_its_second_cycle():
    """One odd reading is none; from two on the newest UTC holds for all."""
    monotonic_s = 1000 + np.arange(13) / 10
    utc_s = monotonic_s + 5e8
    line = line_of(monotonic_s[:10])
    utc_s[10:] += 0.3

    assert line.following(monotonic_s[1:11], utc_s[1:11]) is line
    assert line.following(monotonic_s[2:12], utc_s[2:12]).offset_s == 5e8 + 0.3
