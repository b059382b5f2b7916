"""DCPI's cooling: each system, each sensor, and requests of several set-points that are checked whole."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import House
from dcpi_house import CLIENT_ID
from gateway_campus import make_workload
from msgspec.structs import replace
from test_gateway_heat import heat_site
from test_gateway_thermal import opened, run_on

from pswd_edge.gateway.profiles.dcpi import thermal
from pswd_edge.gateway.profiles.dcpi.thermal_models import Sensors, ThermalControlAnswer, ThermalStatus
from pswd_edge.model.command import Accepted, Clamped, Failed, PrepareCooling, Rejected, SetPoint
from pswd_edge.model.point import ModbusAddress
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site
from pswd_edge.model.thermal import CapStep, Interlock, Measure

ROOT = "/dcpi/api/v1"
UNITS = {"_c": "degC", "_lpm": "L/min", "_bar": "bar"}


def loop_site() -> Site:
    """As the site of the heat tests; one CDU sends whole tenths, one temperature is kept in the ring and watched."""
    site = heat_site()
    at = site.point_index

    def changed(point):
        if point.id == "cdu-1.supply_temperature_c":
            return replace(point, unit="degC", scale=0.1, address=ModbusAddress(0, "int16"), trend=True)
        unit = next((u for end, u in UNITS.items() if point.signal.endswith(end)), point.unit)
        return replace(point, unit=unit, address=ModbusAddress(0, "float32"))

    lock = Interlock("hall-a", Measure(at["cdu-1.return_temperature_c"]), 48.0, 60.0, 44.0, (0,), (CapStep(0.5),))
    thermal = replace(site.control.thermal, interlocks=(lock,))
    return replace(site, points=tuple(changed(p) for p in site.points),
                   control=replace(site.control, thermal=thermal))


@pytest.fixture
async def loop(tmp_path: Path, state_dir: Path, tls: Path) -> AsyncIterator[House]:
    async for house in opened(tmp_path, state_dir, loop_site(), tls):
        yield house


async def status(house: House) -> dict[str, dict[str, Any]]:
    answer = await house.get(f"{ROOT}/thermal/status")
    assert answer.status == 200, answer.body
    ThermalStatus.model_validate(answer.body)
    return {s["system_id"]: s for s in answer.body["cooling_systems"]}


async def sensors(house: House, query: str = "") -> dict[str, dict[str, Any]]:
    answer = await house.get(f"{ROOT}/thermal/sensors{query}")
    assert answer.status == 200, answer.body
    Sensors.model_validate(answer.body)
    return {s["sensor_id"]: s for s in answer.body["sensors"]}


async def control(house: House, *commands: dict[str, Any], system: str = "cdu-1", **more: Any):
    answer = await house.post(f"{ROOT}/thermal/control", {"system_id": system, "commands": list(commands), **more})
    if answer.status == 200:
        ThermalControlAnswer.model_validate(answer.body)
    return answer


def flow(value: float = 3000.0, **more: Any) -> dict[str, Any]:
    return {"parameter": "flow_rate", "target_value": value, "unit": "lpm", **more}


def inlet(value: float = 28.0, **more: Any) -> dict[str, Any]:
    return {"parameter": "inlet_temperature", "target_value": value, "unit": "celsius", **more}


# --- status -------------------------------------------------------------------------------------------------

async def test_every_system_is_shown_with_what_it_carries(loop: House) -> None:
    """Efficiency is the heat carried, of what the racks it serves make: cdu-1 takes all of rack-1's 20 MW."""
    found = await status(loop)
    assert found["cdu-1"] == {
        "system_id": "cdu-1", "type": "single_phase", "status": "operational", "inlet_temp_c": 30.0,
        "outlet_temp_c": 40.0, "flow_rate_lpm": 1000.0, "pressure_bar": 2.0, "heat_load_mw": 20.0,
        "efficiency_percent": 100.0}
    assert found["cdu-2"]["type"] == "two_phase"
    assert (found["cdu-2"]["phase_change_detected"], found["cdu-2"]["vapor_quality_percent"]) == (True, 12.0)
    assert found["cdu-2"]["condensation_temp_c"] == 60.0
    assert (found["chiller-1"]["inlet_temp_c"], found["chiller-1"]["outlet_temp_c"]) == (16.0, 22.0)


