"""Histograms of lateness and ages."""

import math

import numpy as np
import pytest

from pswd_edge.control.timing import Histogram


def test_an_empty_one_is_zero() -> None:
    """The first report comes before the first duration."""
    assert [Histogram().percentile_ms(p) for p in (0, 50, 100)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 99.9, 100])
def test_a_percentile_is_at_most_one_bin_too_high(percent: float) -> None:
    """Never too low: it stands for "p99 at most"."""
    durations_s = np.random.default_rng(7).exponential(0.002, 19_999)
    histogram = Histogram()
    for duration_s in durations_s:
        histogram.add(float(duration_s))
    exact_ms = 1e3 * float(np.percentile(durations_s, percent, method="inverted_cdf"))
    assert exact_ms - 1e-9 <= histogram.percentile_ms(percent) <= exact_ms + 0.0500001
    assert histogram.count == 19_999
    assert histogram.max_ms == 1e3 * durations_s.max()


def test_early_is_not_late() -> None:
    """A timer that fires early by its resolution is in time."""
    histogram = Histogram()
    histogram.add(-0.0005)
    assert (histogram.percentile_ms(99), histogram.max_ms) == (0.0, 0.0)


def test_very_late_counts_in_the_last_bin() -> None:
    """Bounded memory: beyond a second the maximum tells."""
    histogram = Histogram()
    histogram.add(7.5)
    assert (histogram.percentile_ms(50), histogram.max_ms) == (1000.0, 7500.0)


def test_an_input_that_never_came_is_no_reason_to_die() -> None:
    """Its age is infinite: control would have ended in its first cycle beside a dead grid meter."""
    histogram = Histogram()
    histogram.add(math.inf)
    histogram.add(0.001)
    assert histogram.percentile_ms(99) == 1000.0
    assert histogram.percentile_ms(50) == pytest.approx(1.05, abs=0.051)


def test_no_number_counts_as_nothing() -> None:
    """NaN cannot be binned, and must not end the cycle either."""
    histogram = Histogram()
    histogram.add(math.nan)
    assert (histogram.count, histogram.max_ms) == (1, 0.0)
