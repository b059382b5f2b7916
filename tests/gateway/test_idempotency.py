"""Idempotency keys: a repeated command is answered again and not carried out again."""

import asyncio
import sqlite3

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from pswd_edge.clock import FakeClock
from pswd_edge.gateway import idempotency
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.idempotency import Idempotency
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.store import Store


class Desk:
    """A command that counts how often it is carried out."""

    def __init__(self, folder):
        self.clock, self.store = FakeClock(), Store(folder)
        self.keys = Idempotency(self.store, self.clock)
        self.done = []
        self.raises = None
        self.slow = None

    def again(self):
        """As after a restart."""
        self.keys = Idempotency(self.store, self.clock)

    async def handle(self, call):
        if self.slow:
            await self.slow.wait()
        self.done.append(call.body)
        if self.raises:
            raise self.raises
        return respond({"number": len(self.done)}, 202)

    async def ask(self, key="k", body=b'{"a": 1}', origin="api:alice", path="/v1/x", **changes):
        request = make_mocked_request("POST", path, headers={"Idempotency-Key": key} if key else {})
        request._read_bytes = body
        settings = {"method": "POST", "path": "/x", "operation": Operation.GRID_SIGNAL, "category": Category.GRID,
                    "handler": self.handle, "summary": "", "answer": None, **changes}
        known = Principal("alice", "grid_operator", frozenset(), origin)
        return await self.keys.serve(Call(request, known, body=body), Endpoint(**settings))


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.store.close()


async def test_the_same_request_again_gets_the_same_answer(desk):
    """Status and body, also after a restart; it says that it is a repetition."""
    first, second = await desk.ask(), await desk.ask()
    desk.again()
    third = await desk.ask()

    assert [(answer.status, answer.body) for answer in (first, second, third)] == [(202, b'{"number":1}')] * 3
    assert [answer.headers.get("Idempotency-Replayed") for answer in (first, second, third)] == [None, "true", "true"]


async def test_another_request_with_the_same_key_is_refused(desk):
    """It was meant as another command, and must not be taken for done."""
    await desk.ask()
    for changes in ({"body": b'{"a": 2}'}, {"path": "/v1/y"}):
        with pytest.raises(RefusalError) as refusal:
            await desk.ask(**changes)
        assert (refusal.value.status, refusal.value.code) == (422, "IDEMPOTENCY_KEY_REUSED")

    assert len(desk.done) == 1


async def test_spelling_and_time_of_sending_are_no_difference(desk):
    """A client that sends again may write its fields in another order, and the time anew."""
    await desk.ask(body=b'{"a": 1, "b": [1.0], "timestamp": "2026-01-01T00:00:00Z"}')
    await desk.ask(body=b'{"timestamp":"2026-01-01T00:05:00Z","b":[1.0],"a":1}')

    assert len(desk.done) == 1


async def test_keys_of_clients_are_their_own(desk):
    """Nobody gets another's answer by guessing a key."""
    await desk.ask(origin="api:alice")
    await desk.ask(origin="api:bob")

    assert len(desk.done) == 2


@pytest.mark.parametrize(("changes", "times"), [
    ({"key": None}, 2), ({"method": "GET"}, 2), ({"category": Category.AUTH}, 2),
    ({"operation": Operation.HEARTBEAT}, 2), ({}, 1)])
async def test_it_is_for_commands_with_a_key(desk, changes, times):
    """A token is never kept, a reading is always new."""
    for _ in range(2):
        await desk.ask(**changes)

    assert len(desk.done) == times


async def test_a_key_holds_for_a_day(desk):
    """Then it is a new one."""
    await desk.ask()
    desk.clock.advance(24 * 3600 - 1)
    await desk.ask()
    assert len(desk.done) == 1
    desk.clock.advance(2)
    await desk.ask()

    assert len(desk.done) == 2


async def test_a_refusal_that_judged_is_repeated_others_are_tried_again(desk):
    """409 was a judgement; a 404, or a 503 without knowing, did nothing that must not be done."""
    desk.raises = RefusalError(409, "GRID_STABILITY_CONSTRAINT", "no", details={"limit_w": 1})
    for _ in range(2):
        with pytest.raises(RefusalError) as refusal:
            await desk.ask("judged")
    assert (refusal.value.code, refusal.value.details) == ("GRID_STABILITY_CONSTRAINT", {"limit_w": 1})
    assert len(desk.done) == 1
    for desk.raises in (unavailable("BUSY", "busy"), RefusalError(404, "NOT_FOUND", "none"), None):
        if desk.raises:
            with pytest.raises(RefusalError):
                await desk.ask("tried")
        else:
            assert (await desk.ask("tried")).status == 202

    assert len(desk.done) == 4


async def test_a_repetition_while_the_first_is_under_way_waits(desk):
    """Two at once are still one command."""
    desk.slow = asyncio.Event()
    both = [asyncio.create_task(desk.ask()) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert desk.done == []
    desk.slow.set()
    found = await asyncio.gather(*both)

    assert [answer.body for answer in found] == [b'{"number":1}'] * 2
    assert desk.keys._turns == {}


async def test_what_is_kept_of_one_client_is_bounded_and_touches_no_other(desk, monkeypatch):
    """A flood of keys pushes out the flooder's own."""
    monkeypatch.setattr(idempotency, "KEYS_MAX", 3)
    await desk.ask("bob's", origin="api:bob")
    for number in range(5):
        desk.clock.advance(1)
        await desk.ask(f"k{number}")
    counted = "SELECT origin, count(*) FROM idempotency GROUP BY origin"
    kept = await desk.store.run(lambda db: db.execute(counted).fetchall())

    assert dict(kept) == {"api:alice": 3, "api:bob": 1}


async def test_a_store_that_cannot_be_read_refuses_the_command(desk, monkeypatch):
    """Whether it was done is not known, and doing it twice is worse than asking again."""
    async def fail(_):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(desk.store, "run", fail)
    with pytest.raises(RefusalError) as refusal:
        await desk.ask()

    assert (refusal.value.status, desk.done) == (503, [])


async def test_an_answer_that_cannot_be_kept_leaves_all_the_same(desk, monkeypatch):
    """The command was carried out: saying otherwise would be a lie."""
    run = desk.store.run
    calls = []

    async def second_fails(work):
        calls.append(work)
        if len(calls) == 2:
            raise sqlite3.OperationalError("database or disk is full")
        return await run(work)

    monkeypatch.setattr(desk.store, "run", second_fails)

    assert (await desk.ask()).status == 202


async def test_a_stream_is_passed_through(desk):
    """Only whole answers are kept."""
    async def stream(_):
        return web.StreamResponse()

    assert isinstance(await desk.ask(handler=stream), web.StreamResponse)
    assert isinstance(await desk.ask(handler=stream), web.StreamResponse)
