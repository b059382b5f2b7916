"""The role table, cell by cell, against what the server really answers."""

import pytest
from gateway_campus import make_workload

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.roles import Operation, allowed_of
from pswd_edge.model.command import Accepted

CALLS = {
    "power": ("GET", "/v1/power/realtime"), "battery": ("GET", "/v1/battery/status"),
    "thermal": ("GET", "/v1/thermal/status"), "grid": ("GET", "/v1/grid/status"),
    "status": ("GET", "/v1/workload/wl-1/status"), "health": ("GET", "/v1/system/health"),
    "battery control": ("POST", "/v1/battery/control"), "announce": ("POST", "/v1/workload/announce"),
    "control": ("POST", "/v1/workload/wl-1/control"),
}
TABLE = {
    "infrastructure_manager": set(CALLS),
    "workload_operator": {"announce", "control", "status", "power", "thermal", "health"},
    "grid_operator": {"grid", "power", "battery", "health"},
    "municipal_utility": {"thermal", "health"},
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("role", TABLE)
async def test_each_role_may_what_the_table_says(house, role, call):
    """36 cells: allowed ones work, all others are 403 and reach no door."""
    house.door.outcome = Accepted(id="", workload=make_workload())
    house.control.run(workloads=(make_workload(),))
    method, path = CALLS[call]
    body = None if method == "GET" else {
        "timestamp": iso_utc(house.control.clock.utc_s()), "command_type": "standby" if "battery" in call else "resume",
        "PSWD_version": "1.0", "message_type": "workload_announcement", "workload_id": "wl-1", "workload_type": "hpc",
        "power_profile": {"peak_power_mw": 5, "baseline_power_mw": 1, "ramp_rate_mw_per_sec": 1}}

    answer = await house.call(method, path, body, role=role)

    assert answer.status == (200 if call in TABLE[role] else 403)
    if answer.status == 403:
        assert answer.body["error_code"] == "FORBIDDEN"
        assert house.door.asked == []


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("role", ["", "root", "INFRASTRUCTURE_MANAGER", "Role.GRID_OPERATOR"])
def test_a_role_that_is_not_in_the_table_may_nothing(role, operation):
    """Deny by default."""
    assert operation not in allowed_of(role)
