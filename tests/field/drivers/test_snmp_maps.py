"""The SNMP maps, read through the real driver from snmpsim, and switched through net-snmp's agent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pswd_edge.bench.site import bench_site
from pswd_edge.config import load_map
from pswd_edge.config.points import PointContext, compile_points
from pswd_edge.field.drivers.base import Driver
from pswd_edge.field.drivers.snmp import SnmpDriver
from pswd_edge.field.field import Field
from pswd_edge.field.siteplan import plan_site
from pswd_edge.field.table import Table
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.site import Site
from tests.field.drivers.snmp_agents import AUTH_SECRET, PRIV_SECRET, SNMPD, USER, Snmpd
from tests.field.drivers.snmpsim_agent import Snmpsim
from tests.field.fieldmaker import Told, cycles, running

RECORDINGS = Path(__file__).parents[2] / "recorded" / "snmp"
needs_snmpd = pytest.mark.skipif(not SNMPD, reason="net-snmp's snmpd is not installed on this machine")

# SI values, typed by hand from the recordings and the MIBs' units
READ: dict[str, dict[str, float]] = {
    "ups-mib": {
        "active_power_w": 4100, "battery_charge_percent": 97, "runtime_s": 2040, "output_source": 3,
        "battery_status": 2, "on_battery_s": 0, "battery_voltage_v": 541.2, "battery_temperature_c": 24,
        "alarms_present": 1,
    },
    "apc-rpdu2": {
        "active_power_w": 1210, "outlet_state[1]": 2, "outlet_state[2]": 1, "outlet_state[3]": 2, "outlet_state[4]": 2,
    },
    "raritan-pdu2": {
        "active_power_w": 2890, "inlet_power_digits": 0, "outlet_state[1]": 7, "outlet_state[2]": 8,
        "outlet_state[3]": 7, "outlet_state[4]": 7, "outlet_1_power_w": 1210, "outlet_2_power_w": 0,
        "outlet_3_power_w": 980, "outlet_4_power_w": 700,
    },
    "servertech-sentry4": {
        "active_power_w": 3050, "energy_wh": 4_821_700, "outlet_state[1]": 1, "outlet_state[2]": 2,
        "outlet_state[3]": 1, "outlet_state[4]": 1, "outlet_1_status": 0, "outlet_2_status": 0, "outlet_3_status": 0,
        "outlet_4_status": 0, "outlet_1_power_w": 1020, "outlet_2_power_w": 0, "outlet_3_power_w": 1030,
        "outlet_4_power_w": 1000,
    },
}
# on and off as commands, and as the outlet then shows them: from the MIBs, not from the maps
SWITCH = {
    "apc-rpdu2": {"on": (1, 2), "off": (2, 1)},
    "raritan-pdu2": {"on": (1, 7), "off": (0, 8)},
    "servertech-sentry4": {"on": (1, 1), "off": (2, 2)},
}
# net-snmp's "pass": asked with -g OID, told with -s OID TYPE VALUE
PDU = """#!/bin/sh
cd "{folder}"
if test "$1" = -s; then
    test "$2" = .{command} || exit 0
    case "$4" in {on}) echo {shows_on} >state;; {off}) echo {shows_off} >state;; *) echo wrong-value;; esac
elif test "$1" = -g && test "$2" = .{state}; then
    echo .{state}; echo integer; cat state
fi
"""


@pytest.fixture(scope="module")
def snmpsim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpsim]:
    agent = Snmpsim(RECORDINGS, tmp_path_factory.mktemp("snmpsim"))
    yield agent
    agent.stop()


def points_of(name: str) -> tuple[Point, ...]:
    """A map's points, numbered from 0."""
    context = PointContext("dut", 0, 0, 100, frozenset(), 0, None)
    return compile_points(load_map(name), context)


def site_of(name: str, settings: dict[str, object], folder: Path, period_ms: int | None = None) -> Site:
    base = bench_site(1, 1, 20, folder)
    points = points_of(name)
    if period_ms is not None:
        points = tuple(_changed(p, period_ms=period_ms) for p in points)
    return _changed(
        base, connections=(Connection(0, "c", "snmp", settings),), points=points,
        devices=(Device(0, "dut", "pdu", 0, 1, name, 0, len(points)),),
    )


def _changed(struct: Any, **more: Any) -> Any:
    return type(struct)(**({f: getattr(struct, f) for f in struct.__struct_fields__} | more))


