"""GET operations: right values, and honest ones where something is not known."""

import asyncio
import threading

import numpy as np
import pytest
from gateway_campus import make_workload
from pswd_contract import breaches

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.model.quality import Quality
from pswd_edge.model.report import BatteryReport
from pswd_edge.model.workload import WorkloadState

READINGS = {
    "power": "/v1/power/realtime", "battery": "/v1/battery/status", "thermal": "/v1/thermal/status",
    "grid": "/v1/grid/status", "workload": "/v1/workload/wl-1/status", "health": "/v1/system/health",
}


@pytest.mark.parametrize("name", READINGS)
async def test_every_reading_keeps_the_contract(house, name):
    """A client generated from the contract must be able to read every answer."""
    house.control.run(workloads=(make_workload(),))

    answer = await house.get(READINGS[name])

    assert answer.status == 200
    assert breaches(name, answer.body) == []


@pytest.mark.parametrize("name", READINGS)
async def test_every_reading_keeps_the_contract_when_every_point_is_bad(house, name):
    """Absent values must not turn into nulls, zeros or failures."""
    house.control.run(workloads=(make_workload(),))
    for point in house.control.site.points:
        house.control.spoil(point.id)
    house.control.run()

    answer = await house.get(READINGS[name])

    assert answer.status == 200
    assert breaches(name, answer.body) == []


async def test_batteries_are_one_system(house):
    """The contract knows one battery: charge weighted by capacity, powers added."""
    body = (await house.get("/v1/battery/status")).body

    assert body["battery_id"] == "bess-1+bess-2"
    assert body["current_charge_level_percent"] == pytest.approx((9 * 40 + 6 * 70) / 15)
    assert body["current_power_mw"] == 10.0
    assert (body["max_charge_rate_mw"], body["max_discharge_rate_mw"]) == (100.0, 110.0)
    assert body["estimated_runtime_hours"] == pytest.approx((8e6 - 1.5e6) / 10e6)
    assert body["operating_status"] == "discharging"
    assert body["temperature_c"] == 29.0


async def test_unknown_battery_power_is_absent_not_the_rest_of_the_sum(house):
    """4 MW of one battery must not pass for the power of both."""
    house.control.spoil("bess-1.power_w")
    house.control.run()

    body = (await house.get("/v1/battery/status")).body

    assert "current_power_mw" not in body
    assert "estimated_runtime_hours" not in body
    assert [unit.get("current_power_mw") for unit in body["batteries"]] == [None, 4.0]


@pytest.mark.parametrize(("state", "expected"), [(3, "fault"), (8, "maintenance")])
async def test_batteries_that_are_all_out_are_a_fault_or_in_maintenance(house, state, expected):
    """An operator must see that nothing can be asked of them, and why."""
    for name in ("bess-1", "bess-2"):
        house.control.set(f"{name}.state", state)
    house.control.run(batteries=tuple(BatteryReport(n, False, 0, 0, 0, 0) for n in ("bess-1", "bess-2")))

    body = (await house.get("/v1/battery/status")).body

    assert body["operating_status"] == expected
    assert (body["max_charge_rate_mw"], body["max_discharge_rate_mw"]) == (0, 0)


@pytest.mark.parametrize(("power_w", "expected"), [(3e6, "discharging"), (-3e6, "charging"), (1e5, "standby")])
async def test_direction_is_by_measured_power(house, power_w, expected):
    """What was asked is not what happens."""
    for name in ("bess-1", "bess-2"):
        house.control.set(f"{name}.power_w", power_w)
    house.control.run()

    assert (await house.get("/v1/battery/status")).body["operating_status"] == expected


async def test_coolant_temperatures_are_weighted_by_flow(house):
    """Two CDUs of 1000 and 2000 L/min do not mix half and half."""
    body = (await house.get("/v1/thermal/status")).body

    assert body["inlet_temperature_c"] == pytest.approx((30 + 2 * 33) / 3)
    assert body["outlet_temperature_c"] == pytest.approx((40 + 2 * 46) / 3)
    assert body["flow_rate_l_per_min"] == 3000
    assert body["current_load_percent"] == pytest.approx(50)
    assert body["heat_recovery_active"] is True
    assert body["municipal_heat_delivery_kw"] == 5000


