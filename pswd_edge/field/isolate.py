"""Which points of a refused request does the device refuse? Halves are asked until it is known.

Devices refuse a whole block for one register that they do not have. Asked by visits between the cycle's requests, one
at a time, so that the search costs nobody a scan.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from pswd_edge.errors import RefusedError
from pswd_edge.field.drivers.base import Driver, ReadRequest
from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress, Point

ILLEGAL_ADDRESS = 2           # Modbus exception code: Application Protocol V1.1b3, 7
Read = Callable[[ReadRequest], Awaitable[None]]
"""Asks one request; raises DeviceError."""


class Found(NamedTuple):
    """Points that are refused alone, and registers before which a request must end."""

    refused: tuple[Point, ...]
    barriers: tuple[int, ...]


def is_illegal(error: Exception) -> bool:
    """Whether a device says that it does not have what was asked."""
    return isinstance(error, RefusedError) and error.code == ILLEGAL_ADDRESS


async def isolate(driver: Driver, device: Device, points: Sequence[Point], read: Read) -> Found:
    """Search among the points of one refused request. Raises DeviceError where the device does not answer otherwise.

    Where all points answer alone, a hole between them is to blame: then there are barriers only.
    """
    ordered = sorted(points, key=_register)
    refused = await _search(driver, device, ordered, read)
    barriers = [_register(p) for p in refused]
    if not refused:
        barriers = await _holes(driver, device, ordered, read)
    return Found(tuple(refused), tuple(b for b in barriers if b > 0))


async def _search(driver: Driver, device: Device, points: Sequence[Point], read: Read) -> list[Point]:
    """The points, of some that are refused together, that are refused alone."""
    if len(points) == 1:
        return list(points)
    middle = len(points) // 2
    found: list[Point] = []
    for half in (points[:middle], points[middle:]):
        if not await _answers(driver, device, half, read):
            found += await _search(driver, device, half, read)
    return found


async def _holes(driver: Driver, device: Device, points: Sequence[Point], read: Read) -> list[int]:
    """Registers of points that cannot be read together with the one before."""
    return [_register(b) for a, b in pairwise(points)
            if not await _answers(driver, device, (a, b), read)]


async def _answers(driver: Driver, device: Device, points: Sequence[Point], read: Read) -> bool:
    try:
        for request in driver.plan(device, points):
            await read(request)
    except RefusedError as error:
        if not is_illegal(error):
            raise
        return False
    return True


def _register(point: Point) -> int:
    return point.address.register if isinstance(point.address, ModbusAddress) else 0
