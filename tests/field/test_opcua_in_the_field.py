"""Subscribed OPC UA values through poller and table: what the rules see of a server that falls silent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pswd_edge.bench.opcua_site import opcua_site
from pswd_edge.field.drivers.opcua import OpcUaDriver
from pswd_edge.field.field import Field
from pswd_edge.model.quality import Quality, Reason
from simulators.servers.cheap_opcua import READ
from tests.field.drivers.opcua_script import Script, double, scripted
from tests.field.fieldmaker import Told, cycles, running, until

PERIOD_S = 0.1


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with scripted() as server:
        yield server


def field_at(script: Script, told: Told) -> Field:
    """One server with two nodes of the one-second class."""
    site = opcua_site([script.port], 2, 100, Path("/nowhere"))
    slow = tuple(msgspec.structs.replace(p, period_ms=1000) for p in site.points)
    site = msgspec.structs.replace(site, points=slow)
    return Field(site, lambda c: OpcUaDriver(dict(c.settings)), (), (), told)


async def keep_alive(script: Script) -> None:
    """As a server does that has nothing to say: each half second."""
    while True:
        await asyncio.sleep(0.5)
        if script.waiting:
            script.tell({})


async def test_notified_values_stay_good_without_reads_and_age_when_the_server_falls_silent(script: Script) -> None:
    """The poller knows nothing of subscriptions: silence must lead to STALE and to BAD as with any other device."""
    told = Told()
    alive = asyncio.create_task(keep_alive(script))
    async with running(field_at(script, told)) as field:
        await until(lambda: len(script.items) == 2 and len(script.waiting) == 2, 5.0)
        script.tell({handle: double(5.0) for handle in script.handles()})
        await cycles(field, 15, PERIOD_S)
        reads = script.count(READ)
        await cycles(field, 40, PERIOD_S)

        assert script.count(READ) == reads
        assert [field.reading(i, 0.0).value for i in (0, 1)] == [5.0, 5.0]
        assert [field.reading(i, 0.0).quality for i in (0, 1)] == [Quality.GOOD] * 2
        assert told.codes() == []

        alive.cancel()
        script.mute_from = "all"
        await cycles(field, 75, PERIOD_S)

        assert field.reading(0, 0.0).quality is not Quality.GOOD
        assert field.reading(0, 0.0).reason in (Reason.STALE, Reason.UNREACHABLE)
        assert "device_silent" in told.codes()

        script.mute_from = ""
        await until(lambda: all(p.state == "open" for p in field.pollers.values()), 10.0)
        await cycles(field, 40, PERIOD_S)
        assert field.reading(0, 0.0).quality is Quality.GOOD


async def test_every_driver_task_is_the_poller_s(script: Script) -> None:
    """One task a connection, subscribed or not."""
    async with running(field_at(script, Told())) as field:
        await until(lambda: len(script.waiting) == 2, 5.0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert {task.get_name() for task in tasks} == {f"poller {p.connection.id}" for p in field.pollers.values()}
