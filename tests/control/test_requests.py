"""What control answers: every refusal with its code, every clamp with its limit. Nothing here touches a disk."""

import math

import msgspec
import pytest
from desk_case import CAP, CLOCK_UTC_S, SITE, SPEC, announce, announcement, facts, order, set_mode, set_point, target
from msgspec.structs import replace

from pswd_edge.control.requests import check, decide
from pswd_edge.control.workload_orders import THROTTLE_MAX_S, WORKLOADS_MAX
from pswd_edge.model.command import Accepted, Clamped, Failed, Level, Mode, Outcome, Rejected, Request
from pswd_edge.model.workload import Headroom, Workload, WorkloadState

NOT_FINITE = [math.nan, math.inf, -math.inf]


def refusal(request: Request, authority: Level = Level.API, utc_s: float = CLOCK_UTC_S) -> str:
    found = check(request, authority, utc_s)
    assert found is None or (found.id == request.id[:200] and found.reason)
    return "" if found is None else found.code


def decided(request: Request, authority: Level = Level.API, workloads: dict | None = None, **known: object) -> Outcome:
    assert check(request, authority, CLOCK_UTC_S) is None
    outcome = decide(request, SITE, facts(**known), workloads or {}, authority)
    assert outcome.id == request.id
    return outcome


def kept(state: WorkloadState = WorkloadState.APPROVED, **changes: object) -> dict[str, Workload]:
    settings = {"announcement": announcement(), "state": state, "approved_w": 10e6, "controllers": (0,),
                "reserved_w": (10e6,), "conditions": (), "announced_utc_s": 0.0, "headroom": Headroom(0.0, 0.0, 0.0)}
    return {"wl-1": Workload(**{**settings, **changes})}


# --- form, age, authority ---------------------------------------------------------------------------------------------

GOOD = [set_mode(), set_point(1e6), set_point(None), target(5e6), target(-5e6, 1e5), announce(),
        order("pause", pause_s=60), order("throttle", target_w=0.0)]


@pytest.mark.parametrize("request_", GOOD, ids=lambda r: type(r).__name__)
def test_a_request_in_order_is_let_through(request_: Request) -> None:
    """The check must be able to say yes."""
    assert refusal(request_, Level.OPERATOR) == ""


@pytest.mark.parametrize(("age_s", "code"), [
    (30.0, ""), (30.01, "expired"), (1e9, "expired"), (-5.0, ""), (-5.01, "expired"), (-1e9, "expired")])
def test_stale_and_future_requests_are_refused(age_s: float, code: str) -> None:
    """A command that lay in a queue for a minute was meant for another moment."""
    assert refusal(set_point(1e6), utc_s=CLOCK_UTC_S + age_s) == code


@pytest.mark.parametrize(("ttl_s", "authority", "code"), [
    (0.0, Level.API, "ttl"), (-1.0, Level.API, "ttl"), (0.001, Level.API, ""), (86_400.0, Level.API, ""),
    (86_400.1, Level.API, "ttl"), (900.0, Level.OPERATOR, ""), (900.1, Level.OPERATOR, "ttl")])
def test_nothing_is_held_for_ever(ttl_s: float, authority: Level, code: str) -> None:
    """A day for a program, a quarter of an hour for a person at the console, and never without an end."""
    assert refusal(set_point(1e6, ttl_s=ttl_s), authority) == code
    assert refusal(target(1e6, ttl_s=ttl_s), authority) == code


def test_letting_go_needs_no_end() -> None:
    """It holds nothing."""
    assert refusal(set_point(None, ttl_s=0.0)) == ""
    assert refusal(target(None, ttl_s=0.0)) == ""
    assert refusal(announce(ttl_s=0.0)) == ""


@pytest.mark.parametrize("authority", [Level.API, Level.LAW, Level.PLANNER])
def test_the_mode_is_not_changed_through_the_api(authority: Level) -> None:
    """What faces the network must not be able to end SAFE."""
    assert refusal(set_mode(), authority) == "forbidden"
    assert refusal(set_mode(), Level.OPERATOR) == ""


