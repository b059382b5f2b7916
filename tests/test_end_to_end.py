"""The whole system on real sockets: simulators, control, gateway, broker, as the demo runs them."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from pswd_edge.clock import iso_utc
from pswd_edge.commands.campus import running_site, until_auto
from pswd_edge.model.command import Mode
from pswd_edge.model.quality import Quality
from simulators.broker import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[1]


def site_on_free_ports(folder: Path) -> Path:
    text = (ROOT / "config" / "demo.yaml").read_text()
    text = re.sub(r"port: (1[0-9]{4})\b", lambda _: f"port: {free_port()}", text)
    text = re.sub(r"127\.0\.0\.1:(1[0-9]{4})/", lambda _: f"127.0.0.1:{free_port()}/", text)
    path = folder / "site.yaml"
    path.write_text(text)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("campus")
    async with running_site(site_on_free_ports(folder), folder / "demo", free_port(), ["--seed", "3"]) as found:
        await until_auto(found)
        await found.simulators.ask("start", True)
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(rig):
    base = f"http://127.0.0.1:{rig.site.listeners[0].port}/v1"
    user = next(u for u in rig.users if u["role"] == "infrastructure_manager")
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{base}/auth/login", json=user) as answer:
            token = (await answer.json())["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"

        async def ask(method: str, path: str, body: object = None):
            async with session.request(method, base + path, json=body) as answer:
                return answer.status, await answer.json()

        yield ask


async def until(condition, timeout_s: float = 10.0):
    """Poll a condition of the running system; it has its own clock, so a fake one would not do."""
    ends_s = time.monotonic() + timeout_s
    while time.monotonic() < ends_s:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not so after {timeout_s} s")


def now() -> str:
    return iso_utc(time.time())


async def test_every_device_of_three_protocols_is_good(rig):
    """Sixteen devices at least, over Modbus, OPC UA and SNMP, with every readable point good."""
    await until(lambda: rig.image.field_report().devices_good == len(rig.site.devices))

    assert len(rig.site.devices) >= 16
    assert {c.driver for c in rig.site.connections} == {"modbus", "opcua", "snmp"}


async def test_image_agrees_with_the_plant(rig):
    """The value that clients see is the physics, not a constant: load, grid and battery within 1 MW of the truth."""
    truth = await rig.simulators.ask("truth", True)
    report = rig.image.report()

    assert report.load_w == pytest.approx(truth["load_w"], abs=1e6)
    assert report.grid_w == pytest.approx(truth["grid_w"], abs=1e6)


async def test_throttle_reaches_the_rack_controllers(rig, api):
    """A throttle is a cap in a rack's register, and the rack's power obeys it."""
    status, announced = await api("POST", "/workload/announce", {
        "PSWD_version": "1.0", "message_type": "workload_announcement", "timestamp": now(), "workload_id": "wl-1",
        "workload_type": "ai_training", "flexibility_parameters": {"throttling_capability": True},
        "power_profile": {"peak_power_mw": 8.0, "baseline_power_mw": 2.0, "ramp_rate_mw_per_sec": 5.0}})
    assert (status, announced["approval_status"]) == (200, "approved"), announced

    status, body = await api("POST", "/workload/wl-1/control", {
        "command_type": "throttle", "timestamp": now(), "target_power_mw": 4.0})
    assert (status, body["command_status"]) == (200, "executed"), body
    workload = next(w for w in rig.image.report().workloads if w.announcement.workload_id == "wl-1")
    racks = [rig.site.control.load_controllers[c] for c in workload.controllers]

    async def caps():
        return [(await rig.simulators.ask("signals", r.id))["signals"]["power_cap_w"] for r in racks]

    assert sum(await caps()) == pytest.approx(4e6, rel=1e-3)
    status, body = await api("POST", "/workload/wl-1/control", {"command_type": "terminate", "timestamp": now()})
    assert (status, body["command_status"]) == (200, "executed"), body
    stopped = [(await rig.simulators.ask("signals", r.id))["signals"]["run_command"] for r in racks]
    assert stopped == [0.0] * len(racks)


async def test_cooling_and_heat_commands_reach_their_devices(rig, api):
    """A CDU's set-point moves at its declared rate, over Modbus; a heat exchanger is switched off, over OPC UA."""
    async def told(device: str, signal: str) -> float:
        return (await rig.simulators.ask("signals", device))["signals"][signal]

    before_c = await told("cdu-1", "supply_temperature_setpoint_c")
    began_s = time.monotonic()
    status, body = await api("POST", "/thermal/control", {
        "command_type": "set_temperature", "timestamp": now(), "target_temperature_c": 20.0})
    assert time.monotonic() - began_s < 1.5          # a second, and the test machine's own
    assert (status, body["limit"]) == (200, "thermal_limit"), body
    assert body["status"] in ("executed", "pending")  # the CDU takes one write a second
    assert [s["value"] for s in body["set_points"]] == [25.0, 25.0]

    async def moving() -> bool:
        return await told("cdu-1", "supply_temperature_setpoint_c") < before_c - 0.02

    await until(moving, 5.0)
    assert await told("cdu-1", "supply_temperature_setpoint_c") > before_c - 2 / 60 * (time.monotonic() - began_s + 1)
    for command, enabled in (("disable_delivery", 0.0), ("enable_delivery", 1.0)):
        status, body = await api("POST", "/municipal/heat/control", {"command_type": command, "timestamp": now()})
        assert (status, body["status"]) == (200, "executed"), body
        assert await told("hx-1", "enable") == enabled


