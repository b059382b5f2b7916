"""The table of degraded modes, row by row: each is brought about, and the law does what its row says."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, GRID, LOAD, MW, World, bad, good, small_spec

from pswd_edge.control.modes import ModeKeeper
from pswd_edge.control.refusals import BACK_S, NOT_TAKEN_S, Refusals
from pswd_edge.control.rules import law
from pswd_edge.control.rules.degraded import ROWS, Facts, Row, policy
from pswd_edge.model.command import Mode
from pswd_edge.model.control import Branch, Input
from pswd_edge.model.ports import SlotState
from pswd_edge.model.quality import Quality, Reason

SPEC = small_spec()
B1 = SPEC.batteries[0]
STEP_W = SPEC.ramp_up_w_per_s * 0.1


class Case(NamedTuple):
    """How a row is brought about in a world that has settled: overrides, orders, and how many cycles it may take."""

    spoil: Callable[[World], dict[str, object]]
    name: str
    cycles: int = 5
    spec: object = SPEC


def override(point: int, make: Callable[[World], object]) -> Callable[[World], dict[str, object]]:
    def spoil(world: World) -> dict[str, object]:
        world.override[point] = make(world)
        return {}
    return spoil


def frozen(world: World) -> dict[str, object]:
    """The batteries swing, the meter stands still."""
    world.load_w += 30 * MW * (1 if world.cycles % 20 < 10 else -1) / 10
    count = world.override[GRID].unchanged + 1 if GRID in world.override else 1
    world.override[GRID] = good(world.__dict__.setdefault("stuck_w", world.grid_w), world.time_s, unchanged=count)
    return {}


def outvoted(world: World) -> dict[str, object]:
    world.override |= {70: good(world.grid_w, world.time_s), 71: good(5 * world.grid_w, world.time_s)}
    return {}


def not_following(world: World) -> dict[str, object]:
    """One battery does nothing, whatever it is told; the load asks for much."""
    world.load_w = 90 * MW
    world.override[B1.power.point] = good(0.0, world.time_s)
    return {}


def oscillating(world: World) -> dict[str, object]:
    """One battery swings by a tenth of its rating around what it is told."""
    power_w = world.power_w["b1"] + 6 * MW * math.sin(0.8 * world.cycles)
    world.override[B1.power.point] = good(power_w, world.time_s)
    return {}


def shrunk(world: World) -> dict[str, object]:
    """Batteries of a tenth: neither reserve has room."""
    world.spec = replace(SPEC, batteries=tuple(replace(b, capacity_wh=1.5e6) for b in SPEC.batteries))
    return {}


GUARDED = replace(SPEC, branches=(Branch("hall", 65 * MW, None, Input(80)),))
VOTING = replace(SPEC, grid_meters=(Input(70), Input(71)))
CASES = {
    "grid_meter_<reason>": Case(override(GRID, lambda w: bad(Reason.UNREACHABLE)), "grid_meter_unreachable"),
    "grid_meter_not_a_number": Case(override(GRID, lambda w: good(math.nan, w.time_s)), "grid_meter_not_a_number"),
    "grid_meter_frozen": Case(frozen, "grid_meter_frozen", 60),
    "grid_meter_implausible": Case(override(GRID, lambda w: good(1e9, w.time_s)), "grid_meter_implausible"),
    "grid_meter_contradicted": Case(override(GRID, lambda w: good(-w.grid_w, w.time_s)), "grid_meter_contradicted"),
    "grid_meter_outvoted:<place>": Case(outvoted, "grid_meter_outvoted:2", spec=VOTING),
    "battery_power_unknown": Case(override(B1.power.point, lambda w: bad()), "battery_power_unknown"),
    "load_meters_unknown": Case(override(LOAD, lambda w: bad()), "load_meters_unknown"),
    "blind": Case(lambda w: w.override.update({GRID: bad(), LOAD: bad()}) or {}, "blind"),
    "battery_lost:<id>": Case(lambda w: w.lost.add("b1") or {}, "battery_lost:b1"),
    "battery_not_following:<id>": Case(not_following, "battery_not_following:b1", 40),
    "battery_oscillates:<id>": Case(oscillating, "battery_oscillates:b1", 60),
    "setpoint_refused:<id>": Case(lambda w: {"refused": frozenset({B1.setpoint})}, "setpoint_refused:b1"),
    "not_commissioned": Case(lambda w: {"barred": frozenset({B1.setpoint})}, "not_commissioned"),
    "loop_too_slow": Case(lambda w: {"ramp_w_per_min": 0.5 * MW}, "loop_too_slow"),
    "supervision_lost:<who>": Case(lambda w: {"silent": ("api:a",)}, "supervision_lost:api:a"),
    "reserve_insufficient": Case(shrunk, "reserve_insufficient"),
    "circuit_overload:<id>": Case(override(80, lambda w: good(66 * MW, w.time_s)), "circuit_overload:hall",
                                  spec=GUARDED),
    "circuit_unknown:<id>": Case(override(80, lambda w: bad()), "circuit_unknown:hall", spec=GUARDED),
}
BESIDE_THE_LAW = {"cycles_missed", "soc_uncertain:<id>", "ups_on_battery", "ups_unknown:<id>", "frequency_unknown"}
"""Rows that the loop or another rule brings about; they have tests of their own."""


def brought_about(row: Row) -> tuple[World, law.Decision, bool]:
    case = CASES[row.name]
    world = World(case.spec, 60 * MW)
    world.override |= {p: good(60 * MW, world.time_s) for p in (70, 71, 80)}
    world.tier_w = dict.fromkeys(world.tier_w, 10 * MW)
    for _ in range(60):
        world.override |= {p: good(world.grid_w, world.time_s) for p in (70, 71, 80)}
        assert case.name not in world.step().degraded
    for _ in range(case.cycles):
        decision = world.step(**case.spoil(world))
        if case.name in decision.degraded:
            return world, decision, True
    return world, decision, False


def test_every_row_is_brought_about_by_a_test() -> None:
    """A row that nothing brings about says nothing about the program."""
    assert set(CASES) | BESIDE_THE_LAW == {row.name for row in ROWS}


@pytest.mark.parametrize("row", [r for r in ROWS if r.name in CASES], ids=lambda r: r.name)
def test_the_law_does_what_the_row_says(row: Row) -> None:
    """Named in the same cycle or after its own time; then batteries, energy and tiers as the table has it."""
    _, decision, found = brought_about(row)
    assert found, decision.degraded
    if row.batteries == "released":
        assert decision.binding == "blind"
    if row.batteries == "others":
        assert decision.shares.get("b1", 0.0) == 0.0
        assert not decision.fleet.batteries[0].usable
        assert decision.fleet.batteries[1].usable
    if row.batteries == "led":
        assert decision.step is not None
    assert decision.starts is row.starts


@pytest.mark.parametrize("row", [r for r in ROWS if r.name in CASES and not r.gives_back], ids=lambda r: r.name)
def test_no_tier_comes_back_while_the_row_holds(row: Row) -> None:
    """A load that is given back on a guess may have to go again; 40 s is longer than any dwell time."""
    case = CASES[row.name]
    world = World(case.spec, 60 * MW)
    world.tier_w = dict.fromkeys(world.tier_w, 10 * MW)
    world.run(20)
    engaged = world.state.shed.tiers[0]._replace(engaged=True, since_s=world.time_s - 100, before_w=10 * MW,
                                                 shed_w=10 * MW, gone_w=10 * MW, cap_w=0.0, filtered_w=0.0)
    world.state = world.state._replace(
        shed=world.state.shed._replace(tiers=(engaged, *world.state.shed.tiers[1:])))
    world.tier_w["t1"] = 0.0
    for k in range(400):
        decision = world.step(**case.spoil(world))
        if case.name in decision.degraded:
            assert world.state.shed.tiers[0].engaged, k


@pytest.mark.parametrize("row", [r for r in ROWS if r.name in CASES and not r.restores], ids=lambda r: r.name)
def test_no_energy_is_restored_while_the_row_holds(row: Row) -> None:
    """The target is then the load's mean and nothing beside it."""
    _, decision, _ = brought_about(row)
    if decision.step is not None:
        assert decision.step.target_w == pytest.approx(decision.step.state.mean_w)


