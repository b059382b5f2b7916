"""Health: fresh data and applied writes, nothing less."""

import pytest
from msgspec.structs import replace
from pswd_contract import breaches

from pswd_edge.errors import DoorError
from pswd_edge.model.command import Mode
from pswd_edge.model.report import AlarmReport

PARTS = ["workload_interface", "power_management", "thermal_management", "battery_systems", "grid_integration"]


async def health(house):
    answer = await house.get("/v1/system/health")
    assert answer.status == 200
    assert breaches("health", answer.body) == []
    return answer.body


async def test_all_good_is_healthy(house):
    """Every part is there, and nothing is given as a reason."""
    body = await health(house)

    assert body["overall_status"] == "healthy"
    assert body["component_status"] == dict.fromkeys(PARTS, "healthy")
    assert "reasons" not in body


async def test_dead_control_is_offline_everywhere(house):
    """The values in the image are still there; they are nobody's any more."""
    house.control.clock.advance(1.5)

    body = await health(house)

    assert body["overall_status"] == "offline"
    assert set(body["component_status"].values()) == {"offline"}


@pytest.mark.parametrize(("points", "part", "status", "overall"), [
    (["bess-1.soc_percent"], "battery_systems", "degraded", "degraded"),
    (["bess-1.power_w", "bess-2.soc_percent"], "battery_systems", "offline", "critical"),
    (["cdu-1.flow_lpm"], "thermal_management", "degraded", "degraded"),
    (["cdu-1.flow_lpm", "cdu-2.flow_lpm"], "thermal_management", "critical", "critical"),
    (["hall-b.active_power_w"], "power_management", "degraded", "degraded"),
    (["pcc.active_power_w"], "grid_integration", "critical", "critical"),
    (["rack-1.active_power_w", "rack-2.active_power_w"], "workload_interface", "offline", "critical"),
    (["rack-1.progress_percent"], "workload_interface", "healthy", "healthy")])
async def test_a_part_is_as_good_as_its_fresh_values(house, points, part, status, overall):
    """A configured device that says nothing is no healthy device."""
    for point in points:
        house.control.spoil(point)
    house.control.run()

    body = await health(house)

    assert body["component_status"][part] == status
    assert body["overall_status"] == overall


@pytest.mark.parametrize("state", ["mismatch", "refused", "silent"])
@pytest.mark.parametrize(("point", "part"), [
    ("bess-1.power_setpoint_w", "battery_systems"), ("rack-2.power_cap_w", "workload_interface")])
async def test_a_write_that_was_not_applied_is_no_health(house, point, part, state):
    """Values flow, and the device does not obey: the classic green lamp over nothing."""
    house.control.run(setpoints=(house.control.setpoint(point, state),))

    body = await health(house)

    assert body["component_status"][part] == "degraded"
    assert f"{point}: last write {state}" in body["reasons"]


async def test_applied_and_pending_writes_are_healthy(house):
    """A write on its way is no fault."""
    house.control.run(setpoints=tuple(house.control.setpoint("bess-1.power_setpoint_w", state)
                                      for state in ("idle", "pending", "acknowledged", "verified")))

    assert (await health(house))["overall_status"] == "healthy"


@pytest.mark.parametrize(("changes", "overall"), [
    ({"mode": Mode.SAFE}, "critical"), ({"mode": Mode.OBSERVE}, "degraded"), ({"mode": Mode.MANUAL}, "healthy"),
    ({"degraded": ("grid meter substituted",)}, "degraded"),
    ({"alarms": (AlarmReport("SOC_LOW", "battery nearly empty", 0.0),)}, "degraded")])
async def test_control_s_own_troubles_count(house, changes, overall):
    """Devices may be fine while the law does not act."""
    house.control.run(**changes)

    assert (await health(house))["overall_status"] == overall


@pytest.mark.parametrize(("changes", "overall", "said"), [
    ({}, "critical", "blind: no meter"),
    ({"severity": "warning"}, "degraded", "blind: no meter"),
    ({"active": False, "latched": True}, "degraded", "blind: over, not acknowledged: no meter"),
    ({"acknowledged_utc_s": 1.0}, "critical", "blind: no meter"),
    ({"shelved_until_utc_s": 1e9}, "healthy", "blind: shelved until 2001-09-09T01:46:40.000Z: no meter")])
async def test_an_alarm_counts_by_its_severity_and_state(house, changes, overall, said):
    """To have seen it mends nothing; what is shelved is still named, so that nobody takes silence for health."""
    house.control.run(alarms=(replace(AlarmReport("blind", "no meter", 0.0, "critical"), **changes),))

    body = await health(house)

    assert (body["overall_status"], said in body["reasons"]) == (overall, True)


async def test_a_shadow_is_not_healthy(house):
    """Nothing is wrong, and nothing is done either."""
    house.control.run(shadow=True)
    found = await health(house)

    assert found["overall_status"] == "degraded"
    assert "shadow: control decides and writes nothing" in found["reasons"]


async def test_a_door_that_does_not_answer_is_seen(house):
    """Until a command is answered again."""
    from pswd_edge.clock import iso_utc
    command = {"command_type": "standby", "timestamp": iso_utc(house.control.clock.utc_s())}
    house.door.outcome = DoorError("gone")
    await house.post("/v1/battery/control", command)
    broken = (await health(house))["component_status"]["workload_interface"]
    house.door.outcome = None
    await house.post("/v1/battery/control", command)

    assert broken == "critical"
    assert (await health(house))["component_status"]["workload_interface"] == "healthy"


async def test_a_planner_that_fails_is_named(house):
    """Its benefit is lost, which nobody would see otherwise; one that is idle is healthy."""
    house.gateway.services.planner._now("failed", "the programme has no solution", 1)

    body = await health(house)

    assert body["overall_status"] == "degraded"
    assert "planner failed: the programme has no solution; the law goes on without it" in body["reasons"]


async def test_figures_are_measured(house):
    """One 503 in four answers; control seen alive on one look of two."""
    await health(house)
    house.gateway.services.meter.looked(alive=True)
    house.control.clock.advance(2)
    house.gateway.services.meter.looked(alive=False)
    await house.get("/v1/grid/status")
    await health(house)
    await health(house)

    figures = (await health(house))["performance_metrics"]

    assert figures["error_rate_percent"] == 25.0
    assert figures["uptime_percent"] == 50.0
    assert 0 < figures["average_response_time_ms"] < 1000
