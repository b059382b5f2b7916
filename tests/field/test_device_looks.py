"""An engineer's looks: through the poller's own session, bounded, and never at the cost of the site's connection."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.field import Field
from pswd_edge.field.visitor import Visitor
from pswd_edge.model.command import Failed, Rejected
from pswd_edge.model.look import LOOK_S, Looked, ReadPoints, ReadRaw
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.site import Site
from tests.field.fieldmaker import RawDevice, Told, cycles, modbus_point, raw_device, running, small_site

ENVELOPE = {"id": "l-1", "origin": "operator:eve", "role": "operator", "issued_utc_s": 0.0}
HOLDING_10 = ModbusAddress(10, "uint16")


def site_of(device: RawDevice) -> Site:
    points = [modbus_point(10, scale=0.1, invalid=(65535.0,)), modbus_point(12, "float32"), modbus_point(300)]
    return small_site([device.port], [points], [(0, 1)])


def fielded(site: Site, driver: type[ModbusDriver] = ModbusDriver) -> Field:
    return Field(site, lambda c: driver(dict(c.settings)), [], [], Told())


def visitor_of(site: Site, field: Field) -> Visitor:
    return Visitor(site, lambda c, step: field.pollers[c].visit(step))


def points(*ids: str) -> ReadPoints:
    return ReadPoints(**ENVELOPE, points=ids)


def raw(address: ModbusAddress = HOLDING_10, count: int = 1, device: str = "dev0") -> ReadRaw:
    return ReadRaw(**ENVELOPE, device=device, address=address, count=count)


async def test_a_look_reads_points_through_the_session_that_is_there() -> None:
    """Value, quality, registers and request; the device sees one connection, as before."""
    async with raw_device() as device:
        device.words.update({10: 2305, 12: 0x4366, 13: 0x8000, 300: 7})
        site = site_of(device)
        async with running(fielded(site)) as field:
            await cycles(field, 2)

            look = visitor_of(site, field).look(points("dev0.p1", "dev0.p0"))
            found, _ = await asyncio.gather(look, cycles(field, 3))

            assert isinstance(found, Looked)
            float32, scaled = found.readings
            assert (float32.point, float32.value, float32.raw) == ("dev0.p1", 230.5, "43668000")
            assert (scaled.point, scaled.value, scaled.quality) == ("dev0.p0", pytest.approx(230.5), "GOOD")
            assert scaled.request == "holding 10+4"
            assert device.connections == 1


async def test_what_a_device_says_wrong_looks_as_in_the_cycle() -> None:
    """Marker, refusal and silence are told apart, and none of them is a number."""
    def refuse(transaction: int, unit: int, pdu: bytes) -> Any:
        start = int.from_bytes(pdu[1:3], "big")
        return None if start != 300 else [bytes([transaction >> 8, transaction & 255, 0, 0, 0, 3, unit, 0x83, 2])]

    async with raw_device() as device:
        device.words[10] = 65535
        device.misbehave = refuse
        site = site_of(device)
        async with running(fielded(site)) as field:
            await cycles(field, 2)
            found = await visitor_of(site, field).look(points("dev0.p0", "dev0.p2"))
            assert isinstance(found, Looked)
            marked, refused = found.readings
            assert (marked.value, marked.quality, marked.reason) == (None, "BAD", "SENTINEL")
            assert (refused.value, refused.reason) == (None, "REFUSED")
            assert "illegal address" in refused.error

            device.muted.add(1)
            found = await visitor_of(site, field).look(raw())
            assert isinstance(found, Looked)
            assert found.exchanges[0].problem == "SilentError"


async def test_raw_registers_come_as_they_are() -> None:
    """A probe wants what no map names."""
    async with raw_device() as device:
        site = site_of(device)
        async with running(fielded(site)) as field:
            found = await visitor_of(site, field).look(raw(ModbusAddress(998, "uint16", "input"), 3))
    assert isinstance(found, Looked)
    assert [(e.start, e.raw) for e in found.exchanges] == [(998, "03e603e703e8")]


class Faulty(ModbusDriver):
    """A driver with a mistake in it, met only by what the tests ask."""

    def plan(self, device: Any, points: Sequence[Point]) -> Any:
        if any(p.signal.startswith("raw") for p in points):
            raise KeyError("plan")
        return super().plan(device, points)

    async def read(self, request: Any, timeout_s: float) -> bytes:
        if request.points[0].signal == "r12":
            raise ZeroDivisionError
        return await super().read(request, timeout_s)


async def test_a_drivers_mistake_met_by_a_tool_costs_no_connection() -> None:
    """Raised into the poller it would make the connection anew, with back-off."""
    async with raw_device() as device:
        site = small_site([device.port], [[modbus_point(10)]], [(0, 1)])
        async with running(fielded(site, Faulty)) as field:
            await cycles(field, 2)
            visitor = visitor_of(site, field)
            planned = await visitor.look(raw())
            read = await visitor.read([modbus_point(12)])
            await cycles(field, 2)

            assert isinstance(planned, Looked)
            assert "unexpected KeyError" in planned.exchanges[0].error
            assert "unexpected ZeroDivisionError" in read[0].error
            assert (device.connections, field.pollers[0].state) == (1, "open")


@pytest.mark.parametrize(("look", "code"), [
    (points("dev0.nosuch"), "not_found"), (points(), "invalid"), (points(*["dev0.p0"] * 65), "invalid"),
    (raw(device="dev9"), "not_found"), (raw(count=126), "invalid"), (raw(count=0), "invalid"),
    (raw(ModbusAddress(70_000, "uint16")), "invalid"),
])
async def test_a_look_out_of_bounds_is_refused(look: Any, code: str) -> None:
    """Nothing is asked of a device for it."""
    site = small_site([1], [[modbus_point(10)]], [(0, 1)])

    async def never(_connection: int, _step: Any) -> None:
        raise AssertionError

    found = await Visitor(site, never).look(look)
    assert isinstance(found, Rejected)
    assert found.code == code


async def test_a_look_takes_two_seconds_at_most() -> None:
    """A connection that is busy must not keep the door's peer waiting for ever."""
    site = small_site([1], [[modbus_point(10)]], [(0, 1)])

    async def busy(_connection: int, _step: Any) -> None:
        await asyncio.sleep(60)

    async with asyncio.timeout(LOOK_S + 5):
        found = await Visitor(site, busy).look(points("dev0.p0"))
    assert isinstance(found, Failed)
    assert found.code == "too_slow"
