"""Tools borrow a connection between two requests: one session a device, and the cycle comes first."""

import asyncio
from typing import Any

import pytest

from pswd_edge.errors import RefusedError, UnreachableError
from pswd_edge.field.drivers.base import Driver
from pswd_edge.field.field import Field
from pswd_edge.field.poller import VISITS_MAX
from tests.field.fieldmaker import (
    RawDevice,
    Told,
    cycles,
    far_points,
    field_of,
    raw_device,
    request_of,
    running,
    small_site,
)


def one_device(device: RawDevice) -> Field:
    return field_of(small_site([device.port], [far_points(1)], [(0, 1)]), Told())


async def _read(driver: Driver) -> Any:
    return await driver.read(request_of(far_points(1))[0], 0.2)


async def test_a_visit_gets_the_driver_while_the_cycle_goes_on() -> None:
    """A second session would be refused by devices that have only one."""
    async with raw_device() as device, running(one_device(device)) as field:
        await cycles(field, 3)

        found, _ = await asyncio.gather(field.pollers[0].visit(_read), cycles(field, 3))

        assert found == b"\x00\x00"
        assert device.connections == 1


async def test_a_refused_visit_hears_the_error_and_the_connection_stays() -> None:
    """What a tool asks in vain must not cost the site its connection."""
    async def refuse(_driver: Driver) -> None:
        raise RefusedError("exception code 2", 2)

    async with raw_device() as device, running(one_device(device)) as field:
        await cycles(field, 2)

        with pytest.raises(RefusedError):
            await field.pollers[0].visit(refuse)

        await cycles(field, 3)
        assert device.connections == 1


async def test_visits_are_bounded_and_end_with_the_connection() -> None:
    """A tool must not wait for ever at a device that went away, nor fill the memory."""
    async def hang(_driver: Driver) -> None:
        await asyncio.sleep(60)

    async with raw_device() as device:
        async with running(one_device(device)) as field:
            await cycles(field, 2)
            waiting = [asyncio.ensure_future(field.pollers[0].visit(hang))]
            await asyncio.sleep(0.02)  # the first is under way, the others fill the queue
            waiting += [asyncio.ensure_future(field.pollers[0].visit(hang)) for _ in range(VISITS_MAX)]
            await asyncio.sleep(0.02)
            with pytest.raises(UnreachableError, match="waiting already"):
                await field.pollers[0].visit(hang)
        for found in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(found, UnreachableError)


async def test_round_trips_and_scans_are_measured() -> None:
    """`plan` shows them beside what it computed: a device that takes 5 ms is seen to take 5 ms."""
    async with raw_device() as device:
        device.delay_s = 0.005
        async with running(one_device(device)) as field:
            await cycles(field, 30)
            (link,) = field.report(0.0).links

    assert 5.0 <= link.trip_p50_ms <= link.trip_p99_ms
    assert link.trip_p50_ms <= link.scan_p50_ms + 1.0
    assert 5.0 <= link.scan_p50_ms <= link.scan_p99_ms
