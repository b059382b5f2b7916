"""Cooling ahead of heat, and what its set-points may do: the rule alone."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pswd_edge.control.rules import thermal
from pswd_edge.control.rules.cooling import Coming, coming_w, expected_w
from pswd_edge.model.snapshot import Reading, freeze
from pswd_edge.model.thermal import CapStep, Cooler, Interlock, Lead, Measure, ThermalSpec
from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState
from tests.control.virtual import FIRST_S, MW, bad, good, small_spec

SUPPLY, FLOW, HOT = 70, 71, 72
LEADS = (Lead(SUPPLY, 30.0, 26.0, 25.0, 32.0, 0.1), Lead(FLOW, 2000.0, 3600.0, 1000.0, 4000.0, 20.0))
SPEC = ThermalSpec((Cooler("cdu", (0, 1), 0.05, 2.5 * MW, LEADS, Measure(HOT), goal_c=40.0),))
CONTROL = small_spec(thermal=SPEC)


def workload(start_in_s: float | None, power_w: float = 40 * MW, duration_s: int | None = None, **changes) -> Workload:
    start = None if start_in_s is None else FIRST_S + start_in_s
    said = Announcement("job", "training", power_w, 0.0, 0.0, duration_s=duration_s, earliest_start_utc_s=start)
    made = Workload(said, WorkloadState.APPROVED, power_w, (0, 1), (power_w / 2, power_w / 2), (), FIRST_S - 10,
                    Headroom(0, 0, 0))
    return replace(made, **changes)


class Hall:
    """One CDU that shows what it is told; two racks."""

    def __init__(self, rack_w: float = 2.5 * MW, hot_c: float = 32.0, spec: ThermalSpec = SPEC) -> None:
        self.spec, self.state, self.time_s = spec, thermal.start(spec), FIRST_S
        self.rack_w, self.hot_c = rack_w, hot_c
        self.found = {SUPPLY: 30.0, FLOW: 2000.0}
        self.override: dict[int, Reading] = {}
        self.decision = thermal.ThermalDecision()

    def run(self, seconds: float, *workloads: Workload, acts: bool = True, **orders) -> dict[int, float]:
        for _ in range(round(seconds * 10)):
            readings = {c.power: good(self.rack_w, self.time_s) for c in CONTROL.load_controllers}
            readings |= {p: good(v, self.time_s) for p, v in self.found.items()}
            readings[HOT] = good(self.hot_c, self.time_s)
            now = freeze(0, self.time_s, self.time_s, readings | self.override)
            self.state, self.decision = thermal.cycle(CONTROL, self.spec, self.state, now, workloads, 0.1,
                                                      acts=acts, **orders)
            if acts:
                self.found.update((p, v) for p, v in self.decision.setpoints if p not in orders.get("held", ()))
            self.time_s += 0.1
        return dict(self.decision.setpoints)


def test_an_announced_job_finds_the_cooling_ready() -> None:
    """Pumps and coolant need a minute; the job's heat comes in seconds."""
    hall = Hall()
    idle = hall.run(10, workload(300))
    ready = hall.run(285, workload(300))
    assert idle[SUPPLY] == pytest.approx(29.6)    # a tenth of its rating is idle heat
    assert ready[SUPPLY] == pytest.approx(30 - 4 * 0.05 * 45 / 2.5)
    assert ready[FLOW] == pytest.approx(2000 + 1600 * 0.05 * 45 / 2.5)


def test_nothing_is_cooled_before_the_lead() -> None:
    """Cooling for a job of tomorrow is energy thrown away."""
    hall = Hall()
    assert hall.run(60, workload(3600)) == hall.run(60)


def test_heat_that_was_said_counts_instead_of_power() -> None:
    """A job whose heat goes elsewhere asks this CDU for less."""
    said = replace(workload(0).announcement, heat_w=20 * MW)
    found = coming_w(CONTROL, SPEC, [workload(0, announcement=said)], FIRST_S)
    assert found[0] == Coming(begun_w=10 * MW)


def test_what_comes_is_added_to_what_runs() -> None:
    """A job that has begun is in the measured power already; one that has not yet is not."""
    assert expected_w(CONTROL, 0, 10 * MW, Coming(begun_w=8 * MW)) == 10 * MW
    assert expected_w(CONTROL, 0, 10 * MW, Coming(ahead_w=8 * MW)) == 18 * MW
    assert expected_w(CONTROL, 0, 20 * MW, Coming(ahead_w=20 * MW)) == CONTROL.load_controllers[0].rating_w


@pytest.mark.parametrize("gone", [
    workload(-100, state=WorkloadState.TERMINATED), workload(-100, state=WorkloadState.REJECTED),
    workload(-1000), workload(-100, duration_s=60)])
