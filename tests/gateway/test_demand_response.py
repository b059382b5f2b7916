"""Demand response from the operator's request to the result that it is told."""

import pytest
from gateway_campus import make_workload
from grid_house import open_house
from msgspec.structs import replace

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.profiles.dcpi.grid_models import DemandResponseAnswer, GridStatus
from pswd_edge.model.command import Accepted, Clamped, ControlWorkload, Failed, Rejected, SetLimit
from pswd_edge.model.workload import WorkloadState

MW = 1e6


@pytest.fixture
async def grid(tmp_path, state_dir, monkeypatch):
    async with open_house(tmp_path, state_dir, monkeypatch) as house:
        yield house


async def demanded(house, **how):
    event = house.operator.demand(**{"reduction_w": 10 * MW, "duration_s": 600.0, "event_id": "dr-1", **how})
    assert await house.services.grid_events.look(0.0)
    return event["event_id"]


def accept(event_id="dr-1", **changes):
    offer = {"load_reduction_mw": 10.0, "duration_hours": 0.25, "response_time_sec": 60, **changes}
    return {"event_id": event_id, "response": "accept", "commitment": offer}


async def answer(house, body, status=200):
    found = await house.dcpi("POST", "/grid/demand-response", body)
    assert found.status == status, found.body
    if status == 200:
        DemandResponseAnswer.model_validate(found.body)
        return found.body
    return found.body["error"]


async def seconds(house, count, **changes):
    """So many seconds of control and of the gateway's turns."""
    for _ in range(count):
        house.control.run(10, **changes)
        await house.services.demand_response.turn()


def limits(house):
    return [r for r in house.door.asked if isinstance(r, SetLimit)]


async def status(house):
    found = await house.dcpi("GET", "/grid/status")
    GridStatus.model_validate(found.body)
    return found.body


async def test_an_accepted_reduction_is_a_limit_that_control_keeps(grid):
    """Baseline less reduction, from the promised moment to the end, in the client's name."""
    event_id = await demanded(grid)
    now_s = grid.control.clock.utc_s()
    found = await answer(grid, accept(event_id))

    (limit,) = limits(grid)
    assert (limit.name, limit.value, limit.origin, limit.role) == (
        "import_limit_w", 50 * MW, "dcpi:scheduler-01", "client")
    assert (limit.from_utc_s, limit.ttl_s) == (now_s, 60 + 900)      # the ramp needs longer than the 60 s
    assert found["commitment"]["note"].startswith("within the ramp limit all of it is there 100 s after")
    assert found["commitment_status"] == "scheduled"
    assert found["commitment"]["baseline_mw"] == 60.0
    assert found["commitment"]["import_limit_mw"] == 50.0
    assert found["commitment"]["start_time"] == iso_utc(now_s + 60)
    assert found["commitment"]["end_time"] == iso_utc(now_s + 960)
    assert "delivered" not in found["commitment"]
    assert found["acknowledgment_status"] == "acknowledged"
    (told,) = grid.operator.received
    assert (told["kind"], told["content"]["response"]) == ("demand_response_response", "accept")


async def test_the_limit_begins_as_long_before_as_the_ramp_needs(grid):
    """10 MW at 0.1 MW/s: control, which moves within its ramp, is there when it was promised."""
    await demanded(grid)
    found = await answer(grid, accept(response_time_sec=300))
    now_s = grid.control.clock.utc_s()
    assert limits(grid)[0].from_utc_s == pytest.approx(now_s + 300 - 100.25)
    assert found["commitment"]["start_time"] == iso_utc(now_s + 300)
    assert "note" not in found["commitment"]


async def test_what_is_delivered_is_measured_every_second_shown_and_told(grid):
    """Against the baseline: mean, least and energy; the operator gets them at the end."""
    await demanded(grid)
    await answer(grid, accept())
    await seconds(grid, 61)
    assert (await status(grid))["demand_response_active"] is True
    await seconds(grid, 450, grid_w=48 * MW)
    await seconds(grid, 440, grid_w=52 * MW)

    (current,) = (await status(grid))["commitments"]
    delivered = current["delivered"]
    assert current["commitment_status"] == "active"
    assert delivered["current_reduction_mw"] == 8.0
    assert delivered["minimum_reduction_mw"] <= 8.0
    assert delivered["mean_reduction_mw"] == pytest.approx(10.0, abs=0.1)
    await seconds(grid, 20)

    found = await answer(grid, accept())
    assert found["commitment_status"] == "completed"
    assert found["commitment"]["delivered"]["measured_sec"] == pytest.approx(899, abs=3)
    assert found["commitment"]["delivered"]["energy_mwh"] == pytest.approx(10 * 0.25, rel=0.02)
    assert (await status(grid))["demand_response_active"] is False
    told = grid.operator.received[-1]
    assert told["kind"] == "demand_response_result"
    assert told["content"]["energy_wh"] == pytest.approx(2.5 * MW, rel=0.02)
    assert [e.event_type for e in grid.services.grid_events.recent()] == [
        "demand_response_request", "demand_response_started", "demand_response_ended"]


