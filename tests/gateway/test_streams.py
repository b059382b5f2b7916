"""What DCPI's streams say, in which order, and to how many at what price."""

import json
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from gateway_campus import make_workload
from stream_house import POWER, THERMAL, StreamHouse, stream_house

from pswd_edge.gateway.profiles.dcpi import streams
from pswd_edge.gateway.profiles.dcpi.streams_models import PowerMessage, ThermalMessage
from pswd_edge.gateway.streams.frame import text_frame
from pswd_edge.gateway.streams.pace import Pace
from pswd_edge.image import ImageWriter
from pswd_edge.model.workload import WorkloadState


@pytest.fixture
async def house(tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StreamHouse]:
    async with stream_house(tmp_path, state_dir, monkeypatch) as house:
        yield house


async def receive(socket: aiohttp.ClientWebSocketResponse, count: int = 1) -> list[dict[str, Any]]:
    return [json.loads(await socket.receive_str(timeout=2.0)) for _ in range(count)]


# --- what they say ----------------------------------------------------------------------------------------------------


async def test_power_stream_tells_load_quality_and_each_workloads_share(house: StreamHouse) -> None:
    """The contract's message on measured values: workloads and the rest make up the whole."""
    house.control.changes["workloads"] = (make_workload("train-1", controllers=(0,), reserved_w=(20e6,)),
                                          make_workload("infer-2", controllers=(1,), reserved_w=(10e6,)))
    socket = await house.open(POWER)
    await house.rows()
    [message] = await receive(socket)
    PowerMessage.model_validate(message)
    assert message["power_mw"] == 70.0
    assert message["power_quality"] == {"thd_percent": 2.5, "power_factor": 0.8}
    assert message["workload_breakdown"] == {"train-1": 20.0, "infer-2": 10.0, "baseline_infrastructure": 40.0}
    assert sum(message["workload_breakdown"].values()) == message["power_mw"]


async def test_power_streams_timestamp_is_the_rows(house: StreamHouse) -> None:
    """A message says when control looked, in UTC with milliseconds, not when the gateway sent it."""
    socket = await house.open(POWER)
    await house.rows()
    [message] = await receive(socket)
    from pswd_edge.clock import iso_utc
    assert message["timestamp"] == iso_utc(float(house.gateway.services.live.reader.rows(1).utc_s[-1]))


async def test_power_stream_leaves_out_what_is_not_known(house: StreamHouse) -> None:
    """A dead rack meter: its workload and the rest are unknown, and neither may look like 0."""
    house.control.changes["workloads"] = (make_workload("train-1", controllers=(0,), reserved_w=(20e6,)),
                                          make_workload("infer-2", controllers=(1,), reserved_w=(10e6,)))
    house.control.spoil("rack-1.active_power_w")
    house.control.spoil("pcc.thd_percent")
    socket = await house.open(POWER)
    await house.rows()
    [message] = await receive(socket)
    PowerMessage.model_validate(message)
    assert message["workload_breakdown"] == {"infer-2": 10.0}
    assert "thd_percent" not in message["power_quality"]


async def test_ended_workload_is_in_no_breakdown(house: StreamHouse) -> None:
    """What it drew is the rest's again."""
    house.control.changes["workloads"] = (make_workload("train-1", WorkloadState.TERMINATED),)
    socket = await house.open(POWER)
    await house.rows()
    [message] = await receive(socket)
    assert message["workload_breakdown"] == {"baseline_infrastructure": 70.0}


async def test_workload_that_takes_the_rests_name_is_counted_with_the_rest(house: StreamHouse) -> None:
    """A scheduler may choose any name; the sum must still be the whole."""
    house.control.changes["workloads"] = (
        make_workload("baseline_infrastructure", controllers=(0,), reserved_w=(20e6,)),)
    socket = await house.open(POWER)
    await house.rows()
    [message] = await receive(socket)
    assert message["workload_breakdown"] == {"baseline_infrastructure": 70.0}


async def test_thermal_stream_tells_every_cooling_system(house: StreamHouse) -> None:
    """One entry each, in the site's order; what one does not know is left out of it alone."""
    house.control.spoil("cdu-2.flow_lpm")
    socket = await house.open(THERMAL)
    await house.rows()
    [message] = await receive(socket)
    ThermalMessage.model_validate(message)
    assert message["cooling_systems"] == [
        {"system_id": "cdu-1", "inlet_temp_c": 30.0, "outlet_temp_c": 40.0, "flow_rate_lpm": 1000.0,
         "heat_load_mw": 20.0},
        {"system_id": "cdu-2", "inlet_temp_c": 33.0, "outlet_temp_c": 46.0, "heat_load_mw": 30.0}]


# --- in which order ---------------------------------------------------------------------------------------------------


async def test_every_row_is_one_message_in_order(house: StreamHouse) -> None:
    """No number missing, none twice, the same for every client."""
    sockets = [await house.open(path) for path in (POWER, POWER, THERMAL)]
    await house.rows(40)
    for socket in sockets:
        numbers = [m["sequence"] for m in await receive(socket, 40)]
        assert numbers == list(range(numbers[0], numbers[0] + 40))


