"""One cycle of the law after another: modes, degraded inputs, batteries that come and go."""

import math

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, GRID, LOAD, MW, MWH, World, bad, battery_spec, good, small_spec

from pswd_edge.control.rules import law
from pswd_edge.model.command import Mode
from pswd_edge.model.control import Input
from pswd_edge.model.quality import Reason

STEP_W = 0.011 * MW           # what the ramp allows in one cycle
BARE = small_spec(load_meters=())


def settled(load_mw: float = 60, **changes) -> World:
    """In AUTO for a minute at a flat load."""
    world = World(small_spec(**changes), load_mw * MW)
    world.run(20, Mode.OBSERVE)
    world.run(600)
    return world


def stepped(load_mw: float = 60, to_mw: float = 90, **changes) -> World:
    """3 s after a step: the batteries carry nearly all of it."""
    world = settled(load_mw, **changes)
    world.load_w = to_mw * MW
    world.run(50)
    return world


# --- modes ----------------------------------------------------------------------------------------------------------


def test_observe_decides_but_acts_on_nothing() -> None:
    """The first minutes of a new site: all reasons, no hand on anything."""
    world = World(small_spec(batteries=(battery_spec(1, 20 * MW), battery_spec(2, 20 * MW))), 60 * MW)
    world.power_w = {"b1": 12 * MW, "b2": 0.0}
    world.tier_w = {"t1": 15 * MW, "t2": 20 * MW, "t3": 10 * MW}
    for k in range(100):
        world.load_w = 60 * MW + (120 * MW if k > 50 else 0)
        decision = world.step(Mode.OBSERVE)
        assert not decision.acts
    assert decision.step is not None
    assert decision.battery_w == 12 * MW
    assert decision.need.deficit_w > 0
    assert not any(t.engaged for t in world.state.shed.tiers)


def test_no_change_of_mode_moves_the_batteries_by_more_than_the_ramp() -> None:
    """OBSERVE, AUTO, MANUAL, AUTO, OBSERVE, AUTO with the batteries at work all the time."""
    world = World(small_spec(), 60 * MW)
    world.power_w = {"b1": 9 * MW, "b2": 6 * MW}
    for mode in (Mode.OBSERVE, Mode.AUTO, Mode.MANUAL, Mode.AUTO, Mode.OBSERVE, Mode.AUTO, Mode.SAFE, Mode.AUTO):
        for k in range(40):
            before = world.battery_w
            world.step(mode, manual_w=-5 * MW if mode is Mode.MANUAL else None)
            assert abs(world.battery_w - before) <= STEP_W + 1, (mode, k)


def test_changing_the_mode_every_cycle_is_bumpless_too() -> None:
    """Scenario 29: a switch that chatters."""
    world = settled()
    for k in range(200):
        before = world.battery_w
        world.step(Mode.MANUAL if k % 2 else Mode.AUTO, manual_w=30 * MW)
        assert abs(world.battery_w - before) <= STEP_W + 1


def test_auto_takes_over_a_swinging_load_at_its_mean() -> None:
    """A 1 Hz swing of 15 MW at the moment of the change must not become the grid's new mean: some 3 pass the filter."""
    for phase in range(10):
        world = World(small_spec(), 75 * MW)
        grid = []
        for k in range(300):
            world.load_w = (75 + 15 * math.sin(2 * math.pi * (k + phase) / 10)) * MW
            world.step(Mode.OBSERVE if k < 150 + phase else Mode.AUTO)
            grid.append(world.load_w - world.battery_w)
        assert sum(grid[-100:]) / 100 == pytest.approx(75 * MW, abs=4 * MW), phase


def test_safe_lets_the_batteries_go_to_zero_at_the_ramp() -> None:
    """The safe state: nothing sudden, nothing given back."""
    world = stepped()
    start = world.battery_w
    assert start > 25 * MW
    for k in range(100):
        assert world.step(Mode.SAFE).binding == "safe"
        assert world.battery_w == pytest.approx(start - (k + 1) * STEP_W)
    world.run(3000, Mode.SAFE)
    assert world.battery_w == 0.0


def test_safe_holds_what_keeps_the_site_below_its_contract() -> None:
    """Ramping to zero would break the import limit: hold (2.6)."""
    world = settled(60, import_limit_w=80 * MW)
    world.load_w = 90 * MW
    world.run(50)
    world.run(2500, Mode.SAFE)
    assert world.battery_w == pytest.approx(10 * MW, rel=0.01)


