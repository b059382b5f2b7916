"""POST operations: what reaches the door, and what comes back."""

import asyncio

import pytest
from gateway_campus import make_workload
from pswd_contract import breaches

from pswd_edge.clock import iso_utc
from pswd_edge.door import DoorClient, DoorServer
from pswd_edge.errors import DoorError
from pswd_edge.model.command import (
    Accepted,
    Announce,
    Clamped,
    ControlWorkload,
    Failed,
    Level,
    Mode,
    Rejected,
    SetBatteryTarget,
)
from pswd_edge.model.workload import WorkloadState


def stamped(house, **fields):
    return {"timestamp": iso_utc(house.control.clock.utc_s()), **fields}


def announcement(house, **fields):
    return stamped(house, PSWD_version="1.0", message_type="workload_announcement", workload_id="wl-1",
                   workload_type="ai_training", power_profile={
                       "peak_power_mw": 30.5, "baseline_power_mw": 10, "ramp_rate_mw_per_sec": 2.5}, **fields)


@pytest.mark.parametrize(("command", "target_mw", "power_w"), [
    ("discharge", 5.5, 5.5e6), ("discharge", 0, 0.0), ("charge", -5, -5e6), ("charge", 5, -5e6),
    ("standby", None, 0.0), ("standby", 0, 0.0), ("load_smooth", None, None)])
async def test_battery_commands_become_targets(house, command, target_mw, power_w):
    """Discharge positive at the door; a charge may come with either sign; load_smooth gives the batteries back."""
    fields = {} if target_mw is None else {"target_power_mw": target_mw}

    answer = await house.post("/v1/battery/control", stamped(house, command_type=command, **fields))

    request = house.door.asked[0]
    assert answer.status == 200
    assert breaches("battery command", answer.body) == []
    assert isinstance(request, SetBatteryTarget)
    assert request.power_w == power_w
    assert request.ttl_s == (0.0 if power_w is None else 900.0)
    assert (request.origin, request.role) == ("api:infrastructure_manager", "infrastructure_manager")
    assert answer.body["command_id"] == request.id


@pytest.mark.parametrize(("duration_sec", "ttl_s"), [(None, 900), (0, 900), (1, 1), (86_400, 86_400), (10**6, 86_400)])
async def test_a_battery_command_always_ends(house, duration_sec, ttl_s):
    """At the door 0 would mean for ever."""
    fields = {} if duration_sec is None else {"duration_sec": duration_sec}
    await house.post("/v1/battery/control", stamped(house, command_type="discharge", target_power_mw=1, **fields))

    assert house.door.asked[0].ttl_s == ttl_s


@pytest.mark.parametrize("fields", [
    {"command_type": "discharge", "target_power_mw": -1}, {"command_type": "standby", "target_power_mw": 2},
    {"command_type": "load_smooth", "target_power_mw": 2}, {"command_type": "charge"}, {"command_type": "discharge"}])
async def test_contradicting_battery_commands_are_refused(house, fields):
    """Guessing what was meant would move tens of megawatts the wrong way."""
    answer = await house.post("/v1/battery/control", stamped(house, **fields))

    assert (answer.status, answer.body["error_code"]) == (400, "INVALID_REQUEST")
    assert answer.body["message"].startswith("target_power_mw: got ")
    assert house.door.asked == []


async def test_clamped_says_by_what_and_how_far(house):
    """200, because it was taken, and the rest of the truth beside it."""
    house.door.outcome = Clamped(id="", value=3e6, limit="ramp", reason="held by the ramp limit", eta_s=12.0,
                                 expires_utc_s=1_780_000_900.0)

    answer = await house.post("/v1/battery/control", stamped(house, command_type="discharge", target_power_mw=9))

    assert answer.status == 200
    assert answer.body["limit"] == "ramp"
    assert answer.body["message"] == "held by the ramp limit"
    assert answer.body["granted_power_mw"] == 3.0
    assert answer.body["eta_sec"] == 12.0
    assert answer.body["expires_at"] == iso_utc(1_780_000_900)


@pytest.mark.parametrize(("code", "status", "error_code"), [
    ("not_found", 404, "NOT_FOUND"), ("forbidden", 403, "FORBIDDEN"), ("expired", 400, "STALE_TIMESTAMP"),
    ("conflict", 409, "CONFLICT"), ("out_of_range", 400, "OUT_OF_RANGE")])
