"""Answers of many rows: whole, bounded in number, and no burden on the others."""

import asyncio
from contextlib import asynccontextmanager, suppress

import orjson
import pytest

HOUR = "/v1/power/realtime?duration_seconds=3600&resolution_ms=100"
ROWS = [orjson.dumps({"timestamp": "2026-05-28T20:26:40.000Z", "total_power_mw": k, "circuit_breakdown": [
    {"circuit_id": f"circuit-{n}", "power_mw": n} for n in range(20)]}) for k in range(20_000)]


@pytest.fixture
def long_ring(house, monkeypatch):
    """As if the ring had been full: some 16 MB, more than any socket's buffers."""
    async def rows(*_):
        return ROWS

    monkeypatch.setattr(house.gateway.services.realtime, "rows", rows)
    return house


@asynccontextmanager
async def stuck_client(house):
    """Asks for the hour and reads no more than its head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.gateway.listening[0].port, limit=1000)
    writer.write(f"GET {HOUR} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.token()}\r\n\r\n".encode())
    assert b"200 OK" in await reader.readline()
    yield
    writer.transport.abort()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # what is waited for knows nothing of tests
            await asyncio.sleep(0.01)


async def test_a_long_answer_is_whole_and_says_its_length(long_ring):
    """It leaves in chunks; the client must not notice."""
    async with long_ring.client.get(long_ring.base + HOUR, headers={
            "Authorization": f"Bearer {long_ring.token()}"}) as answer:
        body = await answer.read()

    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["X-Request-ID"]
    assert [row["total_power_mw"] for row in orjson.loads(body)["measurements"]] == list(range(20_000))


async def test_a_third_long_answer_is_refused_and_small_ones_are_not(long_ring):
    """Two who do not read hold both places; everybody else is served."""
    services = long_ring.gateway.services
    async with stuck_client(long_ring), stuck_client(long_ring):
        await until(lambda: services.long_answers._running == 2)
        third = await long_ring.get(HOUR)
        small = await long_ring.get("/v1/battery/status")

    assert (third.status, third.body["error_code"]) == (503, "BUSY")
    assert int(third.headers["Retry-After"]) > 0
    assert small.status == 200


async def test_a_client_that_goes_frees_its_place(long_ring):
    """Else two lost connections would end all long answers."""
    services = long_ring.gateway.services
    async with stuck_client(long_ring), stuck_client(long_ring):
        await until(lambda: services.long_answers._running == 2)
    await until(lambda: services.long_answers._running == 0)

    assert (await long_ring.get(HOUR)).status == 200


async def test_a_client_that_takes_nothing_is_cut(long_ring, monkeypatch):
    """Its connection ends, with nothing behind the half answer that could pass for another."""
    monkeypatch.setattr("pswd_edge.gateway.long_answer.CHUNK_S", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", long_ring.gateway.listening[0].port)
    writer.write(f"GET {HOUR} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {long_ring.token()}\r\n\r\n".encode())
    await until(lambda: long_ring.gateway.services.long_answers._running == 1)
    await until(lambda: long_ring.gateway.services.long_answers._running == 0)
    rest = b""
    with suppress(ConnectionResetError):
        while chunk := await reader.read(2**16):
            rest += chunk
    writer.close()

    assert rest.startswith(b"HTTP/1.1 200")
    assert rest.count(b"HTTP/1.1") == 1
    assert not rest.endswith(b"]}")


async def test_what_is_asked_decides_about_a_place(house):
    """Up to ten minutes at 100 ms need none."""
    answers = house.gateway.services.long_answers
    with answers.place(36_000), answers.place(6000):
        assert (await house.get("/v1/power/realtime?duration_seconds=599&resolution_ms=100")).status == 200
        assert (await house.get("/v1/power/realtime?duration_seconds=600&resolution_ms=100")).status == 503
        assert (await house.get("/v1/power/realtime?duration_seconds=3600&resolution_ms=1000")).status == 200
