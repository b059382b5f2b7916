"""Events of the grid operator: heard, kept, handed out, read again."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from grid_house import open_house

from pswd_edge.gateway.services.grid_events import QUEUE_MAX, GridEvents
from pswd_edge.gateway.services.outside import Outside
from pswd_edge.model.site import OutsideEndpoint

MW = 1e6


@pytest.fixture
async def grid(tmp_path, state_dir, monkeypatch):
    async with open_house(tmp_path, state_dir, monkeypatch) as house:
        yield house


def away(grid, gone=True):
    """Nobody listens where the operator was."""
    outside, nobody = grid.services.outside, OutsideEndpoint("http://127.0.0.1:1", f"file:{__file__}")
    outside.endpoint = (lambda _: nobody) if gone else partial(Outside.endpoint, outside)


async def test_a_request_reaches_every_listener_in_si(grid):
    """Watts, seconds and moments; each API makes its own words of them."""
    events, listener = grid.services.grid_events, grid.services.grid_events.subscribe()
    now_s = grid.control.clock.utc_s()
    grid.operator.demand(75 * MW, 7200.0, 300.0, 150.0, "dr-event-154")
    assert await events.look(0.0)

    event = await anext(listener)
    assert (event.number, event.event_type, event.event_id) == (1, "demand_response_request", "dr-event-154")
    assert event.utc_s == pytest.approx(now_s, abs=0.001)
    assert event.parameters == {"requested_reduction_w": 75 * MW, "duration_s": 7200.0, "compensation_per_mwh": 150.0,
                                "response_deadline_utc_s": pytest.approx(now_s + 300, abs=0.001)}
    assert [e.event_id for e in events.recent()] == ["dr-event-154"]


async def test_a_long_poll_brings_the_event_at_once(grid):
    """It waits at the operator, and nobody polls in a circle."""
    listening = asyncio.create_task(grid.services.grid_events.look(5.0))
    await asyncio.sleep(0.05)
    assert not listening.done()
    grid.operator.demand()
    assert await asyncio.wait_for(listening, 2.0)
    assert len(grid.services.grid_events.recent()) == 1


async def test_nothing_is_told_twice_and_nothing_is_lost_over_a_restart(grid):
    """The place up to which was read lies in the store with the events."""
    grid.operator.demand(event_id="a")
    await grid.services.grid_events.look(0.0)
    grid.operator.demand(event_id="b")
    again = GridEvents(grid.services.store, grid.services.outside, grid.control.clock)
    assert [e.event_id for e in again.recent()] == ["a"]
    listener = again.subscribe()
    await again.look(0.0)
    await again.look(0.0)
    listener.close()
    assert [e.event_id async for e in listener] == ["b"]
    assert [e.number for e in again.recent()] == [1, 2]


async def test_an_operator_that_counts_anew_is_read_from_its_beginning(grid):
    """After its restart its first event has number 1 again; what is known is not told again."""
    grid.operator.demand(event_id="a")
    grid.operator.demand(event_id="b")
    await grid.services.grid_events.look(0.0)
    known, grid.operator.stream = list(grid.operator.events), "another"
    grid.operator.events = []
    grid.operator.demand(event_id="c")
    grid.operator.events.append(known[1] | {"number": 2})
    await grid.services.grid_events.look(0.0)
    await grid.services.grid_events.look(0.0)
    assert [e.event_id for e in grid.services.grid_events.recent()] == ["a", "b", "c"]


@pytest.mark.parametrize("wrong", [
    {"parameters": {}}, {"parameters": {"requested_reduction_w": -1.0, "duration_s": 1.0,
                                        "response_deadline": "2026-05-28T20:30:00Z"}},
    {"event_id": "a b"}, {"event_type": "weather"}, {"timestamp": "2026-05-28T20:30:00"}])
async def test_an_event_that_is_not_understood_holds_up_no_other(grid, wrong):
    """It is logged and left out."""
    grid.operator.demand(event_id="bad").update(wrong)
    grid.operator.demand(event_id="good")
    assert await grid.services.grid_events.look(0.0)
    assert [e.event_id for e in grid.services.grid_events.recent()] == ["good"]


async def test_a_listener_that_does_not_listen_loses_its_oldest_and_harms_nobody(grid):
    """Bounded memory; it can see how much it lost."""
    events = grid.services.grid_events
    slow, other = events.subscribe(), events.subscribe()
    for number in range(QUEUE_MAX + 3):
        await events.tell("grid_notification", f"n-{number}", {"message": "wind"})
        assert (await anext(other)).event_id == f"n-{number}"
    assert slow.lost == 3
    assert (await anext(slow)).event_id == "n-3"
    slow.close()
    await events.tell("grid_notification", "n-last", {})
    assert len([e async for e in slow]) == QUEUE_MAX - 1


async def test_an_operator_that_is_silent_or_refuses_is_told_once_and_asked_again(grid, capsys):
    """One line in the log, not one a second."""
    away(grid)
    for _ in range(3):
        assert not await grid.services.grid_events.look(0.0)
    assert capsys.readouterr().out.count("grid events: not heard") == 1
    away(grid, False)
    assert await grid.services.grid_events.look(0.0)
    assert grid.services.grid_events.trouble == ""


async def test_the_job_listens_for_ever(grid, monkeypatch):
    """Through a failure, to the next event."""
    monkeypatch.setattr("pswd_edge.gateway.services.grid_events._PAUSES_S", (0.01, 0.02))
    monkeypatch.setattr("pswd_edge.gateway.services.grid_events._BETWEEN_S", 0.01)
    listener = grid.services.grid_events.subscribe()
    away(grid)
    job = asyncio.create_task(grid.services.grid_events.run())
    await asyncio.sleep(0.05)
    away(grid, False)
    grid.operator.demand(event_id="later")
    assert (await asyncio.wait_for(anext(listener), 5.0)).event_id == "later"
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job
