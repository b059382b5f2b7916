"""What the benchmarks of a running site are made of says what it measures."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from pswd_edge.app import compiled_site
from pswd_edge.bench import api_load, mix, stream_clients
from pswd_edge.bench.api_load import Operation
from pswd_edge.bench.campus_site import REGISTERS, with_cheap_meters
from pswd_edge.bench.past import write_past
from pswd_edge.bench.ticks import lateness
from pswd_edge.gateway.streams.frame import PING, text_frame
from pswd_edge.image import ImageReader
from pswd_edge.image.reader import Rows

DEMO = Path(__file__).parents[1] / "config" / "demo.yaml"


def test_cheap_meters_fill_a_campus_up_to_as_many_devices(tmp_path: Path) -> None:
    """A hundred devices, of which those of the campus are still what they were."""
    site = compiled_site(with_cheap_meters(DEMO, 100, tmp_path))
    own = compiled_site(DEMO)
    assert (len(site.devices), len(site.circuits)) == (100, 12)
    assert len(site.points) == len(own.points) + (100 - len(own.devices)) * REGISTERS
    assert {d.id for d in own.devices} <= {d.id for d in site.devices}
    assert site.control.grid_power.max_age_ms == own.control.grid_power.max_age_ms


def test_hour_before_the_start_is_whole_and_is_taken_over(tmp_path: Path) -> None:
    """Answers of an hour are to be measured on an hour of rows."""
    import msgspec
    site = msgspec.structs.replace(compiled_site(DEMO), runtime_dir=str(tmp_path / "run"))
    count = write_past(site)
    rows = ImageReader(tmp_path / "run").rows(count)
    assert len(rows.number) == count >= 35_000
    assert np.allclose(np.diff(rows.monotonic_s), 0.1, atol=1e-6)
    assert np.ptp(rows.value[:, 0]) > 1e6


def rows_at(monotonic_s: list[float], cycles: list[int]) -> Rows:
    count = len(cycles)
    nothing = np.zeros((count, 0))
    return Rows(np.arange(count, dtype=np.uint64), np.array(cycles, np.uint64), np.array(monotonic_s),
                np.zeros(count), nothing, nothing.astype(np.uint8))


def test_lateness_is_told_from_rows() -> None:
    """Against the grid of due times, which the least late cycle shows; a number that is missing is a cycle missed."""
    found = lateness(rows_at([1.0, 1.1, 1.203, 1.5], [10, 11, 12, 15]), 0.0, 9.0, 100)
    assert (found.cycles, found.missed) == (4, 2)
    assert found.max_ms == pytest.approx(3.0, abs=1e-3)
    assert lateness(rows_at([1.0, 1.1, 1.203], [10, 11, 12]), 1.15, 9.0, 100).cycles == 1


async def serve(handler: Any) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def test_load_times_only_what_was_answered_well_and_counts_the_rest() -> None:
    """A refusal is quick: among the times it would make the figures better."""
    asked: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append({"who": request.headers["Who"], "body": await request.text()})
        if len(asked) % 2:
            return web.json_response({"status": "executed" if len(asked) % 4 == 1 else "pending"})
        return web.json_response({}, status=429)

    runner, base = await serve(handler)
    operation = Operation("battery", "POST", "/control", 200.0, ['{"at": "{now}", "n": {n}}'], "status")
    found = (await api_load.run({"base": base, "seconds": 0.1, "identities": [{"Who": "a"}, {"Who": "b"}],
                                 "operations": [operation._asdict()]}))["battery"]
    await runner.cleanup()
    assert found["answers"] == 20
    assert found["statuses"] == {"200": 10, "429": 10}
    assert found["progress"] == {"executed": 5, "pending": 5}
    assert {a["who"] for a in asked} == {"a", "b"}
    assert {json.loads(a["body"])["n"] for a in asked} == set(range(1, 21))


async def test_load_goes_on_where_nobody_answers() -> None:
    """An operation that fails is told in the result; the benchmark does not end with it."""
    found = await api_load.run({"base": "http://127.0.0.1:1", "seconds": 0.05, "identities": [{}],
                                "operations": [Operation("x", "GET", "/", 40.0)._asdict()]})
    assert found["x"] == {"answers": 2, "statuses": {"ClientConnectorError": 2}}


def test_mixed_load_is_as_much_as_it_says() -> None:
    """50 a second, and every body is JSON once its words are filled in."""
    operations = mix.mixed(50.0)
    assert sum(o.per_s for o in operations) == pytest.approx(50.0)
    for body in (body for o in operations for body in o.bodies):
        json.loads(body.replace("{now}", "2026-01-01T00:00:00Z").replace("{n}", "1"))


async def stream(frames: list[bytes], at: list[float]) -> tuple[Any, stream_clients.Plan]:
    """A server that answers the handshake and then sends `frames`, in pieces that are no frames."""
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        content = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(frames)
        for first in range(0, len(content), 7):
            writer.write(content[first : first + 7])
            await asyncio.sleep(0)
        at.append(len(await reader.read(100)))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return server, stream_clients.Plan([{"host": "127.0.0.1", "port": port, "path": "/"}], 0, 0.1, 100.0)


async def test_stream_client_finds_what_is_missing_and_what_came_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """Every frame is looked at, however the bytes came; pings are answered."""
    frames = [text_frame(json.dumps({"sequence": n, "filling": "x" * n}).encode()) for n in (1, 2, 130, 130, 131)]
    heard: list[float] = []
    server, plan = await stream([frames[0], PING, *frames[1:]], heard)
    found = await stream_clients.run(plan)
    server.close()
    await server.wait_closed()
    assert (found["live"], found["messages"], found["errors"]) == (1, 5, 0)
    assert (found["missing"], found["doubled"]) == (127, 1)
    assert heard == [6]      # a masked pong without content
    assert "connected" in capsys.readouterr().out
