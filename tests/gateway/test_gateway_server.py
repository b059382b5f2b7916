"""The HTTP server itself: every answer in the contract's form, whatever went wrong, and nothing said too much."""

import asyncio
import socket
import ssl
import uuid

import aiohttp
import orjson
import pytest
from aiohttp import web
from gateway_campus import Control, FakeDoor, make_site
from pswd_contract import breaches
from raw_client import make_certificate

from pswd_edge.errors import ConfigError
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.server import Gateway, run_gateway
from pswd_edge.model.site import Listener


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/v1/nothing", 404, "NOT_FOUND"), ("GET", "/", 404, "NOT_FOUND"), ("GET", "/v1", 404, "NOT_FOUND"),
    ("GET", "/v1/../etc/passwd", 404, "NOT_FOUND"), ("GET", "/v1/power/forecasts", 404, "NOT_FOUND"),
    ("DELETE", "/v1/battery/status", 405, "METHOD_NOT_ALLOWED"), ("GET", "/v1/auth/login", 405, "METHOD_NOT_ALLOWED"),
    ("OPTIONS", "/v1/battery/control", 405, "METHOD_NOT_ALLOWED"), ("PUT", "/v1/nothing", 404, "NOT_FOUND")])
async def test_aiohttp_s_own_refusals_have_the_contract_s_body(house, method, path, status, code):
    """A client parses one kind of error."""
    answer = await house.call(method, path)

    assert (answer.status, answer.body["error_code"]) == (status, code)
    assert breaches("error", answer.body) == []
    assert ("Allow" in answer.headers) == (status == 405)


async def test_no_answer_names_software_or_allows_other_origins(house):
    """Versions help attackers; a browser page of elsewhere has no business here."""
    for path in ("/v1/system/health", "/v1/nothing"):
        headers = (await house.get(path, headers={"Origin": "https://elsewhere.example"})).headers
        assert "Server" not in headers
        assert not [name for name in headers if name.startswith("Access-Control")]
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("x" * 65, False), ("a b", False), ("é", False)])
async def test_the_request_id_is_the_client_s_where_it_is_harmless(house, given, kept):
    """It goes into logs, headers and error bodies."""
    answer = await house.get("/v1/nothing", headers={"X-Request-ID": given})

    assert answer.body["request_id"] == answer.headers["X-Request-ID"]
    assert (answer.body["request_id"] == given) is kept
    assert kept or uuid.UUID(answer.body["request_id"])


async def test_a_programming_error_is_logged_and_not_told(house, monkeypatch, capsys):
    """The request id joins the answer and the log; secrets of the moment are in neither."""
    def fail(*_):
        secret = "local-secret"
        raise RuntimeError(f"boom {len(secret)}")

    monkeypatch.setattr(house.gateway.services.battery, "read", fail)
    answer = await house.get("/v1/battery/status")

    log = capsys.readouterr().out
    assert (answer.status, answer.body["error_code"]) == (500, "INTERNAL_ERROR")
    assert breaches("error", answer.body) == []
    assert "boom" not in str(answer.body)
    assert answer.body["request_id"] in log
    assert "RuntimeError: boom" in log
    assert "secret = " in log or "local-secret" not in log
    assert "'local-secret'" not in log


async def test_the_log_has_one_line_a_request_and_no_secret(house, capsys):
    """Who, what, how long; never tokens, passwords or queries."""
    await house.get("/v1/power/realtime?duration_seconds=2&note=queried")
    await house.post("/v1/auth/login", role=None, json={
        "username": "x", "password": "typed-password", "role": "grid_operator"})

    log = capsys.readouterr().out
    lines = [line for line in log.splitlines() if "path=" in line]
    assert len(lines) == 2
    assert "origin=api:infrastructure_manager" in lines[0]
    assert "status=200" in lines[0]
    for secret in ("queried", "typed-password", house.token()):
        assert secret not in log