async def test_rejected_keeps_control_s_reason(house, code, status, error_code):
    """The client's next step depends on why."""
    house.door.outcome = Rejected(id="", code=code, reason="because of the test", limit="soc_min")

    answer = await house.post("/v1/battery/control", stamped(house, command_type="standby"))

    assert (answer.status, answer.body["error_code"]) == (status, error_code)
    assert answer.body["message"] == "because of the test"
    assert answer.body["details"] == "limit: soc_min"
    assert breaches("error", answer.body) == []


@pytest.mark.parametrize("outcome", [Failed(id="", code="ledger_full", reason="disk full"), DoorError("gone")])
async def test_what_cannot_be_carried_out_now_is_503(house, outcome):
    """Asking again may help, and the answer says when."""
    house.door.outcome = outcome

    answer = await house.post("/v1/battery/control", stamped(house, command_type="standby"))

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "2"
    assert breaches("error", answer.body) == []


async def test_a_dead_connection_is_asked_twice_with_the_same_id(house):
    """Control restarted: the first frame goes into the old socket. The id keeps it from being done twice."""
    house.door.outcome = DoorError("broken pipe")
    await house.post("/v1/battery/control", stamped(house, command_type="standby"))

    assert len(house.door.asked) == 2
    assert house.door.asked[0] == house.door.asked[1]


@pytest.mark.parametrize("path", ["/v1/battery/control", "/v1/workload/wl-1/control"])
async def test_without_control_nothing_is_asked(house, path):
    """A queue at a dead door would be carried out late."""
    house.control.clock.advance(2.0)

    answer = await house.post(path, stamped(house, command_type="standby" if "battery" in path else "resume"))

    assert (answer.status, answer.body["error_code"]) == (503, "CONTROL_UNAVAILABLE")
    assert house.door.asked == []


async def run_on(house, cycles, **changes):
    for _ in range(cycles):
        house.control.run(**changes)
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(("states", "waiting_since", "expected"), [
    (("pending", "pending"), 32, "pending"), (("verified", "verified"), None, "executed"),
    (("silent", "silent"), 32, "failed"), (("silent", "verified"), None, "executed"),
    (("silent", "pending"), 32, "pending"), (("pending", "pending"), 33, "executed")])
async def test_the_status_is_what_the_devices_acknowledged(house, states, waiting_since, expected):
    """Executed when the working batteries have it, though other devices of the site refuse everything and though the
    next value is on its way already; failed only when no battery takes it."""
    house.door.outcome = Accepted(id="", cycle=32)
    setpoints = tuple(house.control.setpoint(f"bess-{n}.power_setpoint_w", state, waiting_since)
                      for n, state in enumerate(states, 1))
    later = asyncio.create_task(run_on(house, 6, setpoints=setpoints, acknowledged_cycle=0))

    answer = await house.post("/v1/battery/control", stamped(house, command_type="standby"))

    await later
    assert answer.body["status"] == expected


@pytest.mark.parametrize(("fields", "action", "target_w", "pause_s"), [
    ({"command_type": "throttle", "target_power_mw": 12.5}, "throttle", 12.5e6, None),
    ({"command_type": "pause", "pause_duration_sec": 60}, "pause", None, 60),
    ({"command_type": "pause"}, "pause", None, None),
    ({"command_type": "resume", "target_power_mw": 4}, "resume", None, None),
    ({"command_type": "terminate"}, "terminate", None, None)])
async def test_workload_commands_reach_the_door(house, fields, action, target_w, pause_s):
    """Only what belongs to the command goes with it."""
    house.control.run(workloads=(make_workload(),))
    house.door.outcome = Accepted(id="", workload=make_workload(), cycle=house.control.cycle)

    answer = await house.post("/v1/workload/wl-1/control", stamped(house, **fields))

    request = house.door.asked[0]
    assert answer.status == 200
    assert breaches("workload command", answer.body) == []
    assert isinstance(request, ControlWorkload)
    assert (request.workload_id, request.action) == ("wl-1", action)
    assert (request.target_w, request.pause_s) == (target_w, pause_s)
    assert (answer.body["command_status"], answer.body["current_power_mw"]) == ("executed", 30.0)


async def test_a_silent_rack_makes_its_workload_s_throttle_fail(house):
    """The set-points to watch are those of the workload's own racks."""
    house.control.run(workloads=(make_workload(),), acknowledged_cycle=0,
                      setpoints=(house.control.setpoint("rack-1.power_cap_w", "silent"),))
    house.door.outcome = Accepted(id="", workload=make_workload(), cycle=house.control.cycle)

    call = asyncio.create_task(house.post("/v1/workload/wl-1/control", stamped(
        house, command_type="throttle", target_power_mw=5)))
    await run_on(house, 6)

    assert (await call).body["command_status"] == "failed"