def test_what_is_over_is_cooled_no_more(gone: Workload) -> None:
    """Ended, refused, past its duration, or long announced and measured by now."""
    gone = replace(gone, announced_utc_s=FIRST_S - 2000)
    assert coming_w(CONTROL, SPEC, [gone], FIRST_S) == {}


def test_a_rack_that_is_not_measured_counts_with_its_rating() -> None:
    """Stale means worst case: too cold costs energy, too warm costs the racks."""
    hall = Hall()
    hall.override = {c.power: bad() for c in CONTROL.load_controllers}
    assert hall.run(120)[SUPPLY] == pytest.approx(26.0)


def test_warm_return_asks_by_itself() -> None:
    """Heat that nobody announced and no rack shows: half the band above the goal is half the cooling."""
    hall = Hall(hot_c=42.0)
    assert hall.run(120)[SUPPLY] == pytest.approx(28.0)


def test_a_lost_return_temperature_gets_all_cooling_after_its_grace() -> None:
    """A sensor that is away for a moment moves nothing; one that stays away may hide anything."""
    hall = Hall()
    hall.override[HOT] = bad()
    assert hall.run(9)[SUPPLY] == pytest.approx(29.6)
    assert hall.run(120)[SUPPLY] == pytest.approx(26.0)


def test_cooling_is_taken_back_slowly() -> None:
    """A checkpoint of some seconds must not make the pumps hunt."""
    hall = Hall(rack_w=25 * MW)
    before = hall.run(120)[SUPPLY]
    hall.rack_w = 2.5 * MW
    assert hall.run(8)[SUPPLY] - before < 0.15
    assert hall.run(400)[SUPPLY] == pytest.approx(29.6)


def test_observe_follows_what_is_found_so_that_taking_over_is_no_step() -> None:
    """The first set-point of AUTO is the one that the operator's own controller had left."""
    hall = Hall()
    hall.found = {SUPPLY: 27.5, FLOW: 3000.0}
    hall.run(20, acts=False)
    taken = hall.run(0.1)
    assert abs(taken[SUPPLY] - 27.5) <= 0.011
    assert abs(taken[FLOW] - 3000) <= 2.1


def test_what_somebody_else_holds_is_followed() -> None:
    """When an operator's set-point runs out the rule goes on from there, not from where it would have been."""
    hall = Hall()
    hall.run(60)
    hall.found[SUPPLY] = 31.5
    hall.run(60, held=frozenset({SUPPLY}))
    assert hall.run(0.1)[SUPPLY] == pytest.approx(31.5, abs=0.011)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([2.5 * MW, 25 * MW, math.nan]), st.sampled_from([20.0, 43.0, math.nan])),
                min_size=1, max_size=12))
def test_set_points_keep_their_limits_and_rates(told: list[tuple[float, float]]) -> None:
    """Whatever racks and sensors say, NaN included: within limits, never faster than declared, never a NaN."""
    hall = Hall()
    before = hall.run(0.1)
    for rack_w, hot_c in told:
        hall.rack_w, hall.hot_c = rack_w, hot_c
        for _ in range(50):
            after = hall.run(0.1)
            for lead in LEADS:
                assert lead.low <= after[lead.point] <= lead.high
                assert abs(after[lead.point] - before[lead.point]) <= lead.rate_per_s * 0.1 + 1e-9
            before = after


def test_the_same_inputs_give_the_same_outputs() -> None:
    """Bit for bit, or a replay proves nothing."""
    first, second = Hall(), Hall()
    assert first.run(60, workload(30)) == second.run(60, workload(30))
    assert first.state == second.state


LOCKED = replace(SPEC, interlocks=(
    Interlock("hall", Measure(HOT), 48.0, 60.0, 44.0, (0, 1), (CapStep(0.75), CapStep(0.2, (2,))), step_s=20.0,
              release_after_s=30.0),))


def test_an_interlock_caps_and_sheds_and_tells() -> None:
    """Step by step, with the alarm that says which."""
    hall = Hall(hot_c=50.0, spec=LOCKED)
    hall.run(3)
    assert [(c.point, c.high) for c in hall.decision.caps] == [(60, 18.75 * MW), (61, 18.75 * MW)]
    assert hall.decision.sheds == ()
    assert "step 1 of 2" in dict(hall.decision.alarms)["over_temperature:hall"]
    hall.run(30)
    assert [c.high for c in hall.decision.caps] == [5 * MW, 5 * MW]
    assert hall.decision.sheds == ((2, "hall"),)


def test_a_tier_that_was_shed_is_written_released() -> None:
    """An outlet that is only no longer wanted off stays off for ever."""
    hall = Hall(hot_c=50.0, spec=LOCKED)
    hall.run(40)
    hall.hot_c = 40.0
    hall.run(100)
    assert hall.decision.released == (2,)
    assert hall.decision.caps == ()
    assert hall.decision.alarms == ()
