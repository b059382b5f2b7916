"""The stream of grid events: what the operator asks for reaches whoever listens, also who comes late."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from stream_house import GRID, StreamHouse, stream_house

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.profiles.dcpi import streams
from pswd_edge.gateway.profiles.dcpi.streams_models import GridEventMessage


@pytest.fixture
async def house(tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StreamHouse]:
    async with stream_house(tmp_path, state_dir, monkeypatch) as house:
        yield house


async def ask(house: StreamHouse, event_id: str, *, in_s: float = 300.0) -> float:
    """The operator's request; returns its deadline."""
    deadline_utc_s = house.control.clock.utc_s() + in_s
    await house.gateway.services.grid_events.tell("demand_response_request", event_id, {
        "requested_reduction_w": 75e6, "duration_s": 7200.0, "response_deadline_utc_s": deadline_utc_s,
        "compensation_per_mwh": 150.0})
    await house.settle()
    return deadline_utc_s


async def receive(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    message = json.loads(await socket.receive_str(timeout=2.0))
    GridEventMessage.model_validate(message)
    return message


async def nothing_more(house: StreamHouse, socket: aiohttp.ClientWebSocketResponse) -> bool:
    """The next thing that comes is the event that is told now."""
    await house.gateway.services.grid_events.tell("grid_notification", "marker", {})
    return (await receive(socket))["event_id"] == "marker"


async def test_request_reaches_every_listener_in_the_contracts_words(house: StreamHouse) -> None:
    """MW and hours, as the schedulers on the other side expect them."""
    sockets = [await house.open(GRID) for _ in range(2)]
    deadline_utc_s = await ask(house, "dr-1")
    for socket in sockets:
        message = await receive(socket)
        assert message["event_type"] == "demand_response_request"
        assert message["event_id"] == "dr-1"
        assert message["parameters"] == {"requested_reduction_mw": 75.0, "duration_hours": 2.0,
                                         "response_deadline": iso_utc(deadline_utc_s), "compensation_rate": 150.0}


async def test_who_joins_late_gets_what_is_still_to_be_answered(house: StreamHouse) -> None:
    """A scheduler that was reconnecting must not miss a request; what is over is not told again."""
    await ask(house, "over", in_s=5.0)
    await ask(house, "open")
    house.control.run(60)
    socket = await house.open(GRID)
    assert (await receive(socket))["event_id"] == "open"
    assert await nothing_more(house, socket)


async def test_request_that_was_cancelled_is_not_told_to_latecomers(house: StreamHouse) -> None:
    """Nobody must shed load for what is no longer asked."""
    early = await house.open(GRID)
    await ask(house, "dr-1")
    await house.gateway.services.grid_events.tell("demand_response_cancelled", "dr-1", {"message": "not needed"})
    await house.settle()
    assert (await receive(early))["event_id"] == "dr-1"
    cancelled = await receive(early)
    assert (cancelled["event_type"], cancelled["parameters"]) == ("demand_response_cancelled",
                                                                  {"message": "not needed"})
    late = await house.open(GRID)
    assert await nothing_more(house, late)


async def test_end_of_a_commitment_tells_what_was_measured(house: StreamHouse) -> None:
    """What the operator is told, the schedulers are told too."""
    socket = await house.open(GRID)
    await house.gateway.services.grid_events.tell("demand_response_ended", "dr-1", {
        "seconds": 3600.0, "energy_wh": 70e6, "mean_reduction_w": 70e6, "least_reduction_w": 61.5e6})
    assert (await receive(socket))["parameters"] == {
        "measured_sec": 3600.0, "energy_mwh": 70.0, "mean_reduction_mw": 70.0, "least_reduction_mw": 61.5}


async def test_events_are_numbered_as_the_gateway_keeps_them(house: StreamHouse) -> None:
    """A number missing between two is an event that this client was not told."""
    socket = await house.open(GRID)
    for name in ("a", "b", "c"):
        await ask(house, name)
    numbers = [(await receive(socket))["sequence"] for _ in range(3)]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


async def test_only_so_many_open_requests_are_kept(house: StreamHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that asks without end must not fill the memory, nor the first seconds of every client."""
    for number in range(streams.KEPT_EVENTS + 3):
        await ask(house, f"dr-{number}", in_s=1e6)
    socket = await house.open(GRID)
    got = [(await receive(socket))["event_id"] for _ in range(streams.KEPT_EVENTS)]
    assert got[0] == "dr-3"
    assert await nothing_more(house, socket)


async def test_open_requests_survive_a_restart_of_the_gateway(
    tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie on disk; a client that comes back after it gets them again."""
    async with stream_house(tmp_path, state_dir, monkeypatch) as first:
        await ask(first, "dr-1")
    async with stream_house(tmp_path / "again", state_dir, monkeypatch) as second:
        socket = await second.open(GRID)
        assert (await receive(socket))["event_id"] == "dr-1"
