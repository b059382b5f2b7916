"""Which mode, and who changes it."""

import pytest

from pswd_edge.control.modes import ModeKeeper
from pswd_edge.model.command import Mode


def run(keeper: ModeKeeper, from_s: float, to_s: float, bad: str = "") -> None:
    """Cycles of 100 ms in from_s..to_s, both included."""
    for i in range(round((to_s - from_s) * 10) + 1):
        keeper.update(bad, from_s + i / 10)


def in_mode(mode: Mode, start_mode: str = "auto") -> ModeKeeper:
    keeper = ModeKeeper(start_mode, 5.0)
    keeper.order(mode, "console", 0.0)
    return keeper


@pytest.mark.parametrize("start_mode", ["auto", "observe"])
def test_every_start_is_observe(start_mode: str) -> None:
    """A restart must make no step, whatever the site prefers."""
    assert ModeKeeper(start_mode, 0.0).mode is Mode.OBSERVE


def test_auto_comes_after_five_good_seconds() -> None:
    """Not one cycle before."""
    keeper = ModeKeeper("auto", 5.0)
    run(keeper, 100.0, 104.9)
    assert keeper.mode is Mode.OBSERVE
    run(keeper, 105.0, 105.0)
    assert keeper.mode is Mode.AUTO
    assert keeper.since_s == 105.0
    assert "5 s" in keeper.reason


def test_one_bad_input_starts_the_five_seconds_again() -> None:
    """A meter that comes and goes is not good; the reason names it."""
    keeper = ModeKeeper("auto", 5.0)
    run(keeper, 100.0, 104.0)
    run(keeper, 104.1, 104.1, "pcc.active_power_w")
    assert keeper.reason == "waiting for pcc.active_power_w"
    run(keeper, 104.2, 109.1)
    assert keeper.mode is Mode.OBSERVE
    run(keeper, 109.2, 109.2)
    assert keeper.mode is Mode.AUTO


def test_auto_does_not_come_by_itself_where_the_site_says_observe() -> None:
    """Commissioning: a person decides."""
    keeper = ModeKeeper("observe", 5.0)
    run(keeper, 100.0, 130.0)
    assert keeper.mode is Mode.OBSERVE
    keeper.order(Mode.AUTO, "console", 131.0)
    assert (keeper.mode, keeper.reason, keeper.since_s) == (Mode.AUTO, "ordered by console", 131.0)


def test_an_order_ends_the_automatic_start() -> None:
    """The operator said OBSERVE: good inputs are no reason to know better."""
    keeper = ModeKeeper("auto", 5.0)
    run(keeper, 100.0, 101.0)
    keeper.order(Mode.OBSERVE, "console", 101.0)
    run(keeper, 101.1, 130.0)
    assert keeper.mode is Mode.OBSERVE


def test_bad_inputs_do_not_end_auto() -> None:
    """The law has its degraded modes; dropping the batteries would be a step."""
    keeper = in_mode(Mode.AUTO)
    run(keeper, 1.0, 60.0, "pcc.active_power_w")
    assert keeper.mode is Mode.AUTO


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.MANUAL])
def test_safe_after_more_than_five_overruns_in_a_row(mode: Mode) -> None:
    """Five may be a slow disk; six cannot be trusted with the batteries."""
    keeper = in_mode(mode)
    for _ in range(5):
        keeper.overrun(1, 1.0)
    assert keeper.mode is mode
    keeper.overrun(1, 2.0)
    assert (keeper.mode, keeper.since_s) == (Mode.SAFE, 2.0)
    assert keeper.reason == "6 cycles in a row took longer than a period"


def test_one_long_pause_is_one_overrun() -> None:
    """The machine stood still for 600 ms, once: the next cycle takes over from what it measures."""
    keeper = in_mode(Mode.AUTO)
    keeper.overrun(6, 1.0)
    keeper.overrun(0, 1.7)
    assert keeper.mode is Mode.AUTO


def test_a_cycle_in_time_forgives_the_missed_ones() -> None:
    """In a row, not in total: over a year there are many."""
    keeper = in_mode(Mode.AUTO)
    for _ in range(100):
        keeper.overrun(5, 1.0)
        keeper.overrun(0, 1.0)
    assert keeper.mode is Mode.AUTO


def test_missed_cycles_do_not_end_observe() -> None:
    """Nothing is written there, and a slow start must still end in AUTO."""
    keeper = ModeKeeper("auto", 5.0)
    keeper.overrun(50, 1.0)
    assert keeper.mode is Mode.OBSERVE


def test_safe_is_left_by_the_operator_alone() -> None:
    """Good inputs and good time keep it: somebody has to look first."""
    keeper = in_mode(Mode.AUTO)
    for _ in range(6):
        keeper.overrun(1, 1.0)
    run(keeper, 2.0, 600.0)
    keeper.overrun(0, 600.0)
    assert keeper.mode is Mode.SAFE
    keeper.order(Mode.AUTO, "console", 601.0)
    assert keeper.mode is Mode.AUTO


def test_safe_by_failure_before_the_automatic_start_is_latched_too() -> None:
    """The site says auto; SAFE came in between."""
    keeper = ModeKeeper("auto", 5.0)
    run(keeper, 0.0, 5.0)
    for _ in range(6):
        keeper.overrun(1, 6.0)
    run(keeper, 6.1, 60.0)
    assert keeper.mode is Mode.SAFE


def test_the_same_mode_again_keeps_its_age_and_takes_the_reason() -> None:
    """`since_s` says when it changed, not when it was last confirmed."""
    keeper = in_mode(Mode.AUTO)
    keeper.order(Mode.AUTO, "another console", 9.0)
    assert (keeper.since_s, keeper.reason) == (0.0, "ordered by another console")
