"""The planner's hint: a wish that is checked, led by the clock, and forgotten in time."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from desk_case import CLOCK_UTC_S, SPEC
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_cycle import Rig, rig, site  # noqa: F401  # a fixture
from test_firm import workload
from virtual import MW, World, good, small_spec

from pswd_edge.control.hints import Hints, between
from pswd_edge.control.holds import Ends
from pswd_edge.control.recorder import Recorder
from pswd_edge.control.requests import check
from pswd_edge.door import FRAME_BYTES_MAX
from pswd_edge.model.command import (
    HINT_KNOTS_MAX,
    Accepted,
    Clamped,
    Hint,
    Level,
    Mode,
    Outcome,
    Rejected,
    Request,
    SetBatteryTarget,
)
from pswd_edge.model.site import RecordingSpec
from pswd_edge.model.snapshot import NEVER
from pswd_edge.model.workload import WorkloadState
from pswd_edge.replay.recording import replay

NOW_S = 500.0


def hint(knots: dict[float, float] | None = None, **changes: object) -> Hint:
    """From 50 MW to 60 MW within 100 s."""
    found = {0.0: 50 * MW, 100.0: 60 * MW} if knots is None else knots
    made = {"id": "h", "origin": "planner", "role": "planner", "issued_utc_s": CLOCK_UTC_S, "ttl_s": 15.0,
            "begin_s": NOW_S, "after_s": tuple(found), "reference_w": tuple(found.values())}
    return Hint(**{**made, **changes})


def taken(wanted: Hint, level: Level = Level.API) -> tuple[Outcome, Hints]:
    hints = Hints()
    return hints.take(wanted, level, SPEC, NOW_S, 7), hints


def test_a_hint_leads_along_straight_lines_by_the_monotonic_clock() -> None:
    """From when its state was read, not from when it arrived: a solver takes its time."""
    outcome, hints = taken(hint(begin_s=NOW_S - 2.0))
    assert outcome == Accepted(id="h", cycle=8)
    assert hints.at(NOW_S) == pytest.approx(50.2 * MW)
    assert hints.at(NOW_S + 10.0) == pytest.approx(51.2 * MW)


def test_a_hint_ends_by_itself() -> None:
    """A gateway that died must not lead the grid for longer than it said."""
    _, hints = taken(hint())
    assert hints.at(NOW_S + 14.99) is not None
    assert hints.at(NOW_S + 15.0) is None


@pytest.mark.parametrize("change", [{"origin": "api:alice"}, {"origin": "console"}, {"origin": "planner2"}])
def test_nobody_else_gives_hints(change: dict[str, str]) -> None:
    """Programs have battery targets, which are written down and answered for."""
    outcome, hints = taken(hint(**change))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "forbidden"
    assert hints.at(NOW_S) is None


def test_the_operator_s_socket_gives_no_hints() -> None:
    """Nobody is to take the planner's name at another level."""
    outcome, _ = taken(hint(), Level.OPERATOR)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "forbidden"


@pytest.mark.parametrize("knots", [
    {}, {float(i): 50 * MW for i in range(HINT_KNOTS_MAX + 1)}, {0.0: math.nan}, {0.0: math.inf}, {math.nan: 50 * MW},
    {0.0: 50 * MW, math.inf: 60 * MW}, {-1.0: 50 * MW}, {5.0: 50 * MW, 4.0: 50 * MW}, {3600.1: 50 * MW}])
def test_a_hint_that_is_no_way_is_refused_and_the_one_before_stays(knots: dict[float, float]) -> None:
    """No number of it may reach the law, and a bad one is no reason to forget a good one."""
    _, hints = taken(hint())
    outcome = hints.take(hint(knots), Level.API, SPEC, NOW_S, 7)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "invalid"
    assert hints.at(NOW_S) == 50 * MW


def test_times_without_powers_are_refused() -> None:
    """Both belong together."""
    outcome, _ = taken(hint(reference_w=(50 * MW,)))
    assert isinstance(outcome, Rejected)
    assert "2 times and 1 powers" in outcome.reason


@pytest.mark.parametrize(("begin_s", "code"), [
    (NOW_S - 30.0, ""), (NOW_S - 30.1, "invalid"), (NOW_S + 5.0, ""), (NOW_S + 5.1, "invalid"),
    (math.nan, "invalid"), (CLOCK_UTC_S, "invalid")])
def test_a_way_of_another_time_is_refused(begin_s: float, code: str) -> None:
    """Of another clock, too: UTC in the place of monotonic time would hold the first knot for years."""
    outcome = check(hint(begin_s=begin_s), Level.API, CLOCK_UTC_S) or taken(hint(begin_s=begin_s))[0]
    assert getattr(outcome, "code", "") == code


@pytest.mark.parametrize(("ttl_s", "code"), [(5.0, ""), (4.9, "ttl"), (60.0, ""), (60.1, "ttl"), (0.0, "ttl")])
def test_a_hint_is_short(ttl_s: float, code: str) -> None:
    """Beyond a minute a plan is of another world; under 5 s its ends would fill the ledger."""
    outcome = check(hint(ttl_s=ttl_s), Level.API, CLOCK_UTC_S) or taken(hint(ttl_s=ttl_s))[0]
    assert getattr(outcome, "code", "") == code