async def table_of(name: str, settings: dict[str, object], folder: Path) -> tuple[Site, Table]:
    """Every point of a map, read once."""
    site = site_of(name, settings, folder)
    driver: Driver = SnmpDriver(dict(settings))
    requests = plan_site(site, {0: driver})
    table = Table(site.points, requests)
    await driver.open()
    for slot, request in enumerate(requests):
        table.put_values(slot, await driver.read(request, 2.0), 1.0)  # type: ignore[arg-type]
    await driver.close()
    return site, table


@pytest.mark.parametrize("name", sorted(READ))
async def test_every_point_of_the_map_is_read_from_the_agent(snmpsim: Snmpsim, name: str, tmp_path: Path) -> None:
    """A wrong digit in an object id, a wrong unit or type shows against an agent that does not know the map."""
    settings = {"host": "127.0.0.1", "port": snmpsim.port, "version": "2c", "community_secret": name}

    site, table = await table_of(name, settings, tmp_path)

    readable = {p.signal: p.index for p in site.points if p.readable}
    assert set(readable) == set(READ[name])
    assert {s: table.value[i] for s, i in readable.items()} == pytest.approx(READ[name])
    assert set(table.quality[list(readable.values())]) == {Quality.GOOD}


async def test_ups_that_does_not_know_its_battery_says_minus_one(snmpsim: Snmpsim, tmp_path: Path) -> None:
    """-1 is what several UPSs send for "not measured": no charge, no run time and no temperature of -1 degree."""
    settings = {"host": "127.0.0.1", "port": snmpsim.port, "version": "2c", "community_secret": "ups-unknowing"}

    site, table = await table_of("ups-mib", settings, tmp_path)

    reasons = {p.signal: Reason(table.reason[p.index]) for p in site.points}
    unknown = {"battery_charge_percent", "runtime_s", "battery_temperature_c"}
    assert {s for s, r in reasons.items() if r is Reason.SENTINEL} == unknown
    assert all(np.isnan(table.value[p.index]) for p in site.points if p.signal in unknown)
    assert reasons["active_power_w"] is Reason.NONE


@needs_snmpd
@pytest.mark.parametrize("name", sorted(SWITCH))
@pytest.mark.parametrize("stuck", [False, True])
async def test_outlet_is_switched_and_the_right_state_is_expected(name: str, stuck: bool, tmp_path: Path) -> None:
    """APC and Raritan code command and state apart: expecting the command's own number would call every switch wrong.

    A PDU whose relay is stuck acknowledges all the same: that must not read as verified.
    """
    with pdu(name, tmp_path, stuck=stuck) as agent:
        settings = {"host": "127.0.0.1", "port": agent.port, "username": USER, "auth_secret": AUTH_SECRET,
                    "priv_secret": PRIV_SECRET}
        site = site_of(name, settings, tmp_path / "site", period_ms=20)
        command, state = (site.point_index[f"dut.outlet_{what}[1]"] for what in ("command", "state"))
        field = Field(site, lambda c: SnmpDriver(dict(c.settings)), [], [command], Told())
        async with running(field):
            for word in ("off", "on"):
                sent, shown = SWITCH[name][word]
                assert site.points[command].labels[sent] == site.points[state].labels[shown] == word

                end = await settled(field, command, float(sent))

                if stuck:
                    assert end == "mismatch"
                    assert field.table.value[state] == SWITCH[name]["on"][1]
                    return
                assert (end, field.table.value[state]) == ("verified", shown)


async def settled(field: Field, command: int, value: float) -> str:
    """The set-point's state after the read-back has judged it; a command is held as the cycle holds it."""
    for cycle in range(400):
        field.apply([(command, value)], cycle, time.monotonic())
        await cycles(field, 1)
        slot = field.slot(command)
        if slot.written == value and slot.state in ("verified", "mismatch"):  # maps space commands by a second
            break
    return slot.state


@contextmanager
def pdu(name: str, folder: Path, *, stuck: bool) -> Iterator[Snmpd]:
    """An agent whose first outlet is on; one that is stuck stays so."""
    oids = {p.signal: p.address.oid for p in points_of(name) if p.signal in ("outlet_command[1]", "outlet_state[1]")}
    (on, shows_on), (off, shows_off) = SWITCH[name]["on"], SWITCH[name]["off"]
    script = folder / "pdu"
    script.write_text(PDU.format(
        folder=folder, command=oids["outlet_command[1]"], state=oids["outlet_state[1]"], on=on, off=off,
        shows_on=shows_on, shows_off=shows_on if stuck else shows_off))
    script.chmod(0o755)
    (folder / "state").write_text(f"{shows_on}\n")
    passed = "".join(f"pass .{oid} {script}\n" for oid in oids.values())
    agent = Snmpd(folder / "snmpd", passed)
    agent.start()
    try:
        yield agent
    finally:
        agent.stop()