async def test_discharge_moves_the_battery_at_the_ramp_limit(rig, api):
    """A battery request leads the reference: the battery gives it, no faster than the grid may move."""
    before_w = rig.image.report().battery_w
    status, body = await api("POST", "/battery/control", {
        "command_type": "discharge", "timestamp": now(), "target_power_mw": 3.0, "duration_sec": 20})
    assert status == 200
    assert body["limit"] == "ramp"
    started_s = time.monotonic()
    await asyncio.sleep(5.0)
    moved_w = rig.image.report().battery_w - before_w
    limit_w = rig.site.control.ramp_limit_w_per_min / 60 * (time.monotonic() - started_s)

    assert 0.25e6 < moved_w < limit_w + 0.5e6
    status, _ = await api("POST", "/battery/control", {"command_type": "load_smooth", "timestamp": now()})
    assert status == 200


async def test_the_grid_operator_is_heard_and_signalled(rig, api):
    """Its conditions are shown as its own word, and a signal comes back with its acknowledgement."""

    async def heard():
        return (await api("GET", "/grid/status"))[1].get("source") == "operator"

    await until(heard, 15.0)
    status, answer = await api("POST", "/grid/signal", {"signal_type": "load_forecast", "timestamp": now()})
    assert (status, answer["acknowledgment_status"]) == (200, "acknowledged"), answer
    log = await rig.simulators.ask("operator_log", True)
    assert [m["kind"] for m in log["received"]] == ["load_forecast"]
    assert log["received"][0]["id"] == answer["signal_id"]


async def test_faulty_device_spoils_its_own_points_only(rig):
    """One meter that sends NaN is BAD; its neighbours behind the same gateway stay good."""
    await rig.simulators.ask("fault", {"device": "feeder-a", "name": "nan", "value": True})
    bad = rig.site.find("feeder-a", "active_power_w")
    good = rig.site.find("feeder-b", "active_power_w")
    await until(lambda: rig.image.value(bad, time.monotonic())[0].quality is Quality.BAD, 3.0)

    assert rig.image.value(good, time.monotonic())[0].quality is Quality.GOOD
    await rig.simulators.ask("fault", {"device": "feeder-a", "name": "nan", "value": None})
    await until(lambda: rig.image.value(bad, time.monotonic())[0].quality is Quality.GOOD, 3.0)