@pytest.mark.parametrize(("asked_w", "kept_w", "limit"), [
    (1e12, min(SPEC.load_maximum_w, SPEC.import_limit_w), "load_maximum"), (-5 * MW, 0.0, "zero")])
def test_a_hint_beyond_what_the_site_can_be_is_clamped(asked_w: float, kept_w: float, limit: str) -> None:
    """The answer names the limit and what was kept."""
    outcome, hints = taken(hint({0.0: asked_w}))
    assert isinstance(outcome, Clamped)
    assert (outcome.value, outcome.limit) == (kept_w, limit)
    assert hints.at(NOW_S) == kept_w


def test_the_largest_hint_goes_through_the_door() -> None:
    """A frame has 64 KiB."""
    largest = hint({i / 10: 1.0 / (i + 3) for i in range(HINT_KNOTS_MAX)})
    frame = msgspec.msgpack.encode(largest)
    assert len(frame) < FRAME_BYTES_MAX / 4
    assert msgspec.msgpack.decode(frame, type=Request) == largest


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 50.0), st.floats(0.0, 200e6)), min_size=1, max_size=30), st.floats(-5, 2000))
def test_between_two_knots_nothing_lies_outside_them(steps: list[tuple[float, float]], at_s: float) -> None:
    """A line between two wishes is a wish between the two."""
    times, powers = [], [w for _, w in steps]
    for step_s, _ in steps:
        times.append((times[-1] if times else 0.0) + step_s)
    found = between(times, powers, at_s)
    after = next((i for i, t in enumerate(times) if t > at_s), len(times))
    near = powers[max(after - 1, 0) : after + 1]
    assert min(near) - 1e-3 <= found <= max(near) + 1e-3


# --- in the cycle -----------------------------------------------------------------------------------------------------

def _fresh(rig: Rig, knots: dict[float, float], name: str = "h1", **changes: object) -> Hint:  # noqa: F811
    return hint(knots, id=name, issued_utc_s=rig.clock.utc_s(), begin_s=rig.clock.monotonic_s(), **changes)


async def _in_auto(rig: Rig) -> float:  # noqa: F811
    await rig.ask(rig.mode(Mode.AUTO))
    report = await rig.run(20)
    assert report.reference_w is not None
    return report.reference_w


def _alive(rig: Rig, load_w: float = 60 * MW) -> None:  # noqa: F811
    """Batteries that do what they are told, and a grid meter that shows the rest."""
    spec = site().control

    def follow(_: int) -> None:
        now_s, told = rig.clock.monotonic_s(), rig.field.applied[-1] if rig.field.applied else {}
        given = {b: told.get(f"{b.id}.power_setpoint_w", 10 * MW) or 0.0 for b in spec.batteries}
        for b, power_w in given.items():
            rig.field.override |= {b.power.point: good(power_w, now_s), b.setpoint: good(power_w, now_s)}
        rig.field.override[spec.grid_power.point] = good(load_w - sum(given.values()), now_s)

    rig.field.on["inputs"] = follow


async def _moved(rig: Rig) -> float:  # noqa: F811
    report = await rig.run(1)
    assert report.reference_w is not None
    return report.reference_w


async def test_the_law_goes_where_the_hint_is_and_back_without_a_step(rig: Rig) -> None:  # noqa: F811
    """The ramp is the law's at both ends; both are told once and are in the ledger, the hints between are not."""
    seen: list[float] = []
    _alive(rig)
    before_w = await _in_auto(rig)
    for number in range(4):
        outcome = await rig.cycle.handle(_fresh(rig, {0.0: 20 * MW}, f"h{number}"), Level.API)
        assert isinstance(outcome, Accepted)
        seen += [await _moved(rig) for _ in range(50)]
    most_w = rig.cycle._spec.ramp_up_w_per_s * 0.1
    assert seen[-1] < before_w - 1e6  # the law alone would go up, to the load's mean
    seen += [await _moved(rig) for _ in range(200)]
    moves = [abs(b - a) for a, b in pairwise([before_w, *seen])]
    assert max(moves) <= 1.1 * most_w  # a cycle takes 104 ms here
    assert seen[-1] > min(seen) + 1e5
    assert rig.events("planner") == ["the planner leads the reference",
                                     "no hint of the planner any more: the law's own target"]
    assert await rig.ledger.find("h1") is None


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.MANUAL, Mode.SAFE])
async def test_hints_lead_in_auto_only(rig: Rig, mode: Mode) -> None:  # noqa: F811
    """In MANUAL the operator's word counts alone; in SAFE nobody's."""
    await _in_auto(rig)
    await rig.ask(rig.mode(mode, "m2"))
    await rig.cycle.handle(_fresh(rig, {0.0: 90 * MW}), Level.API)
    await rig.run(2)
    assert rig.cycle._orders(rig.clock.monotonic_s()).hint_w is None