def test_all_is_well_leaves_everything_allowed() -> None:
    """And rows together leave what each of them leaves."""
    assert policy(Facts()) == policy(Facts(batteries=(("b1", ""),)))
    both = policy(Facts(flaw="grid_meter_stale", source="none", batteries=(("b1", "state 2"),), overruns=6))
    assert both.names == ("grid_meter_stale", "blind", "battery_lost:b1", "cycles_missed")
    assert (both.released, both.restores, both.sheds, both.gives_back, both.starts, both.safe) == (
        True, False, False, False, False, True)


def test_a_soc_that_is_uncertain_is_told_and_the_law_goes_on() -> None:
    """The window is shrunk where the energy is counted; here it only has its name."""
    found = policy(Facts(soc_uncertain=("b1",)))
    assert found.names == ("soc_uncertain:b1",)
    assert found.starts


def test_a_ups_on_its_own_store_takes_charging_away_and_nothing_else() -> None:
    """Row `ups_on_battery`: `derate.py` bars charging; the rest of the law goes on."""
    found = policy(Facts(ups_on_battery=True))
    assert found.names == ("ups_on_battery",)
    assert found.restores
    assert found.starts
    assert not found.released


def test_a_ups_that_does_not_answer_stops_restoring_and_nothing_else() -> None:
    """Row `ups_unknown`: what may be a site without its feeder is no moment to draw more than the load needs."""
    found = policy(Facts(ups_unknown=("ups-1",)))
    assert found.names == ("ups_unknown:ups-1",)
    assert not found.restores
    assert found.starts
    assert not found.released