async def test_a_gap_in_the_measurements_is_no_delivery(grid):
    """What nobody measured is not counted, and no second is counted twice."""
    await demanded(grid)
    await answer(grid, accept(response_time_sec=0))
    await seconds(grid, 3)
    await seconds(grid, 3, grid_w=None)
    grid.control.clock.advance(100.0)
    await seconds(grid, 2, grid_w=50 * MW)
    (current,) = (await status(grid))["commitments"]
    assert current["delivered"]["measured_sec"] == pytest.approx(3.0, abs=0.1)


async def test_the_same_answer_again_changes_nothing(grid):
    """A client that lost the answer repeats it; another answer is refused."""
    await demanded(grid)
    first = await answer(grid, accept())
    assert (await answer(grid, accept())) == first
    assert len(limits(grid)) == 1
    assert len(grid.operator.received) == 1
    for other in (accept(load_reduction_mw=9.0), {"event_id": "dr-1", "response": "decline"}):
        assert (await answer(grid, other, 409))["code"] == "EVENT_ALREADY_ANSWERED"


async def test_a_declined_request_is_told_and_binds_nothing(grid):
    """No is an answer too."""
    await demanded(grid)
    found = await answer(grid, {"event_id": "dr-1", "response": "decline"})
    assert (found["commitment_status"], found["acknowledgment_status"]) == ("declined", "acknowledged")
    assert "commitment" not in found
    assert grid.door.asked == []
    assert grid.operator.received[0]["content"] == {"event_id": "dr-1", "response": "decline"}


async def test_an_unknown_event_is_not_found(grid):
    """Only what the operator asked for can be answered."""
    assert (await answer(grid, accept("dr-9"), 404))["code"] == "RESOURCE_NOT_FOUND"


async def test_after_the_deadline_it_is_too_late(grid):
    """The operator counts on nobody by then."""
    await demanded(grid, deadline_s=30.0)
    grid.control.clock.advance(31.0)
    grid.control.run(1)
    assert (await answer(grid, accept(), 409))["code"] == "RESPONSE_DEADLINE_PASSED"
    assert grid.door.asked == []


async def test_more_than_the_site_can_give_is_refused_with_what_it_can(grid):
    """A promise that cannot be kept is worse than none."""
    await demanded(grid)
    found = await answer(grid, accept(load_reduction_mw=59.0, duration_hours=4.0), 409)
    assert found["code"] == "INSUFFICIENT_POWER_CAPACITY"
    assert found["details"]["requested_reduction_mw"] == 59.0
    assert 0 < found["details"]["available_reduction_mw"] < 10.0
    assert found["details"]["suggested_alternatives"]
    assert grid.door.asked == []
    assert grid.operator.received == []


async def test_more_than_is_drawn_cannot_be_taken_off(grid):
    """Batteries could give more than the baseline; an import limit cannot."""
    await demanded(grid)
    assert (await answer(grid, accept(load_reduction_mw=61.0, duration_hours=0.01), 409))[
        "code"] == "INSUFFICIENT_POWER_CAPACITY"


@pytest.mark.parametrize(("outcome", "expected"), [
    (Rejected(id="", code="too_many", reason="100 limits are held"), 400), (Failed(id="", code="ledger"), 503)])
async def test_what_control_does_not_take_is_promised_to_nobody(grid, outcome, expected):
    """The limit first, then the operator."""
    await demanded(grid)
    grid.door.outcome = outcome
    await answer(grid, accept(), expected)
    assert grid.operator.received == []
    grid.door.outcome = None
    assert (await answer(grid, accept()))["commitment_status"] == "scheduled"


async def test_a_clamped_limit_is_told(grid):
    """The site file keeps less in any case: the commitment holds, and says why."""
    await demanded(grid)
    grid.door.outcome = Clamped(id="", value=40 * MW, limit="import_limit_w", reason="it would loosen")
    found = await answer(grid, accept())
    assert "40 MW" in found["commitment"]["note"]


