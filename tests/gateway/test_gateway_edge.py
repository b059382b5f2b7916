"""The gateway's own API: alarms over HTTP, and the heartbeat of a supervisor."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from conftest import House
from gateway_campus import Control, FakeDoor, make_site

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.server import Gateway
from pswd_edge.model.command import Accepted, Acknowledge, Heartbeat, Rejected
from pswd_edge.model.report import AlarmReport

CODE = "over_temperature:hall-a"


@pytest.fixture
async def own(tmp_path: Path, state_dir: Path) -> AsyncIterator[House]:
    """A listener that serves both APIs."""
    control = Control(tmp_path / "run", make_site(("pswd", "edge")))
    control.run(3, alarms=(AlarmReport(CODE, "hall-a: 49 degC", 1.0, "critical"),))
    live, door = LiveImage(tmp_path / "run", control.clock), FakeDoor()
    async with Gateway(live, door, state_dir, control.clock) as gateway, aiohttp.ClientSession() as client:
        await gateway.open(tmp_path / "run" / "rows")
        yield House(control, door, gateway, live, client)


async def test_alarms_are_listed_with_their_codes(own):
    """What is acknowledged must be found first."""
    answer = await own.get("/edge/alarms")
    assert answer.status == 200
    assert [(a["code"], a["severity"]) for a in answer.body["alarms"]] == [(CODE, "critical")]


async def test_an_acknowledgement_reaches_control_with_its_user(own):
    """The ledger says who has seen it; the same key twice is one order."""
    own.door.outcome = Accepted(id="", reason="acknowledged; still on")
    answer = await own.post("/edge/alarms/acknowledge", {"code": CODE}, headers={"Idempotency-Key": "k-1"})
    assert (answer.status, answer.body) == (200, {"code": CODE, "reason": "acknowledged; still on"})
    request = own.door.asked[0]
    assert isinstance(request, Acknowledge)
    assert (request.id, request.origin, request.role, request.code) == (
        "api:infrastructure_manager:k-1", "api:infrastructure_manager", "infrastructure_manager", CODE)
    assert request.issued_utc_s == own.control.clock.utc_s()


async def test_an_alarm_that_is_not_listed_is_404_in_our_own_words(own):
    """Control's answer, not the gateway's guess."""
    own.door.outcome = Rejected(id="", code="not_found", reason="x: no such alarm is listed")
    answer = await own.post("/edge/alarms/acknowledge", {"code": "x"})
    assert answer.status == 404
    assert (answer.body["code"], answer.body["message"]) == ("NOT_FOUND", "x: no such alarm is listed")
    assert answer.body["request_id"]


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": 5}, {"code": CODE, "all": True}, {"code": "x" * 201}])
async def test_a_body_that_is_wrong_reaches_no_door(own, body):
    """A misspelt key must not acknowledge something else."""
    answer = await own.post("/edge/alarms/acknowledge", body)
    assert answer.status == 400
    assert own.door.asked == []


async def test_a_heartbeat_is_a_word_of_its_user(own):
    """Without a body; what control does not wait for is 404."""
    answer = await own.post("/edge/heartbeat", None)
    assert (answer.status, answer.body) == (200, {"heard": True})
    request = own.door.asked[0]
    assert isinstance(request, Heartbeat)
    assert request.origin == "api:infrastructure_manager"
    own.door.outcome = Rejected(id="", code="not_found", reason="nobody waits for its heartbeat")
    assert (await own.post("/edge/heartbeat", None)).status == 404


@pytest.mark.parametrize("role", ["workload_operator", "grid_operator", "municipal_utility", None])
async def test_others_may_read_alarms_and_no_more(own, role):
    """Deny by default; without a token nothing at all."""
    for path, body in (("/edge/alarms/acknowledge", {"code": CODE}), ("/edge/heartbeat", None)):
        assert (await own.post(path, body, role=role)).status == (403 if role else 401)
    assert (await own.get("/edge/alarms", role=role)).status == (200 if role else 401)
    assert own.door.asked == []


async def test_a_listener_without_it_does_not_serve_it(house):
    """A contract's port has what the contract says."""
    assert (await house.get("/edge/alarms")).status == 404


async def test_a_dead_control_has_no_list_of_alarms(own):
    """An old list would look like an answer."""
    own.control.clock.advance(10.0)
    answer = await own.get("/edge/alarms")
    assert (answer.status, answer.body["code"]) == (503, "CONTROL_UNAVAILABLE")