def test_missed_cycles_lead_to_safe_and_stay_there() -> None:
    """Row `cycles_missed`: the sixth in a row, and good time afterwards does not end it."""
    keeper = ModeKeeper("auto", 5.0)
    keeper.order(Mode.AUTO, "console", 0.0)
    for _ in range(5):
        keeper.overrun(1, 1.0)
    assert keeper.mode is Mode.AUTO
    keeper.overrun(1, 1.0)
    keeper.overrun(0, 2.0)
    assert keeper.mode is Mode.SAFE


# --- set-points that are not taken, and meters that vote ------------------------------------------------------


class Slots:
    """A field of which only the actuators' states are asked."""

    def __init__(self) -> None:
        self.state = "verified"

    def slot(self, point: int) -> SlotState:
        return SlotState(self.state if point == B1.setpoint else "verified", 0.0)


def test_a_set_point_that_is_not_taken_for_a_second_is_out_until_it_is_taken_again() -> None:
    """One lost answer is no fault; a device that refuses has kept its old set-point, whatever control believes."""
    field, refusals = Slots(), Refusals(SPEC)

    def after(seconds: float, state: str, from_s: float) -> frozenset[int]:
        field.state = state
        for k in range(round(seconds * 10) + 1):
            found = refusals.update(field, from_s + k / 10)
        return found

    assert after(NOT_TAKEN_S - 0.2, "refused", 0.0) == frozenset()
    assert after(0.1, "verified", 1.0) == frozenset()
    assert after(NOT_TAKEN_S, "silent", 2.0) == {B1.setpoint}
    assert after(BACK_S - 1.0, "verified", 10.0) == {B1.setpoint}
    assert after(1.0, "verified", 10.0 + BACK_S) == frozenset()
    assert after(NOT_TAKEN_S, "refused", 100.0) == {B1.setpoint}
    assert after(2 * BACK_S - 1.0, "verified", 110.0) == {B1.setpoint}
    assert after(1.0, "verified", 110.0 + 2 * BACK_S) == frozenset()


@pytest.mark.parametrize("wrong", [math.nan, -60 * MW, 0.0, 60e9, 60e3, 61 * MW])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_two_of_three_meters_win(place: int, wrong: float) -> None:
    """Whatever one says, the load is what the two others say, and the one is named."""
    world = World(VOTING, 60 * MW)
    for _ in range(30):
        points = (GRID, 70, 71)
        world.override |= {p: good(world.grid_w, world.time_s) for p in points}
        world.override[points[place]] = good(wrong, world.time_s)
        decision = world.step()
        assert decision.estimate.source == "grid"
        assert decision.estimate.load_w == pytest.approx(60 * MW, rel=0.02)
    apart = not abs(wrong - world.grid_w) < 10 * MW
    assert (f"grid_meter_outvoted:{place}" in decision.degraded) is apart


def test_of_three_meters_one_that_stands_still_is_not_heard() -> None:
    """A frozen value may lie in the middle of the two others."""
    world = World(VOTING, 60 * MW)
    world.override |= {70: good(59 * MW, FIRST_S), 71: good(61 * MW, FIRST_S)}
    world.override[GRID] = good(60 * MW, FIRST_S, FIRST_S, 30)
    decision = world.step()
    assert decision.estimate.grid_w == 59 * MW
    assert decision.degraded == ("grid_meter_outvoted:0",)


def test_with_every_grid_meter_gone_the_load_meters_speak() -> None:
    """Then the first substitute that is whole, then nobody."""
    spec = replace(VOTING, load_substitutes=((Input(80), Input(81)), (Input(82),)))
    world = World(spec, 60 * MW)
    world.run(5)
    world.override |= {GRID: bad(), 70: bad(), 71: bad()}
    assert world.step().estimate.load_w == 60 * MW
    world.override |= {LOAD: bad(), 80: good(40 * MW, world.time_s), 82: good(58 * MW, world.time_s)}
    decision = world.step()
    assert (decision.estimate.load_w, decision.estimate.source) == (58 * MW, "meters")
    world.override |= {80: good(40 * MW, world.time_s), 81: good(19 * MW, world.time_s)}
    assert world.step().estimate.load_w == 59 * MW
    world.override |= {81: good(19 * MW, world.time_s, world.time_s + 2), 82: bad()}
    assert world.step().binding == "blind"


def test_the_quality_bad_of_a_number_is_believed_before_the_number() -> None:
    """BAD with the last value in it must not be voted with."""
    world = World(VOTING, 60 * MW)
    stale = good(60 * MW, world.time_s)._replace(quality=Quality.BAD, reason=Reason.STALE)
    world.override |= {GRID: good(50 * MW, world.time_s), 70: stale, 71: stale}
    decision = world.step()
    assert decision.estimate.grid_w == 50 * MW
    assert decision.degraded == ("grid_meter_outvoted:1", "grid_meter_outvoted:2")