@pytest.mark.parametrize("request_", [
    set_mode(id=""), set_mode(id="x" * 201), set_mode(origin=""), set_mode(origin="x" * 201), set_mode(role="x" * 201),
    set_point(1.0, point="x" * 60_000), announce(""), announce("x" * 201), announce("水" * 67),
    announce(workload={"kind": "x" * 201}),
    announce(workload={"priority": "x" * 201}), order("pause", ""), order("x" * 201)])
def test_texts_are_there_and_short(request_: Request) -> None:
    """They come back in reports that have 2 MB for all of them: 300 long names would have ended the cycle."""
    found = check(request_, Level.OPERATOR, CLOCK_UTC_S)
    assert isinstance(found, Rejected)
    assert found.code == "malformed"
    assert len(msgspec.msgpack.encode(found)) < 1000


def test_the_longest_texts_are_let_through() -> None:
    """The bound itself is allowed."""
    assert refusal(set_mode(id="x" * 200, origin="y" * 200), Level.OPERATOR) == ""


@pytest.mark.parametrize("bad", NOT_FINITE)
@pytest.mark.parametrize("make", [
    set_point, lambda x: set_point(1.0, ttl_s=x), lambda x: set_point(1.0, issued_utc_s=x),
    target, lambda x: target(1e6, x), lambda x: target(None, x), lambda x: set_mode(issued_utc_s=x),
    lambda x: set_mode(ttl_s=x), lambda x: order("throttle", target_w=x),
    lambda x: order("throttle", target_w=1.0, ramp_w_per_s=x), lambda x: announce(issued_utc_s=x),
    *(lambda x, n=n: announce(workload={n: x}) for n in (
        "peak_w", "baseline_w", "ramp_w_per_s", "heat_w", "preferred_temperature_c", "critical_temperature_c",
        "earliest_start_utc_s", "latest_completion_utc_s", "deadline_utc_s"))])
def test_no_number_that_is_none_is_ever_taken(make, bad: float) -> None:
    """NaN passes every `min` and `max` as it likes, and infinity clamps to "everything you have"."""
    assert refusal(make(bad), Level.OPERATOR) == "invalid"


@pytest.mark.parametrize("request_", [
    target(1e6, -1.0), order("throttle", target_w=-1.0), order("throttle", target_w=1.0, ramp_w_per_s=-1.0),
    order("pause", pause_s=0), order("pause", pause_s=-5), order("pause", pause_s=2**63),
    *(announce(workload={n: -1}) for n in ("peak_w", "baseline_w", "ramp_w_per_s", "heat_w", "duration_s",
                                           "delay_tolerance_s", "deadline_utc_s")),
    announce(workload={"duration_s": 2**63}), announce(workload={"earliest_start_utc_s": 1e300})])
def test_numbers_that_make_no_sense_are_refused(request_: Request) -> None:
    """A negative power would free what others hold; a date after the year 10000 cannot be shown."""
    assert refusal(request_) == "invalid"


# --- set-points -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("point", ["no.such", "", "pcc.active_power_w", "rack-1"])
def test_an_unknown_point_or_one_that_cannot_be_written_is_not_found(point: str) -> None:
    """Same code: there is no such writable point."""
    outcome = decided(set_point(1.0, point=point))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "not_found"


@pytest.mark.parametrize("point", [p.id for p in SITE.points if p.write and p.id.startswith("bess-")])
@pytest.mark.parametrize("value", [1.0, None])
def test_no_point_of_a_battery_is_set_by_request(point: str, value: float | None) -> None:
    """Not its set-point, and not its enable, heartbeat or revert time either: with those a client disarms the law."""
    outcome = decided(set_point(value, point=point), Level.OPERATOR)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "forbidden"


@pytest.mark.parametrize(("asked", "value", "limit"), [
    (201e6, 200e6, "maximum"), (1e300, 200e6, "maximum"), (-1.0, 0.0, "minimum"), (-1e300, 0.0, "minimum")])
def test_a_set_point_is_clamped_to_what_its_point_takes(asked: float, value: float, limit: str) -> None:
    """The range of the device map, and its name."""
    outcome = decided(set_point(asked))
    assert isinstance(outcome, Clamped)
    assert (outcome.value, outcome.limit, outcome.expires_utc_s) == (value, limit, CLOCK_UTC_S + 60)
    assert CAP in outcome.reason