async def test_a_throttle_needs_its_power(house):
    """The contract says so in words only; its schema does not."""
    answer = await house.post("/v1/workload/wl-1/control", stamped(house, command_type="throttle"))

    assert (answer.status, answer.body["message"]) == (
        400, "target_power_mw: got nothing: expected a value with command_type throttle")


async def test_a_command_to_an_unknown_workload_is_the_contract_s_404(house):
    """Control alone knows for sure: what was announced a moment ago is not in the image yet."""
    house.door.outcome = Rejected(id="", code="not_found", reason="wl-9: no such workload here")

    answer = await house.post("/v1/workload/wl-9/control", stamped(house, command_type="pause"))

    assert (answer.status, answer.body["error_code"]) == (404, "WORKLOAD_NOT_FOUND")


async def test_nothing_here_migrates(house):
    """Known workload: 409 and what to do instead; unknown: 404."""
    house.control.run(workloads=(make_workload(),))
    known = await house.post("/v1/workload/wl-1/control", stamped(house, command_type="migrate", migration_target="x"))
    unknown = await house.post("/v1/workload/wl-9/control", stamped(house, command_type="migrate"))

    assert (known.status, known.body["error_code"]) == (409, "MIGRATION_UNAVAILABLE")
    assert (unknown.status, unknown.body["error_code"]) == (404, "WORKLOAD_NOT_FOUND")
    assert house.door.asked == []


async def test_an_announcement_reaches_the_door_in_si(house):
    """Every field that control judges by."""
    house.door.outcome = Accepted(id="", workload=make_workload())
    message = announcement(
        house, thermal_profile={"heat_generation_kw": 120.5, "preferred_operating_temp_c": 65},
        flexibility_parameters={"throttling_capability": True, "delay_tolerance_sec": 300, "priority_level": "high"},
        timing_constraints={"deadline": "2026-06-01T12:00:00+02:00"})
    message["power_profile"]["duration_estimate_sec"] = 7200

    answer = await house.post("/v1/workload/announce", message)

    request = house.door.asked[0]
    assert isinstance(request, Announce)
    said = request.workload
    assert (said.workload_id, said.kind, said.peak_w, said.baseline_w, said.ramp_w_per_s) == (
        "wl-1", "ai_training", 30.5e6, 10e6, 2.5e6)
    assert (said.duration_s, said.heat_w, said.preferred_temperature_c, said.critical_temperature_c) == (
        7200, 120_500, 65, None)
    assert (said.can_throttle, said.can_migrate, said.delay_tolerance_s, said.priority) == (True, False, 300, "high")
    assert said.deadline_utc_s == 1_780_308_000.0
    assert answer.status == 200
    assert breaches("announcement", answer.body) == []


@pytest.mark.parametrize(("state", "outcome", "expected", "power_mw"), [
    (WorkloadState.APPROVED, Accepted, "approved", 30.0),
    (WorkloadState.CONDITIONAL, Clamped, "approved_with_conditions", 30.0),
    (WorkloadState.REJECTED, Rejected, "rejected", 0.0)])
async def test_an_announcement_is_answered_with_the_judgement(house, state, outcome, expected, power_mw):
    """A rejection on the merits is an answer, not an error."""
    more = {Clamped: {"value": 30e6, "limit": "headroom"}, Rejected: {"code": "capacity"}}.get(outcome, {})
    house.door.outcome = outcome(id="", reason="at most 30 MW until 14:00", workload=make_workload(
        state=state, conditions=("ramp at most 0.5 MW/s",)), **more)

    body = (await house.post("/v1/workload/announce", announcement(house))).body

    assert breaches("announcement", body) == []
    assert (body["approval_status"], body["approved_power_mw"]) == (expected, power_mw)
    assert body["infrastructure_capacity"] == {
        "available_power_mw": 30.0, "cooling_capacity_kw": 50000.0, "battery_storage_available": True}
    assert body["thermal_coordination"]["cooling_system_type"] == "single_phase_liquid"
    assert body["conditions"][0] == "ramp at most 0.5 MW/s"
    assert any("at most 30 MW until 14:00" in line for line in body["conditions"]) == (outcome is not Accepted)


