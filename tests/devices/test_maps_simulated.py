"""Every bundled map: its simulator on a socket, and every point read from it through the real driver.

The simulator's layout comes from the map, so these tests say that a map can be served, planned, asked and decoded as a
whole; whether it is right is told by the pairs of `map_pairs.yaml`.
"""

import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pswd_edge.config import load_map
from pswd_edge.config.map_form import MapFile, ModbusMap
from pswd_edge.config.maps import MAP_FOLDERS, known_maps
from pswd_edge.config.points import PointContext, compile_points
from pswd_edge.field.drivers.base import Driver
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.drivers.opcua import OpcUaDriver
from pswd_edge.field.drivers.snmp import SnmpDriver
from pswd_edge.field.table import Table
from pswd_edge.field.texts import is_text
from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality, Reason
from simulators.faults import Faults
from simulators.servers.face import Face
from simulators.servers.meanings import codes
from simulators.servers.modbus import ModbusServer
from simulators.servers.opcua import OpcUaServer
from simulators.servers.ranges import usual_limit
from simulators.servers.registers import RegisterSpace
from simulators.servers.snmp import SnmpAccess, SnmpServer
from tests.simulators.servers.fake_plant import FakePlant

CONTEXT = PointContext("unit", 0, 0, 100, frozenset(), 0, None)
MAPS = known_maps(MAP_FOLDERS[:1])


def device_of(form: MapFile, count: int) -> Device:
    modbus = form if isinstance(form, ModbusMap) else None
    return Device(0, "unit", form.kind, 0, 7, form.map, 0, count, modbus.max_registers if modbus else 125,
                  modbus.max_gap if modbus else 31, modbus.barriers if modbus else ())


def plausible(kind: str, point: Point) -> float:
    """A value that the point can show, as the plant would say it: in the middle of its range, on its own step."""
    if point.labels:
        return float(next(iter(codes(kind, point) or point.labels)))
    address = point.address
    if isinstance(address, ModbusAddress) and (address.type == "bit" or address.bits):
        return 1.0
    low, high = point.minimum, point.maximum
    value = low + 0.6 * (high - low) if math.isfinite(high - low) else 0.4 * usual_limit(point)
    if isinstance(address, ModbusAddress) and address.scale_register is not None:
        return value
    return min(30_000, round((value - point.offset) / point.scale)) * point.scale + point.offset


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def served(
    form: MapFile, points: tuple[Point, ...], shown: dict[str, float], *, sentinel: bool = False
) -> AsyncIterator[Driver]:
    """The map's simulator and an open driver to it; `sentinel`: it has nothing to show."""
    device, faults = device_of(form, len(points)), Faults(["unit", "line"])
    faults.set("unit", "sentinel", sentinel)
    face = Face(device, points, FakePlant(unit=shown), faults)
    server: ModbusServer | OpcUaServer | SnmpServer
    driver: Driver
    if form.driver == "modbus":
        server = ModbusServer("line", {7: RegisterSpace(face)}, faults)
        await server.start()
        driver = ModbusDriver({"host": "127.0.0.1", "port": server.port})
    elif form.driver == "opcua":
        url = f"opc.tcp://127.0.0.1:{free_port()}/unit"
        server = OpcUaServer("line", [face], faults, url)
        await server.start()
        driver = OpcUaDriver({"url": url})
    else:
        server = SnmpServer("line", face, faults, SnmpAccess(community="lab-reader"))
        await server.start()
        driver = SnmpDriver(
            {"host": "127.0.0.1", "port": server.port, "version": "2c", "community_secret": "lab-reader"})
    try:
        await driver.open()
        yield driver
    finally:
        await driver.close()
        await server.stop()


async def read(driver: Driver, form: MapFile, points: tuple[Point, ...]) -> Table:
    requests = driver.plan(device_of(form, len(points)), [p for p in points if p.readable])
    table = Table(points, requests)
    for slot, request in enumerate(requests):
        answer = await driver.read(request, 2.0)
        if isinstance(answer, bytes):
            table.put_raw(slot, answer, 1000.0)
        else:
            table.put_values(slot, answer, 1000.0)
    table.settle(table.group(range(len(requests))), 1000.0)
    return table


@pytest.mark.parametrize("name", MAPS)
async def test_every_point_of_the_map_is_read_through_the_real_driver(name: str) -> None:
    """One point that no request carries, or that its type cannot decode, is a hole in the site."""
    form = load_map(name)
    points = compile_points(form, CONTEXT)
    shown = {p.signal: plausible(form.kind, p) for p in points if not is_text(p)}
    async with served(form, points, shown) as driver:
        table = await read(driver, form, points)
    for point in points:
        i = point.index
        if is_text(point):
            assert table.texts[i].startswith("unit"), point.id
            assert math.isnan(table.value[i])
        elif point.readable and not point.id.endswith("_scale"):    # the simulator chooses its scale factors
            expected = codes(form.kind, point).get(round(shown[point.signal]), shown[point.signal])
            assert table.value[i] == pytest.approx(expected, rel=1e-3), (point.id, Reason(table.reason[i]).name)
        if point.readable:
            assert table.quality[i] == Quality.GOOD, (point.id, Reason(table.reason[i]).name)


@pytest.mark.parametrize("name", [n for n in MAPS if n.startswith(("sunspec", "kaco"))])
async def test_no_point_of_a_sunspec_map_has_a_value_where_the_device_has_none(name: str) -> None:
    """The simulator's fault "sentinel": what the model calls unimplemented, everywhere at once."""
    form = load_map(name)
    points = compile_points(form, CONTEXT)
    async with served(form, points, {}, sentinel=True) as driver:
        table = await read(driver, form, points)
    numbers = [p.index for p in points if p.readable and not p.write and not p.id.endswith("_scale") and not is_text(p)]
    assert len(numbers) >= 5
    assert [points[i].id for i in numbers if table.quality[i] != Quality.BAD] == []
    assert all(math.isnan(table.value[i]) for i in numbers)
