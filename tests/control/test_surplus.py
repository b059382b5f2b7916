"""The load falls faster than the ramp while the batteries are full: load is added, and taken away at the ramp."""

import math

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, MW, demo_site, low_pass, small_spec

from pswd_edge.control.rules.law import start
from pswd_edge.control.rules.missed import missed_w, unseen_w
from pswd_edge.control.rules.surplus import Absorbing, SurplusState, begun, decide, observed, pending_w
from pswd_edge.control.setpoints import Setpoints
from pswd_edge.model.control import Absorber
from pswd_edge.replay.loop import Loop
from pswd_edge.replay.scenarios import Draw, scenario

BANKS = (Absorber("a1", 80, 90, 10 * MW), Absorber("a2", 81, 91, 20 * MW))
SPEC = small_spec(absorbers=BANKS)
DOWN_W_PER_S = 0.11 * MW


class Banks:
    """Absorbers that obey after 0.3 s, or never; the surplus is what the test says less what was added."""

    def __init__(self, *stuck: int) -> None:
        self.state, self.time_s, self.seen_w, self.stuck = begun(SPEC), FIRST_S, 0.0, stuck
        self.history: list[float] = []
        self.late: list[list[float]] = [[0.0] * 3 for _ in BANKS]

    @property
    def ordered_mw(self) -> list[float]:
        return [round(a.ordered_w / MW, 3) for a in self.state.absorbers]

    def step(self, surplus_w: float) -> list[float]:
        """One cycle."""
        drawn = [0.0 if i in self.stuck else past.pop(0) for i, past in enumerate(self.late)]
        self.seen_w = low_pass(self.seen_w, sum(drawn), SPEC.filter_hz)
        self.state = decide(SPEC, self.state, surplus_w - self.seen_w, drawn, self.time_s, 0.1, DOWN_W_PER_S)
        for past, found in zip(self.late, self.state.absorbers, strict=True):
            past.extend([found.ordered_w] * (3 - len(past)))
        self.time_s += 0.1
        self.history.append(sum(a.ordered_w for a in self.state.absorbers))
        return self.ordered_mw

    def run(self, seconds: float, surplus_w: float) -> list[float]:
        for _ in range(round(seconds * 10)):
            self.step(surplus_w)
        return self.ordered_mw


# --- engage -------------------------------------------------------------------------------------------------------


def test_one_cycle_of_surplus_adds_nothing() -> None:
    """A glitch of a meter must not start a burner."""
    banks = Banks()
    assert banks.step(2 * MW) == [0, 0]
    assert banks.step(-1 * MW) == [0, 0]
    assert banks.step(2 * MW) == [0, 0]


def test_a_small_surplus_is_absorbed_in_the_second_cycle_and_a_large_one_at_once() -> None:
    """With a margin of 0.5 MW, the first absorber first and the last in part."""
    banks = Banks()
    banks.step(2 * MW)
    assert banks.step(2 * MW) == [2.5, 0]
    assert Banks().step(15 * MW) == [10, 5.5]


def test_what_was_ordered_and_does_not_show_yet_is_not_ordered_twice() -> None:
    """The filtered load takes seconds to show it; meanwhile the order stands."""
    banks = Banks()
    banks.run(5, 12 * MW)
    assert banks.history == pytest.approx([12.5 * MW] * 50)


def test_what_nobody_is_left_to_take_is_said() -> None:
    """30 MW of absorbers for 50: the alarm has the figure."""
    banks = Banks()
    banks.run(3, 50 * MW)
    assert banks.ordered_mw == [10, 20]
    assert banks.state.unmet_w == pytest.approx(20 * MW, abs=0.1 * MW)


def test_without_absorbers_all_of_it_is_unmet() -> None:
    """A site that has none is told as loudly."""
    spec = small_spec()
    state = decide(spec, begun(spec), 30 * MW, (), FIRST_S, 0.1, DOWN_W_PER_S)
    assert state.unmet_w == 30 * MW


def test_an_absorber_that_does_not_obey_counts_with_what_it_draws_and_the_next_is_asked() -> None:
    """After its actuation time."""
    banks = Banks(0)
    banks.run(4, 8 * MW)
    assert banks.ordered_mw[1] == pytest.approx(8.5)


def test_an_absorber_without_a_meter_is_not_asked() -> None:
    """Its power could not be told from the load's."""
    state = decide(SPEC, begun(SPEC), 8 * MW, (math.nan, 0.0), FIRST_S, 0.1, DOWN_W_PER_S)
    assert [a.ordered_w for a in state.absorbers] == [0, 8.5 * MW]


# --- give back ----------------------------------------------------------------------------------------------------


def test_it_is_taken_away_no_faster_than_the_ramp_and_the_last_goes_first() -> None:
    """An absorber that is switched off at once would be the very fall that it was there for."""
    banks = Banks()
    banks.run(5, 15 * MW)
    banks.history.clear()
    banks.run(20, -60 * MW)
    falls = [a - b for a, b in zip(banks.history, banks.history[1:], strict=False)]
    assert max(falls) <= DOWN_W_PER_S * 0.1 + 1
    assert banks.ordered_mw[0] == 10
    assert 3 < banks.ordered_mw[1] < 3.6
    banks.run(200, -60 * MW)
    assert banks.ordered_mw == [0, 0]


