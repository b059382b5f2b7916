"""What a cycle waits for, and for how long."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.field.fieldmaker import (
    RawDevice,
    Told,
    cycles,
    far_points,
    field_of,
    frame,
    raw_device,
    running,
    small_site,
)

FAST_MS = 20


@pytest.fixture
async def device() -> AsyncIterator[RawDevice]:
    async with raw_device() as made:
        yield made


@pytest.fixture
def told() -> Told:
    return Told()


async def test_inputs_return_when_all_have_answered_and_at_the_deadline_at_the_latest(told: Told) -> None:
    """The cycle waits for its slowest input, and for none longer than it can."""
    devices = [await RawDevice().start() for _ in range(2)]
    devices[1].delay_s = 0.03
    site = small_site([d.port for d in devices], [far_points(1)] * 2, [(0, 1), (1, 1)])
    async with running(field_of(site, told, watched=[0, 1])) as field:
        for deadline_s, low_s, high_s in ((0.5, 0.029, 0.2), (0.01, 0.009, 0.028)):
            started_s = time.monotonic()
            field.begin()
            await field.inputs(deadline_s)
            assert low_s <= time.monotonic() - started_s < high_s
            await asyncio.sleep(0.05)
    for d in devices:
        await d.stop()


async def test_a_late_input_of_an_older_cycle_does_not_end_the_wait_of_the_next(told: Told) -> None:
    """Counted for the new cycle it would release the decision before this cycle's own input is there."""
    late, early = [await RawDevice().start() for _ in range(2)]
    site = small_site([late.port, early.port], [far_points(1)] * 2, [(0, 1), (1, 1)])
    async with running(field_of(site, told, watched=[0, 1])) as field:
        late.delay_s = 0.03
        field.begin()
        await field.inputs(0.02)                    # `late` has not answered
        early.delay_s = 0.03
        field.begin()                               # it answers 10 ms from now, for the cycle before
        begun_s = time.monotonic()
        await field.inputs(0.5)
        assert time.monotonic() - begun_s >= 0.029
        field.latch(2, time.monotonic(), 0.0)
        assert field.table.received_s[1] >= begun_s
    for d in (late, early):
        await d.stop()


@pytest.mark.parametrize("fault", ["cut", "refused", "closed"])
async def test_an_input_that_fails_is_not_waited_for(device: RawDevice, told: Told, fault: str) -> None:
    """Its connection breaks, its device says no, or it was never there: the decision is made with what there is."""
    site = small_site([device.port], [far_points(3)], [(0, 1)])
    field = field_of(site, told, watched=[0, 1, 2])
    if fault == "closed":
        field.begin()
        async with asyncio.timeout(0.2):
            await field.inputs(10.0)
        return
    device.misbehave = {"cut": lambda *_: device.cut() or [],
                        "refused": lambda t, u, pdu: [frame(t, u, b"\x83\x04")]}[fault]
    async with running(field):
        field.begin()
        async with asyncio.timeout(0.2):
            await field.inputs(10.0)


async def test_the_snapshot_holds_the_watched_points_only(device: RawDevice, told: Told) -> None:
    """And those of this very cycle."""
    site = small_site([device.port], [far_points(3)], [(0, 1)])
    async with running(field_of(site, told, watched=[2, 0, 2])) as field:
        field.begin()
        await field.inputs(1.0)
        snapshot = field.latch(7, time.monotonic(), 5.0)
        assert sorted(snapshot.readings) == [0, 2]
        assert (snapshot.cycle, snapshot.utc_s, snapshot.read(2).value) == (7, 5.0, 400.0)
        assert snapshot.read(0).age_s < 0.1
        await cycles(field, 3)
        report = field.report(1.0)
    assert (report.points_good, report.points_bad, report.devices_good) == (3, 0, 1)
