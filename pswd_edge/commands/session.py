"""A tool's own sessions with devices, for the time while no control runs; and asking control while it does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pswd_edge.app import make_driver
from pswd_edge.commands.running import envelope, operator
from pswd_edge.door import DoorClient
from pswd_edge.errors import DeviceError, PswdError, UnreachableError
from pswd_edge.field.drivers.base import Driver
from pswd_edge.field.visitor import Step, Visitor
from pswd_edge.model.look import POINTS_MAX, Exchange, FreshReading, Look, Looked, ReadPoints, ReadRaw
from pswd_edge.model.point import ModbusAddress, OpcUaAddress, Point, SnmpAddress
from pswd_edge.model.site import Site

OPEN_S = 5.0


class Sessions:
    """Drivers that this process opens itself, when they are first needed; one that cannot be opened stays so."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._open: dict[int, Driver] = {}
        self._failed: dict[int, DeviceError] = {}

    async def driver(self, connection: int) -> Driver:
        """The open driver of a connection. Raises DeviceError."""
        if connection in self._failed:
            raise self._failed[connection]
        if connection not in self._open:
            try:
                self._open[connection] = await self._opened(connection)
            except DeviceError as error:
                self._failed[connection] = error
                raise
        return self._open[connection]

    async def _opened(self, connection: int) -> Driver:
        found = self.site.connections[connection]
        driver = make_driver(found)
        try:
            async with asyncio.timeout(OPEN_S):
                await driver.open()
            await asyncio.sleep(found.pause_after_connect_ms / 1000)
        except TimeoutError as error:
            await driver.close()
            raise UnreachableError(f"{found.id}: no connection in {OPEN_S:g} s") from error
        except BaseException:
            await driver.close()
            raise
        return driver

    async def visit(self, connection: int, step: Step) -> Any:
        """Lend the driver, with the connection's pause after it."""
        found = await step(await self.driver(connection))
        await asyncio.sleep(self.site.connections[connection].min_gap_ms / 1000)
        return found

    async def close(self) -> None:
        """Close what was opened."""
        for driver in self._open.values():
            await driver.close()
        self._open.clear()


class Devices:
    """What a tool looks at: through control where `client` is given, else by sessions of its own."""

    def __init__(self, site: Site, client: DoorClient | None, sessions: Sessions | None) -> None:
        self.site, self._client, self._sessions = site, client, sessions
        self._visitor = None if sessions is None else Visitor(site, sessions.visit)

    @property
    def own(self) -> bool:
        """Whether the sessions are this process' own."""
        return self._sessions is not None

    async def close(self) -> None:
        """Close the sessions that are our own; the next look opens them again."""
        if self._sessions is not None:
            await self._sessions.close()

    async def read(self, points: Sequence[Point]) -> list[FreshReading]:
        """These points now."""
        if self._visitor is not None:
            return await self._visitor.read(points)
        found: list[FreshReading] = []
        for i in range(0, len(points), POINTS_MAX):
            part = tuple(p.id for p in points[i : i + POINTS_MAX])
            found += (await self._look(ReadPoints(**envelope(), points=part))).readings
        return found

    async def raw(self, device: str, address: ModbusAddress | OpcUaAddress | SnmpAddress, count: int = 1
                  ) -> tuple[Exchange, ...]:
        """What lies at an address of a device."""
        return (await self._look(ReadRaw(**envelope(), device=device, address=address, count=count))).exchanges

    async def _look(self, look: Look) -> Looked:
        """Raises PswdError where it was refused."""
        if self._visitor is not None:
            found = await self._visitor.look(look)
        elif self._client is not None:
            found = await self._client.look(look)
        else:
            raise PswdError("neither control nor a session: nothing can be read")
        if not isinstance(found, Looked):
            raise PswdError(f"{type(found).__name__} ({found.code}): {found.reason}")
        return found


@asynccontextmanager
async def own_devices(site: Site) -> AsyncIterator[Devices]:
    """Devices by sessions of this process; the caller has made sure that no control runs."""
    sessions = Sessions(site)
    try:
        yield Devices(site, None, sessions)
    finally:
        await sessions.close()


@asynccontextmanager
async def controls_devices(site: Site, runtime_dir: Path) -> AsyncIterator[Devices]:
    """Devices through the running control."""
    client = operator(runtime_dir)
    try:
        yield Devices(site, client, None)
    finally:
        client.close()