def test_manual_moves_to_the_operator_s_power_and_stays() -> None:
    """At the ramp, then exact, whatever the load does."""
    world = settled()
    world.run(2000, Mode.MANUAL, manual_w=15 * MW)
    assert world.battery_w == pytest.approx(15 * MW)
    world.load_w = 80 * MW
    assert world.run(20, Mode.MANUAL, manual_w=15 * MW)[-1].battery_w == pytest.approx(15 * MW)


def test_manual_cannot_charge_the_site_above_its_contract() -> None:
    """The operator is level 3; the import limit is level 2."""
    world = settled(60, import_limit_w=70 * MW)
    world.run(4000, Mode.MANUAL, manual_w=-50 * MW)
    assert world.grid_w == pytest.approx(70 * MW, rel=1e-3)


def test_a_battery_target_moves_the_grid_at_the_ramp_and_ends_at_it() -> None:
    """A request leads the reference; the law still makes the set-point."""
    world = settled()
    for _ in range(1500):
        before = world.grid_w
        decision = world.step(target_w=10 * MW)
        assert abs(world.grid_w - before) <= STEP_W + 1
    assert world.battery_w == pytest.approx(10 * MW, rel=1e-3)
    assert decision.binding == "target"


def test_a_battery_target_stops_where_the_reserve_begins() -> None:
    """Asked for more than the energy allows, the reference stops at its viable bound and the battery stays alive."""
    world = settled(90, batteries=(battery_spec(1, 60 * MW, 5 * MWH), battery_spec(2, 60 * MW, 5 * MWH)))
    for _ in range(6000):
        decision = world.step(target_w=60 * MW)
    assert decision.step is not None
    assert decision.battery_w < 59 * MW
    assert min(world.soc_percent.values()) >= 10.0
    assert decision.binding in {"reserve_up", "ramp_down"}


# --- inputs that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", [bad(Reason.UNREACHABLE), good(math.nan, FIRST_S), good(900 * MW, FIRST_S)])
def test_a_lost_grid_meter_is_bridged_by_the_load_meters(reading) -> None:
    """The batteries do not notice; the report does, and nothing is restored meanwhile."""
    world = stepped()
    before = world.battery_w
    world.override[GRID] = reading
    decision = world.step()
    assert decision.estimate.source == "meters"
    assert abs(world.battery_w - before) <= 0.2 * MW
    assert decision.degraded[0].startswith("grid_meter_")


def test_a_meter_that_freezes_in_mid_ramp_is_found_and_bridged() -> None:
    """20 equal answers while the batteries move: from then on the load meters count."""
    world = stepped(60, 90)
    stuck = world.grid_w
    for k in range(100):
        world.override[GRID] = good(stuck, world.time_s, world.time_s, k)
        world.load_w = 90 * MW if k < 10 else 60 * MW
        decision = world.step()
    assert decision.estimate.source == "meters"
    assert "grid_meter_frozen" in decision.degraded
    assert decision.estimate.load_w == 60 * MW


def test_recovery_from_the_load_meters_is_no_step() -> None:
    """The meters differ by 1 MW: the batteries follow through the filter, in its second, not in a cycle."""
    world = stepped()
    world.override[GRID] = bad()
    for _ in range(50):
        world.override[LOAD] = good(world.load_w - 1 * MW, world.time_s)
        world.step()
    world.override.clear()
    before = world.battery_w
    world.step()
    assert abs(world.battery_w - before) < 0.11 * MW


def test_blind_the_batteries_hold_for_a_second_and_then_go_to_zero_at_the_ramp() -> None:
    """No meter at all: what was right a second ago is the best guess; after that, none is."""
    world = stepped(load_meters=())
    world.override[GRID] = bad()
    held = world.battery_w
    for k in range(10):
        assert world.step().binding == "blind"
        assert world.battery_w == pytest.approx(held), k
    for k in range(100):
        world.step()
        assert world.battery_w == pytest.approx(held - (k + 1) * STEP_W)
    decision = world.run(3000)[-1]
    assert world.battery_w == 0.0
    assert "blind" in decision.degraded
    assert not any(t.engaged for t in world.state.shed.tiers)


def test_blind_sheds_nothing_and_gives_nothing_back() -> None:
    """Without a load there is no deficit and no calm; trust begins anew with the meter."""
    world = stepped(95, 115, import_limit_w=80 * MW, batteries=(battery_spec(1, 20 * MW),), load_meters=())
    world.tier_w = {"t1": 15 * MW, "t2": 15 * MW, "t3": 15 * MW}
    world.run(2)
    caps = [(t.engaged, t.cap_w) for t in world.state.shed.tiers]
    assert any(engaged for engaged, _ in caps)
    world.override[GRID] = bad()
    world.load_w = 30 * MW
    world.run(2500)
    assert [(t.engaged, t.cap_w) for t in world.state.shed.tiers] == caps
    world.override.clear()
    world.run(280)
    assert [(t.engaged, t.cap_w) for t in world.state.shed.tiers] == caps
    world.run(50)
    assert [(t.engaged, t.cap_w) for t in world.state.shed.tiers] != caps


