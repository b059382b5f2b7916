"""A Modbus device with a SunSpec chain made by hand, which refuses every register that it does not have."""

import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.table import Table
from pswd_edge.model.point import Point
from tests.field.fieldmaker import RawDevice, frame, modbus_device, modbus_point, raw_device

End = tuple[int, int] | None


class Body(NamedTuple):
    """A model: its id and its registers behind ID and L."""

    model: int
    registers: bytes


def body(model: int, length: int, **at: int) -> Body:
    """`length` registers that hold their offset from the ID register; `r5=7`: but 7 in the one at offset 5."""
    words = [at.get(f"r{n + 2}", n + 2) for n in range(length)]
    return Body(model, struct.pack(f">{length}H", *words))


def chain(*models: Body, base: int = 40000, end: End = (0xFFFF, 0)) -> dict[int, int]:
    """The whole chain as words by register."""
    image = b"SunS" + b"".join(struct.pack(">HH", m.model, len(m.registers) // 2) + m.registers for m in models)
    if end is not None:
        image += struct.pack(">HH", *end)
    return {base + n: word for n, (word,) in enumerate(struct.iter_unpack(">H", image))}


@asynccontextmanager
async def sunspec_device(words: dict[int, int]) -> AsyncIterator[RawDevice]:
    """`device.words` may be exchanged while it runs: a firmware update."""
    async with raw_device() as device:
        device.words = words

        def refuse_what_is_not_there(transaction: int, unit: int, pdu: bytes) -> Iterable[bytes] | None:
            start, count = struct.unpack_from(">HH", pdu, 1)
            wanted = range(start, start + (count if pdu[0] in (3, 16) else 1))
            if all(r in device.words for r in wanted):
                return None
            return [frame(transaction, unit, bytes((pdu[0] | 0x80, 2)))]

        device.misbehave = refuse_what_is_not_there
        yield device


def in_model(model: int, register: int, type_: str = "uint16", **more: object) -> Point:
    return modbus_point(register, type_, model=model, **more)


def plan(points: Sequence[Point], **device: int) -> list[ReadRequest]:
    return ModbusDriver({"host": "127.0.0.1", "port": 1}).plan(modbus_device(**device), points)


async def read_all(driver: ModbusDriver, points: Sequence[Point], **device: int) -> Table:
    """Everything once, through the real planner, driver and decoder."""
    requests = driver.plan(modbus_device(**device), points)
    table = Table(points, requests)
    for slot, request in enumerate(requests):
        table.put_raw(slot, await driver.read(request, 1.0), 1000.0)
    table.settle(table.group(range(len(requests))), 1000.0)
    return table
