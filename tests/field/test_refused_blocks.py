"""A register that a device does not have costs its own point, not the block that it stands in."""

import struct
from pathlib import Path

import pytest

from pswd_edge.field import learnt as learnt_module
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.field import Field
from pswd_edge.field.isolate import isolate
from pswd_edge.field.learnt import Learnt
from pswd_edge.model.quality import Quality, Reason
from tests.field.fieldmaker import (
    RawDevice,
    Told,
    cycles,
    frame,
    modbus_device,
    modbus_point,
    raw_device,
    running,
    small_site,
    until,
)

ILLEGAL = b"\x83\x02"


def without(device: RawDevice, *registers: int) -> None:
    """The device refuses every read that touches one of these registers."""
    def misbehave(transaction: int, unit: int, pdu: bytes) -> list[bytes] | None:
        start, count = struct.unpack_from(">HH", pdu, 1)
        hit = any(start <= r < start + count for r in registers)
        return [frame(transaction, unit, ILLEGAL)] if hit else None

    device.misbehave = misbehave


def field_of(device: RawDevice, told: Told, path: Path | None = None, count: int = 12) -> Field:
    site = small_site([device.port], [[modbus_point(3 * n) for n in range(count)]], [(0, 1)])
    return Field(site, lambda c: ModbusDriver(dict(c.settings)), [], [], told, Learnt(path))


def qualities(field: Field) -> list[tuple[Quality, Reason]]:
    return [(Quality(int(q)), Reason(int(r))) for q, r in zip(field.table.quality, field.table.reason, strict=True)]


async def test_a_refused_block_is_bisected_and_the_rest_read() -> None:
    """Row 4 of the complaints: one register too many in the map, and thirty points are gone."""
    told = Told()
    async with raw_device() as device, running(field_of(device, told)) as field:
        without(device, 15)
        await cycles(field, 40)
        await until(lambda: "points_refused" in told.codes(), 2.0)
        await cycles(field, 10)

        found = qualities(field)
        assert found[5] == (Quality.BAD, Reason.REFUSED)
        assert [q for q, _ in found[:5] + found[6:]] == [Quality.GOOD] * 11
        asked = len(device.asked)
        await cycles(field, 10)
        assert len(device.asked) - asked <= 22                 # two requests a scan: around the hole


async def test_what_was_learnt_is_kept_across_a_restart_and_ends_with_another_map(tmp_path: Path) -> None:
    """A restart in the night must not ask everything wrong again; another map is another matter."""
    told, path = Told(), tmp_path / "learnt.json"
    async with raw_device() as device:
        async with running(field_of(device, told, path)) as field:
            without(device, 15)
            await cycles(field, 30)
            await until(path.exists, 2.0)
        device.asked.clear()
        async with running(field_of(device, told, path)) as field:
            await cycles(field, 10)
            assert not any(struct.unpack_from(">HH", pdu, 1)[0] <= 15 < sum(struct.unpack_from(">HH", pdu, 1))
                           for _, pdu in device.asked)
            assert qualities(field)[5] == (Quality.BAD, Reason.REFUSED)

        other = field_of(device, told, path, count=11)

    assert not other._learnt.devices


async def test_a_hole_that_refuses_is_walked_around() -> None:
    """All registers of the map are there; it is the reserved one between them that the device refuses."""
    told = Told()
    async with raw_device() as device, running(field_of(device, told)) as field:
        without(device, 16)
        await cycles(field, 40)
        await until(lambda: "points_refused" in told.codes(), 2.0)
        await cycles(field, 10)

        assert [q for q, _ in qualities(field)] == [Quality.GOOD] * 12


async def test_points_that_appear_later_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firmware update brings what the old one refused."""
    told = Told()
    monkeypatch.setattr(learnt_module, "RECHECK_S", 0.0)
    async with raw_device() as device, running(field_of(device, told)) as field:
        without(device, 15)
        await cycles(field, 40)
        await until(lambda: "points_refused" in told.codes(), 2.0)
        without(device)

        field.report(0.0)
        await until(lambda: "points_asked_again" in told.codes(), 2.0)
        await cycles(field, 10)

        assert [q for q, _ in qualities(field)] == [Quality.GOOD] * 12


async def test_the_search_costs_the_other_unit_no_scan() -> None:
    """The search goes between the cycle's requests, one at a time."""
    told = Told()
    async with raw_device() as device:
        points = [[modbus_point(3 * n) for n in range(30)], [modbus_point(500, period_ms=20)]]
        site = small_site([device.port], points, [(0, 1), (0, 2)])
        field = Field(site, lambda c: ModbusDriver(dict(c.settings)), [], [], told, Learnt())
        async with running(field):
            without(device, 15, 48)
            await cycles(field, 50)
            missed = field.pollers[0].counts.slots_missed
            assert device.count(2) >= 40
            assert missed <= 4
            assert "points_refused" in told.codes()


@pytest.mark.parametrize("absent", [set(), {0}, {33}, {0, 33}, {3, 6, 9, 30}, set(range(0, 36, 3))])
async def test_the_search_finds_exactly_what_is_absent(absent: set[int]) -> None:
    """Whatever lies where: no point is lost that answers, none is kept that does not."""
    from pswd_edge.errors import RefusedError

    points = [modbus_point(3 * n, index=n) for n in range(12)]
    asked = []

    async def read(request: object) -> None:
        span = request.payload.span  # type: ignore[attr-defined]
        asked.append(span)
        if any(span.start <= r < span.start + span.length for r in absent):
            raise RefusedError("exception code 2", 2)

    driver = ModbusDriver({"host": "127.0.0.1", "port": 1})
    found = await isolate(driver, modbus_device(count=12), points, read)

    if absent:
        assert {p.address.register for p in found.refused} == absent
    else:
        assert found == ((), ())
    assert len(asked) <= 4 * 12
