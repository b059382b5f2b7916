"""The outbox against the simulated grid operator, on real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gateway_campus import Control, make_site

from pswd_edge.clock import FakeClock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.services import delivery as module
from pswd_edge.gateway.services.delivery import OLDEST_S, WAITING_MAX, Delivery
from pswd_edge.gateway.services.outside import Outside
from pswd_edge.gateway.store import Store
from pswd_edge.model.site import OutsideEndpoint
from simulators.grid_operator import GridOperator

TOKEN = "a-token-of-the-test"
SIGNAL = {"available_reduction_w": 5e6}


class Post:
    """A delivery service beside an operator; both can be stopped and started again."""

    def __init__(self, folder: Path, operator: GridOperator, **site: Any) -> None:
        self.folder, self.operator = folder, operator
        self.secret = folder / "token"
        self.secret.write_text(TOKEN)
        self.secret.chmod(0o600)
        at = f"http://127.0.0.1:{operator.port}"
        endpoints = {"grid_endpoint": OutsideEndpoint(f"{at}/grid", f"file:{self.secret}"),
                     "heat_endpoint": OutsideEndpoint(f"{at}/heat", f"file:{self.secret}")}
        self.control = Control(folder / "run", make_site(**{**endpoints, **site}))
        self.control.run(1)
        self.clock: FakeClock = self.control.clock
        self.live = LiveImage(folder / "run", self.clock)
        self.open()

    def open(self) -> None:
        self.store, self.outside = Store(self.folder), Outside(self.live)
        self.delivery = Delivery(self.store, self.outside, self.live, self.clock, pauses_s=(0.01, 0.05))

    def away(self, gone: bool = True) -> None:
        """Let nobody listen where the operator was; its own port must not be lost to somebody else meanwhile."""
        nobody = OutsideEndpoint("http://127.0.0.1:1", f"file:{self.secret}")
        self.outside.endpoint = (lambda _: nobody) if gone else partial(Outside.endpoint, self.outside)

    async def close(self) -> None:
        await self.outside.close()
        self.store.close()

    async def send(self, message_id: str = "m-1", inline_s: float = 2.0, **content: Any) -> module.Delivered:
        return await self.delivery.send("grid", "demand_response", content or SIGNAL, "api:alice", message_id, inline_s)

    async def asked_twice(self) -> bool:
        return self.operator.asked >= 2

    async def decided(self) -> bool:
        return (await self.delivery.find("m-1")).status != "pending"

    async def background(self) -> str | None:
        return await self.delivery.turn("grid")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(400):
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


@pytest.fixture
async def operator() -> AsyncIterator[GridOperator]:
    async with GridOperator(TOKEN) as made:
        yield made


@pytest.fixture
async def post(tmp_path: Path, operator: GridOperator) -> AsyncIterator[Post]:
    made = Post(tmp_path, operator)
    yield made
    await made.close()
    made.live.close()


async def test_the_operator_s_own_word_is_the_acknowledgement(post):
    """Status and text are what the operator said, and it got who asked and what."""
    found = await post.send()

    assert (found.status, found.response) == ("acknowledged", "demand response received")
    (got,) = post.operator.received
    assert (got["id"], got["kind"], got["origin"], got["content"], got["facility_id"]) == (
        "m-1", "demand_response", "api:alice", SIGNAL, "facility-test")


async def test_a_rejection_is_final_and_told_in_the_operator_s_words(post):
    """Nobody sends again what was refused."""
    post.operator.fault("reject", "too late for today")
    assert (await post.send())[1:3] == ("rejected", "too late for today")
    post.operator.fault("reject", None)

    assert (await post.send()).status == "rejected"
    assert await post.background() is None
    assert post.operator.asked == 1


@pytest.mark.parametrize("trouble", [("fail", 500), ("fail", 503), ("fail", 429)])
async def test_an_operator_in_trouble_is_asked_again_within_the_same_answer(post, trouble):
    """A server that fails twice is no reason to leave a client without an answer."""
    post.operator.fault(*trouble)
    post.operator.fault("fail_times", 2)
    assert (await post.send()).status == "acknowledged"
    assert post.operator.asked == 3
    assert len(post.operator.received) == 1


async def test_a_connection_closed_without_an_answer_is_tried_again(post):
    """It may have been taken: the same id tells the operator."""
    post.operator.fault("hang_up", True)
    sending = asyncio.create_task(post.send())
    await until(post.asked_twice)
    post.operator.fault("hang_up", None)
    assert (await sending).status == "acknowledged"


async def test_an_operator_that_cannot_be_reached_leaves_it_pending_and_gets_it_later(post):
    """Refused connections, then a restart of the operator."""
    post.away()
    found = await post.send(inline_s=0.1)
    assert found.status == "pending"
    assert found.response.startswith("not delivered yet: ")
    assert post.delivery.contact("grid").trouble

    post.away(False)
    assert await post.background() == "acknowledged"
    assert (await post.delivery.find("m-1")).status == "acknowledged"
    assert post.delivery.contact("grid").trouble == ""


async def test_the_answer_comes_in_time_whatever_the_operator_does(post, monkeypatch):
    """At most 5 s to the client: an operator that is silent is left to the background."""
    assert module.INLINE_S + 0.5 <= 5.0
    monkeypatch.setattr(module, "TRY_S", 5.0)
    post.operator.fault("delay", 30.0)
    begun_s = time.monotonic()
    assert (await post.send(inline_s=0.15)).status == "pending"
    assert time.monotonic() - begun_s < 4.0


async def test_a_slow_answer_is_cut_and_asked_for_again(post, monkeypatch):
    """One request that hangs must not eat the whole time."""
    monkeypatch.setattr(module, "TRY_S", 0.05)
    post.operator.fault("delay", 30.0)
    sending = asyncio.create_task(post.send())
    await until(post.asked_twice)
    post.operator.fault("delay", None)
    assert (await sending).status == "acknowledged"


async def test_what_waits_survives_a_restart_and_goes_out_once(post):
    """On disk before the first try; the operator counts it once, whatever was tried."""
    post.away()
    await post.send(inline_s=0.05)
    await post.close()
    post.open()
    job = asyncio.create_task(post.delivery.run())
    await until(post.decided)
    job.cancel()
    assert [m["id"] for m in post.operator.received] == ["m-1"]


async def test_the_background_takes_up_what_the_client_left(post):
    """`send` wakes it; nobody has to look."""
    job = asyncio.create_task(post.delivery.run())
    post.operator.fault("fail", 500)
    assert (await post.send(inline_s=0.05)).status == "pending"
    post.operator.fault("fail", None)
    await until(post.decided)
    job.cancel()


async def test_under_review_is_pending_until_it_is_decided(post):
    """The operator has it and has not decided: its word is passed on, and it is asked again."""
    post.operator.fault("hold", True)
    found = await post.send(inline_s=0.1)
    assert (found.status, found.response) == ("pending", "under review")
    post.operator.fault("hold", None)
    assert await post.background() == "acknowledged"


async def test_the_same_id_gets_the_same_answer_and_another_message_under_it_is_refused(post):
    """A client that repeats a request must not signal twice."""
    assert await post.send() == await post.send()
    assert post.operator.asked == 1
    with pytest.raises(RefusalError) as refused:
        await post.send(available_reduction_w=1.0)
    assert (refused.value.status, refused.value.code) == (409, "IDEMPOTENCY_CONFLICT")


async def test_without_an_operator_nothing_looks_sent(tmp_path, operator):
    """503 with its own code, and nothing waits for a receiver that there is not."""
    post = Post(tmp_path, operator, grid_endpoint=None)
    with pytest.raises(RefusalError) as refused:
        await post.send()
    assert (refused.value.status, refused.value.code) == (503, "NO_GRID_OPERATOR")
    assert await post.background() is None
    await post.close()


async def test_a_wrong_token_is_our_fault_and_waits(post):
    """401 is no rejection of the signal: it goes out when the token is right."""
    post.secret.write_text("another")
    found = await post.send(inline_s=0.05)
    assert found.status == "pending"
    assert "401" in found.response
    assert "another" not in found.response
    post.secret.write_text(TOKEN)
    assert await post.background() == "acknowledged"


async def test_what_is_too_old_to_be_true_is_given_up(post):
    """An hour later a signal says what is not so any more."""
    post.away()
    await post.send(inline_s=0.05)
    post.clock.advance(OLDEST_S + 1.0)
    assert await post.background() == "rejected"
    assert "given up" in (await post.delivery.find("m-1")).response


async def test_the_outbox_is_bounded(post, monkeypatch):
    """An operator that is away for long fills no disk."""
    assert WAITING_MAX <= 1000
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    post.away()
    for number in range(2):
        await post.send(f"m-{number}", inline_s=0.01)
    with pytest.raises(RefusalError) as refused:
        await post.send("m-9", inline_s=0.01)
    assert refused.value.code == "OUTBOX_FULL"
    post.away(False)


async def test_one_message_that_fails_for_ever_does_not_stand_before_the_others(post, monkeypatch):
    """The one that was tried least is next."""
    post.away()
    for name in ("m-1", "m-2"):
        await post.send(name, inline_s=0.01)
    tried, real = [], post.delivery._judged
    monkeypatch.setattr(post.delivery, "_judged", lambda m: tried.append(m.id) or real(m))
    for _ in range(8):
        assert await post.background() == "pending"
    assert set(tried) == {"m-1", "m-2"}
    post.away(False)
    assert await post.background() == "acknowledged"
    assert await post.background() == "acknowledged"
    assert len(post.operator.received) == 2


async def test_heat_goes_to_the_heat_network(post):
    """Two receivers, two queues."""
    found = await post.delivery.send("heat", "availability", {"available_w": 1e6}, "dcpi:x", "h-1")
    assert found.status == "acknowledged"
    assert post.operator.received[0]["side"] == "heat"