async def test_an_operator_that_does_not_want_it_gets_none(grid):
    """Rejected: the limit is let go of at its own place, other limits of the client stay."""
    await demanded(grid)
    grid.operator.fault("reject", "enough have answered")
    found = await answer(grid, accept())
    assert (found["commitment_status"], found["acknowledgment_status"]) == ("rejected", "rejected")
    assert found["grid_operator_response"] == "enough have answered"
    first, loose = limits(grid)
    assert (loose.value, loose.from_utc_s, loose.origin) == (125 * MW, first.from_utc_s, first.origin)
    assert (await status(grid)).get("commitments") is None


async def test_a_rejection_that_comes_late_lets_go_too(grid, monkeypatch):
    """Pending at first: the commitment holds until the operator has said no."""
    monkeypatch.setattr("pswd_edge.gateway.services.demand_response.TELL_S", 0.05)
    await demanded(grid)
    grid.operator.fault("hold", True)
    assert (await answer(grid, accept()))["acknowledgment_status"] == "pending"
    grid.operator.fault("hold", None)
    grid.operator.fault("reject", "no")
    assert await grid.services.delivery.turn("grid") == "rejected"
    await seconds(grid, 6)
    assert (await answer(grid, accept()))["commitment_status"] == "rejected"
    assert len(limits(grid)) == 2


async def test_a_request_that_is_taken_back_ends_the_commitment(grid):
    """Nobody sheds for an event that is off."""
    await demanded(grid)
    await answer(grid, accept())
    grid.operator.tell("demand_response_cancelled", "dr-1", {"message": "wind has come"})
    await grid.services.grid_events.look(0.0)
    await seconds(grid, 6)
    assert (await answer(grid, accept()))["commitment_status"] == "cancelled"
    assert limits(grid)[-1].value == 125 * MW
    await demanded(grid, event_id="dr-2")
    grid.operator.tell("demand_response_cancelled", "dr-2", {})
    await grid.services.grid_events.look(0.0)
    assert (await answer(grid, accept("dr-2"), 409))["code"] == "EVENT_CANCELLED"


# --- workloads ------------------------------------------------------------------------------------------------------


def workload(name, **changes):
    made = make_workload(name, announced_utc_s=1_780_000_000.0)
    return replace(made, announcement=replace(made.announcement, can_throttle=True, minimum_w=12 * MW, **changes))


def orders(house):
    return [(r.workload_id, r.action, r.target_w) for r in house.door.asked if isinstance(r, ControlWorkload)]


async def test_named_workloads_are_throttled_first_and_let_go_at_the_end(grid):
    """In their order, as far as the reduction needs; nothing is asked of the second where the first is enough."""
    grid.control.run(1, workloads=(workload("wl-1"), workload("wl-2")))
    await demanded(grid)
    await answer(grid, accept(affected_workloads=["wl-1", "wl-2"]))
    await seconds(grid, 2)
    drawn_w = (10 + 2 / 3 * 20) * MW
    assert orders(grid) == [("wl-1", "throttle", pytest.approx(drawn_w - 10 * MW))]

    throttled = replace(workload("wl-1"), state=WorkloadState.THROTTLED, target_w=drawn_w - 10 * MW)
    await seconds(grid, 961, workloads=(throttled, workload("wl-2")))
    assert orders(grid)[1:] == [("wl-1", "resume", None)]
    found = await answer(grid, accept(affected_workloads=["wl-1", "wl-2"]))
    assert found["commitment"]["throttled_workloads"] == [
        {"workload_id": "wl-1", "target_power_mw": pytest.approx(drawn_w / MW - 10)}]


async def test_a_throttle_is_begun_no_sooner_than_the_ramp_needs(grid):
    """10 MW at 6 MW/min: 100 s before the begin, not at the answer."""
    grid.control.run(1, workloads=(workload("wl-1"),))
    await demanded(grid)
    await answer(grid, accept(response_time_sec=300, affected_workloads=["wl-1"]))
    await seconds(grid, 195)
    assert orders(grid) == []
    await seconds(grid, 7)
    assert len(orders(grid)) == 1


async def test_what_cannot_be_throttled_or_belongs_to_somebody_else_is_left_alone(grid):
    """The law keeps the limit without it."""
    paused = replace(workload("wl-2"), state=WorkloadState.PAUSED)
    later = workload("wl-3", earliest_start_utc_s=1_780_090_000.0)
    grid.control.run(1, workloads=(make_workload("wl-1"), paused, later))
    await demanded(grid)
    await answer(grid, accept(response_time_sec=0, affected_workloads=["wl-1", "wl-2", "wl-3"]))
    await seconds(grid, 3)
    assert orders(grid) == []