async def test_message_is_made_once_for_all_clients(house: StreamHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 clients must not cost 200 encodings: built and framed once a row, not at all where nobody listens."""
    built = []
    original = streams.power_message
    monkeypatch.setattr(streams, "power_message", lambda *given: built.append(1) or original(*given))
    await house.rows(3)
    assert not built
    sockets = [await house.open(POWER) for _ in range(12)]
    await house.rows(5)
    for socket in sockets:
        await receive(socket, 5)
    assert len(built) == house.stream("power").messages_made == 5


async def test_row_that_the_gateway_did_not_see_in_time_is_a_gap_in_the_numbers(house: StreamHouse) -> None:
    """A client must be able to tell that a cycle passed of which it heard nothing."""
    socket = await house.open(POWER)
    await house.rows(1)
    house.control.run(2)           # without the loop having had a chance to see the first
    await house.rows(1)
    first, second = [m["sequence"] for m in await receive(socket, 2)]
    assert second - first == 3


async def test_numbers_count_cycles_also_while_nobody_listens(house: StreamHouse) -> None:
    """Who was away for three cycles can tell that it was three."""
    first = await house.open(POWER)
    await house.rows(1)
    [before] = await receive(first)
    await first.close()
    await house.rows(3)
    second = await house.open(POWER)
    await house.rows(1)
    [after] = await receive(second)
    assert after["sequence"] - before["sequence"] == 4


async def test_rows_come_also_where_no_bell_rings(house: StreamHouse) -> None:
    """A lost or missing datagram must not silence a stream."""
    socket = await house.open(POWER)
    await house.rows(1)
    await house.rows(1, ring=False)
    assert [m["sequence"] for m in await receive(socket, 2)] == [1, 2]


async def test_new_generation_of_the_image_goes_on_without_a_gap(house: StreamHouse, tmp_path: Path) -> None:
    """A reload of the site file replaces the image; who listens must not notice."""
    socket = await house.open(POWER)
    await house.rows(2)
    changed = msgspec.structs.replace(house.control.site, name="Reloaded")
    writer = ImageWriter(tmp_path / "run", changed, successor_of=house.control.writer)
    writer.catch_up(house.control.writer)
    writer.publish()
    house.control.writer, house.control.site = writer, changed
    await house.rows(3)
    numbers = [m["sequence"] for m in await receive(socket, 5)]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert house.gateway.services.live.site.name == "Reloaded"


async def test_stream_that_cannot_be_made_does_not_end_the_others(
    house: StreamHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in one message is logged; thermal goes on."""
    def fails(*_: object) -> dict[str, Any]:
        raise ValueError("broken")

    monkeypatch.setattr(streams, "power_message", fails)
    power, thermal = await house.open(POWER), await house.open(THERMAL)
    await house.rows(2)
    await receive(thermal, 2)
    assert not power.closed


async def test_stream_outlasts_the_time_limit_of_a_request(
    tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request must be answered in 20 s; a stream runs for weeks, and must not count as a slow answer either."""
    monkeypatch.setattr("pswd_edge.gateway.middleware.TIMEOUT_S", 0.05)
    async with stream_house(tmp_path, state_dir, monkeypatch) as house:
        socket = await house.open(POWER)
        await house.rows(12)
        await receive(socket, 12)
        await socket.close()
        await house.settle()
        assert house.gateway.services.meter.read().response_mean_ms is None


def test_rows_leave_at_a_steady_while_after_their_cycle_began() -> None:
    """Devices that answer in 5 to 15 ms make rows that much uneven; the stream must not be."""
    pace, period_s, chance = Pace(), 0.1, random.Random(7)
    sent_s = [pace.due_s(row * period_s, row * period_s + chance.uniform(0.005, 0.015), period_s)
              for row in range(2000)]
    jitter_s = sorted(abs(b - a - period_s) for a, b in pairwise(sent_s[50:]))
    assert jitter_s[int(0.99 * len(jitter_s))] < 0.001
    assert max(jitter_s) < 0.003


def test_row_never_waits_for_long() -> None:
    """One slow cycle must not make a stream late for minutes, nor hold a row until the next one comes."""
    pace = Pace()
    assert pace.due_s(0.0, 0.065, 0.1) == 0.065
    assert pace.due_s(0.1, 0.105, 0.1) == pytest.approx(0.165, abs=1e-4)
    assert pace.due_s(0.2, 0.275, 0.1) == 0.275            # beyond the most: at once
    assert pace.due_s(9.0, 12.0, 0.1) == 12.0              # an old row: at once
    for row in range(1, 5000):
        due_s = pace.due_s(20 + row * 0.1, 20.005 + row * 0.1, 0.1)
    assert due_s - (20 + row * 0.1) == pytest.approx(0.005)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_have_the_length_that_the_protocol_gives_them(size: int) -> None:
    """7, 16 or 64 bits of length (RFC 6455, 5.2), never masked by a server."""
    frame = text_frame(b"x" * size)
    head = {0: 2, 125: 2, 126: 4, 65535: 4, 65536: 10}[size]
    assert (frame[0], len(frame)) == (0x81, head + size)
    assert int.from_bytes(frame[2:head], "big") == size if head > 2 else frame[1] == size