def test_calm_from_before_a_blindness_does_not_count() -> None:
    """25 s of calm, 10 s of nothing, and calm again: trust takes its whole 30 s anew."""
    world = settled(60)
    tier = world.state.shed.tiers[0]._replace(engaged=True, since_s=world.time_s, before_w=15 * MW, shed_w=15 * MW)
    world.state = world.state._replace(shed=world.state.shed._replace(tiers=(tier, *world.state.shed.tiers[1:])))
    world.run(250)
    world.override = {GRID: bad(), LOAD: bad()}
    world.run(100)
    world.override = {}
    world.run(280)
    assert world.state.shed.tiers[0].engaged
    world.run(40)
    assert not world.state.shed.tiers[0].engaged


def test_sight_that_comes_back_is_no_bump() -> None:
    """The reference starts where the grid is, not where it was 20 s ago."""
    world = stepped(load_meters=())
    world.override[GRID] = bad()
    world.run(200)
    world.override.clear()
    world.load_w = 40 * MW
    before = world.battery_w
    world.step()
    assert abs(world.battery_w - before) <= STEP_W + 1


def test_blind_in_observe_the_found_power_is_kept_in_mind() -> None:
    """Nobody acts in OBSERVE: what the batteries give is what AUTO takes over, not a ramp that never happened."""
    world = World(BARE, 60 * MW)
    world.power_w = {"b1": 20 * MW, "b2": 0.0}
    world.run(10, Mode.OBSERVE)
    world.override[GRID] = bad()
    world.power_w = {"b1": 24 * MW, "b2": 0.0}
    assert world.run(100, Mode.OBSERVE)[-1].battery_w == 24 * MW
    world.override.clear()
    world.step(Mode.AUTO)
    assert world.battery_w == pytest.approx(24 * MW, abs=STEP_W + 1)


# --- batteries that fail ----------------------------------------------------------------------------------------------


def test_the_other_battery_takes_over_in_the_same_cycle() -> None:
    """One of two is lost while both give 14 MW: the sum goes on."""
    world = stepped()
    before = world.battery_w
    world.lost.add("b1")
    decision = world.step()
    assert decision.shares == {"b2": pytest.approx(before, abs=0.2 * MW)}
    assert "battery_lost:b1" in decision.degraded
    assert decision.binding != "battery"


@pytest.mark.parametrize("has_tiers", [False, True])
def test_with_all_batteries_lost_the_reference_is_the_grid_less_what_tiers_are_taking(has_tiers: bool) -> None:
    """28 MW are nobody's. What a tier takes off within seconds must not become the grid's new mean meanwhile."""
    world = stepped()
    world.tier_w = dict.fromkeys(("t1", "t2", "t3"), 15 * MW * has_tiers)
    world.run(60)
    world.lost.add("b1")
    world.lost.add("b2")
    decision = world.step()
    assert (decision.battery_w, decision.shares, decision.binding) == (0.0, {}, "battery")
    assert world.state.reference is not None
    left_w = world.state.reference.followed_w - world.state.reference.reference_w
    coming_w = sum(t.filtered_w - t.cap_w for t in world.state.shed.tiers if t.engaged)
    assert (coming_w > 20 * MW) is has_tiers
    assert left_w == pytest.approx(decision.step.battery_w if has_tiers else 0.0)
    assert coming_w >= left_w


@pytest.mark.parametrize(("missing_mw", "sheds"), [(3.0, True), (0.2, False)])
def test_a_small_deficit_is_not_forgotten_because_the_reference_tracked(missing_mw: float, sheds: bool) -> None:
    """Tracking ends a deficit after one cycle, engaging takes two: 3 MW must still count, 0.2 not cost a rack."""
    world = stepped()
    world.tier_w = {"t1": 15 * MW, "t2": 20 * MW, "t3": 10 * MW}
    world.run(150)
    world.lost.add("b1")
    weak = replace(world.spec.batteries[1], discharge_rating_w=world.battery_w - missing_mw * MW)
    world.spec = replace(world.spec, batteries=(world.spec.batteries[0], weak))
    world.run(3)
    assert [t.engaged for t in world.state.shed.tiers] == [sheds, False, False]


