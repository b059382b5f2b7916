"""Announcements in closed loop: what they are worth is in `bench control`, what a lie may break is here.

That true announcements keep the ramp with the least battery is a scenario, and is tested with the others.
"""

import pytest

from pswd_edge.bench.announced import KINDS, case_of
from pswd_edge.planning.scorecard import Scorecard, scorecard
from pswd_edge.replay.announcements import BOUND_WH, step
from pswd_edge.replay.loop import Loop, bounds_of
from pswd_edge.replay.making import Draw

DRAW = Draw(301, 1.0, 0.25, 600.0)
LIMIT = 10.0                  # MW/min


def card(kind: str, name: str) -> Scorecard:
    case = case_of(DRAW, kind, name)
    return scorecard(Loop(case).run(), bounds_of(case))


@pytest.mark.parametrize("name", ["late by 20 s", "never"])
def test_a_lie_about_a_firm_step_breaks_no_limit_of_a_battery(name: str) -> None:
    """With the least battery the ramp is what physics leaves; energy and power stay in their windows all the same."""
    found = card("firm", name)
    assert found.limit_violations == 0
    assert found.violation_s > 0, "the battery is too small for this lie: else the case shows nothing"


def test_an_announcement_that_is_not_firm_may_be_a_lie() -> None:
    """Its battery keeps the room for the way back: the ramp holds though the step never comes."""
    found = card("not firm", "never")
    assert found.limit_violations == 0
    assert found.ramp_60s_max_mw_per_min <= LIMIT


@pytest.mark.parametrize("name", ["early by 20 s", "twice as large"])
def test_where_any_load_is_carried_a_lie_costs_nothing_but_the_benefit(name: str) -> None:
    """The reserves win over every hint."""
    found = card("any load is carried", name)
    assert found.limit_violations == 0
    assert found.ramp_60s_max_mw_per_min <= LIMIT
    assert found.unserved_mwh == 0.0


def test_the_step_needs_its_announcement() -> None:
    """Else the scenario would prove nothing: the same battery without it breaks the ramp by far."""
    assert card("firm", "not announced").ramp_60s_max_mw_per_min > 3 * LIMIT


def test_each_kind_of_battery_is_larger_than_the_one_before() -> None:
    """A firm word is worth more than a word, and a word more than none."""
    sizes = [battery for battery, _, _ in KINDS.values()]
    assert sizes == sorted(sizes)
    assert step(DRAW).spec.batteries[0].capacity_wh == pytest.approx(1.3 * BOUND_WH / 0.8)
