"""Too much, too slow, too many."""

import asyncio
import socket
import ssl
from unittest import mock

import pytest

from pswd_edge.gateway import gate, protocol
from pswd_edge.model.site import ApiLimits

NOTHING = b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def limits():
    """Few connections, documented rates."""
    return ApiLimits(connections=6, connections_per_address=4)


async def until(condition):
    """The loop turns until it holds; five seconds at most."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("never came true")


async def test_a_flood_of_commands_by_one_client(target):
    """Burst, then 429 with Retry-After; others are answered, and so are the flooder's readings."""
    command = target.head("POST", "/v1/battery/control", Content_Type="application/json", Content_Length="2") + b"{}"
    flood = await target.send(command * 60, quiet_s=0.3)
    reading = await target.send(target.head("GET", "/v1/system/health"))
    other = await target.send(target.head("GET", "/v1/system/health", role="grid_operator"))

    assert flood.statuses == (400,) * 50 + (429,) * 10
    assert b"Retry-After: 2" in flood.text
    assert (reading.statuses, other.statuses) == ((200,), (200,))
    assert target.counts["RATE_LIMIT_EXCEEDED"] == 10


async def test_brute_force_of_tokens(target):
    """Guesses count by address: twenty are looked at, no more. Who has a good token still comes in."""
    guesses = await target.send((b"GET /v1/system/health HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n") * 30)
    login = await target.send(b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    good = await target.send(target.head("GET", "/v1/system/health"))

    assert guesses.statuses == (401,) * 20 + (429,) * 10
    assert (login.statuses, good.statuses) == ((429,), (200,))
    entries = [entry for entry in await target.audited() if "health" in entry.get("path", "")]
    assert sorted((entry["kind"], entry["code"], entry.get("count")) for entry in entries) == [
        ("refusal", "RATE_LIMIT_EXCEEDED", None), ("refusal", "UNAUTHORIZED", None),
        ("refusals", "RATE_LIMIT_EXCEEDED", 9), ("refusals", "UNAUTHORIZED", 19)]


async def test_too_many_connections_of_one_address(target):
    """The fifth is told so and closed; once one has gone, the next is let in."""
    held = [await target.open() for _ in range(4)]
    await until(lambda: target.gateway.guard.connections.open == 4)
    fifth = await target.send(b"")
    held[0][1].close()
    await until(lambda: target.gateway.guard.connections.open == 3)
    again = await target.send(NOTHING)
    for _, writer in held:
        writer.close()

    assert (fifth.statuses, fifth.closed, again.statuses) == ((503,), True, (404,))
    assert target.counts["TOO_MANY_CONNECTIONS"] == 1
    assert [entry["remote"] for entry in await target.audited() if entry.get("code") == "TOO_MANY_CONNECTIONS"] \
        == ["127.0.0.1"]


async def test_connections_that_never_finish_tls_count_too(target, monkeypatch):
    """Else a thousand of them would cost nothing and hold everything."""
    monkeypatch.setattr(gate, "HANDSHAKE_S", 0.1)
    port = target.gateway.listening[1].port
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
    await until(lambda: target.gateway.guard.connections.open == 4)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await target.open("tls")
    await until(lambda: target.gateway.guard.connections.open == 0)
    good = await target.send(NOTHING, "tls")
    for _, writer in held:
        writer.close()

    assert good.statuses == (404,)
    assert target.counts["TLS_HANDSHAKE_FAILED"] == 4


@pytest.mark.parametrize("road", ["plain", "tls"])
async def test_slow_loris(target, monkeypatch, road):
    """A head that comes a byte at a time is cut after ten seconds, and so is a connection that says nothing."""
    monkeypatch.setattr(protocol, "HEAD_S", 0.15)
    reader, writer = await target.open(road)
    quiet = await target.open(road)
    for letter in NOTHING[:-2]:
        writer.write(bytes([letter]))
        await asyncio.sleep(0.01)
        if target.counts["SLOW_REQUEST"] == 2:
            break
    with pytest.raises((ConnectionError, EOFError, ssl.SSLError)):
        await asyncio.wait_for(reader.readexactly(1), 2)

    assert target.counts["SLOW_REQUEST"] == 2
    await until(lambda: target.gateway.guard.connections.open == 0)
    quiet[1].close()
    writer.close()


async def test_slow_loris_on_a_connection_that_was_good(target, monkeypatch):
    """The second request of a connection has no more time than the first."""
    monkeypatch.setattr(protocol, "HEAD_S", 0.1)
    reader, writer = await target.open()
    writer.write(NOTHING)
    await reader.readuntil(b"}")
    await asyncio.sleep(0.15)
    writer.write(b"GET /v1/nothing HT")
    with pytest.raises((ConnectionError, EOFError)):
        await asyncio.wait_for(reader.readexactly(1), 2)
    writer.close()

    assert target.counts["SLOW_REQUEST"] == 1


async def test_a_body_that_never_ends(target, monkeypatch):
    """The handler gives up after twenty seconds, and the connection is closed behind its answer."""
    monkeypatch.setattr("pswd_edge.gateway.middleware.TIMEOUT_S", 0.05)
    monkeypatch.setattr(protocol, "LINGERING_S", 0.05)
    raw = await target.send(target.head("POST", "/v1/battery/control", Content_Type="application/json",
                                        Content_Length="100") + b"{", quiet_s=1.0)

    assert (raw.statuses, raw.closed, raw.code) == ((503,), True, "TIMEOUT")


@pytest.mark.parametrize("road", ["plain", "tls"])
async def test_a_client_that_does_not_read(target, monkeypatch, road):
    """Its answers are given up after half a minute, so that they do not lie in memory."""
    monkeypatch.setattr(protocol, "TAKEN_S", 0.1)
    target.control.run(3000)
    request = target.head("GET", "/v1/power/realtime?duration_seconds=300&resolution_ms=100")
    reader, writer = await target.open(road)
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.transport.pause_reading()
    for _ in range(40):
        writer.write(request)
    await until(lambda: target.counts["SLOW_READER"] == 1)
    await until(lambda: target.gateway.guard.connections.open == 0)
    writer.close()
    del reader


@pytest.mark.parametrize(("waiting", "cut"), [
    ((5_000_000, 4_700_000, 4_400_000), False), ((5_000_000, 4_900_000), True), ((5_000_000, 5_000_000), True),
    ((5_000_000, 4_700_000, 4_690_000), True)])
def test_a_client_that_reads_slowly_is_not_cut(waiting, cut):
    """A thin line is no attack: 8 KiB/s, looked at each half minute, are enough, however long the answer is."""
    transport, loop, entry = mock.Mock(), mock.Mock(), mock.Mock()
    connection = protocol.ApiProtocol.__new__(protocol.ApiProtocol)
    connection.transport, connection._loop, connection._entry = transport, loop, entry
    transport.get_write_buffer_size.return_value = waiting[0]
    connection._watch_reader()
    for now in waiting[1:]:
        transport.get_write_buffer_size.return_value = now
        after_s, look, before = loop.call_later.call_args.args
        assert after_s == 30.0
        look(before)

    assert transport.abort.called is cut
    assert entry.cut.call_args_list == ([mock.call("SLOW_READER")] if cut else [])


async def test_an_idle_connection_ends(target, monkeypatch):
    """After 75 s; nobody holds a place for nothing."""
    monkeypatch.setattr(protocol, "KEEPALIVE_S", 0.1)
    reader, writer = await target.open()
    writer.write(NOTHING)
    text = await asyncio.wait_for(reader.read(), 2)
    writer.close()

    assert text.startswith(b"HTTP/1.1 404 ")


async def test_a_flood_of_bad_requests_is_summarised(target):
    """A thousand of one kind are two entries: the disk is not theirs to fill."""
    for _ in range(10):
        await target.send(b"nonsense\r\n\r\n")
    for number in range(300):
        target.gateway.guard.audit.refused(f"10.0.{number // 250}.{number % 250}", "MALFORMED_HTTP", 400)
    entries = [entry for entry in await target.audited() if entry.get("code") == "MALFORMED_HTTP"]

    assert target.counts["MALFORMED_HTTP"] == 310
    assert len(entries) < 70
    assert sum(entry.get("count", 1) for entry in entries) == 310