def test_a_surplus_that_shrinks_is_followed() -> None:
    """It is not given back before it is over."""
    banks = Banks()
    for k in range(600):
        banks.step(15 * MW - 0.005 * MW * k)
        wanted = 15 * MW - 0.005 * MW * k
        assert banks.history[-1] >= wanted - 0.2 * MW
    assert banks.history[-1] <= 15 * MW - 0.005 * MW * 599 + 1.3 * MW


# --- OBSERVE ------------------------------------------------------------------------------------------------------


def test_an_absorber_that_is_on_at_the_start_is_taken_up_with_what_it_draws() -> None:
    """After a restart in the middle of an abort: AUTO takes it away at the ramp and not by a step."""
    state = observed(SPEC, (6 * MW, 0.0), FIRST_S)
    assert [a.ordered_w for a in state.absorbers] == [6 * MW, 0]
    after = decide(SPEC, state, -50 * MW, (6 * MW, 0.0), FIRST_S + 0.1, 0.1, DOWN_W_PER_S)
    assert after.absorbers[0].ordered_w == pytest.approx(6 * MW - 0.011 * MW)


@pytest.mark.parametrize("power_w", [math.nan, 0.0, 0.05 * MW])
def test_one_that_draws_nothing_or_is_not_known_is_off(power_w: float) -> None:
    """A stand-by of half a percent is no load."""
    assert observed(SPEC, (power_w, 0.0), FIRST_S).absorbers[0].ordered_w == 0


# --- what was missed ----------------------------------------------------------------------------------------------


def test_a_full_battery_does_not_make_an_excursion_last_for_ever() -> None:
    """The reference's own step down to the load is all that batteries could not take: nothing new is missed."""
    assert missed_w(-20 * MW, -0.01 * MW, 0.0, 0.0, 0.01 * MW) == -20 * MW
    assert missed_w(-20 * MW, -5 * MW, 0.0, 0.0, 0.01 * MW) == pytest.approx(-24.99 * MW)
    assert missed_w(0.0, 5 * MW, 0.0, 0.0, 0.01 * MW) == 5 * MW


@pytest.mark.parametrize(("wanted", "battery", "seen", "unseen"), [
    (10, 4, 4, 6), (10, 4, 8, 2), (10, 4, 12, 0), (-10, -4, -4, -6), (-10, -4, -8, -2), (-10, -4, -12, 0),
    (3, 3, 3, 0)])
def test_what_loads_are_about_to_do_is_not_missed(wanted: float, battery: float, seen: float, unseen: float) -> None:
    """In both directions alike."""
    assert unseen_w(wanted, battery, seen) == unseen


# --- in the law ---------------------------------------------------------------------------------------------------


def banked(loop_s: float = 200.0, banks: int = 2, **changes) -> tuple[Loop, float]:
    """Scenario 52 with so many of its banks; the steepest fall of the grid's 60 s mean, MW/min."""
    case = scenario(52).build(Draw(301, 1.0, 0.25, loop_s))
    case.spec = replace(case.spec, absorbers=case.spec.absorbers[:banks])
    case.soaks = case.soaks[:banks]
    for name, value in changes.items():
        setattr(case.soaks[0], name, value)
    loop = Loop(case, keep=True)
    grid = loop.run().grid_w / MW
    sums = [0.0]
    for value in grid:
        sums.append(sums[-1] + value)
    means = [(sums[i + 600] - sums[i]) / 600 for i in range(len(grid) - 600)]
    return loop, min(b - a for a, b in zip(means, means[600:], strict=False))


def test_an_abort_with_full_batteries_keeps_the_ramp_with_banks_and_not_without() -> None:
    """What the batteries cannot take, the banks do, and the grid never falls faster than it may."""
    assert banked(banks=0)[1] < -15
    loop, fall = banked()
    assert fall >= -10.1
    assert sum(a.ordered_w for a in loop.state.absorbed.absorbers) < 45 * MW
    assert loop.state.absorbed.unmet_w == 0


def test_one_bank_that_does_not_start_is_made_good_by_the_other() -> None:
    """It is asked for more as soon as the first has shown that it does not obey."""
    loop, fall = banked(sticks=True)
    assert fall >= -11
    assert max(d.need.surplus_w for d in loop.decisions[2500:] if d is not None) < 2 * MW


def test_an_absorber_is_written_once_it_was_used_and_is_then_led_to_zero() -> None:
    """What is not ours is not written; what we have switched on is not forgotten when it is off again."""
    site = demo_site()
    point = site.control.tiers[-1].setpoint
    site = replace(site, control=replace(site.control, tiers=(), absorbers=(Absorber("bank", point, 0, 9 * MW),)))
    state = start(site.control)
    never, setpoints = state.absorbed.absorbers[0], Setpoints(site)

    def written(found: Absorbing) -> list[float]:
        after = state._replace(absorbed=state.absorbed._replace(absorbers=(found,)))
        return [c.value for c in setpoints._loads(after) if c.origin == "absorber:bank"]

    assert written(never) == []
    assert written(never._replace(ordered_w=2 * MW, raised_s=FIRST_S)) == [2 * MW]
    assert written(never._replace(ordered_w=0.0, raised_s=FIRST_S)) == [0]


def test_pending_is_zero_when_nothing_is_on() -> None:
    """Also with no meter."""
    assert pending_w(SPEC, begun(SPEC), FIRST_S) == 0
    assert SurplusState().unmet_w == 0