@pytest.mark.parametrize("asked", [0.0, 1e6, 200e6])
def test_a_set_point_in_range_is_accepted_from_the_next_cycle(asked: float) -> None:
    """Its end and its first cycle are told."""
    outcome = decided(set_point(asked))
    assert isinstance(outcome, Accepted)
    assert (outcome.cycle, outcome.expires_utc_s) == (42, CLOCK_UTC_S + 60)


def test_letting_go_of_a_point_is_accepted() -> None:
    """Also where nobody holds it."""
    assert isinstance(decided(set_point(None)), Accepted)


# --- battery target ---------------------------------------------------------------------------------------------------

DOWN, UP = SPEC.ramp_down_w_per_s, SPEC.ramp_up_w_per_s


@pytest.mark.parametrize(("asked", "value", "limit"), [
    (95e6, 90e6, "discharge_available"), (-85e6, -80e6, "charge_available"), (1e300, 90e6, "discharge_available")])
def test_a_target_is_clamped_to_what_the_batteries_have(asked: float, value: float, limit: str) -> None:
    """Discharge positive; what was asked is never reached."""
    outcome = decided(target(asked))
    assert isinstance(outcome, Clamped)
    assert (outcome.value, outcome.limit, outcome.eta_s) == (value, limit, None)


def test_without_batteries_nothing_is_given() -> None:
    """All lost: 0 MW, said so, rather than a promise."""
    outcome = decided(target(5e6), discharge_available_w=0.0, charge_available_w=0.0)
    assert isinstance(outcome, Clamped)
    assert (outcome.value, outcome.limit) == (0.0, "discharge_available")


@pytest.mark.parametrize(("asked", "ramp", "eta_s"), [
    (15e6, 0.0, 10e6 / DOWN), (-5e6, 0.0, 10e6 / UP), (15e6, DOWN / 4, 40e6 / DOWN), (-5e6, UP / 4, 40e6 / UP),
    (15e6, 1e9, 10e6 / DOWN), (-5e6, 1e9, 10e6 / UP), (0.0, 0.0, 5e6 / UP)])
def test_a_target_beyond_the_ramp_says_when_it_is_reached(asked: float, ramp: float, eta_s: float) -> None:
    """The batteries give 5 MW now. More discharge takes the grid down, less takes it up; a gentler ramp counts."""
    fast = facts().limits._replace(up_w_per_s=UP, down_w_per_s=DOWN)
    outcome = decided(target(asked, ramp), limits=fast)
    assert isinstance(outcome, Clamped)
    assert (outcome.value, outcome.limit) == (asked, "ramp")
    assert outcome.eta_s == pytest.approx(eta_s)


def test_the_two_ramps_are_not_mixed_up() -> None:
    """Up three times as fast as down: the sign shows."""
    limits = facts().limits._replace(up_w_per_s=3e5, down_w_per_s=1e5)
    assert decided(target(8e6), limits=limits).eta_s == pytest.approx(30.0)
    assert decided(target(2e6), limits=limits).eta_s == pytest.approx(10.0)


def test_a_target_that_is_reached_at_once_is_accepted() -> None:
    """Within two cycles of the ramp nobody could tell the difference."""
    outcome = decided(target(5e6 + 0.1 * DOWN))
    assert isinstance(outcome, Accepted)
    assert outcome.expires_utc_s == CLOCK_UTC_S + 60


def test_a_ramp_that_never_gets_there_has_no_time() -> None:
    """None says never; infinity would go out as JSON null or as nonsense."""
    outcome = decided(target(50e6, 5e-324))
    assert isinstance(outcome, Clamped)
    assert (outcome.limit, outcome.eta_s) == ("ramp", None)


@pytest.mark.parametrize(("mode", "authority", "followed"), [
    (Mode.AUTO, Level.API, True), (Mode.AUTO, Level.OPERATOR, True), (Mode.MANUAL, Level.OPERATOR, True),
    (Mode.MANUAL, Level.API, False), (Mode.OBSERVE, Level.OPERATOR, False), (Mode.SAFE, Level.OPERATOR, False)])
