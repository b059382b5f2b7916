"""Looks at devices for an engineer's tools, through whatever session there is: a poller's, or the tool's own.

Each request is a visit of its own, so that the cycle comes first between two of them. Nothing that a tool asks may cost
the site its connection: what goes wrong but silence and refusal is told, never raised into the poller.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from pswd_edge.errors import DecodeError, DeviceError, PswdError
from pswd_edge.field.drivers.base import Driver, ReadRequest
from pswd_edge.field.fresh import Answer, exchange_of, readings_of, unread
from pswd_edge.model.command import Failed, Rejected
from pswd_edge.model.device import Device
from pswd_edge.model.look import LOOK_S, POINTS_MAX, REGISTERS_MAX, Exchange, FreshReading, Look, Looked, ReadRaw
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.site import Site

Step = Callable[[Driver], Awaitable[Any]]
Visit = Callable[[int, Step], Awaitable[Any]]
"""Lends the driver of a connection (by index) for one step. Raises DeviceError."""
EXCHANGE_S = 0.5              # at most, for one request: a cycle that begins meanwhile waits for it


class Visitor:
    """Answers looks at the devices of one site. `visit` lends drivers."""

    def __init__(self, site: Site, visit: Visit) -> None:
        self._site, self._visit = site, visit

    async def look(self, look: Look) -> Looked | Rejected | Failed:
        """What was found, within LOOK_S; a device that does not answer is a finding too."""
        refused = self._refused(look)
        if refused is not None:
            return refused
        try:
            async with asyncio.timeout(LOOK_S):
                if isinstance(look, ReadRaw):
                    return Looked(id=look.id, exchanges=tuple(await self._raw(look)))
                return Looked(id=look.id, readings=tuple(await self.read([self._point(i) for i in look.points])))
        except TimeoutError:
            return Failed(id=look.id, code="too_slow", reason=f"not answered within {LOOK_S:g} s: the connection is "
                          "busy or slow; ask for fewer points at once")

    def _refused(self, look: Look) -> Rejected | None:
        def no(code: str, reason: str) -> Rejected:
            return Rejected(id=look.id, code=code, reason=reason)

        if isinstance(look, ReadRaw):
            if look.device not in self._site.device_index:
                known = ", ".join(d.id for d in self._site.devices[:20])
                return no("not_found", f"{look.device}: no such device; there are: {known}")
            if not 1 <= look.count <= REGISTERS_MAX:
                return no("invalid", f"got {look.count} registers: expected 1..{REGISTERS_MAX}")
            if isinstance(look.address, ModbusAddress) and not 0 <= look.address.register <= 65535:
                return no("invalid", f"got register {look.address.register}: expected 0..65535")
            return None
        if not 1 <= len(look.points) <= POINTS_MAX:
            return no("invalid", f"got {len(look.points)} points: expected 1..{POINTS_MAX}")
        unknown = [p for p in look.points if p not in self._site.point_index]
        return no("not_found", f"{unknown[0][:200]}: no such point on this site") if unknown else None

    def _point(self, point_id: str) -> Point:
        return self._site.points[self._site.point_index[point_id]]

    # --- points -------------------------------------------------------------------------------------------------

    async def read(self, points: Sequence[Point]) -> list[FreshReading]:
        """These points, in their order; those that can only be written are BAD."""
        found: dict[int, FreshReading] = {}
        for device in self._site.devices:
            mine = [p for p in points if p.device == device.index and p.readable]
            if mine:
                found.update(await self._device(device, mine))
        return [found.get(p.index) or unread(p, "the map says that it can only be written") for p in points]

    async def _device(self, device: Device, points: Sequence[Point]) -> dict[int, FreshReading]:
        own = [replace(p, index=i) for i, p in enumerate(points)]
        try:
            requests = await self._plan(device, own)
        except PswdError as error:
            return {p.index: unread(p, str(error)) for p in points}
        answers = [await self._exchange(request) for request in requests]
        return {points[i].index: reading for i, reading in readings_of(own, answers)}

    async def _plan(self, device: Device, points: Sequence[Point]) -> list[ReadRequest]:
        """Raises DeviceError, or ConfigError for what the driver cannot ask."""
        async def planned(driver: Driver) -> list[ReadRequest] | PswdError:
            try:
                return driver.plan(device, points)
            except PswdError as error:
                return error
            except Exception as error:  # noqa: BLE001  # a driver's mistake must not cost the site its connection
                return _unexpected(error)

        found = await self._visit(device.connection, planned)
        if isinstance(found, PswdError):
            raise found
        return list(found)

    async def _exchange(self, request: ReadRequest) -> Answer:
        answer = Answer(request)
        most_s = min(EXCHANGE_S, self._site.connections[request.device.connection].timeout_max_ms / 1000)

        async def ask(driver: Driver) -> None:
            started_s = time.monotonic()
            try:
                answer.reply = await driver.read(request, most_s)
            except DeviceError:
                raise
            except Exception as error:  # noqa: BLE001  # as above
                answer.error = _unexpected(error)
            finally:
                answer.round_trip_ms = 1e3 * (time.monotonic() - started_s)

        try:
            await self._visit(request.device.connection, ask)
        except DeviceError as error:
            answer.error = error
        return answer

    # --- addresses ----------------------------------------------------------------------------------------------

    async def _raw(self, look: ReadRaw) -> list[Exchange]:
        device = self._site.devices[self._site.device_index[look.device]]
        try:
            requests = await self._plan(device, _cover(look))
        except PswdError as error:
            return [Exchange(request=look.device, round_trip_ms=0.0, error=str(error), problem=type(error).__name__)]
        return [exchange_of(await self._exchange(request)) for request in requests]


def _cover(look: ReadRaw) -> list[Point]:
    """Points that together need just these registers; one for what is no register."""
    def point(i: int, address: Any) -> Point:
        return Point(index=i, id=f"{look.device}.raw{i}", device=0, signal=f"raw{i}", unit="1", address=address)

    address = look.address
    if not isinstance(address, ModbusAddress):
        return [point(0, address)]
    last = min(address.register + look.count, 65536)
    bits = address.kind in ("coil", "discrete")
    return [point(i, ModbusAddress(register, "bit" if bits else "uint16", address.kind))
            for i, register in enumerate(range(address.register, last))]


def _unexpected(error: Exception) -> DecodeError:
    return DecodeError(f"unexpected {type(error).__name__} in the driver: {error}")