async def raw_exchange(port, request):
    """What the server sends back to these bytes until it closes or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    answer = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65536), 0.2 if answer else 2):
            answer += piece
    except TimeoutError:
        pass
    writer.close()
    return answer


@pytest.mark.parametrize("request_bytes", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"hello\r\n\r\n",
    b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nBig: " + b"x" * 20_000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
async def test_what_is_no_http_gets_the_contract_s_body_too(house, request_bytes):
    """And the connection is closed: nobody knows where the next request would begin."""
    answer = await raw_exchange(house.gateway.listening[0].port, request_bytes)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[:2] in ([b"HTTP/1.1", b"400"], [b"HTTP/1.0", b"400"])
    assert b"aiohttp" not in head.lower()
    assert b"python" not in head.lower()
    assert breaches("error", orjson.loads(body)) == []


@pytest.mark.parametrize("path", [b"/v1/system/health", b"/v1/nothing"])
async def test_an_unknown_expectation_gets_the_contract_s_body_too(house, path):
    """aiohttp refuses it before any middleware runs."""
    answer = await raw_exchange(house.gateway.listening[0].port, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n"
                                b"Expect: miracles\r\nConnection: close\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 417 " in head.split(b"\r\n")[0]
    assert b"aiohttp" not in head.lower()
    assert breaches("error", orjson.loads(body)) == []


async def test_a_body_that_never_comes_is_given_up(house, monkeypatch):
    """A client that sends one byte a minute must not hold a handler for ever."""
    monkeypatch.setattr("pswd_edge.gateway.middleware.TIMEOUT_S", 0.05)
    answer = await raw_exchange(house.gateway.listening[0].port, (
        f"POST /v1/battery/control HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {house.token()}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{").encode())

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"TIMEOUT"' in answer


async def test_small_packets_leave_at_once(house):
    """Nagle's algorithm would add 40 ms to a command."""
    found = []

    async def look(request):
        found.append(request.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return web.Response()

    monkey = house.gateway.listening[0]._runner.app.router._resources
    for resource in monkey:
        for route in resource:
            if resource.canonical == "/v1/system/health":
                route._handler = look
    await house.get("/v1/system/health")

    assert found == [1]


async def test_a_listener_with_a_certificate_speaks_tls_only(tmp_path, state_dir):
    """TLS 1.2 or later, and no plain text on the same port."""
    cert, key = make_certificate(tmp_path)
    control = Control(tmp_path / "run", make_site(listeners=(Listener("127.0.0.1", 0, ("pswd",), cert, key),)))
    control.run()
    async with Gateway(LiveImage(tmp_path / "run", control.clock), FakeDoor(), state_dir, control.clock) as gateway:
        await gateway.open(tmp_path / "rows")
        port = gateway.listening[0].port
        context = ssl.create_default_context(cafile=cert)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"https://localhost:{port}/v1/nothing", ssl=context) as response:
                status = response.status
            with pytest.raises(aiohttp.ClientError):
                await client.get(f"http://127.0.0.1:{port}/v1/nothing")

    assert status == 404


@pytest.mark.parametrize(("listener", "line"), [
    (Listener("127.0.0.1", 0, ("pswd", "nonsense")), r"got profiles \['nonsense'\]: expected some of pswd"),
    (Listener("127.0.0.1", 0, ()), "got profiles none: expected some of pswd"),
    (Listener("0.0.0.0", 0, ("pswd",)), "got no TLS: expected tls_certificate and tls_key"),
    (Listener("127.0.0.1", 0, ("pswd",), "/nowhere/cert", "/nowhere/key"), "TLS certificate or key cannot be used"),
    (Listener("192.0.2.1", 0, ("pswd",)), "got no TLS")])
async def test_a_listener_that_cannot_be_is_said_and_none_stays_open(tmp_path, state_dir, listener, line):
    """Half a gateway is none."""
    good = Listener("127.0.0.1", 0, ("pswd",))
    control = Control(tmp_path / "run", make_site(listeners=(good, listener)))
    gateway = Gateway(LiveImage(tmp_path / "run", control.clock), FakeDoor(), state_dir, control.clock)

    with pytest.raises(ConfigError, match=line):
        await gateway.open(tmp_path / "rows")

    assert gateway.listening == []


async def test_a_taken_port_is_said(tmp_path, house, state_dir):
    """The usual cause is the gateway of yesterday."""
    taken = house.gateway.listening[0].port
    control = Control(tmp_path / "other", make_site(listeners=(Listener("127.0.0.1", taken, ("pswd",)),)))
    gateway = Gateway(LiveImage(tmp_path / "other", control.clock), FakeDoor(), state_dir, control.clock)

    with pytest.raises(ConfigError, match=r"cannot be bound .*is another gateway running"):
        await gateway.open(tmp_path / "rows")


async def test_the_process_waits_for_control_and_then_serves(tmp_path, state_dir, monkeypatch):
    """Started in any order; systemd hears of it only when it serves."""
    monkeypatch.setattr("pswd_edge.gateway.server._IMAGE_RETRY_S", 0.01)
    told: list[str] = []
    watched = asyncio.Event()

    def notify(word):
        told.append(word)
        if word == "WATCHDOG=1":
            watched.set()

    task = asyncio.create_task(run_gateway(
        tmp_path / "run", state_dir, tmp_path / "rows", notify=notify, niceness=0))
    await asyncio.sleep(0.03)
    assert told == []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = Control(tmp_path / "run", make_site(listeners=(Listener("127.0.0.1", port, ("pswd",)),)))
    control.run()
    await asyncio.wait_for(watched.wait(), 5)
    answer = await raw_exchange(port, b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert told == ["READY=1", "WATCHDOG=1"]
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_an_hour_at_100_ms_holds_nobody_up(house):
    """36,000 rows are made beside the loop: other requests are answered meanwhile (`bench api` measures how fast)."""
    house.control.run(36_000)
    path = "/v1/power/realtime?duration_seconds=3600&resolution_ms=100"
    headers = {"Authorization": f"Bearer {house.token()}"}
    long = asyncio.create_task(house.client.get(house.base + path, headers=headers))
    answered = 0
    while not long.done():
        assert (await house.get("/v1/thermal/status")).status in (200, 503)
        answered += 1
    async with await long as response:
        size = len(await response.read())

    assert answered > 5
    assert size > 5_000_000
