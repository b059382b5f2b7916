"""What browsers are told: pages of other origins may nothing, unless the listener names them."""

import aiohttp
import pytest
from gateway_campus import Control, FakeDoor, make_site
from raw_client import Target, make_certificate

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.server import Gateway
from pswd_edge.model.site import Listener

DESK = "https://desk.example:8443"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture
async def desk(tmp_path, state_dir, house_class):
    """A gateway whose listener lets the pages of one origin ask."""
    site = make_site(listeners=(Listener("127.0.0.1", 0, ("pswd",), cors_origins=(DESK,)),))
    control = Control(tmp_path / "run", site)
    control.run(30)
    live = LiveImage(tmp_path / "run", control.clock)
    async with Gateway(live, FakeDoor(), state_dir, control.clock) as gateway, aiohttp.ClientSession() as client:
        await gateway.open(tmp_path / "run" / "rows")
        yield house_class(control, None, gateway, live, client)


async def test_cors_is_off_by_default(house):
    """A page of elsewhere cannot read an answer, and its browser is not told that it might ask."""
    asked = await house.call("OPTIONS", "/v1/battery/control", role=None, headers={"Origin": DESK, **PREFLIGHT})
    read = await house.get("/v1/system/health", headers={"Origin": DESK})

    assert asked.status == 405
    assert not [name for answer in (asked, read) for name in answer.headers if name.startswith("Access-Control")]


async def test_a_named_origin_may_ask(desk):
    """With a token, without cookies; it sees the headers it needs, of refusals too."""
    asked = await desk.call("OPTIONS", "/v1/battery/control", role=None, headers={"Origin": DESK, **PREFLIGHT})
    read = await desk.get("/v1/system/health", headers={"Origin": DESK})
    refused = await desk.get("/v1/system/health", role=None, headers={"Origin": DESK})

    assert (asked.status, read.status, refused.status) == (204, 200, 401)
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in (asked, read, refused)} == {DESK}
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "Idempotency-Key" in asked.headers["Access-Control-Allow-Headers"]
    assert "X-RateLimit-Remaining" in read.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in read.headers
    assert read.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", [
    "https://desk.example", "http://desk.example:8443", "https://desk.example:8443.evil.example", "null", "*",
    "https://evil.example", "HTTPS://DESK.EXAMPLE:8443"])
async def test_no_other_origin_may(desk, origin):
    """Exactly the one that is named; caches are told that it matters."""
    asked = await desk.call("OPTIONS", "/v1/battery/control", role=None, headers={"Origin": origin, **PREFLIGHT})
    read = await desk.get("/v1/system/health", headers={"Origin": origin})

    assert asked.status == 405
    assert "Access-Control-Allow-Origin" not in read.headers
    assert read.headers["Vary"] == "Origin"


async def test_security_headers_are_on_every_answer(tmp_path, state_dir, house_class):
    """Of what aiohttp itself refuses too; over TLS browsers are told to stay with it."""
    certificate, key = make_certificate(tmp_path)
    listeners = (Listener("127.0.0.1", 0, ("pswd",)), Listener("127.0.0.1", 0, ("pswd",), certificate, key))
    control = Control(tmp_path / "run", make_site(listeners=listeners))
    control.run(30)
    live = LiveImage(tmp_path / "run", control.clock)
    async with Gateway(live, FakeDoor(), state_dir, control.clock) as gateway:
        await gateway.open(tmp_path / "run" / "rows")
        target = Target(gateway, control, FakeDoor(), certificate, state_dir,
                        house_class(control, None, gateway, live, None).token)
        requests = {"good": target.head("GET", "/v1/system/health"),
                    "refused": b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n",
                    "no HTTP": b"nonsense\r\n\r\n", "unmet": b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"}
        for road in ("plain", "tls"):
            for name, request in requests.items():
                text = (await target.send(request, road)).text
                assert b"X-Content-Type-Options: nosniff" in text, name
                assert b"Cache-Control: no-store" in text, name
                assert (b"Strict-Transport-Security: max-age=31536000" in text) is (road == "tls"), name
                assert b"Python" not in text, name


async def test_rate_headers_are_on_every_answer_of_a_limited_route(house):
    """A client paces itself by them before it is refused."""
    answers = [await house.get("/v1/system/health"), await house.get("/v1/system/health", role=None),
               await house.get("/v1/battery/status", role="municipal_utility"), await house.post("/v1/auth/login", {})]
    unknown = await house.get("/v1/nothing")

    assert [answer.status for answer in answers] == [200, 401, 403, 400]
    for answer in answers:
        assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(answer.headers)
    assert "X-RateLimit-Limit" not in unknown.headers
