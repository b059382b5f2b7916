"""Limits at run time: who may tighten what, which one binds, and that the grid keeps them."""

import math
from pathlib import Path

import pytest
from desk_case import SPEC, Room, _envelope
from virtual import MW, World, small_spec

from pswd_edge.control.limits import LIMITS_MAX, HeldLimit, ordered, tightest
from pswd_edge.control.publish import limits_of
from pswd_edge.control.rules.law import Orders
from pswd_edge.control.rules.reserve import may_fall
from pswd_edge.model.command import Accepted, Clamped, Level, Mode, Rejected, SetLimit


def limit(name: str = "import_limit_w", value: float | None = 60 * MW, **changes: object) -> SetLimit:
    own = {k: changes.pop(k) for k in ("emergency", "from_utc_s") if k in changes}
    return SetLimit(**_envelope(changes), name=name, value=value, **own)


def held(value: float, level: Level, origin: str, sequence: int, name: str = "import_limit_w") -> HeldLimit:
    return HeldLimit(name, value, level, origin, 1e9, sequence)


LOOSER = [
    ("import_limit_w", SPEC.import_limit_w + 1, SPEC.import_limit_w, "import_limit_w"),
    ("ramp_limit_w_per_min", 2 * SPEC.ramp_limit_w_per_min, SPEC.ramp_limit_w_per_min, "ramp_limit_w_per_min"),
    ("load_ceiling_w", SPEC.load_maximum_w + 1, SPEC.load_maximum_w, "load_range.maximum_w"),
    ("load_floor_w", 0.0, SPEC.load_floor_w, "load_range.floor_w"),
]


@pytest.mark.parametrize("level", [Level.OPERATOR, Level.API])
@pytest.mark.parametrize(("name", "asked", "given", "binding"), LOOSER)
async def test_nobody_loosens_what_the_site_file_says(
    tmp_path: Path, name: str, asked: float, given: float, binding: str, level: Level
) -> None:
    """Not the operator either: the site file is the contract. The answer names what bound it."""
    room = Room(tmp_path)
    await room.start()
    outcome = await room.ask(limit(name, asked), level)
    assert isinstance(outcome, Clamped)
    assert (outcome.value, outcome.limit) == (given, binding)
    assert room.desk.tightest[name].value == given


@pytest.mark.parametrize(("request_", "code"), [
    (limit("tariff", 1.0), "not_found"),
    (limit("import_limit_w", -1.0), "invalid"),
    (limit("import_limit_w", float("nan")), "invalid"),
    (limit("ramp_limit_w_per_min", 0.0), "invalid"),
    (limit("load_ceiling_w", SPEC.load_floor_w - 1), "invalid"),
    (limit("load_floor_w", SPEC.load_ceiling_w + 1), "invalid"),
    (limit(ttl_s=0.0), "ttl"),
    (limit(ttl_s=86401.0), "ttl"),
    (limit("export_limit_w", 0.0, emergency=True), "invalid"),
    (limit(emergency=True), "forbidden"),
])
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    tmp_path: Path, request_: SetLimit, code: str
) -> None:
    """A ramp of 0 would stop the reference for good; a limit without an end would be forgotten."""
    room = Room(tmp_path)
    await room.start()
    outcome = await room.ask(request_)
    assert isinstance(outcome, Rejected)
    assert outcome.code == code
    assert room.desk.limits == {}


def test_the_tighter_limit_wins_whoever_asked() -> None:
    """Constraints intersect: a program may tighten the grid operator's limit and never widen it."""
    grid, api = held(60 * MW, Level.GRID, "operator:a", 1), held(50 * MW, Level.API, "api:b", 2)
    assert tightest([grid, api])["import_limit_w"] is api
    assert tightest([grid, api._replace(value=70 * MW)])["import_limit_w"] is grid
    assert tightest([api._replace(value=60 * MW), grid])["import_limit_w"] is grid
    floors = [held(v, Level.API, str(v), 1, "load_floor_w") for v in (25 * MW, 30 * MW)]
    assert tightest(floors)["load_floor_w"].value == 30 * MW