async def test_one_silent_cdu_leaves_no_total_flow(house):
    """The flow of one is not the flow of the site; temperatures of the other still hold."""
    house.control.spoil("cdu-1.flow_lpm")
    house.control.run()

    body = (await house.get("/v1/thermal/status")).body

    assert "flow_rate_l_per_min" not in body
    assert body["inlet_temperature_c"] == 33.0


async def test_frequency_is_measured_and_contract_facts_are_shown(house):
    """The measured value goes when the meter goes; the contract's stay."""
    before = (await house.get("/v1/grid/status")).body
    house.control.spoil("pcc.frequency_hz")
    house.control.run()
    after = (await house.get("/v1/grid/status")).body

    assert before["grid_frequency_hz"] == 49.98
    assert "grid_frequency_hz" not in after
    assert after["carbon_intensity_g_co2_kwh"] == 210.0
    assert after["demand_response_active"] is False


async def test_a_value_that_nobody_refreshes_disappears(house):
    """Control may live while one device's values stay: age decides, not the last quality."""
    point = house.control.site.point_index["cdu-1.pressure_bar"]
    house.control.received_s[point] = house.control.clock.monotonic_s()
    house.control.run(12)
    young = (await house.get("/v1/thermal/status")).body["pressure_bar"]
    house.control.run(2)
    old = (await house.get("/v1/thermal/status")).body["pressure_bar"]

    assert (young, old) == (2.5, 3.0)


@pytest.mark.parametrize("name", ["battery", "thermal", "grid", "workload"])
async def test_without_control_a_status_is_refused(house, name):
    """An image of a dead process still holds numbers: none of them may leave as if it were now."""
    house.control.run(workloads=(make_workload(),))
    house.control.clock.advance(1.1)

    answer = await house.get(READINGS[name])

    assert answer.status == 503
    assert answer.body["error_code"] == "CONTROL_UNAVAILABLE"
    assert breaches("error", answer.body) == []
    assert int(answer.headers["Retry-After"]) > 0


async def test_without_control_the_history_keeps_its_times_and_runs_out(house):
    """Old rows are true with their own times; the window is of now, so they leave it."""
    house.control.run(70)
    newest = house.control.clock.utc_s()
    house.control.clock.advance(8.0)
    some = (await house.get("/v1/power/realtime?duration_seconds=10")).body["measurements"]
    house.control.clock.advance(10.0)
    none = (await house.get("/v1/power/realtime?duration_seconds=10")).body["measurements"]

    assert some
    assert all(row["timestamp"] <= iso_utc(newest) for row in some)
    assert "power_quality" not in some[-1]
    assert none == []


