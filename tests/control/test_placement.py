"""What an announced workload may draw: judged on what is really left, and never more than there is."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from virtual import MW, MWH, small_spec

from pswd_edge.control.rules.law import range_of
from pswd_edge.control.rules.placement import (
    controller_caps,
    eased_w,
    headroom,
    is_live,
    judge,
    load_ceiling_w,
    run_orders,
)
from pswd_edge.control.rules.reserve import down_wh, up_wh
from pswd_edge.model.control import Branch, Input
from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState

SPEC = small_spec(load_ceiling_w=30 * MW)      # 30 of 120 may come unannounced, 4 racks of 25
LIMITS = range_of(SPEC, 30 * MW)
AMPLE = Headroom(500 * MW, 500 * MW, 500 * MW)
SLOW = 0.05 * MW


def job(peak_mw: float = 40, name: str = "w", **changes) -> Announcement:
    """A fast job."""
    return replace(Announcement(name, "training", peak_mw * MW, 5 * MW, 0.0), **changes)


def judged(announcement: Announcement, room: Headroom = AMPLE, workloads=()) -> Workload:
    return judge(SPEC, LIMITS, workloads, announcement, room, 1.0)


def test_what_fits_is_approved_whole() -> None:
    """40 MW on the emptiest racks, as few as carry it."""
    found = judged(job(40))
    assert (found.state, found.approved_w, found.conditions) == (WorkloadState.APPROVED, 40 * MW, ())
    assert (found.controllers, found.reserved_w) == ((0, 1), (25 * MW, 15 * MW))


@pytest.mark.parametrize(("room", "words"), [
    (Headroom(20 * MW, 500 * MW, 500 * MW), "grid power allows 20.0 MW of the 40.0 MW asked for"),
    (Headroom(500 * MW, 20 * MW, 500 * MW), "cooling allows 20.0 MW of the 40.0 MW asked for"),
    (Headroom(500 * MW, 500 * MW, 20 * MW), "battery swing allows 20.0 MW of the 40.0 MW asked for"),
])
def test_the_scarce_resource_is_named_in_refusal_and_condition(room: Headroom, words: str) -> None:
    """A scheduler can act on the reason: wait for power, for cooling, or ramp gently."""
    refused, capped = judged(job(40), room), judged(job(40, can_throttle=True), room)
    assert (refused.state, refused.approved_w, refused.controllers) == (WorkloadState.REJECTED, 0.0, ())
    assert refused.conditions[0] == words
    assert (capped.state, capped.approved_w) == (WorkloadState.CONDITIONAL, 20 * MW)
    assert capped.conditions[0] == f"power capped at 20.0 MW: {words}"
    assert sum(capped.reserved_w) == 20 * MW


def test_racks_are_a_resource_too() -> None:
    """100 MW of racks, 90 of them taken."""
    taken = judged(job(90, "first"))
    found = judged(job(40, can_throttle=True), workloads=(taken,))
    assert found.approved_w == 10 * MW
    assert "rack power allows 10.0 MW" in found.conditions[0]


def test_below_its_baseline_a_cap_is_no_offer() -> None:
    """A job that needs 25 MW to run at all is not served by 20."""
    found = judged(job(40, can_throttle=True, baseline_w=25 * MW), Headroom(20 * MW, 500 * MW, 500 * MW))
    assert found.state is WorkloadState.REJECTED


def test_below_the_power_that_it_needs_to_run_a_cap_is_no_offer() -> None:
    """Its least power counts as its baseline does."""
    tight = Headroom(20 * MW, 500 * MW, 500 * MW)
    assert judged(job(40, can_throttle=True, minimum_w=30 * MW), tight).state is WorkloadState.REJECTED
    assert judged(job(40, can_throttle=True, minimum_w=15 * MW), tight).approved_w == 20 * MW


def test_a_ramp_that_the_grid_follows_needs_no_battery() -> None:
    """The hint of a refusal is true: the same job at a gentle ramp is approved."""
    scarce = Headroom(500 * MW, 500 * MW, 20 * MW)
    refused, gentle = judged(job(40), scarce), judged(job(40, ramp_w_per_s=SLOW), scarce)
    assert refused.conditions[1] == "a ramp of at most 0.110 MW/s needs no battery swing"
    assert gentle.state is WorkloadState.APPROVED


def test_heat_is_judged_by_what_the_workload_says_of_it() -> None:
    """Half its power as heat: 20 MW of cooling serve 40 MW."""
    cool = Headroom(500 * MW, 20 * MW, 500 * MW)
    assert judged(job(40, heat_w=20 * MW), cool).state is WorkloadState.APPROVED
    assert judged(job(40, heat_w=40 * MW), cool).state is WorkloadState.REJECTED
    assert judged(job(40, heat_w=0.0), cool).state is WorkloadState.APPROVED


@pytest.mark.parametrize(("change", "words"), [
    ({"peak_w": math.nan}, "peak power: got nan"), ({"peak_w": -5 * MW}, "peak power: got -5e+06"),
    ({"peak_w": math.inf}, "peak power: got inf"), ({"baseline_w": math.nan}, "baseline power: got nan"),
    ({"ramp_w_per_s": math.nan}, "ramp: got nan"), ({"ramp_w_per_s": -1.0}, "ramp: got -1"),
    ({"heat_w": math.nan}, "heat: got nan"), ({"heat_w": -1.0}, "heat: got -1"),
])
def test_numbers_that_cannot_be_judged_are_refused(change: dict[str, float], words: str) -> None:
    """A negative peak would be approved and hand out power that others hold; a NaN ramp would count as gentle."""
    found = judged(job(40, can_throttle=True, **change))
    assert (found.state, found.approved_w, found.controllers) == (WorkloadState.REJECTED, 0.0, ())
    assert found.conditions[0].startswith(words)


# --- ceiling, headroom, caps ----------------------------------------------------------------------------------------


def live(peak_mw: float, state: WorkloadState = WorkloadState.APPROVED, **changes) -> Workload:
    found = judged(job(peak_mw, f"w{peak_mw}"))
    return replace(found, state=state, **changes)


def test_the_guaranteed_range_follows_fast_workloads_only() -> None:
    """Approved 40, paused 20 (a tenth), throttled 30 to 10; slow and ended ones do not count."""
    workloads = (live(40), live(20, WorkloadState.PAUSED), live(30, WorkloadState.THROTTLED, target_w=10 * MW),
                 live(11, WorkloadState.TERMINATED), live(12, announcement=job(12, ramp_w_per_s=SLOW)))
    assert load_ceiling_w(SPEC, LIMITS, workloads) == pytest.approx((30 + 40 + 2 + 10) * MW)


def test_the_ceiling_is_never_above_contract_and_site() -> None:
    """What lies above is shed, not carried."""
    assert load_ceiling_w(SPEC, LIMITS, (live(90), live(80))) == 120 * MW
    assert load_ceiling_w(replace(SPEC, import_limit_w=100 * MW), LIMITS, (live(90), live(80))) == 100 * MW


def test_headroom_is_what_is_left_of_each() -> None:
    """120 at the grid, 110 of cooling, and the swing that the batteries carry above what is promised."""
    room = headroom(SPEC, LIMITS, (live(40),), 50 * MW, 45 * MW, 24 * MWH)
    assert (room.power_w, room.cooling_w) == (50 * MW, 40 * MW)
    wide = LIMITS._replace(ceiling_w=LIMITS.floor_w + room.swing_w + 50 * MW)
    assert max(up_wh(wide.floor_w, wide), down_wh(wide.ceiling_w, wide)) == pytest.approx(24 * MWH, rel=1e-6)


def test_a_load_above_all_promises_takes_its_headroom() -> None:
    """Measured 100 where 70 were promised: 20 are left, not 50; unknown counts as promised."""
    assert headroom(SPEC, LIMITS, (live(40),), 100 * MW, 100 * MW, 0.0) == Headroom(20 * MW, 10 * MW, 0.0)
    assert headroom(SPEC, LIMITS, (live(40),), math.nan, math.nan, 0.0) == Headroom(50 * MW, 40 * MW, 0.0)


@pytest.mark.parametrize("state", [WorkloadState.PAUSED, WorkloadState.THROTTLED])
def test_a_workload_that_may_come_back_keeps_its_place(state: WorkloadState) -> None:
    """Else its power is promised to another, and after a resume both draw it."""
    held = live(40, state, target_w=1 * MW)
    assert headroom(SPEC, LIMITS, (held,), 40 * MW, 0.0, 24 * MWH) == headroom(
        SPEC, LIMITS, (live(40),), 40 * MW, 0.0, 24 * MWH)


def test_a_throttle_caps_its_racks_in_proportion() -> None:
    """40 on racks of 25 and 15, throttled to 20: 12.5 and 7.5."""
    held = live(40, WorkloadState.THROTTLED, target_w=20 * MW)
    assert controller_caps(SPEC, (held,)) == pytest.approx({0: 12.5 * MW, 1: 7.5 * MW})
    assert controller_caps(SPEC, (live(40),)) == {}


def test_a_cap_leaves_the_neighbour_on_the_same_rack_its_share() -> None:
    """15 MW of the throttled one on rack 1 leave room for 10 of another."""
    first = live(40, WorkloadState.THROTTLED, target_w=20 * MW)
    second = replace(live(10), controllers=(1,), reserved_w=(10 * MW,))
    assert controller_caps(SPEC, (first, second))[1] == pytest.approx(17.5 * MW)


# --- any sequence ---------------------------------------------------------------------------------------------------

numbers = st.one_of(st.floats(-50 * MW, 150 * MW), st.sampled_from([math.nan, math.inf, 0.0]))
actions = st.one_of(
    st.tuples(st.just("announce"), numbers, st.booleans(), st.sampled_from([0.0, SLOW, 1 * MW, math.nan])),
    st.tuples(st.sampled_from(["throttle", "pause", "resume", "terminate"]), numbers, st.integers(0, 5), st.none()))


@settings(max_examples=100, deadline=None)
@given(st.lists(actions, max_size=30))
def test_no_sequence_of_requests_promises_more_than_there_is(steps: list) -> None:
    """P7 for capacity: contract, cooling, racks and battery, after every step and whatever comes back at once."""
    workloads: list[Workload] = []
    for kind, number, extra, ramp in steps:
        if kind == "announce":
            room = headroom(SPEC, LIMITS, workloads, 25 * MW, 25 * MW, 10 * MWH)
            found = judge(SPEC, LIMITS, workloads, job(0, f"w{len(workloads)}", peak_w=number, can_throttle=extra,
                                                       ramp_w_per_s=ramp), room, 0.0)
            workloads.append(found)
        elif extra < len(workloads) and is_live(workloads[extra]):
            state = {"throttle": WorkloadState.THROTTLED, "pause": WorkloadState.PAUSED,
                     "resume": WorkloadState.APPROVED, "terminate": WorkloadState.TERMINATED}[kind]
            target = max(0.0, number) if kind == "throttle" and number >= 0 else None
            workloads[extra] = replace(workloads[extra], state=state, target_w=target)
        alive = [w for w in workloads if is_live(w)]
        promised = sum(w.approved_w for w in alive)
        assert all(w.approved_w >= 0 for w in workloads)
        assert 30 * MW + promised <= 110 * MW + 1
        for c in range(4):
            taken = sum(r for w in alive for i, r in zip(w.controllers, w.reserved_w, strict=True) if i == c)
            assert taken <= 25 * MW + 1
        resumed = [replace(w, state=WorkloadState.APPROVED, target_w=None) for w in alive]
        wide = LIMITS._replace(ceiling_w=load_ceiling_w(SPEC, LIMITS, resumed))
        assert up_wh(wide.floor_w, wide) <= 10 * MWH * 1.001
        assert all(0 <= cap <= 25 * MW for cap in controller_caps(SPEC, workloads).values())


def test_throttle_with_a_ramp_takes_its_time() -> None:
    """A workload that asked for 1 MW/s is not cut by 10 MW at once; it ends exactly at its target."""
    held = replace(judged(job(20)), state=WorkloadState.THROTTLED, target_w=10e6, ramp_w_per_s=1e6)
    way = [20e6]
    for _ in range(120):
        way.append(eased_w(way[-1], held, 0.1))

    assert way[1] == pytest.approx(19.9e6)
    assert way[50] == pytest.approx(15e6)
    assert way[-1] == 10e6
    assert eased_w(20e6, replace(held, ramp_w_per_s=0.0), 0.1) == 10e6


def test_a_terminated_job_is_stopped_and_a_paused_one_paused() -> None:
    """A rack does what its last workload was told; a live workload beside it keeps it running."""
    first, second = judged(job(20, "first")), judged(job(20, "second"))
    paused, ended = replace(first, state=WorkloadState.PAUSED), replace(first, state=WorkloadState.TERMINATED)
    rack = first.controllers[0]
    beside = replace(second, controllers=first.controllers, reserved_w=first.reserved_w)

    assert run_orders(()) == {}
    assert run_orders((first,)) == {rack: "run"}
    assert run_orders((paused,)) == {rack: "pause"}
    assert run_orders((paused, beside)) == {rack: "run"}
    assert run_orders((beside, paused)) == {rack: "run"}
    assert run_orders((ended,)) == {rack: "stop"}
    assert run_orders((ended, beside)) == {rack: "run"}
    assert run_orders((replace(first, state=WorkloadState.REJECTED),)) == {}


HALLS = (Branch("hall-a", 30 * MW, 2, Input(80), controllers=(0, 1)),
         Branch("hall-b", 70 * MW, 2, Input(81), controllers=(2, 3)),
         Branch("utility", 90 * MW, None, Input(82), children=(0, 1), controllers=(0, 1, 2, 3)))


def placed_in_halls(announcement: Announcement, workloads=()) -> Workload:
    return judge(replace(SPEC, branches=HALLS), LIMITS, workloads, announcement, AMPLE, 1.0)


def test_no_circuit_is_given_more_than_its_rating() -> None:
    """Hall A carries 30 MW of its two racks' 50: the rest goes to hall B, though A's racks are as empty."""
    found = placed_in_halls(job(75))
    assert found.state is WorkloadState.APPROVED
    assert dict(zip(found.controllers, found.reserved_w, strict=True)) == {
        0: 25 * MW, 1: 5 * MW, 2: 25 * MW, 3: 20 * MW}


def test_the_binding_circuit_is_named() -> None:
    """80 MW of 100 fit the halls: hall A is what keeps the rest out; the racks alone would carry it."""
    found = placed_in_halls(job(100))
    assert found.state is WorkloadState.REJECTED
    assert found.conditions[0] == "circuit:hall-a allows 80.0 MW of the 100.0 MW asked for"


def test_what_is_reserved_counts_on_every_circuit_above() -> None:
    """A throttled workload may come back at any time: what it was promised stays taken on its way up too."""
    first = placed_in_halls(job(30, "first"))
    second = placed_in_halls(job(60, "second", can_throttle=True), [first])
    assert sum(second.reserved_w) == second.approved_w
    for branch in HALLS:
        on = [w for found in (first, second) for c, w in zip(found.controllers, found.reserved_w, strict=True)
              if c in branch.controllers]
        assert sum(on) <= branch.rating_w


@settings(max_examples=80, deadline=None)
@given(ratings=st.lists(st.floats(1, 120), min_size=3, max_size=3), asked=st.lists(st.floats(1, 100), max_size=5))
def test_whatever_is_announced_no_circuit_is_promised_twice(ratings: list[float], asked: list[float]) -> None:
    """And what is said to fit is really placed: an approval with nowhere to run would be a lie."""
    halls = tuple(replace(b, rating_w=r * MW) for b, r in zip(HALLS, ratings, strict=True))
    spec, live = replace(SPEC, branches=halls), []
    for k, peak in enumerate(asked):
        found = judge(spec, LIMITS, live, job(peak, f"w{k}", can_throttle=True, baseline_w=0.0), AMPLE, 1.0)
        assert sum(found.reserved_w) == pytest.approx(found.approved_w, abs=1.0)
        live.append(found)
    for branch in halls:
        on = [w for f in live for c, w in zip(f.controllers, f.reserved_w, strict=True) if c in branch.controllers]
        assert sum(on) <= branch.rating_w + 1.0
