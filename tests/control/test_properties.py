"""What the law promises (P1 to P8), for loads, faults and orders that nobody thought of.

P2 is in `test_reference.py` and `bench/adversary.py`, here with the budget and a load that runs ahead of its filter; P7
over desk and arbiter in `test_commands_within_limits.py`, here over the law alone.
"""

import math

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from virtual import GRID, LOAD, MW, MWH, World, bad, battery_spec, fleet, good, limits, small_spec

from pswd_edge.control.rules import budget, law
from pswd_edge.control.rules.deficit import needs
from pswd_edge.control.rules.reference import Aim, Reference, step
from pswd_edge.control.rules.reserve import down_wh, up_wh
from pswd_edge.model.command import Mode

T = 0.1
SPEC = small_spec()
CEILING = SPEC.load_ceiling_w
LOADS = st.lists(st.tuples(st.floats(20 * MW, 98 * MW), st.integers(1, 40)), min_size=2, max_size=8)
WILD_LOADS = st.lists(st.tuples(st.floats(0, 140 * MW), st.integers(1, 40)), min_size=2, max_size=8)
NUMBERS = st.one_of(st.none(), st.floats(-300 * MW, 300 * MW), st.sampled_from([math.nan, math.inf, -math.inf, 0.0]))
ORDERS = st.fixed_dictionaries(
    {"mode": st.sampled_from([Mode.AUTO, Mode.AUTO, Mode.MANUAL, Mode.SAFE, Mode.OBSERVE])},
    optional=dict.fromkeys(("target_w", "target_ramp_w_per_s", "manual_w", "import_limit_w", "hint_w",
                            "export_limit_w", "floor_w"), NUMBERS)
    | {"ceiling_w": st.floats(-50 * MW, 200 * MW), "ramp_w_per_min": st.floats(0, 20 * MW)})
FAULTS = st.sampled_from(["", "", "", "grid", "both", "battery", "soc", "nan", "missed"])
EVENTS = st.lists(st.tuples(ORDERS, FAULTS, st.floats(0, 140 * MW), st.integers(1, 15)), min_size=3, max_size=12)


def faulty(world: World, fault: str) -> None:
    """Readings that fail from now on."""
    b1 = SPEC.batteries[0]
    world.lost = {"b1"} if fault == "battery" else set()
    world.override = {
        "grid": {GRID: bad()}, "both": {GRID: bad(), LOAD: bad()}, "soc": {b1.soc.point: bad()},
        "nan": {GRID: good(math.nan, world.time_s), b1.power.point: good(math.nan, world.time_s)}}.get(fault, {})


def driven(spec, events) -> list[tuple[World, law.Decision]]:
    """A run under these events; the world is the same object throughout."""
    world, out = World(spec, 50 * MW), []
    world.run(3)
    for orders, fault, load_w, cycles in events:
        faulty(world, fault)
        world.load_w = load_w
        dt_s = 0.3 if fault == "missed" else T
        out += [(world, world.step(dt_s=dt_s, **orders)) for _ in range(cycles)]
    return out


@given(LOADS, st.floats(0.3, 1.0), st.booleans())
@settings(max_examples=25, deadline=None)
def test_p1_the_reference_keeps_its_ramp_wherever_the_batteries_can(loads, down_share, predicts) -> None:
    """By construction, for any load, up and down each with its own ramp."""
    spec = small_spec(ramp_down_w_per_s=down_share * SPEC.ramp_down_w_per_s, predicts=predicts)
    world = World(spec, 50 * MW)
    world.run(3)
    for load_w, cycles in loads:
        world.load_w = load_w
        for _ in range(cycles):
            before = world.state.reference.reference_w
            made = world.step()
            change = world.state.reference.reference_w - before
            assert made.binding != "battery"
            assert -spec.ramp_down_w_per_s * T - 1 <= change <= spec.ramp_up_w_per_s * T + 1