async def test_a_workload_that_its_owner_has_throttled_further_stays_so(grid):
    """The end of the commitment undoes only what it did itself."""
    grid.control.run(1, workloads=(workload("wl-1"),))
    await demanded(grid)
    await answer(grid, accept(response_time_sec=0, duration_hours=0.01, affected_workloads=["wl-1"]))
    await seconds(grid, 2)
    own = replace(workload("wl-1"), state=WorkloadState.THROTTLED, target_w=12 * MW)
    await seconds(grid, 40, workloads=(own,))
    assert [action for _, action, _ in orders(grid)] == ["throttle"]


async def test_a_throttle_that_control_refuses_is_not_asked_again_each_second(grid):
    """Refused once, it is refused for this event."""
    grid.control.run(1, workloads=(workload("wl-1"),))
    await demanded(grid)
    await answer(grid, accept(response_time_sec=0, affected_workloads=["wl-1"]))
    grid.door.outcome = Rejected(id="", code="conflict", reason="terminated")
    await seconds(grid, 5)
    assert len(orders(grid)) == 1


async def test_an_unknown_workload_is_not_found(grid):
    """A typing error must not become a promise without its workload."""
    await demanded(grid)
    assert (await answer(grid, accept(affected_workloads=["nobody"]), 404))["code"] == "RESOURCE_NOT_FOUND"
    assert grid.door.asked == []


# --- form, restart --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [
    {"event_id": "dr-1", "response": "accept"}, {"event_id": "dr-1", "response": "maybe"},
    {"event_id": "", "response": "decline"}, accept(load_reduction_mw=0.0), accept(duration_hours=0),
    accept(duration_hours=24.0), accept(duration_hours=24.5), accept(response_time_sec=1.5),
    accept(response_time_sec=90_000), accept(affected_workloads=["a b"]), accept(affected_workloads="wl-1"),
])
async def test_an_answer_that_is_none_is_refused(grid, body):
    """400, and nothing is promised."""
    await demanded(grid)
    assert (await answer(grid, body, 400))["code"] == "INVALID_REQUEST"
    assert grid.door.asked == []
    assert grid.operator.received == []


async def test_without_control_nothing_is_promised(grid):
    """Nobody would keep it."""
    await demanded(grid)
    grid.control.clock.advance(5.0)
    assert (await answer(grid, accept(), 503))["code"] == "SYSTEM_MAINTENANCE"


async def test_a_commitment_goes_on_after_a_restart_of_the_gateway(grid):
    """What is on disk: the promise, its limit and what was measured so far."""
    from pswd_edge.gateway.services.commitment import CommitmentTable
    await demanded(grid)
    await answer(grid, accept(response_time_sec=0))
    await seconds(grid, 25, grid_w=50 * MW)
    (kept,) = CommitmentTable(grid.services.store).live()
    assert kept.stage == "active"
    assert kept.measured.seconds >= 10.0
    assert kept.measured.mean_w == pytest.approx(10 * MW)
    assert kept.limit_w == 50 * MW


async def test_two_commitments_of_one_client_have_two_limits(grid):
    """Control tells limits of one origin apart by their begin: neither may replace the other."""
    await demanded(grid)
    await demanded(grid, event_id="dr-2")
    await answer(grid, accept(response_time_sec=0))
    await answer(grid, accept("dr-2", load_reduction_mw=5.0, response_time_sec=0))
    first, second = limits(grid)
    assert round(first.from_utc_s) != round(second.from_utc_s)


async def test_one_commitment_that_control_does_not_hear_holds_up_no_other(grid):
    """A failing let-go is tried again; the measuring goes on."""
    await demanded(grid)
    await demanded(grid, event_id="dr-2")
    await answer(grid, accept(response_time_sec=0))
    await answer(grid, accept("dr-2", load_reduction_mw=5.0, response_time_sec=0))
    grid.operator.tell("demand_response_cancelled", "dr-1", {})
    await grid.services.grid_events.look(0.0)
    grid.door.outcome = Failed(id="", code="ledger", reason="disk full")
    await seconds(grid, 8)
    current = {c["event_id"]: c for c in (await status(grid))["commitments"]}
    assert current["dr-2"]["delivered"]["measured_sec"] > 5
    grid.door.outcome = Accepted(id="")
    await seconds(grid, 6)
    assert {c["event_id"] for c in (await status(grid))["commitments"]} == {"dr-2"}