async def test_each_program_lets_go_of_its_own_only(tmp_path: Path) -> None:
    """Two programs do not know of each other; the operator's newest word replaces the operator's last."""
    room = Room(tmp_path)
    await room.start()
    await room.ask(limit(value=50 * MW, origin="api:a"))
    await room.ask(limit(value=None, origin="api:b"))
    assert room.desk.tightest["import_limit_w"].value == 50 * MW
    await room.ask(limit(value=40 * MW, origin="operator:a"), Level.OPERATOR)
    await room.ask(limit(value=45 * MW, origin="operator:b"), Level.OPERATOR)
    assert room.desk.tightest["import_limit_w"].value == 45 * MW
    await room.ask(limit(value=None, origin="api:a"))
    await room.ask(limit(value=None, origin="operator:c"), Level.OPERATOR)
    assert room.desk.tightest == {}


async def test_a_limit_expires_and_survives_a_restart(tmp_path: Path) -> None:
    """The ledger has it: a restart must not widen the contract; its end counts from when it was asked."""
    room = Room(tmp_path)
    await room.start()
    assert isinstance(await room.ask(limit(ttl_s=60.0, emergency=True), Level.OPERATOR), Accepted)
    await room.restart(40.0)
    assert room.desk.tightest["import_limit_w"].level is Level.GRID
    assert ordered(Orders(Mode.AUTO, 98 * MW), room.desk.tightest).emergency
    assert room.later(19.0) == []
    assert room.later(1.0) == ["import_limit_w of api:alice expired"]
    assert room.desk.tightest == {}


async def test_the_number_of_limits_is_bounded(tmp_path: Path) -> None:
    """Each cycle looks at all of them."""
    room = Room(tmp_path)
    await room.start()
    room.desk.limits = {("import_limit_w", Level.API, str(i)): held(60 * MW, Level.API, str(i), i)
                        for i in range(LIMITS_MAX)}
    outcome = await room.ask(limit(origin="api:one-more"))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "too_many"


async def test_workloads_are_judged_by_the_import_limit_of_now(tmp_path: Path) -> None:
    """What the grid will not give cannot be promised to a job."""
    room = Room(tmp_path)
    await room.start()
    await room.ask(limit(value=30 * MW))
    assert room.desk.spec.import_limit_w == 30 * MW
    assert room.desk.ceiling_w(room.facts().limits) == 30 * MW


@pytest.mark.parametrize("emergency", [False, True])
def test_an_import_limit_below_the_load_is_reached_at_the_ramp_or_at_once(emergency: bool) -> None:
    """Scenario 34: 90 MW of load, 60 MW allowed, 120 MW of batteries."""
    world = World(small_spec(), 90 * MW)
    world.run(300)
    begun_w = world.grid_w
    for k in range(1, 3001):
        before_w = world.grid_w
        world.step(import_limit_w=60 * MW, emergency=emergency)
        if emergency:
            assert k == 1 or world.grid_w <= 60 * MW + 1, k
        else:
            assert before_w - world.grid_w <= 0.011 * MW + 1, k
    assert begun_w > 80 * MW
    assert world.grid_w <= 60 * MW + 1


def test_an_import_limit_that_the_batteries_cannot_reach_sheds() -> None:
    """Scenario 34: below load less battery power: the rest of the load has to go."""
    world = World(small_spec(batteries=small_spec().batteries[:1]), 95 * MW)
    world.tier_w = dict.fromkeys(world.tier_w, 20 * MW)
    world.run(300)
    decision = world.run(50, import_limit_w=20 * MW, emergency=True)[-1]
    assert decision.battery_w == pytest.approx(60 * MW, rel=0.01)
    assert any(t.engaged for t in world.state.shed.tiers)