@pytest.mark.parametrize("trouble", ["dead", "safe", "door", "failed", "inputs"])
async def test_capacity_that_cannot_be_judged_is_not_there(house, trouble):
    """503 with the contract's own code, whatever keeps us from judging."""
    if trouble == "safe":
        house.control.run(mode=Mode.SAFE)
    message = announcement(house)
    if trouble == "dead":
        message["timestamp"] = iso_utc(house.control.clock.utc_s() + 2)
        house.control.clock.advance(2.0)
    house.door.outcome = {"door": DoorError("gone"), "failed": Failed(id="", code="disk", reason="disk full"),
                          "inputs": Rejected(id="", code="no_inputs", reason="grid meter lost")}.get(trouble)

    answer = await house.post("/v1/workload/announce", message)

    assert (answer.status, answer.body["error_code"]) == (503, "INSUFFICIENT_CAPACITY")
    assert int(answer.headers["Retry-After"]) > 0
    assert len(house.door.asked) == {"dead": 0, "safe": 0, "door": 2}.get(trouble, 1)


async def test_an_announcement_twice_is_a_conflict_not_a_lack_of_capacity(house):
    """Control's refusals of the message itself keep their own status."""
    house.door.outcome = Rejected(id="", code="conflict", reason="workload wl-1: runs already")

    assert (await house.post("/v1/workload/announce", announcement(house))).status == 409


async def test_the_idempotency_key_is_the_user_s_own(house):
    """One user's key must not replay another's command."""
    command = stamped(house, command_type="resume")
    for role in ("infrastructure_manager", "workload_operator"):
        await house.post("/v1/workload/wl-1/control", command, role=role, headers={"Idempotency-Key": "k-1"})
    await house.post("/v1/workload/wl-1/control", command)
    await house.post("/v1/workload/wl-1/control", command)

    ids = [request.id for request in house.door.asked]
    assert ids[:2] == ["api:infrastructure_manager:k-1", "api:workload_operator:k-1"]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("key", ["", "x" * 129, "with space"])
async def test_a_bad_idempotency_key_is_refused(house, key):
    """It goes into the ledger and into logs."""
    answer = await house.post("/v1/battery/control", stamped(house, command_type="standby"),
                              headers={"Idempotency-Key": key})

    assert answer.status == 400
    assert house.door.asked == []


@pytest.mark.parametrize(("age_s", "status"), [(29.0, 200), (31.0, 400), (-4.0, 200), (-6.0, 400)])
@pytest.mark.parametrize("path", ["/v1/battery/control", "/v1/workload/wl-1/control", "/v1/workload/announce"])
async def test_old_and_future_commands_are_refused(house, path, age_s, status):
    """A command that waited in a queue may no longer be what anybody wants."""
    house.door.outcome = Accepted(id="", workload=make_workload())
    message = announcement(house, command_type="standby" if "battery" in path else "resume")
    message["timestamp"] = iso_utc(house.control.clock.utc_s() - age_s)

    answer = await house.post(path, message)

    assert answer.status == status
    assert status == 200 or answer.body["error_code"] == "STALE_TIMESTAMP"


async def test_a_command_goes_through_a_real_door(house, tmp_path):
    """The wire format and the client, with control's end of the socket in place of the fake."""
    heard = []

    async def decide(request, peer):
        heard.append((request, peer.authority))
        return Clamped(id=request.id, value=2e6, limit="soc_min", cycle=house.control.cycle)

    server = DoorServer(tmp_path / "door.sock", Level.API, decide)
    await server.open()
    client = DoorClient(tmp_path / "door.sock")
    house.gateway.services.dispatch._door = client
    answer = await house.post("/v1/battery/control", stamped(house, command_type="discharge", target_power_mw=9))
    client.close()
    await server.close()

    assert (answer.status, answer.body["status"], answer.body["limit"]) == (200, "executed", "soc_min")
    assert heard[0][0].power_w == 9e6
    assert heard[0][1] == Level.API


async def test_yesterday_s_silence_is_not_this_command_s_failure(house):
    """Until control has used the command, the set-points' states belong to an earlier one."""
    house.door.outcome = Accepted(id="", cycle=1000)
    setpoints = tuple(house.control.setpoint(f"bess-{n}.power_setpoint_w", "silent") for n in (1, 2))
    later = asyncio.create_task(run_on(house, 6, setpoints=setpoints))

    answer = await house.post("/v1/battery/control", stamped(house, command_type="standby"))

    await later
    assert answer.body["status"] == "pending"