async def test_stopped_gateway_costs_no_cycle(rig):
    """What faces the network may hang: control does not notice."""
    pid = rig.supervisor.units["gateway"].pid
    before = rig.image.report()
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(2.0)
    finally:
        os.kill(pid, signal.SIGCONT)
    after = rig.image.report()

    assert after.cycles - before.cycles >= 18
    assert after.cycles_missed == before.cycles_missed


async def test_lost_broker_costs_no_cycle_and_messages_arrive_later(rig):
    """The uplink is somebody else's weather."""
    before = rig.image.report()
    await rig.broker.stop()
    await asyncio.sleep(1.5)
    await rig.broker.start()
    after = rig.image.report()

    assert after.cycles_missed == before.cycles_missed
    assert after.cycles - before.cycles >= 13


async def test_killed_control_comes_back_in_observe_without_a_step(rig, api):
    """The restart reads back the set-points and keeps them; the battery's power does not jump, and AUTO returns."""
    truth = await rig.simulators.ask("truth", True)
    os.kill(rig.supervisor.units["control"].pid, signal.SIGKILL)

    async def observing():
        rig.image.follow()
        report = rig.image.report()
        return report if report is not None and report.started_utc_s > time.time() - 15 else None

    report = await until(observing, 20.0)
    assert report.mode is Mode.OBSERVE
    after = await rig.simulators.ask("truth", True)
    assert after["battery_w"] == pytest.approx(truth["battery_w"], abs=1e6)
    await until(lambda: rig.image.report().mode is Mode.AUTO, 15.0)
    # the gateway follows the new generation and answers from it
    async def answered():
        status, body = await api("GET", "/system/health")
        return status == 200 and body["overall_status"] in ("healthy", "degraded")

    await until(answered)


async def test_the_operator_leads_the_batteries_by_hand(rig):
    """MANUAL through the operator's socket: the batteries go to the power, no faster than the ramp; AUTO takes over."""
    run = [sys.executable, "-m", "pswd_edge", "mode"]
    where = ["--runtime-dir", rig.site.runtime_dir]
    manual = await asyncio.create_subprocess_exec(*run, "MANUAL", "--battery-w", "2000000", *where, cwd=ROOT)
    assert await manual.wait() == 0
    before_w = rig.image.report().battery_w
    await asyncio.sleep(3.0)
    report = rig.image.report()
    assert (report.mode, report.binding) == (Mode.MANUAL, "manual")
    assert 0.1e6 < report.battery_w - before_w < 1e6

    auto = await asyncio.create_subprocess_exec(*run, "AUTO", *where, cwd=ROOT)
    assert await auto.wait() == 0
    await until(lambda: rig.image.report().mode is Mode.AUTO)


async def test_a_battery_is_commissioned_at_night(rig):
    """OBSERVE, `pswd-edge commission`, a record with what was seen, and AUTO again: over real sockets."""
    where = ["--runtime-dir", rig.site.runtime_dir]

    async def command(*words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "pswd_edge", *words, *where, cwd=ROOT,
                                                       stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    assert (await command("commission", "bess-2", "--yes"))[0] == 1  # AUTO: nobody else leads
    assert (await command("mode", "OBSERVE"))[0] == 0
    await until(lambda: rig.image.report().mode is Mode.OBSERVE)
    status, out = await command("commission", "bess-2", "--yes", "--json")
    found = json.loads(out)["points"][0]["outcome"]
    assert status == 0, out
    trial = found["trial"]
    assert trial["asked"] - trial["before"] == pytest.approx(0.8e6)
    assert trial["meter_after"] - trial["meter_before"] > 0.4e6
    records = json.loads((Path(rig.site.state_dir) / "commissioned.json").read_text())
    assert records["bess-2.power_setpoint_w"]["how"] == "nudge"
    assert records["bess-1.power_setpoint_w"]["how"] == "simulated"

    assert (await command("mode", "AUTO"))[0] == 0
    await until(lambda: rig.image.report().mode is Mode.AUTO)
    assert [b.usable for b in rig.image.report().batteries] == [True, True]
