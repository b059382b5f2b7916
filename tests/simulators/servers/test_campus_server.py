"""The whole campus of the demo, on free ports."""

import asyncio
import json
import struct
import time
from pathlib import Path

import pytest
import pytest_asyncio

from pswd_edge.config.load import load_site
from simulators.campus import Campus
from simulators.plant import Plant, PlantSpec

# one campus for all: it takes seconds to start
pytestmark = pytest.mark.asyncio(loop_scope="module")
SITE = load_site(Path("config/demo.yaml"), {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def campus(tmp_path_factory):
    ports = dict.fromkeys((c.id for c in SITE.connections), 0)
    control = tmp_path_factory.mktemp("campus") / "control"
    plant = Plant(PlantSpec(noise_scale=0.0), 1)
    async with Campus(SITE, 1, lambda _: "long-enough-secret", ports=ports, plant=plant, control=control) as running:
        running.control_path = control
        yield running


async def read(campus, connection, start, count, unit=1, function=3):
    reader, writer = await asyncio.open_connection("127.0.0.1", campus.ports[connection])
    try:
        writer.write(struct.pack(">HHHBBHH", 1, 0, 6, unit, function, start, count))
        head = await asyncio.wait_for(reader.readexactly(9), 1)
        return await asyncio.wait_for(reader.readexactly(head[8]), 1)
    finally:
        writer.close()


async def write_setpoint(campus, power_w):
    reader, writer = await asyncio.open_connection("127.0.0.1", campus.ports["bess-1"])
    try:
        writer.write(struct.pack(">HHHBBHHBi", 1, 0, 11, 1, 16, 40249, 2, 4, power_w))
        return await asyncio.wait_for(reader.readexactly(12), 1)
    finally:
        writer.close()


async def control(campus, *requests):
    reader, writer = await asyncio.open_unix_connection(campus.control_path)
    answers = []
    try:
        for request in requests:
            writer.write(json.dumps(request).encode() + b"\n")
            answers.append(json.loads(await asyncio.wait_for(reader.readline(), 12)))
    finally:
        writer.close()
    return answers


async def test_every_connection_of_the_site_has_its_port(campus):
    """Eleven connections, seventeen devices, three protocols."""
    assert set(campus.ports) == {c.id for c in SITE.connections}
    assert all(port > 0 for port in campus.ports.values())


async def test_meters_and_batteries_show_the_plant(campus):
    """Float of the grid meter in W; the feeder in kW; the battery's int16 with its factor; SoC in hundredths."""
    (grid_w,) = struct.unpack(">f", await read(campus, "pcc", 19026, 2))
    (feeder_kw,) = struct.unpack(">f", await read(campus, "feeders", 3059, 2, unit=2))
    soc, factor = struct.unpack(">H6xh", await read(campus, "bess-1", 40296, 5))

    assert grid_w == pytest.approx(campus.plant.true_grid_w, rel=1e-3)
    assert feeder_kw * 1e3 == pytest.approx(campus.plant.signals("feeder-b")["active_power_w"], rel=1e-2)
    assert soc * 10.0**factor == pytest.approx(75.0, abs=0.1)


async def test_time_runs_and_a_set_point_moves_the_grid_meter(campus):
    """The loop must close: a written set-point, the battery's power, the meter."""
    assert (await write_setpoint(campus, 5_000_000))[7] == 16
    began, steps = time.monotonic(), campus.steps
    await asyncio.sleep(0.6)
    rate = (campus.steps - steps) / (time.monotonic() - began)

    (grid_w,) = struct.unpack(">f", await read(campus, "pcc", 19026, 2))
    assert 90 <= rate <= 110
    assert campus.plant.true_battery_w == pytest.approx(5e6, rel=0.01)
    assert grid_w == pytest.approx(campus.plant.true_load_w - 5e6, rel=0.01)
    await write_setpoint(campus, 0)


async def test_the_arrival_of_a_set_point_is_noted(campus):
    """Event-to-wire is measured by this list: battery set-points only, with the time of the wire."""
    before = time.monotonic()
    await write_setpoint(campus, 1_000_000)
    await write_setpoint(campus, 0)
    (answer,) = await control(campus, {"arrivals": {"since": before}})

    assert [(device, value) for device, value, _ in answer["arrivals"]] == [("bess-1", 1e6), ("bess-1", 0.0)]
    assert before <= answer["arrivals"][0][2] <= time.monotonic()


async def test_a_load_step_is_answered_when_the_register_has_changed(campus):
    """What the event-to-wire measurement starts from."""
    before = time.monotonic()
    up, same, down = await control(
        campus, {"step_load": {"power_w": 2e7}}, {"step_load": {"power_w": 2e7}}, {"step_load": {"power_w": 0}}
    )

    assert before < up["register_changed_monotonic"] < before + 0.5
    assert down["register_changed_monotonic"] > up["register_changed_monotonic"]
    assert "expected 0 or more and not 2e+07" in same["error"]


async def test_the_control_channel_does_and_refuses(campus):
    """Every command once; mistakes are answered in words and end nothing."""
    answers = await control(
        campus,
        {"start": True}, {"summary": True}, {"truth": True}, {"ports": True}, {"signals": "bess-1"},
        {"write": {"device": "rack-1", "signal": "power_cap_w", "value": 2e7}},
        {"fault": {"device": "cdu-1", "name": "exception", "value": 4}},
        {"plant_fault": {"device": "cdu-1", "name": "leak", "active": True}},
        {"plant_fault": {"device": "cdu-1", "name": "leak", "active": False}},
        {"fault": {"device": "cdu-1", "name": "soup"}}, {"dance": 1}, [], {"write": {"device": "rack-1"}},
        {"write": {"device": "pcc", "signal": "active_power_w", "value": 1}}, {"signals": "nobody"},
    )

    assert [a["ok"] for a in answers] == [True] * 9 + [False] * 6
    assert "ramp_60s_max_mw_per_min" in answers[1]["summary"]
    assert campus.plant.signals("rack-1")["power_cap_w"] == 2e7
    assert (await read(campus, "cooling", 0, 2, unit=13)) != b""
    with pytest.raises((asyncio.IncompleteReadError, TimeoutError)):    # an exception answer is shorter than a value
        await read(campus, "cooling", 0, 2, unit=12)
    campus.faults.set("cdu-1", "exception", None)


async def test_a_stall_is_caught_up_and_a_long_one_given_up(campus):
    """Plant time follows real time; a suspended machine must not make the plant race for minutes."""
    late, lost, steps = campus.steps_late, campus.steps_lost, campus.steps
    time.sleep(0.2)  # noqa: ASYNC251 - the stall
    await asyncio.sleep(0.05)
    assert campus.steps_late - late >= 15
    assert campus.steps_lost == lost
    time.sleep(1.3)  # noqa: ASYNC251
    await asyncio.sleep(0.05)
    assert campus.steps_lost - lost >= 20
    assert campus.steps - steps <= 150


async def test_a_meter_repeats_itself_between_refreshes(campus):
    """A register that follows the plant faster than the device does would flatter the controller."""
    campus.plant.start_job("wobble", Wobble(), {"rack-1": 20e6})
    seen, began = set(), time.monotonic()
    for _ in range(20):
        seen.add(await read(campus, "feeders", 3059, 2, unit=1))
        await asyncio.sleep(0.01)
    campus.plant.end_job("wobble")

    assert 2 <= len(seen) <= 2 + (time.monotonic() - began) / 0.2


class Wobble:
    def power_share(self, t_s, dt_s):
        return 0.5 + (t_s * 7.0) % 0.3