async def test_a_battery_target_goes_before_the_hint(rig: Rig) -> None:  # noqa: F811
    """Level 4 before level 6."""
    before_w = await _in_auto(rig)
    await rig.cycle.handle(_fresh(rig, {0.0: 90 * MW}), Level.API)
    await rig.cycle.handle(SetBatteryTarget(
        id="t", origin="api:alice", role="operator", ttl_s=600, issued_utc_s=rig.clock.utc_s(), power_w=45 * MW),
        Level.API)
    report = await rig.run(30)
    assert report.reference_w is not None
    assert report.reference_w < before_w


async def test_a_hint_is_forgotten_with_the_site_that_it_was_made_for(rig: Rig) -> None:  # noqa: F811
    """Another site file may have another largest load."""
    await _in_auto(rig)
    await rig.cycle.handle(_fresh(rig, {0.0: 60 * MW}), Level.API)
    rig.cycle._hints.drop()
    assert rig.cycle._orders(rig.clock.monotonic_s()).hint_w is None


async def test_a_job_that_we_paused_is_expected_where_the_site_says_so(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the pause on, by the monotonic end of it, as long as its racks show that they are held; not by default."""
    for firm_resumes in (False, True):
        (tmp_path / str(firm_resumes)).mkdir()
        rig = Rig(tmp_path / str(firm_resumes), monkeypatch)  # noqa: F811
        await rig.cycle.desk.restore()
        rig.cycle._spec = replace(rig.cycle._spec, firm_resumes=firm_resumes)
        _alive(rig)
        await _in_auto(rig)
        held = workload(WorkloadState.PAUSED, racks=(0, 1), controllers=(0, 1))
        rig.cycle.desk.workloads["wl"] = held
        rig.cycle.desk.jobs.ends["wl"] = Ends(pause_s=rig.clock.monotonic_s() + 60.0)
        readings = {c.power: good(2 * MW, 0.0, 0.0) for c in rig.cycle._spec.load_controllers}
        rig.field.reading = lambda point, _, found=readings: found.get(point, NEVER)
        await rig.run(1)
        shifts = rig.cycle._orders(rig.clock.monotonic_s()).expected
        assert [s.low_w for s in shifts if s.firm] == ([26 * MW] if firm_resumes else [])
        await rig.ask(rig.mode(Mode.OBSERVE, "m2"))
        await rig.run(1)
        assert rig.cycle._orders(rig.clock.monotonic_s()).expected == ()
        await rig.ledger.close()
        rig.bell.close()
        rig.reader.close()


async def test_a_recording_holds_hints_and_firm_changes(rig: Rig, tmp_path: Path) -> None:  # noqa: F811
    """What led the law must be in the file, or deciding again would differ."""
    rig.cycle._spec = replace(rig.cycle._spec, firm_resumes=True)
    rig.cycle.recorder = Recorder(tmp_path / "recordings", RecordingSpec(), rig.clock)
    _alive(rig)
    await _in_auto(rig)
    rig.cycle.desk.workloads["wl"] = workload(WorkloadState.PAUSED)
    rig.cycle.desk.jobs.ends["wl"] = Ends(pause_s=rig.clock.monotonic_s() + 60.0)
    rig.field.reading = lambda point, now_s: good(2 * MW, now_s, now_s)
    rig.cycle.recorder.start()
    await rig.cycle.handle(_fresh(rig, {0.0: 20 * MW}), Level.API)
    await rig.run(30)
    assert [s.low_w for s in rig.cycle._orders(rig.clock.monotonic_s()).expected if s.firm] == [26 * MW]
    rig.cycle.recorder.stop()
    await rig.run(1)
    rig.cycle.recorder.close()
    again = replay(tmp_path / "recordings")
    assert again.cycles >= 29
    assert (again.differing, again.faults) == (0, ())


# --- in the law -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("wish", [
    lambda k: 120 * MW, lambda k: 0.0, lambda k: 120 * MW * (k // 50 % 2), lambda k: (k * 7919 % 121) * MW,
    lambda k: None if k // 30 % 2 else 100 * MW])
def test_a_lying_planner_costs_no_limit(wish: Callable[[int], float | None]) -> None:
    """Whatever it wants, beside a load that jumps: ramp, energy and ratings are kept."""
    world, spec = World(small_spec(), 60 * MW), small_spec()
    step_w = spec.ramp_up_w_per_s * 0.1
    world.run(20)
    before_w = world.state.reference.reference_w
    for k in range(3000):
        world.load_w = (30 if k // 700 % 2 else 85) * MW
        decision = world.step(hint_w=wish(k))
        now_w = world.state.reference.reference_w
        assert abs(now_w - before_w) <= step_w + 1.0, (k, decision.binding)
        before_w = now_w
        assert all(10.0 - 1e-6 <= s <= 90.0 + 1e-6 for s in world.soc_percent.values())
        assert all(abs(p) <= 60 * MW + 1.0 for p in world.power_w.values())