EDGES = st.one_of(st.sampled_from([20 * MW, 98 * MW]), st.floats(20 * MW, 98 * MW))
HELD = st.sampled_from(["free", "still", "window"])


@given(st.lists(st.tuples(EDGES, st.sampled_from([1, 10, 300, 1500]), HELD), min_size=4, max_size=8),
       st.floats(0.4, 1.0), st.floats(0.4, 1.0), st.floats(0.0, 1.0))
@example([(98 * MW, 1, "free"), (20 * MW, 1500, "free")] + [(20 * MW, 10, "free")] * 2, 1.0, 0.5, 0.0)
@example([(98 * MW, 1500, "still")] * 8, 1.0, 1.0, 0.5)
@example([(20 * MW, 1500, "still")] * 8, 1.0, 1.0, 0.5)
@settings(max_examples=40, deadline=None)
def test_p2_the_smallest_battery_carries_any_load_whatever_budget_and_predictor_ask(loads, up, down, start) -> None:
    """Each reference between the viable ends keeps the theorem: a budget that holds it back cannot break it.

    What is followed is any load of the range, not only a filtered one, and the ramps differ: that is all that the
    predictor can do to it.
    """
    found = limits(up_w_per_s=up * 0.11 * MW, down_w_per_s=down * 0.11 * MW)
    usable = max(up_wh(found.floor_w, found), down_wh(found.ceiling_w, found))
    energy, reference = usable * start, _viable_start(found, usable, usable * start)
    state, spent = Reference(reference, reference, reference), budget.begun(reference, T)
    for load, cycles, held in loads:
        for _ in range(cycles):
            r, share = state.reference_w, 0.2 if held == "window" else 0.97
            aim = Aim(500 * MW, 2 * MW, 60.0, 300.0, budget_w=(r, r) if held == "still" else budget.bounds_w(
                spent, share * found.up_w_per_s * 60, share * found.down_w_per_s * 60))
            made = step(state, (load + state.mean_w) / 2, load, fleet(energy, usable - energy), found, aim, T)
            battery = made.battery_w
            drawn = battery / found.discharge_efficiency if battery > 0 else battery * found.charge_efficiency
            energy -= drawn * T / 3600
            change = made.state.reference_w - state.reference_w
            assert made.binding != "reserve_insufficient"
            assert -found.down_w_per_s * T - 1 <= change <= found.up_w_per_s * T + 1
            assert -1.0 <= energy <= usable + 1.0
            state, spent = made.state, budget.observed(spent, load - battery, T)


