"""A poller and a driver that fails in ways of its own."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from pswd_edge.errors import DeviceError, RefusedError, UnreachableError
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.modbus import ModbusConfig, ModbusDriver
from pswd_edge.field.poller import Poller
from pswd_edge.field.table import Table
from pswd_edge.field.work import Batch, Job, Write
from pswd_edge.model.device import Connection
from pswd_edge.model.quality import Reason
from tests.field.fieldmaker import (
    Told,
    modbus_device,
    modbus_point,
    request_of,
    until,
)


@pytest.fixture
def told() -> Told:
    return Told()


class OddDriver:
    """Does what the test puts into `opening` and `reading`."""

    Config: ClassVar[type[ModbusConfig]] = ModbusConfig
    opening: Callable[[], None] = staticmethod(lambda: None)
    reading: Callable[[], Any] = staticmethod(lambda: b"\0\1")

    def __init__(self, settings: dict[str, Any]) -> None:
        self.opened = self.closed = 0

    def plan(self, device: Any, points: Any) -> list[ReadRequest]:
        return ModbusDriver({"host": "127.0.0.1", "port": 1}).plan(device, points)

    async def open(self) -> None:
        self.opened += 1
        self.opening()

    async def read(self, request: ReadRequest, timeout_s: float) -> Any:
        return self.reading()

    async def write(self, *_: Any) -> None:
        self.reading()

    async def close(self) -> None:
        self.closed += 1


def raiser(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error
    return fail


@asynccontextmanager
async def polling(driver: OddDriver, told: Told) -> AsyncIterator[tuple[Poller, Batch, asyncio.Task[None]]]:
    points = [modbus_point(0)]
    requests = request_of(points)
    poller = Poller(Connection(0, "c0", "odd", {}), driver, Table(points, requests), told, lambda _: None)
    task = asyncio.create_task(poller.run())
    try:
        yield poller, Batch((Job(requests[0], 0, 1, 0, critical=True),), 1), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("error", [RefusedError("bad user name", "BadUserAccessDenied"), UnreachableError("no route"),
                                   ValueError("a mistake")])
async def test_opening_may_fail_in_any_way_and_is_tried_again(told: Told, error: Exception) -> None:
    """A wrong password today may be a right one tomorrow; and what was half open is closed before the next try."""
    driver = OddDriver({})
    driver.opening = raiser(error)
    async with polling(driver, told) as (poller, _, task):
        await until(lambda: driver.opened >= 3, 2.0)
        assert driver.closed >= 2
        driver.opening = lambda: None
        await until(lambda: poller.state == "open", 2.0)
        assert not task.done()
    assert told.codes() == ["connection_lost"]
    assert str(error) in told.events[0][3]


@pytest.mark.parametrize("how", ["read", "write"])
async def test_a_mistake_in_a_driver_does_not_end_its_connection_for_ever(told: Told, how: str) -> None:
    """A task that died in silence leaves points that age for no reason that anybody can see."""
    driver = OddDriver({})
    async with polling(driver, told) as (poller, batch, task):
        await until(lambda: poller.state == "open", 1.0)
        driver.reading = raiser(KeyError("surprise"))
        heard: list[DeviceError | None] = []
        if how == "read":
            poller.begin(batch, 1)
        else:
            poller.submit(Write(modbus_device(), modbus_point(0), 1.0, heard.append))
        await until(lambda: poller.sessions == 2, 2.0)
        assert [type(e) for e in heard] == [UnreachableError] * (how == "write")
        assert "unexpected KeyError in the driver" in told.events[0][3]
        driver.reading = lambda: b"\0\1"
        poller.begin(batch, 2)
        await until(lambda: poller.counts.answered == 1, 1.0)
        assert not task.done()
    assert told.codes() == ["connection_lost", "connection_back"]


async def test_an_answer_of_the_wrong_length_is_no_value(told: Told) -> None:
    """A foreign driver may let it through: the table does not."""
    driver = OddDriver({})
    driver.reading = lambda: b"\0"
    async with polling(driver, told) as (poller, batch, _):
        await until(lambda: poller.state == "open", 1.0)
        poller.begin(batch, 1)
        await until(lambda: poller.counts.answered == 1, 1.0)
        assert poller.account._table.reason[0] == Reason.UNDECODABLE
        assert math.isnan(poller.account._table.value[0])
