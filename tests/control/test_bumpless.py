"""No change of who leads makes a step at the grid: modes, recoveries, restarts, and limits that end."""

import itertools

import pytest
from virtual import GRID, LOAD, MW, World, bad, good, small_spec

from pswd_edge.control.rules import law
from pswd_edge.model.command import Mode

SPEC = small_spec()
STEP_W = SPEC.ramp_up_w_per_s * 0.1
TINY_W = 1e3
ORDERS = {Mode.MANUAL: {"manual_w": 12 * MW}}


def settled(load_w: float = 60 * MW, soc_percent: float = 60.0) -> World:
    """After a step that the batteries still carry: there is something to let go of."""
    world = World(SPEC, load_w - 20 * MW, soc_percent)
    world.run(100)
    world.load_w = load_w
    world.run(200)
    return world


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(Mode, 2)])
def test_a_change_of_mode_moves_the_batteries_by_one_ramp_step_at_most(first: Mode, second: Mode) -> None:
    """Scenario 29, each pair: the load stands still, so what moves would be the change itself."""
    world = settled()
    world.run(20, first, **ORDERS.get(first, {}))
    before_w = world.battery_w
    decision = world.step(second, **ORDERS.get(second, {}))
    assert abs(world.battery_w - before_w) <= STEP_W + TINY_W, decision.binding


def test_manual_and_auto_in_turns_every_cycle_keep_the_ramp() -> None:
    """Scenario 29: a minute of it; each takes over where the other left."""
    world = settled()
    for mode in itertools.islice(itertools.cycle((Mode.MANUAL, Mode.AUTO)), 600):
        before_w = world.battery_w
        world.step(mode, **ORDERS.get(mode, {}))
        assert abs(world.battery_w - before_w) <= STEP_W + TINY_W


def test_manual_and_auto_in_turns_follow_the_load_as_auto_does() -> None:
    """The ramp state keeps tracking in MANUAL: the first AUTO cycle finds the reference where the grid is."""
    world = settled()
    world.run(50, Mode.MANUAL, manual_w=world.battery_w)
    grid_w = world.grid_w
    decision = world.step()
    assert abs(world.state.reference.reference_w - grid_w) <= STEP_W + TINY_W
    assert decision.step is not None


@pytest.mark.parametrize("seconds", [0.6, 5.0, 20.0])
def test_a_meter_that_comes_back_makes_no_step(seconds: float) -> None:
    """Scenario 18, with no load meter either; the load stood still meanwhile."""
    world = settled()
    for _ in range(round(seconds * 10)):
        world.override |= {GRID: bad(), LOAD: bad()}
        before_w = world.battery_w
        world.step()
        assert abs(world.battery_w - before_w) <= STEP_W + TINY_W
    world.override.clear()
    for _ in range(100):
        before_w = world.battery_w
        world.step()
        assert abs(world.battery_w - before_w) <= STEP_W + TINY_W


def test_a_restart_takes_over_what_it_finds() -> None:
    """Scenario 41: OBSERVE keeps the batteries where they are, AUTO begins from there."""
    world = settled()
    world.state = law.start(SPEC)
    before_w = world.battery_w
    world.run(50, Mode.OBSERVE)
    assert world.battery_w == before_w
    world.step()
    assert abs(world.battery_w - before_w) <= STEP_W + TINY_W


def test_a_load_outside_its_declared_range_is_carried_at_the_ramp() -> None:
    """Scenario 12: 110 MW where 98 MW were declared, then 5 MW where 20 MW were."""
    world = settled(60 * MW)
    for load_mw in (110.0, 5.0):
        world.load_w = load_mw * MW
        for _ in range(600):
            before_w = world.state.reference.reference_w
            decision = world.step()
            assert abs(world.state.reference.reference_w - before_w) <= STEP_W + TINY_W, decision.binding


def test_a_ceiling_below_the_load_is_no_step() -> None:
    """Scenario 13: the promise is smaller, the load is what it is."""
    world = settled(80 * MW)
    for _ in range(200):
        before_w = world.grid_w
        world.step(ceiling_w=40 * MW)
        assert abs(world.grid_w - before_w) <= STEP_W + TINY_W


def test_a_limit_that_ends_gives_the_grid_back_at_the_ramp() -> None:
    """The emergency is over: the way back is no emergency."""
    world = settled(80 * MW)
    world.run(50, import_limit_w=40 * MW, emergency=True)
    assert world.grid_w <= 40 * MW + 1
    for _ in range(300):
        before_w = world.grid_w
        world.step()
        assert world.grid_w - before_w <= STEP_W + TINY_W


def test_contradicting_orders_end_in_what_the_batteries_can_give() -> None:
    """Scenario 27: a request to discharge, an empty battery, and a curtailment in one cycle."""
    world = settled(80 * MW, soc_percent=10.0)
    decision = world.step(target_w=100 * MW, import_limit_w=30 * MW, emergency=True)
    assert decision.battery_w <= decision.fleet.discharge_available_w
    assert decision.grid.import_w == 30 * MW


def test_a_grid_that_is_gone_is_no_load_of_zero() -> None:
    """Scenario 36: the meter shows 0, the batteries carry the site, and the load is what they give."""
    world = settled(40 * MW)
    world.override |= {GRID: good(0.0, world.time_s), SPEC.batteries[0].power.point: good(20 * MW, world.time_s),
                       SPEC.batteries[1].power.point: good(20 * MW, world.time_s)}
    decision = world.step()
    assert decision.estimate.load_w > 20 * MW