def test_a_target_that_nobody_would_follow_fails(mode: Mode, authority: Level, followed: bool) -> None:
    """Failed, not rejected: the same request may be right in a minute."""
    outcome = decided(target(5e6), authority, mode=mode)
    assert isinstance(outcome, Failed) is not followed
    if not followed:
        assert outcome.code == "not_ready"
        assert mode.value in outcome.reason


def test_a_target_fails_where_the_inputs_are_not_known() -> None:
    """NaN for the reference: no number is made of it."""
    outcome = decided(target(5e6), ready="inputs: pcc.active_power_w", reference_w=math.nan, filtered_w=math.nan)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "inputs: pcc.active_power_w"


def test_a_target_can_be_ended_in_every_mode() -> None:
    """Letting go must always work."""
    for mode in Mode:
        assert isinstance(decided(target(None), mode=mode, ready="anything"), Accepted)


# --- workloads --------------------------------------------------------------------------------------------------------

def test_an_announcement_is_judged_on_the_headroom() -> None:
    """Approved, capped or rejected: the outcome carries the workload either way."""
    full = decided(announce())
    assert full.workload.state is WorkloadState.APPROVED
    assert full.workload.approved_w == 10e6
    capped = decided(announce(), headroom=Headroom(4e6, 100e6, 100e6))
    assert (capped.workload.state, capped.workload.approved_w) == (WorkloadState.CONDITIONAL, 4e6)
    assert "grid power" in capped.reason
    none = decided(announce(workload={"can_throttle": False}), headroom=Headroom(4e6, 100e6, 100e6))
    assert (none.workload.state, none.workload.approved_w) == (WorkloadState.REJECTED, 0.0)


@pytest.mark.parametrize("state", [WorkloadState.APPROVED, WorkloadState.CONDITIONAL, WorkloadState.THROTTLED,
                                   WorkloadState.PAUSED])
def test_a_name_that_runs_cannot_be_announced_again(state: WorkloadState) -> None:
    """The first one would lose its reservation unnoticed."""
    outcome = decided(announce(), workloads=kept(state))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "conflict"


@pytest.mark.parametrize("state", [WorkloadState.TERMINATED, WorkloadState.REJECTED])
def test_a_name_that_ended_can_be_announced_again(state: WorkloadState) -> None:
    """A job that runs every night."""
    assert isinstance(decided(announce(), workloads=kept(state)), Accepted)


def test_too_many_workloads_fail() -> None:
    """Bounded: the report has room for so many. Those that ended do not count."""
    [one] = kept().values()
    many = {str(i): one for i in range(WORKLOADS_MAX)}
    outcome = decided(announce(), workloads=many)
    assert isinstance(outcome, Failed)
    assert outcome.code == "too_many"
    [ended] = kept(WorkloadState.TERMINATED).values()
    assert isinstance(decided(announce(), workloads={**many, "0": ended}), Accepted)


@pytest.mark.parametrize("known", [{"mode": Mode.SAFE}, {"ready": "inputs: none yet"}])
def test_nothing_new_is_taken_on_where_nothing_can_be_judged(known: dict[str, object]) -> None:
    """It may ask again."""
    outcome = decided(announce(), **known)
    assert isinstance(outcome, Failed)
    assert outcome.code == "not_ready"


@pytest.mark.parametrize("workloads", [{}, kept(WorkloadState.REJECTED)])
@pytest.mark.parametrize("action", ["throttle", "pause", "resume", "terminate", "explode"])
def test_an_unknown_or_rejected_workload_is_not_found(action: str, workloads: dict[str, Workload]) -> None:
    """It does not run here."""
    outcome = decided(order(action, target_w=1e6), workloads=workloads)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "not_found"


def test_a_terminated_workload_takes_no_orders() -> None:
    """Otherwise a late throttle brings it back to life."""
    for action in ("throttle", "pause", "resume", "terminate"):
        outcome = decided(order(action, target_w=1e6), workloads=kept(WorkloadState.TERMINATED))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "conflict"


