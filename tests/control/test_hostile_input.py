"""What breaks a control law from outside: numbers that are none, limits of zero, blindness, a changed site."""

import math

import numpy as np
import pytest
from msgspec.structs import replace
from virtual import GRID, LOAD, MW, World, bad, battery_spec, demo_site, fleet, good, small_spec

from pswd_edge.control.rules import delay, law
from pswd_edge.control.rules.allocate import Battery, fleet_of, share
from pswd_edge.control.rules.tune import too_slow, tune
from pswd_edge.control.succession import carried_law
from pswd_edge.model import tuning
from pswd_edge.model.command import Mode


def test_a_lost_grid_meter_leaves_the_learnt_delay_alone() -> None:
    """Without a moment there is nothing to compare: one NaN in the sums would make the delay 1.5 s for good."""
    world = World(small_spec(), 50 * MW)
    for cycle in range(60):
        world.load_w = (50 + 10 * (cycle // 5 % 2)) * MW
        world.step()
    before = world.state.delay
    world.override = {GRID: bad()}
    world.run(5)
    assert np.array_equal(world.state.delay.errors, before.errors)
    assert world.state.delay.weight == before.weight


@pytest.mark.parametrize("missing", [math.nan, math.inf])
def test_a_power_that_is_not_known_teaches_no_delay(missing: float) -> None:
    """The sums are kept for a minute; what is not a number would stay in them."""
    state = delay.begun()
    for i in range(40):
        state = delay.commanded(state, 10 + i / 10, (i % 7) * MW)
    assert delay.compared(state, 13.9, missing, 100 * MW, 0.1) is state
    assert delay.compared(state, missing, 1 * MW, 100 * MW, 0.1) is state


def test_power_that_others_lead_teaches_no_delay() -> None:
    """In OBSERVE the law's "command" is what was measured: compared with itself it would look like no delay at all."""
    world = World(small_spec(), 50 * MW)
    world.run(30)
    for cycle in range(60):
        world.power_w["b1"] = (cycle % 9) * MW
        world.step(Mode.OBSERVE)
    assert world.state.delay.weight == 0.0
    assert not np.isfinite(world.state.delay.times_s).any()


@pytest.mark.parametrize("name", ["target_w", "target_ramp_w_per_s", "hint_w", "floor_w", "ceiling_w", "manual_w",
                                  "import_limit_w", "export_limit_w", "ramp_w_per_min"])
@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.MANUAL])
def test_an_order_that_is_no_number_is_no_order(name: str, mode: Mode) -> None:
    """NaN passes through every comparison and would be remembered: the same is decided as without it."""
    decided = []
    for orders in ({}, {name: math.nan}, {name: math.inf}):
        world = World(small_spec(), 50 * MW)
        world.run(10)
        world.load_w = 55 * MW
        decided.append([d.battery_w for d in world.run(10, mode, **orders)])
    assert decided[0] == decided[1] == decided[2]


def test_a_ramp_limit_of_nothing_is_a_loop_that_is_too_slow() -> None:
    """Reserves are counted in steps of the ramp: a step of 0 W is no step, and no reason to stop the daemon."""
    world = World(small_spec(), 50 * MW)
    world.run(10)
    world.load_w = 60 * MW
    found = world.run(20, ramp_w_per_min=0.0)
    assert all(math.isfinite(d.battery_w) for d in found)
    assert "loop_too_slow" in found[-1].degraded
    assert too_slow(tune(small_spec(), 0.0, None), 0.0)


def test_the_corner_is_the_first_that_fits_of_all_that_were_tried_in_turn() -> None:
    """It is searched by halving, since a delay is learnt while control runs; the result is that of the plain search."""
    for delay_s in (0.0, 0.25, 0.45, 0.7, 1.0, 1.35, 2.0):
        tried = tuning.CORNER_MAX_HZ
        while tried > 0.01 and tuning.peak_gain(tried, delay_s, 0.1) > tuning.GAIN_MAX:
            tried /= 1.02
        assert tuning.corner(delay_s, 0.1) == pytest.approx(tried)