async def test_status_is_by_what_is_fresh_and_applied(loop: House) -> None:
    """Degraded with one value gone or a write refused, offline with all gone; never operational by configuration."""
    loop.control.spoil("cdu-1.flow_lpm")
    for signal in ("leaving_temperature_c", "entering_temperature_c", "leaving_temperature_setpoint_c"):
        loop.control.spoil(f"chiller-1.{signal}")
    refused = loop.control.setpoint("cdu-2.flow_setpoint_lpm", "refused")
    loop.control.run(1, setpoints=(refused,))
    found = await status(loop)
    assert {name: s["status"] for name, s in found.items()} == {
        "cdu-1": "degraded", "cdu-2": "degraded", "chiller-1": "offline"}
    assert found["cdu-1"]["reasons"] == ["cdu-1.flow_lpm: no fresh value"]
    assert "flow_rate_lpm" not in found["cdu-1"]
    assert "inlet_temp_c" not in found["chiller-1"]


async def test_efficiency_is_left_out_where_nothing_is_made(loop: House) -> None:
    """Idle racks make no heat; a share of nothing is no figure."""
    loop.control.set("rack-1.active_power_w", 0.0)
    loop.control.run(1)
    assert "efficiency_percent" not in (await status(loop))["cdu-1"]


async def test_heat_recovery_stands_beside(loop: House) -> None:
    """As the heat network gets it."""
    body = (await loop.get(f"{ROOT}/thermal/status")).body
    assert body["heat_recovery"] == {"municipal_interface_active": True, "heat_delivered_mw": 5.0,
                                     "supply_temp_c": 82.0, "return_temp_c": 62.0}


# --- sensors --------------------------------------------------------------------------------------------------

async def test_every_sensor_is_there_and_no_set_point(loop: House) -> None:
    """CDUs, chiller, exchanger and racks; what is told to a device is no measurement."""
    found = await sensors(loop)
    assert {"cdu-1.supply_temperature_c", "cdu-2.vapor_quality_percent", "chiller-1.leaving_temperature_c",
            "hx-1.flow_lpm", "rack-1.temperature_c"} <= set(found)
    assert [name for name in found if "setpoint" in name or "_w" in name] == []
    first = found["cdu-1.supply_temperature_c"]
    assert (first["type"], first["location"], first["unit"]) == ("temperature", "coolant_inlet", "celsius")
    assert (first["value"], first["accuracy"], first["status"]) == (30.0, 0.1, "normal")
    assert "accuracy" not in found["cdu-2.supply_temperature_c"]    # a float's last digit is no accuracy


@pytest.mark.parametrize(("query", "expected"), [
    ("?system_id=hx-1&sensor_type=flow", {"hx-1.flow_lpm"}),
    ("?system_id=cdu-2&sensor_type=vapor_quality", {"cdu-2.vapor_quality_percent"}),
    ("?sensor_type=pressure", {"cdu-1.pressure_bar", "cdu-2.pressure_bar"}),
    ("?system_id=hx-1&sensor_type=pressure", set())])
async def test_filters(loop: House, query: str, expected: set[str]) -> None:
    """By system, by kind, by both."""
    assert set(await sensors(loop, query)) == expected