def without_batteries() -> World:
    """Both lost for half a minute at a flat load of 60 MW, with three tiers to give."""
    world = settled(60)
    world.lost = {"b1", "b2"}
    world.run(300)
    world.tier_w = {"t1": 15 * MW, "t2": 20 * MW, "t3": 10 * MW}
    return world


def test_without_batteries_the_load_s_noise_costs_no_tier() -> None:
    """Else a site whose batteries are away is switched off within a second: the larger evil of the two."""
    world = without_batteries()
    for k in range(600):
        world.load_w = (60 + 0.5 * math.sin(k) + 0.4 * math.sin(k / 7)) * MW
        world.step()
    assert not any(t.engaged for t in world.state.shed.tiers)


def test_without_batteries_a_load_that_climbs_too_fast_is_shed() -> None:
    """20 MW/min are 20 kW a cycle beyond the ramp: little each time, and half a megawatt after some seconds."""
    world = without_batteries()
    engaged = []
    for _ in range(60):
        world.load_w += 20 * MW / 600
        world.step()
        engaged.append([t.engaged for t in world.state.shed.tiers])
    assert engaged[10] == [False, False, False]
    assert [True, False, False] in engaged


def test_a_battery_that_comes_back_starts_no_catch_up() -> None:
    """P5: what the grid saw meanwhile is where it goes on."""
    world = stepped()
    world.tier_w = dict.fromkeys(world.tier_w, math.nan)
    world.lost.add("b1")
    world.lost.add("b2")
    world.run(300)
    world.lost.clear()
    for _ in range(50):
        before = world.grid_w
        world.step()
        assert abs(world.grid_w - before) <= STEP_W + 1


def test_a_battery_of_unknown_power_is_not_taken_for_idle() -> None:
    """Without load meters there is no load then: blind, not wrong."""
    world = stepped(load_meters=())
    world.override[world.spec.batteries[0].power.point] = bad()
    assert world.step().binding == "blind"


# --- time and determinism ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dt_s", "believed_s"), [(0.1, 0.1), (0.2, 0.2), (5.0, 0.3), (0.0, 0.05), (-3.0, 0.05)])
def test_a_cycle_believes_no_absurd_time(dt_s: float, believed_s: float) -> None:
    """After a pause of 5 s the ramp must not be 5 s long in one step."""
    world = settled()
    world.load_w = 95 * MW
    world.run(30)
    before = world.state.reference.reference_w
    world.step(dt_s=dt_s)
    assert world.state.reference.reference_w - before == pytest.approx(0.11 * MW * believed_s)


def trace(spec=None) -> list[tuple[law.LawState, law.Decision]]:
    """A minute with steps, a swing, a lost battery and a lost meter."""
    world, seen = World(spec or small_spec(), 60 * MW), []
    for k in range(600):
        world.load_w = (60 + 30 * (k > 200) + 5 * math.sin(k)) * MW
        if k == 300:
            world.lost.add("b1")
        if k == 400:
            world.override[GRID] = bad()
        seen.append((world.step(Mode.OBSERVE if k < 50 else Mode.AUTO), world.state))
    return seen


def test_the_same_inputs_give_the_same_outputs_to_the_last_bit() -> None:
    """P8: a recorded day can be replayed."""
    assert repr(trace()) == repr(trace())


def test_the_law_of_a_site_without_anything_still_runs() -> None:
    """No batteries, no tiers, no load meters: it observes the grid."""
    world = World(small_spec(batteries=(), tiers=(), load_meters=()), 60 * MW)
    decision = world.run(10)[-1]
    assert (decision.battery_w, decision.shares, decision.estimate.load_w) == (0.0, {}, 60 * MW)


def test_the_reserves_know_the_worst_of_the_batteries() -> None:
    """The oldest SoC, the lossiest discharge and the fullest charge of the fleet."""
    worn = battery_spec(1, discharge_efficiency=0.9, soc_age_s=2.0)
    spec = small_spec(batteries=(worn, battery_spec(2, charge_efficiency=0.99)))
    found = law.range_of(spec, 10 * MW)
    assert (found.age_s, found.discharge_efficiency, found.charge_efficiency) == (2.0, 0.9, 0.99)
    assert found.ceiling_w > found.floor_w


def test_a_stale_grid_meter_needs_half_a_second_to_be_one() -> None:
    """Degraded at `max_age_ms`, not before: one lost answer is no event."""
    world = settled(grid_power=Input(GRID, 500))
    last = good(world.grid_w, world.time_s)
    sources = []
    for k in range(8):
        world.override[GRID] = last._replace(age_s=k / 10)
        sources.append(world.step().estimate.source)
    assert sources == ["grid"] * 6 + ["meters"] * 2