def test_who_takes_over_after_blindness_finds_the_grid_where_it_is() -> None:
    """A reference of a minute ago, taken up in AUTO, would move the batteries by what the load has done since."""
    world = World(small_spec(), 30 * MW)
    world.run(20, Mode.OBSERVE)
    world.override = {GRID: bad(), LOAD: bad()}
    world.run(600, Mode.OBSERVE)
    world.load_w = 90 * MW
    world.run(5)
    world.override = {}
    assert max(abs(d.battery_w) for d in world.run(30)) < 1 * MW


def test_the_windows_of_the_budget_go_on_without_a_grid_value() -> None:
    """With meter and battery unknown the grid is taken to be where it was meant to be; time does not stand still."""
    world = World(small_spec(), 50 * MW)
    world.run(20)
    before = world.state.budget
    world.override = {GRID: bad(), 11: bad()}
    world.step()
    assert before is not None
    assert world.state.budget is not None
    assert world.state.budget.energy_j[-1] - before.energy_j[-1] == pytest.approx(50 * MW * 0.1, rel=0.01)


def test_sharing_ends_for_any_power() -> None:
    """Beyond 10 GW the rounding of a sum is more than what counts as nothing: the loop has to end all the same."""
    rating = 1.1e13 / 3
    batteries = [Battery(f"b{i}", True, "", 0.0, 1.0, 1.0, 1.0, rating, rating, rating, rating) for i in range(3)]
    given = share(1e13, fleet_of(batteries))
    assert sum(given.values()) == pytest.approx(1e13)
    assert share(math.nan, fleet(1.0, 1.0)) == {}


@pytest.mark.parametrize("dt_s", [0.0, 0.1, 0.3, 60.0])
def test_no_batteries_is_a_site_that_is_watched(dt_s: float) -> None:
    """All of them may be gone, or none bought yet: nothing is divided by their ratings."""
    world = World(small_spec(batteries=()), 50 * MW)
    found = [world.step(dt_s=dt_s) for _ in range(5)]
    assert [d.battery_w for d in found] == [0.0] * 5
    assert found[-1].shares == {}


def test_batteries_without_a_rating_are_led_to_nothing() -> None:
    """A BMS that allows 0 W both ways leaves nothing to share."""
    none = tuple(battery_spec(n, 0.0) for n in (1, 2))
    world = World(small_spec(batteries=none), 50 * MW)
    world.run(5)
    world.load_w = 90 * MW
    assert all(abs(d.battery_w) < 1e-6 for d in world.run(30))


@pytest.mark.parametrize("floor_w", [60 * MW, 110 * MW, 500 * MW])
def test_a_floor_above_the_load_is_stretched_to_the_load(floor_w: float) -> None:
    """Who promises more load than there is, is not believed against the meter."""
    world = World(small_spec(), 50 * MW)
    world.run(10)
    found = world.run(50, floor_w=floor_w)
    assert all(math.isfinite(d.battery_w) for d in found)
    assert abs(found[-1].battery_w) < 1 * MW


def test_a_reload_with_another_battery_keeps_what_is_known_of_the_old() -> None:
    """Each battery's own memory goes with it; a new one begins anew; how late they all are is learnt again."""
    old = demo_site()
    state, first = law.start(old.control), old.control.batteries[0]
    state = state._replace(following=tuple(f._replace(lost=True, wait_s=40.0) for f in state.following),
                           delay=delay.commanded(state.delay, 1.0, 2.0))
    fewer = replace(old, control=replace(old.control, batteries=(first,)))
    carried = carried_law(old, fewer, state)
    assert [f.wait_s for f in carried.following] == [40.0]
    assert not np.isfinite(carried.delay.times_s).any()
    assert carried.reference is None
    assert carried.feed is None
    more = carried_law(fewer, old, carried)
    assert [f.lost for f in more.following] == [True, *(False for _ in old.control.batteries[1:])]


def test_control_goes_on_after_a_reload_with_fewer_batteries() -> None:
    """The first cycle under the new site must find as many memories as batteries."""
    site = demo_site()
    state = carried_law(site, replace(site, control=replace(site.control, batteries=site.control.batteries[:1])),
                        law.start(site.control))
    world = World(small_spec(batteries=(battery_spec(1),)), 50 * MW)
    world.state = state._replace(shed=world.state.shed)
    world.override = {50: good(1.0, world.time_s)}
    assert math.isfinite(world.run(3)[-1].battery_w)