@pytest.mark.parametrize("resolution_ms", [100, 250, 500, 1000])
async def test_power_is_the_mean_of_each_interval(house, resolution_ms):
    """Worked out again by hand from what was written, cycle by cycle."""
    written = []
    for k in range(40):
        house.control.set("hall-a.active_power_w", 30e6 + k * 1e5)
        house.control.run()
        written.append((round(1000 * house.control.clock.utc_s()), 70e6 + k * 1e5))

    answer = await house.get(f"/v1/power/realtime?duration_seconds=2&resolution_ms={resolution_ms}")

    rows = answer.body["measurements"]
    assert answer.body["measurement_interval_ms"] == resolution_ms
    assert len(rows) == (8 if resolution_ms == 250 else 2000 // resolution_ms)
    for row in rows:
        start_ms = round(1000 * np.datetime64(row["timestamp"][:-1], "ms").astype(float) / 1000)
        inside = [watts for ms, watts in written if start_ms <= ms < start_ms + resolution_ms]
        assert start_ms % resolution_ms == 0
        assert row["total_power_mw"] == pytest.approx(np.mean(inside) / 1e6, abs=1e-6)


async def test_a_bad_meter_leaves_gaps_and_the_total_finds_another_way(house):
    """Hall A unknown: no value of its own; the site's load from grid and batteries instead."""
    house.control.run(20)
    house.control.spoil("hall-a.active_power_w")
    house.control.run(20)

    row = (await house.get("/v1/power/realtime?duration_seconds=1")).body["measurements"][-1]

    assert [c["circuit_id"] for c in row["circuit_breakdown"]] == ["utility", "hall-b"]
    assert row["total_power_mw"] == 70.0
    house.control.spoil("bess-2.power_w")
    house.control.run(20)
    row = (await house.get("/v1/power/realtime?duration_seconds=1")).body["measurements"][-1]
    assert "total_power_mw" not in row


async def test_an_hour_in_a_thread_equals_an_hour_on_the_loop(house, monkeypatch):
    """Long answers take another road; it must lead to the same place."""
    path = "/v1/power/realtime?duration_seconds=200&resolution_ms=100"
    house.control.run(200)
    threaded = (await house.get(path)).body
    monkeypatch.setattr("pswd_edge.gateway.services.power._INLINE_ROWS", 10**6)

    assert (await house.get(path)).body == threaded
    assert len(threaded["measurements"]) == 230


async def test_workload_power_is_its_share_of_its_racks(house):
    """Two workloads on one rack share what it measures by what they reserved."""
    other = make_workload("wl-2", controllers=(1,), reserved_w=(10e6,))
    house.control.run(workloads=(make_workload(), other))

    one = (await house.get("/v1/workload/wl-1/status")).body
    two = (await house.get("/v1/workload/wl-2/status")).body

    assert one["current_power_mw"] == pytest.approx(20 + 5)
    assert two["current_power_mw"] == pytest.approx(5)
    assert one["current_status"] == "running"
    assert one["current_temperature_c"] == 60.0
    assert "progress_percent" not in one
    assert one["estimated_completion_time"] == iso_utc(1_780_000_000 + 3600)


async def test_workload_power_of_an_unknown_rack_is_absent(house):
    """Half of its racks is not the workload."""
    house.control.run(workloads=(make_workload(),))
    house.control.spoil("rack-2.active_power_w")
    house.control.run()

    assert "current_power_mw" not in (await house.get("/v1/workload/wl-1/status")).body


async def test_peak_and_mean_follow_the_measured_power(house):
    """Not the announced one."""
    for power_w in (20e6, 26e6, 14e6):
        house.control.set("rack-1.active_power_w", power_w)
        house.control.run(workloads=(make_workload(),))
        house.gateway.services.workloads.look()

    body = (await house.get("/v1/workload/wl-1/status")).body

    assert (body["peak_power_mw"], body["average_power_mw"]) == (36.0, 30.0)
    assert body["progress_percent"] == pytest.approx(41.5)


@pytest.mark.parametrize(("state", "expected"), [
    (WorkloadState.APPROVED, "running"), (WorkloadState.CONDITIONAL, "running"), (WorkloadState.PAUSED, "paused"),
    (WorkloadState.THROTTLED, "throttled"), (WorkloadState.TERMINATED, "terminated")])
async def test_states_in_the_contract_s_words(house, state, expected):
    """Five of our states are four of theirs."""
    house.control.run(workloads=(make_workload(state=state),))

    assert (await house.get("/v1/workload/wl-1/status")).body["current_status"] == expected


@pytest.mark.parametrize("workloads", [(), (make_workload(state=WorkloadState.REJECTED),)])
async def test_a_workload_that_does_not_run_here_is_not_found(house, workloads):
    """Never announced, or announced and turned down."""
    house.control.run(workloads=workloads)

    answer = await house.get("/v1/workload/wl-1/status")

    assert (answer.status, answer.body["error_code"]) == (404, "WORKLOAD_NOT_FOUND")


async def test_a_number_that_is_bad_is_in_no_mean(house):
    """Quality decides in the ring too, whatever number lies beside it."""
    house.control.quality[house.control.site.point_index["hall-a.active_power_w"]] = Quality.BAD
    house.control.run(30)

    row = (await house.get("/v1/power/realtime?duration_seconds=1")).body["measurements"][-1]

    assert [c["circuit_id"] for c in row["circuit_breakdown"]] == ["utility", "hall-b"]


async def test_waiting_long_answers_are_bounded():
    """Each is several MB: a flood of them must not fill the memory."""
    work, gate = HeavyWork(), threading.Event()
    jobs = [asyncio.create_task(work.run(gate.wait)) for _ in range(8)]
    await asyncio.sleep(0)

    with pytest.raises(RefusalError) as refused:
        await work.run(gate.wait)

    gate.set()
    assert await asyncio.gather(*jobs) == [True] * 8
    assert refused.value.status == 503
    work.close()