async def test_many_sensors_are_made_beside_the_loop(loop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answer, in the thread for long ones; a refusal comes out of it as it went in."""
    before = set(await sensors(loop))
    monkeypatch.setattr(thermal, "_INLINE_SENSORS", 0)
    assert set(await sensors(loop)) == before
    assert (await loop.get(f"{ROOT}/thermal/sensors?system_id=nobody")).status == 404


@pytest.mark.parametrize(("query", "code"), [
    ("?system_id=nobody", 404), ("?system_id=bess-1", 404), ("?sensor_type=smell", 400), ("?resolution_sec=0", 400),
    ("?resolution_sec=61", 400)])
async def test_wrong_filters_are_refused(loop: House, query: str, code: int) -> None:
    """A system that is not there is not an empty list."""
    assert (await loop.get(f"{ROOT}/thermal/sensors{query}")).status == code


async def test_resolution_is_a_mean_of_what_the_image_keeps(loop: House) -> None:
    """The mean of the last ten seconds where the point is in the ring, the newest value where it is not."""
    for _ in range(10):
        for value in (29.0, 31.0):
            loop.control.set("cdu-1.supply_temperature_c", value)
            loop.control.set("cdu-2.supply_temperature_c", value)
            loop.control.run(5)
    found = await sensors(loop, "?resolution_sec=10")
    assert found["cdu-1.supply_temperature_c"]["value"] == pytest.approx(30.0)
    assert found["cdu-2.supply_temperature_c"]["value"] == 31.0


async def test_a_sensor_says_how_far_it_can_be_trusted(loop: House) -> None:
    """Stale and faulty ones have no value; uncertain ones and those over their interlock's limit warn."""
    control, at = loop.control, loop.control.site.point_index
    control.spoil("cdu-1.pressure_bar")                                                     # stale
    control.quality[at["cdu-2.pressure_bar"]] = Quality.UNCERTAIN
    control.set("cdu-1.return_temperature_c", 48.5)
    control.value[at["hx-1.flow_lpm"]] = np.nan
    control.quality[at["hx-1.flow_lpm"]] = Quality.BAD                                      # broken
    control.run(1)
    found = await sensors(loop)
    names = ("cdu-1.pressure_bar", "cdu-2.pressure_bar", "cdu-1.return_temperature_c", "hx-1.flow_lpm")
    assert [found[n]["status"] for n in names] == ["stale", "warning", "warning", "fault"]
    assert [n for n in names if "value" in found[n]] == ["cdu-2.pressure_bar", "cdu-1.return_temperature_c"]


async def test_a_value_that_has_stopped_is_stale(loop: House) -> None:
    """Control lives, the device does not answer: the last value is not shown."""
    loop.control.received_s[loop.control.site.point_index["cdu-1.flow_lpm"]] = loop.control.clock.monotonic_s()
    loop.control.run(30)
    found = (await sensors(loop))["cdu-1.flow_lpm"]
    assert found["status"] == "stale"
    assert "value" not in found
    assert found["timestamp"] < (await sensors(loop))["cdu-2.flow_lpm"]["timestamp"]


# --- control --------------------------------------------------------------------------------------------------

async def test_several_set_points_of_one_system(loop: House) -> None:
    """Each with its own outcome, in its own unit; held for an hour by control."""
    answer = await control(loop, flow(180.0, unit="m3h", ramp_rate_per_sec=6.0), inlet(30.1, tolerance=0.2))
    assert answer.status == 200, answer.body
    first, second = loop.door.asked
    assert (first.point, first.value, first.ramp_per_s) == ("cdu-1.flow_setpoint_lpm", 3000.0, 100.0)
    assert (second.point, second.value, second.ttl_s) == ("cdu-1.supply_temperature_setpoint_c", 30.1, 3600.0)
    assert first.origin == f"dcpi:{CLIENT_ID}"
    assert (answer.body["system_id"], answer.body["status"]) == ("cdu-1", "executed")
    one, two = answer.body["commands"]
    assert (one["parameter"], one["unit"], one["applied_value"], one["current_value"]) == (
        "flow_rate", "m3h", 180.0, 60.0)
    assert (two["applied_value"], two["current_value"], two["within_tolerance"]) == (30.1, 30.0, True)


@pytest.mark.parametrize(("commands", "status", "words"), [
    ([flow(), inlet(unit="lpm")], 400, "commands.1.unit"), ([flow(-1.0)], 400, "commands.0.target_value"),
    ([flow(), flow()], 400, "flow_rate"), ([], 400, "commands"),
    ([{"parameter": "smell", "target_value": 1}], 400, "commands.0.parameter"),
    ([flow(), {"parameter": "condensation_temperature", "target_value": 55}], 409, "condensation_temperature"),
    ([flow(), {"parameter": "enable", "target_value": 0.5}], 400, "commands.1.target_value"),
    ([flow(ramp_rate_per_sec=-1)], 400, "commands.0.ramp_rate_per_sec"), ([flow(None)], 400, "target_value")])
async def test_one_mistake_and_nothing_is_sent(loop: House, commands: list, status: int, words: str) -> None:
    """Half of a request is what nobody asked for."""
    answer = await control(loop, *commands)
    assert answer.status == status
    assert words in str(answer.body)
    assert loop.door.asked == []


@pytest.mark.parametrize("system", ["nobody", "bess-1", "rack-1"])
async def test_an_unknown_system_is_404(loop: House, system: str) -> None:
    """Also a device that is no cooling system."""
    answer = await control(loop, flow(), system=system)
    assert (answer.status, answer.body["error"]["code"]) == (404, "RESOURCE_NOT_FOUND")


async def test_each_outcome_is_its_own(loop: House) -> None:
    """One clamped by what the site declares, one not commissioned: the other is carried out, both are told."""
    loop.door.outcomes = [Clamped(id="", value=5000.0, limit="thermal_limit", eta_s=12.0),
                          Failed(id="", code="not_commissioned", reason="no")]
    answer = await control(loop, flow(9000.0), inlet())
    one, two = answer.body["commands"]
    assert (one["status"], one["applied_value"], one["limit"], one["eta_sec"]) == (
        "executed", 5000.0, "thermal_limit", 12.0)
    assert (two["status"], two["message"]) == ("failed", "no")
    assert "applied_value" not in two


async def test_a_device_that_is_silent_is_pending_or_failed_never_executed(loop: House) -> None:
    """Silence is told by the actuator's own state."""
    loop.door.state = "silent"
    later = asyncio.create_task(run_on(loop, 12))
    answer = await control(loop, flow())
    await later
    assert answer.body["status"] == "failed"


async def test_preparing_makes_control_lead_the_cooler(loop: House) -> None:
    """Not a note in a log: control counts the heat as it counts an announced job's."""
    answer = await control(loop, inlet(), coordination={
        "estimated_heat_load_mw": 15.0, "preparation_time_sec": 120})
    wish = loop.door.asked[-1]
    assert isinstance(wish, PrepareCooling)
    assert (wish.cooler, wish.heat_w, wish.ttl_s) == ("cdu-1", 15e6, 120.0)
    assert answer.body["coordination"] == {"status": "executed", "prepared_heat_load_mw": 15.0}


async def test_preparing_for_an_announced_workload_takes_its_heat(loop: House) -> None:
    """cdu-1 serves rack-1 alone, where 20 of the job's 30 MW are reserved."""
    loop.control.run(1, workloads=(make_workload("job-1"),))
    answer = await control(loop, coordination={"prepare_for_workload": "job-1"})
    assert answer.status == 200, answer.body
    assert (loop.door.asked[0].heat_w, loop.door.asked[0].ttl_s) == (20e6, 120.0)
    assert (answer.body["status"], answer.body["commands"]) == ("executed", [])


async def test_more_heat_than_the_cooler_carries_is_refused_with_alternatives(loop: House) -> None:
    """The contract's own code, and what would be possible; the set-points beside it are not sent either."""
    answer = await control(loop, flow(), coordination={"estimated_heat_load_mw": 175.0})
    assert (answer.status, answer.body["error"]["code"]) == (409, "INSUFFICIENT_COOLING_CAPACITY")
    details = answer.body["error"]["details"]
    assert (details["requested_heat_mw"], details["available_capacity_mw"]) == (175.0, 20.0)
    assert loop.door.asked == []


@pytest.mark.parametrize(("system", "wish", "status"), [
    ("cdu-1", {"prepare_for_workload": "nobody"}, 404), ("chiller-1", {"estimated_heat_load_mw": 1.0}, 409),
    ("cdu-1", {"preparation_time_sec": 60}, 400), ("cdu-1", {"estimated_heat_load_mw": -1.0}, 400),
    ("cdu-1", {"estimated_heat_load_mw": 1.0, "preparation_time_sec": 0}, 400)])
async def test_a_preparation_that_cannot_be_is_refused(loop: House, system: str, wish: dict, status: int) -> None:
    """An unknown job, a cooler that the law does not lead, no heat, no time."""
    assert (await control(loop, system=system, coordination=wish)).status == status
    assert loop.door.asked == []


async def test_a_preparation_that_fails_does_not_hide_the_set_points(loop: House) -> None:
    """They are held; the answer must not say otherwise."""
    loop.door.outcomes = [Accepted(id=""), Rejected(id="", code="conflict", reason="not now")]
    answer = await control(loop, flow(), coordination={"estimated_heat_load_mw": 1.0})
    assert (answer.status, answer.body["status"]) == (200, "executed")
    assert answer.body["coordination"] == {"status": "failed", "message": "not now"}
    assert isinstance(loop.door.asked[0], SetPoint)
