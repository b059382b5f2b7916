"""The simulated grid operator by itself."""

import aiohttp
import pytest

from simulators.grid_operator import GridOperator

MESSAGE = {"id": "m-1", "kind": "capacity_available", "content": {}}


@pytest.fixture
async def operator():
    async with GridOperator("secret") as made:
        yield made


async def ask(operator, method, path, json=None, token="secret"):
    async with aiohttp.ClientSession() as session, session.request(
            method, f"http://127.0.0.1:{operator.port}{path}", json=json,
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "m-1"}) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("path", ["/grid/conditions", "/grid/events", "/heat/conditions"])
async def test_nobody_is_heard_without_the_secret(operator, path):
    """A test of the client's token needs a server that looks at it."""
    assert (await ask(operator, "GET", path, token="guess"))[0] == 401
    assert (await ask(operator, "GET", path))[0] == 200


async def test_the_same_message_is_taken_once(operator):
    """As a real operator does it: by its id."""
    first = await ask(operator, "POST", "/grid/signals", MESSAGE)
    assert await ask(operator, "POST", "/grid/signals", MESSAGE) == first
    assert (len(operator.received), operator.asked) == (1, 2)


async def test_faults_go_on_and_off(operator):
    """`fail_times` ends by itself."""
    operator.fault("fail", 503)
    operator.fault("fail_times", 1)
    assert (await ask(operator, "POST", "/grid/signals", MESSAGE))[0] == 503
    assert (await ask(operator, "POST", "/grid/signals", MESSAGE))[0] == 200
    with pytest.raises(ValueError, match="expected one of"):
        operator.fault("meteor", 1)


async def test_the_control_channel_can_ask_for_a_demand_response(operator):
    """Name and argument as they come over the socket."""
    commands = operator.commands()
    made = await commands["demand_response"]({"reduction_w": 5e6, "duration_s": 60.0})
    assert (await ask(operator, "GET", "/grid/events?after=0"))[1]["events"] == [made["event"]]
    assert (await ask(operator, "GET", "/grid/events?after=1"))[1]["events"] == []
    await commands["operator_fault"]({"name": "reject", "value": "no"})
    await ask(operator, "POST", "/heat/signals", MESSAGE)
    assert (await commands["operator_log"](True))["received"][0]["answer"] == "rejected"