def test_a_throttle_caps_and_ends_by_itself_after_a_day() -> None:
    """control law, 2.5: until resume, end or 24 h."""
    outcome = decided(order("throttle", target_w=4e6, ramp_w_per_s=1e5), workloads=kept())
    assert isinstance(outcome, Accepted)
    found = outcome.workload
    assert (found.state, found.target_w, found.ramp_w_per_s) == (WorkloadState.THROTTLED, 4e6, 1e5)
    assert found.throttled_until_utc_s == CLOCK_UTC_S + THROTTLE_MAX_S


def test_a_throttle_above_what_was_approved_is_clamped() -> None:
    """A throttle is no way to more power."""
    outcome = decided(order("throttle", target_w=50e6), workloads=kept())
    assert isinstance(outcome, Clamped)
    assert (outcome.value, outcome.limit, outcome.workload.target_w) == (10e6, "approved_power", 10e6)


def test_a_throttle_without_a_target_and_an_unknown_action_are_refused() -> None:
    """Nothing to do."""
    for request in (order("throttle"), order("explode"), order("")):
        outcome = decided(request, workloads=kept())
        assert isinstance(outcome, Rejected)
        assert outcome.code == "invalid"


def test_a_throttle_of_a_paused_workload_lets_it_run_at_the_target() -> None:
    """The newest order holds, and the pause's end with it is gone."""
    paused = kept(WorkloadState.PAUSED, paused_until_utc_s=5.0)
    found = decided(order("throttle", target_w=2e6), workloads=paused).workload
    assert (found.state, found.target_w, found.paused_until_utc_s) == (WorkloadState.THROTTLED, 2e6, None)


@pytest.mark.parametrize(("pause_s", "until"), [(60, CLOCK_UTC_S + 60), (None, None)])
def test_a_pause_ends_when_it_was_asked_to(pause_s: int | None, until: float | None) -> None:
    """Without a duration it lasts until it is resumed."""
    found = decided(order("pause", pause_s=pause_s), workloads=kept()).workload
    assert (found.state, found.paused_until_utc_s) == (WorkloadState.PAUSED, until)


@pytest.mark.parametrize(("conditions", "state"), [
    ((), WorkloadState.APPROVED), (("capped",), WorkloadState.CONDITIONAL)])
def test_resume_takes_it_back_to_what_was_approved(conditions: tuple[str, ...], state: WorkloadState) -> None:
    """Its conditions stay."""
    held = kept(WorkloadState.PAUSED, conditions=conditions, target_w=1e6, paused_until_utc_s=1.0,
                throttled_until_utc_s=2.0)
    found = decided(order("resume"), workloads=held).workload
    assert (found.state, found.target_w) == (state, None)
    assert (found.paused_until_utc_s, found.throttled_until_utc_s) == (None, None)


def test_terminate_ends_everything() -> None:
    """No cap, no end that could still fire."""
    held = kept(WorkloadState.PAUSED, target_w=1e6, paused_until_utc_s=1.0, throttled_until_utc_s=2.0)
    found = decided(order("terminate"), workloads=held).workload
    assert found == msgspec.structs.replace(held["wl-1"], state=WorkloadState.TERMINATED, target_w=None,
                                            paused_until_utc_s=None, throttled_until_utc_s=None,
                                            reason="terminated by api:alice")


def test_the_mode_is_taken_from_the_next_cycle_on() -> None:
    """The reason says which."""
    outcome = decided(set_mode(Mode.SAFE), Level.OPERATOR)
    assert isinstance(outcome, Accepted)
    assert (outcome.cycle, outcome.reason) == (42, "mode SAFE from the next cycle")


def test_an_announcement_that_no_circuit_carries_names_the_circuit() -> None:
    """100 MW fit the racks and the grid; hall A's cable carries 30 of its 50."""
    thin = tuple(replace(b, rating_w=30e6) if b.id == "hall-a" else b for b in SPEC.branches)
    site = replace(SITE, control=replace(SPEC, branches=thin))
    known = facts(headroom=Headroom(500e6, 500e6, 500e6))
    asked = announce(workload={"peak_w": 100e6, "can_throttle": False})
    outcome = decide(asked, site, known, {}, Level.API)
    assert (outcome.limit, outcome.workload.state) == ("circuit:hall-a", WorkloadState.REJECTED)
    assert decide(asked, SITE, known, {}, Level.API).limit == ""