def _viable_start(found, usable, energy) -> float:
    grid = [found.floor_w + i / 400 * (found.ceiling_w - found.floor_w) for i in range(401)]
    fits = [r for r in grid if energy >= up_wh(r, found) and usable - energy >= down_wh(r, found)]
    assume(fits)  # a store that is full to the last Wh has no room for a cycle's charge: the theorem begins with both
    return fits[len(fits) // 2]


@given(LOADS)
@settings(max_examples=25, deadline=None)
def test_p3_the_grid_is_off_its_reference_by_the_filter_and_one_cycle(loads) -> None:
    """|grid - r| is at most what the filter leaves, what the load did in the one cycle of delay, and one ramp step."""
    world = World(SPEC, 50 * MW)
    world.run(3)
    for load_w, cycles in loads:
        for _ in range(cycles):
            was_w = world.load_w
            world.load_w = load_w
            left = abs(load_w - was_w)
            world.step()
            fed, reference = world.state.feed, world.state.reference
            off = abs(world.grid_w - reference.reference_w)
            assert off <= abs(load_w - fed.filtered_w) + left + SPEC.ramp_up_w_per_s * T + 1


@given(st.lists(st.tuples(st.floats(0, 140 * MW), st.integers(20, 200), NUMBERS), min_size=2, max_size=6),
       st.sampled_from([10.05, 12.0, 88.0, 89.95]))
@settings(max_examples=25, deadline=None)
def test_p4_no_load_and_no_target_leads_the_energy_out_of_its_window(loads, soc) -> None:
    """Small batteries, at the end of their window already, whatever is asked of them."""
    small = tuple(battery_spec(n, 60 * MW, 1.5 * MWH, soc_age_s=0.2) for n in (1, 2))
    world = World(small_spec(batteries=small), 50 * MW, soc)
    for load_w, cycles, target_w in loads:
        world.load_w = load_w
        for _ in range(cycles):
            world.step(target_w=target_w)
            assert all(10.0 - 0.01 <= s <= 90.0 + 0.01 for s in world.soc_percent.values())


@given(st.floats(60 * MW, 95 * MW), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_p5_a_reference_that_was_pulled_is_back_on_its_ramp_with_the_next_cycle(load_w, cycles) -> None:
    """While the batteries give nothing, the grid has the load; then it goes on from there, at the ramp."""
    none = tuple(replace(b, discharge_limit=b.setpoint + 1, charge_limit=b.setpoint + 2) for b in SPEC.batteries)
    world, rated = World(small_spec(batteries=none, tiers=()), 30 * MW), {}
    for b in none:
        rated |= {b.discharge_limit: good(b.discharge_rating_w, world.time_s),
                  b.charge_limit: good(b.charge_rating_w, world.time_s)}
    world.override = rated
    world.run(3)
    world.load_w = load_w
    world.override = {point: good(0.0, world.time_s) for point in rated}
    held = world.run(cycles)
    assert {d.binding for d in held} == {"battery"}
    assert all(abs(d.battery_w) < 1 for d in held)
    assert abs(world.state.reference.reference_w - world.state.reference.followed_w) < 1
    world.override = rated
    for _ in range(10):
        before = world.state.reference.reference_w
        world.step()
        assert abs(world.state.reference.reference_w - before) <= SPEC.ramp_up_w_per_s * T + 1


def limited(world: World, batteries, most_w: float) -> None:
    """What each battery says that it may give and take, from now on."""
    points = [point for b in batteries for point in (b.discharge_limit, b.charge_limit)]
    world.override = {point: good(most_w, world.time_s) for point in points}


@given(st.floats(22 * MW, 95 * MW), st.floats(22 * MW, 95 * MW), st.floats(0.0, 10 * MW), st.integers(2, 60),
       st.floats(0.3, 1.0), st.booleans())
@example(22 * MW, 22 * MW, 1e-237, 13, 1.0, False)
@settings(max_examples=40, deadline=None)
def test_p5_a_battery_that_cannot_give_what_is_wanted_pulls_the_reference_and_one_cycle_ends_it(
    start_w, load_w, most_w, cycles, down_share, predicts
) -> None:
    """Up and down, with any share of their power left: r is where the grid is, and leaves it at its ramp."""
    batteries = tuple(replace(b, discharge_limit=b.setpoint + 1, charge_limit=b.setpoint + 2) for b in SPEC.batteries)
    spec = small_spec(batteries=batteries, tiers=(), ramp_down_w_per_s=down_share * SPEC.ramp_down_w_per_s,
                      predicts=predicts)
    world = World(spec, start_w)
    limited(world, batteries, 60 * MW)
    world.run(3)
    limited(world, batteries, most_w)
    world.load_w = load_w
    for _ in range(cycles):
        made = world.step()
        if made.binding == "battery":
            given_w, followed_w = made.battery_w, world.state.reference.followed_w
            assert abs(abs(given_w) - 2 * most_w) < 1
            assert abs(world.state.reference.reference_w - (followed_w - given_w)) < 1
    limited(world, batteries, 60 * MW)
    for k in range(10):
        before = world.state.reference.reference_w
        made = world.step()
        change = world.state.reference.reference_w - before
        assert made.binding != "battery", k
        assert -spec.ramp_down_w_per_s * T - 1 <= change <= spec.ramp_up_w_per_s * T + 1, k


@given(st.floats(20 * MW, 90 * MW), st.floats(0.0, 60 * MW), st.floats(0.1 * MWH, 10 * MWH), st.floats(5 * MW, 80 * MW),
       st.floats(0.03 * MW, 0.3 * MW))
@settings(max_examples=150, deadline=None)
def test_p5_a_deficit_is_the_violation_that_is_to_come(reference_w, gap_w, energy_wh, power_w, up_w_per_s) -> None:
    """For a constant load: where there is one the ramp or the batteries break, where there is none they hold."""
    found, load_w = limits(up_w_per_s=up_w_per_s), reference_w + gap_w
    need = needs(load_w, reference_w, fleet(energy_wh, 50 * MWH, power_w), found, 500 * MW, 0.0)
    close_w = 0.02 * gap_w + 2 * up_w_per_s * T
    assume(abs(need.deficit_w) > close_w)
    left_wh, r, breaks = energy_wh, reference_w, False
    while r < load_w and not breaks:
        r = min(load_w, r + up_w_per_s * T)
        battery_w = load_w - r
        left_wh -= battery_w / found.discharge_efficiency * T / 3600
        breaks = battery_w > power_w or left_wh < 0
    assert breaks is (need.deficit_w > 0)


@given(st.lists(st.tuples(st.floats(20 * MW, 140 * MW), st.integers(1, 60), st.floats(5 * MW, 100 * MW)), min_size=4,
                max_size=12))
@settings(max_examples=15, deadline=None)
def test_p6_no_tier_comes_or_goes_before_its_least_time(loads) -> None:
    """For any load, any import limit, and tiers that obey at once."""
    tiers = tuple(replace(t, min_on_s=4.0, min_off_s=3.0, actuation_s=0.2) for t in SPEC.tiers)
    spec = small_spec(tiers=tiers, batteries=(battery_spec(1, 5 * MW),), release_after_s=1.0, release_gap_s=0.5)
    world, since = World(spec, 50 * MW), dict.fromkeys((t.id for t in tiers), -math.inf)
    for load_w, cycles, import_w in loads:
        for _ in range(cycles):
            engaged = [t.engaged for t in world.state.shed.tiers]
            world.tier_w = {t.id: 1 * MW if on else 15 * MW for t, on in zip(tiers, engaged, strict=True)}
            world.load_w = load_w - 14 * MW * sum(engaged)
            now = world.time_s
            world.step(import_limit_w=import_w)
            for tier, old, new in zip(tiers, engaged, world.state.shed.tiers, strict=True):
                if old != new.engaged:
                    assert now - since[tier.id] >= (tier.min_on_s if old else tier.min_off_s) - 1e-6
                    since[tier.id] = now


@given(EVENTS)
@settings(max_examples=40, deadline=None)
def test_p7_no_command_is_beyond_a_battery_whatever_is_ordered_and_fails(events) -> None:
    """Limits, modes, targets and faults change in mid-run; every command is a number within rating and energy."""
    for world, made in driven(SPEC, events):
        assert math.isfinite(made.battery_w)
        assert made.binding
        assert made.grid.import_w <= SPEC.import_limit_w
        assert made.grid.ramp_w_per_min <= SPEC.ramp_limit_w_per_min
        if made.acts:
            assert abs(sum(made.shares.values()) - made.battery_w) < 1
            for b in made.fleet.batteries:
                power = made.shares.get(b.id, 0.0)
                assert -b.charge_available_w - 1 <= power <= b.discharge_available_w + 1
                assert b.usable or power == 0.0
        assert world.state.reference is None or all(map(math.isfinite, world.state.reference))


@given(EVENTS, st.booleans())
@settings(max_examples=15, deadline=None)
def test_p8_the_same_inputs_give_the_same_bits(events, predicts) -> None:
    """Else no recording could be replayed, and no decision explained afterwards."""
    spec = small_spec(predicts=predicts)
    first, second = (driven(spec, events) for _ in range(2))
    assert [repr(made) for _, made in first] == [repr(made) for _, made in second]
    assert repr(first[-1][0].state) == repr(second[-1][0].state)