def test_the_ramp_may_change_and_the_reference_keeps_to_what_holds_now() -> None:
    """Scenario 35: 10, then 2, then 10 MW/min, with the load jumping at each change."""
    world, reference_w = World(small_spec(), 40 * MW), 0.0
    world.run(100)
    for ramp_mw, load_mw in ((10.0, 60.0), (2.0, 40.0), (10.0, 70.0)):
        world.load_w = load_mw * MW
        for _ in range(300):
            reference_w = world.state.reference.reference_w
            decision = world.step(ramp_w_per_min=ramp_mw * MW)
            most_w = ramp_mw * MW / 600 + 1
            assert abs(world.state.reference.reference_w - reference_w) <= most_w
            assert decision.tuning.up_w_per_s <= ramp_mw * MW / 60


def test_a_lower_floor_is_promised_when_there_is_room_for_it() -> None:
    """Full batteries cannot take a drop to the new floor; the promise waits until they can."""
    world = World(small_spec(), 60 * MW)
    decision = world.run(20)[-1]
    limits = decision.limits._replace(floor_w=50 * MW)
    assert may_fall(20 * MW, 60 * MW, decision.fleet.below_max_wh, 120 * MW, limits)
    assert not may_fall(20 * MW, 60 * MW, 0.0, 120 * MW, limits)
    assert not may_fall(20 * MW, 60 * MW, decision.fleet.below_max_wh, 30 * MW, limits)


async def test_a_limit_can_be_ordered_for_later(tmp_path: Path) -> None:
    """An event of demand response is announced: in force from its begin on, to be seen before, over a restart too."""
    room = Room(tmp_path)
    await room.start()
    begin_utc_s = room.clock.utc_s() + 100.0
    await room.ask(limit(value=80 * MW, ttl_s=3600.0), Level.OPERATOR)
    answer = await room.ask(limit(value=50 * MW, ttl_s=700.0, from_utc_s=begin_utc_s), Level.OPERATOR)
    assert isinstance(answer, Accepted)
    assert "from " in answer.reason
    await room.restart(20.0)
    assert room.desk.tightest["import_limit_w"].value == 80 * MW
    reports = limits_of(room.desk.limits.values(), room.clock.monotonic_s())
    assert [(r.value, r.binds, round(r.begins_s)) for r in reports] == [(80 * MW, True, 0), (50 * MW, False, 80)]
    room.later(81.0)
    assert room.desk.tightest["import_limit_w"].value == 50 * MW
    room.later(600.0)
    assert room.desk.tightest["import_limit_w"].value == 80 * MW


async def test_letting_go_of_a_limit_lets_go_of_those_to_come(tmp_path: Path) -> None:
    """Else a limit that nobody remembers would begin by itself. Others' stay."""
    room = Room(tmp_path)
    await room.start()
    begin_utc_s = room.clock.utc_s() + 100.0
    await room.ask(limit(value=50 * MW, ttl_s=700.0, from_utc_s=begin_utc_s, origin="api:a"))
    await room.ask(limit(value=60 * MW, ttl_s=700.0, from_utc_s=begin_utc_s, origin="api:b"))
    await room.ask(limit(value=None, origin="api:a"))
    assert [held.value for held in room.desk.limits.values()] == [60 * MW]


@pytest.mark.parametrize(("begins_s", "emergency"), [(700.0, False), (math.nan, False), (-1e10, False), (10.0, True)])
async def test_a_begin_outside_its_time_is_refused(begins_s: float, emergency: bool, tmp_path: Path) -> None:
    """Beyond its own end, no number, and an emergency that waits."""
    room = Room(tmp_path)
    await room.start()
    asked = limit(ttl_s=600.0, from_utc_s=room.clock.utc_s() + begins_s, emergency=emergency)
    answer = await room.ask(asked, Level.OPERATOR)
    assert isinstance(answer, Rejected)
    assert room.desk.limits == {}
