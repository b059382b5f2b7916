"""What leaves the gateway as a number is one."""

import math

import pytest

from pswd_edge.gateway.projection import mw, percent, scaled


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_known(value):
    """JSON has no word for it but null, and nothing may be null. Made-up cases found an infinite time to arrive."""
    assert (scaled(value), mw(value), percent(value)) == (None, None, None)


def test_what_overflows_on_the_way_is_not_known():
    """A factor may do it too."""
    assert scaled(1e308, 1e6) is None


def test_numbers_are_rounded_and_never_minus_zero():
    """To a watt, and to a hundredth of a percent within 0 to 100."""
    assert (mw(1_234_567.8), percent(100.004), percent(-0.2), str(scaled(-1e-9))) == (1.234568, 100.0, 0.0, "0.0")
