"""Which tiers may go, in which order, and how far: as the workloads on them allow."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from virtual import FIRST_S, MW, small_spec, tier_spec

from pswd_edge.control.rules.flexibility import Flexible, flexible, of_site
from pswd_edge.control.rules.shed import ShedState, TierState, decide
from pswd_edge.model.control import LoadController
from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState

TIERS = tuple(tier_spec(f"t{i}") for i in (1, 2, 3))
SPEC = replace(small_spec(tiers=TIERS), load_controllers=tuple(
    LoadController(f"rack-{t.id}", 0, t.setpoint, t.power, 25 * MW) for t in TIERS))


@dataclass
class Job:
    """A workload on one rack; by default it can be throttled."""

    rack: int
    priority: str = "normal"
    throttles: bool = True
    delay_s: int = 0
    minimum_w: float | None = None
    state: WorkloadState = WorkloadState.APPROVED

    def workload(self) -> Workload:
        asked = Announcement(f"job-{self.rack}", "training", 20 * MW, 2 * MW, 0.0, can_throttle=self.throttles,
                             delay_tolerance_s=self.delay_s, priority=self.priority, minimum_w=self.minimum_w)
        return Workload(asked, self.state, 20 * MW, (self.rack,), (20 * MW,), (), 0.0, Headroom(0.0, 0.0, 0.0))


def found(*jobs: Job) -> Flexible:
    return flexible(SPEC, [j.workload() for j in jobs])


def test_without_workloads_the_site_s_order_counts() -> None:
    """The site file must mean something before anybody announces anything."""
    assert found() == of_site(SPEC)
    assert found().order == (0, 1, 2)


def test_the_lower_priority_goes_first() -> None:
    """Whatever the order in the file: it is the people's word that counts."""
    assert found(Job(0, "high"), Job(1, "normal"), Job(2, "low")).order == (2, 1, 0)


def test_throttle_before_pause_before_cut() -> None:
    """What goes on slower loses least, what is killed loses most: that outweighs priority."""
    stiff = found(Job(0, "low", throttles=False), Job(1, "low", throttles=False, delay_s=600), Job(2, "high"))
    assert stiff.order == (2, 1, 0)
    assert stiff.whole == {0, 1}


def test_a_workload_that_is_held_back_protects_nothing_yet() -> None:
    """A critical job of tomorrow does not keep today's load on its racks from being shed."""
    waits = replace(Job(0, "critical").workload(), held="starts at noon")
    assert flexible(SPEC, [waits]) == of_site(SPEC)
    assert flexible(SPEC, [waits, Job(1, "high").workload()]).order == (0, 2, 1)


def test_critical_is_not_in_the_order() -> None:
    """No software sheds it, even where another workload shares its rack."""
    assert found(Job(1, "critical"), Job(1, "low")).order == (0, 2)


def test_a_workload_that_has_ended_protects_nothing() -> None:
    """Else a rack would be safe for ever."""
    assert found(Job(1, "critical", state=WorkloadState.TERMINATED)).order == (0, 1, 2)


def test_a_throttled_workload_keeps_its_least_power() -> None:
    """Below it, it would not run slower but not at all: 5 of 20 MW."""
    assert found(Job(0, minimum_w=5 * MW)).floor_w == (5 * MW, 0.0, 0.0)


def test_a_priority_that_is_not_known_counts_as_high() -> None:
    """A word that we do not know must not make a workload the first to go."""
    assert found(Job(0, "platinum"), Job(1, "normal"), Job(2, "high")).order == (1, 0, 2)


def shed_by(may: Flexible, deficits_mw: list[float]) -> list[ShedState]:
    state, states = ShedState((TierState(),) * 3), []
    for k, deficit in enumerate(deficits_mw):
        powers = [min(t.cap_w, 15 * MW) if t.engaged else 15 * MW for t in state.tiers]
        state = decide(SPEC, state, deficit * MW, powers, True, FIRST_S + k / 10, 0.1, may=may)
        states.append(state)
    return states


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["low", "normal", "high", "critical"]), min_size=3, max_size=3),
       st.lists(st.floats(-100, 200), min_size=3, max_size=40))
def test_critical_is_never_shed_whatever_is_missing(priorities: list[str], deficits_mw: list[float]) -> None:
    """The grid's ramp is worth less than what somebody called critical."""
    may = found(*(Job(i, p) for i, p in enumerate(priorities)))
    for state in shed_by(may, deficits_mw):
        assert not any(t.engaged for t, p in zip(state.tiers, priorities, strict=True) if p == "critical")


def test_a_pause_takes_all_of_it_or_nothing() -> None:
    """A paused workload draws its idle power: there is no half of a pause."""
    state = shed_by(found(*(Job(i, throttles=False, delay_s=60) for i in range(3))), [4.0, 4.0, 4.0])[-1]
    assert [t.engaged for t in state.tiers] == [True, False, False]
    assert state.tiers[0].cap_w == pytest.approx(2 * MW)


def test_what_became_critical_comes_back_before_the_others() -> None:
    """A workload may come to a rack that is shed already."""
    state = shed_by(found(), [40.0] * 3)[-1]
    assert [t.engaged for t in state.tiers] == [True] * 3
    may, at = found(Job(1, "critical")), FIRST_S + 60
    for k in range(400):
        state = decide(SPEC, state, -60 * MW, [min(t.cap_w, 15 * MW) if t.engaged else 15 * MW for t in state.tiers],
                       True, at + k / 10, 0.1, may=may)
        if not all(t.engaged for t in state.tiers):
            break
    assert [t.engaged for t in state.tiers] == [True, False, True]
