"""Pollers and the field over real sockets: one device that fails must cost the others nothing."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from pswd_edge.errors import DeviceError, SilentError, UnreachableError
from pswd_edge.field.field import Field
from pswd_edge.field.poller import WRITES_MAX
from pswd_edge.field.work import Write
from pswd_edge.model.quality import Quality, Reason
from tests.field.fieldmaker import (
    ANY,
    RawDevice,
    Told,
    cycles,
    far_points,
    field_of,
    frame,
    modbus_point,
    open_files,
    raw_device,
    running,
    small_site,
    until,
)

FAST_MS = 20
HICCUPS = 2                   # cycles of 20 ms that a busy machine may take from a test


@pytest.fixture
async def device() -> AsyncIterator[RawDevice]:
    async with raw_device() as made:
        yield made


@pytest.fixture
def told() -> Told:
    return Told()


def registers(device: RawDevice) -> list[int]:
    """Start registers asked, in order."""
    return [int.from_bytes(pdu[1:3], "big") for _, pdu in device.asked]


def quality(field: Field, point: int) -> tuple[Quality, Reason]:
    reading = field.reading(point, time.monotonic())
    return reading.quality, reading.reason


# --- one fails, the others do not ------------------------------------------------------------------------------------

async def test_one_black_hole_among_many_costs_the_others_not_one_request(told: Told) -> None:
    """The oldest complaint of all: one dead device, and the whole site stands still."""
    devices = [await RawDevice().start() for _ in range(5)]
    devices[2].muted.add(1)
    site = small_site([d.port for d in devices], [far_points(2)] * 5, [(n, 1) for n in range(5)], timeout_max_ms=200)
    async with running(field_of(site, told)) as field:
        await cycles(field, 40)
        reports = field.report(0.0).links
    for n in (0, 1, 3, 4):
        assert devices[n].count(1) == 80 - reports[n].slots_missed
        assert reports[n].slots_missed <= 2 * HICCUPS
        assert (reports[n].silent, reports[n].reconnects) == (0, 0)
        assert quality(field, 2 * n) == (Quality.GOOD, Reason.NONE)
    assert quality(field, 4) == (Quality.BAD, Reason.NEVER_READ)
    assert devices[2].count(1) < 12
    for d in devices:
        await d.stop()


async def test_a_dead_unit_behind_a_gateway_costs_its_neighbour_one_time_out_per_back_off(
    device: RawDevice, told: Told
) -> None:
    """Three requests each: the dead unit is asked one of them, then left alone."""
    device.muted.add(2)
    site = small_site([device.port], [far_points(3), far_points(3)], [(0, 1), (0, 2)], timeout_max_ms=60)
    async with running(field_of(site, told)) as field:
        await cycles(field, 70)
        (report,) = field.report(0.0).links
    assert report.silent == device.count(2) <= 12
    assert report.reconnects == 0                # the neighbour proves the connection
    assert device.count(1) >= 3 * 70 - 3 * 4 * device.count(2)
    assert device.count(1) > 100
    assert quality(field, 0) == (Quality.GOOD, Reason.NONE)
    assert told.codes() == ["device_silent"]


async def test_a_first_time_out_skips_the_rest_of_that_unit_only(device: RawDevice, told: Told) -> None:
    """A silent device must not cost a time-out for each of its requests; an exception skips nothing."""
    site = small_site([device.port], [far_points(4), far_points(4)], [(0, 1), (0, 2)], timeout_max_ms=40)
    async with running(field_of(site, told)) as field:
        device.muted.add(1)
        await cycles(field, 1, period_s=0.1)
        assert (device.count(1), device.count(2)) == (1, 4)
        device.muted.clear()
        device.misbehave = lambda t, u, pdu: [frame(t, u, bytes([pdu[0] | 0x80, 2]))]
        device.asked.clear()
        await cycles(field, 1)
    assert (device.count(1), device.count(2)) == (4, 4)


async def test_a_gateway_that_answers_for_a_dead_unit_is_well_itself(device: RawDevice, told: Told) -> None:
    """Exception 0x0B is the unit's silence, not the connection's, and no refusal either."""
    device.misbehave = lambda t, u, pdu: [frame(t, u, bytes([pdu[0] | 0x80, 0x0B]))]
    site = small_site([device.port], [far_points(3)], [(0, 1)])
    async with running(field_of(site, told)) as field:
        await cycles(field, 20)
        (report,) = field.report(0.0).links
    assert (report.refused, report.reconnects) == (0, 0)
    assert 2 <= report.silent == device.count(1) <= 12
    assert told.codes() == ["device_silent"]


async def test_garbage_makes_only_its_own_points_bad(device: RawDevice, told: Told) -> None:
    """A unit that garbles its answers sits behind the same gateway as one that does not."""
    device.misbehave = lambda t, u, pdu: [frame(t, u, b"\x03\x04\xff\xff")] if u == 2 else None
    site = small_site([device.port], [far_points(2), far_points(2)], [(0, 1), (0, 2)])
    async with running(field_of(site, told)) as field:
        await cycles(field, 20)
        assert [quality(field, n)[0] for n in range(4)] == [Quality.GOOD] * 2 + [Quality.BAD] * 2
        assert quality(field, 2) == (Quality.BAD, Reason.UNDECODABLE)
        assert device.count(1) == device.count(2) >= 40 - 2 * HICCUPS
        device.misbehave = lambda *_: None
        await cycles(field, 15)
        assert quality(field, 2) == (Quality.GOOD, Reason.NONE)
    assert told.codes() == ["device_refuses", "device_well"]


async def test_a_refused_request_is_told_once_and_the_others_go_on(device: RawDevice, told: Told) -> None:
    """The operator hears of the illegal address, with the device and the registers, and not ten times a second."""
    device.misbehave = lambda t, u, pdu: [frame(t, u, b"\x83\x02")] if pdu[1:3] == b"\0\xc8" else None
    site = small_site([device.port], [far_points(3)], [(0, 1)])
    async with running(field_of(site, told)) as field:
        await cycles(field, 30)
        assert [quality(field, n)[1] for n in range(3)] == [Reason.NONE, Reason.REFUSED, Reason.NONE]
    assert told.codes().count("device_refuses") == 1
    severity, _, subject, text = told.events[0]
    assert (severity, subject) == ("warning", "dev0")
    assert "dev0 (c0 unit 1): read holding 200+1: exception code 2 (illegal address); its 1 points are BAD" in text


# --- outages and returns ---------------------------------------------------------------------------------------------

async def test_a_device_that_went_away_is_polled_within_two_seconds_of_its_return(told: Told) -> None:
    """Its port is closed for a while: a restart."""
    device = await RawDevice().start()
    site = small_site([device.port], [far_points(2)], [(0, 1)])
    async with running(field_of(site, told)) as field:
        await cycles(field, 5)
        await device.stop()
        await cycles(field, 25)
        assert quality(field, 0) == (Quality.BAD, Reason.UNREACHABLE)
        assert field.report(0.0).links[0].state == "backoff"
        await device.start()
        back_s = time.monotonic()
        while quality(field, 0)[0] is not Quality.GOOD:
            await cycles(field, 1)
            assert time.monotonic() - back_s < 2.0
        await cycles(field, 3)
        assert field.report(0.0).links[0].reconnects == 1
    await device.stop()
    assert told.codes("c0") == ["connection_lost", "connection_back"]


async def test_a_silent_device_is_told_once_and_comes_back_within_two_seconds(device: RawDevice, told: Told) -> None:
    """Its connection stays open, half of it: nothing but the missing answer says so. It is made anew, and told once."""
    site = small_site([device.port], [far_points(2)], [(0, 1)], timeout_max_ms=60)
    async with running(field_of(site, told)) as field:
        await cycles(field, 5)
        device.muted.add(1)
        await cycles(field, 40)
        assert quality(field, 0) == (Quality.BAD, Reason.UNREACHABLE)
        assert device.connections > 1
        device.muted.clear()
        back_s = time.monotonic()
        while quality(field, 0)[0] is not Quality.GOOD:
            await cycles(field, 1)
            assert time.monotonic() - back_s < 2.0
    assert sorted(told.codes()) == ["connection_back", "connection_lost", "device_back", "device_silent"]


async def test_a_device_that_has_become_slow_is_heard_again(device: RawDevice, told: Told) -> None:
    """Every answer comes after the usual time-out: the time-out must follow, and no late answer be believed."""
    site = small_site([device.port], [far_points(2)], [(0, 1)], timeout_max_ms=1000)
    async with running(field_of(site, told)) as field:
        await cycles(field, 5)
        device.delay_s = 0.12
        await until_good_again(field, 2.0)
        assert field.table.value.tolist() == [0.0, 200.0]
        assert field.report(0.0).links[0].timeout_ms > 120


async def until_good_again(field: Field, seconds: float) -> None:
    """At least one value newer than now."""
    now_s = time.monotonic()
    while not (field.table.received_s > now_s + 0.05).all():
        await cycles(field, 1)
        assert time.monotonic() - now_s < seconds


async def test_a_hundred_reconnects_leave_nothing_behind(device: RawDevice, told: Told) -> None:
    """Reconnects leak in three of the peers: descriptors, tasks, timers."""
    site = small_site([device.port], [far_points(1)], [(0, 1)])
    before = open_files(), len(asyncio.all_tasks())
    async with running(field_of(site, told)) as field:
        poller, (_, batch) = field.pollers[0], field._fast[0]
        for cut in range(100):
            await until(lambda: poller.state == "open", 2.0)
            poller.begin(batch, cut + 1)
            await until(lambda n=cut: poller.counts.answered > n, 2.0)  # type: ignore[misc]
            device.cut()
            await until(lambda: poller._driver._link.connected is False, 1.0)  # type: ignore[attr-defined]
            poller.begin(batch, cut + 1)
            await until(lambda n=cut: poller.sessions > n + 1, 2.0)  # type: ignore[misc]
        assert poller.counts.reconnects == 100
        assert open_files() <= before[0] + 2 + len(device.transports)
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == before[1]
    assert open_files() <= before[0]


@pytest.mark.parametrize("moment", ["idle", "reading", "connecting", "writing"])
async def test_stopping_at_any_moment_closes_everything(device: RawDevice, told: Told, moment: str) -> None:
    """And whoever waits for a write hears that it will not come."""
    before = open_files(), len(asyncio.all_tasks())
    site = small_site([device.port], [far_points(2)], [(0, 1)])
    field = field_of(site, told)
    heard: list[DeviceError | None] = []
    if moment == "connecting":
        field.start()
        await asyncio.sleep(0)
    else:
        async with running(field):
            device.muted.update({1} if moment != "idle" else set())
            if moment == "writing":
                for _ in range(3):
                    field.pollers[0].submit(Write(site.devices[0], site.points[0], 1.0, heard.append))
            elif moment == "reading":
                field.begin()
            await asyncio.sleep(0.02)
    await field.stop()
    device.cut()
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == before[1]
    assert open_files() <= before[0]
    assert [type(e) for e in heard] == [UnreachableError] * (3 if moment == "writing" else 0)


# --- order and pace --------------------------------------------------------------------------------------------------

async def test_missed_slots_are_counted_and_never_queued(device: RawDevice, told: Told) -> None:
    """A device slower than its period gets one request after the other, never a burst."""
    device.delay_s = 0.05
    site = small_site([device.port], [far_points(1)], [(0, 1)])
    async with running(field_of(site, told)) as field:
        await cycles(field, 30)
        (report,) = field.report(0.0).links
    assert report.slots_missed + report.asked == 30
    assert 8 <= report.asked <= 13
    gaps_s = [b - a for a, b in zip(device.asked_s, device.asked_s[1:], strict=False)]
    assert min(gaps_s) > 0.045


async def test_slow_classes_are_read_at_once_after_connecting_and_fast_ones_go_before_them(
    device: RawDevice, told: Told
) -> None:
    """A minute without a first value is a minute blind; and a long slow scan must not cost the fast one its slot."""
    device.delay_s = 0.004
    points = far_points(1) + far_points(20, period_ms=60_000, first=1000)
    site = small_site([device.port], [points], [(0, 1)])
    async with running(field_of(site, told)) as field:
        await cycles(field, 10)
        (report,) = field.report(0.0).links
        assert report.slots_missed <= HICCUPS
        assert [quality(field, n)[0] for n in range(21)] == [Quality.GOOD] * 21
    asked = registers(device)
    assert asked.count(0) == 10 - report.slots_missed
    assert len(asked) == 30 - report.slots_missed


async def test_a_saturated_fast_class_does_not_starve_the_slow_one(device: RawDevice, told: Told) -> None:
    """The fast scan takes longer than its period: the slow points still come round, in order."""
    device.delay_s = 0.012
    points = far_points(2) + far_points(4, period_ms=100, first=1000)
    site = small_site([device.port], [points], [(0, 1)])
    async with running(field_of(site, told)) as field:
        await cycles(field, 50)
        assert field.report(0.0).links[0].slots_missed > 0
    asked = registers(device)
    slow = [asked.count(1000 + 200 * n) for n in range(4)]
    assert min(slow) >= 3
    assert 2 * min(slow) >= max(slow)
    assert asked.count(0) >= 10


async def test_what_was_due_in_a_skipped_cycle_is_read_in_the_next(device: RawDevice, told: Told) -> None:
    """A class of ten seconds must not lose a slot to a hiccup of one cycle."""
    site = small_site([device.port], [far_points(1, period_ms=10 * FAST_MS)], [(0, 1)])
    async with running(field_of(site, told)) as field:
        await until(lambda: len(device.asked) == 1, 1.0)       # at once after connecting
        (job,) = field.pollers[0].account.slow
        assert (job.every, job.phase) == (10, 9)
        for cycle in (0, 3, 8, 11, 14, 18, 21, 28, 81):        # never 9, 19, …
            field.begin_slow(cycle)
            await asyncio.sleep(0.005)
    assert len(device.asked) == 1 + 3                          # for 9, for 19, and once for all of 29 to 79


async def test_a_write_goes_before_what_has_not_been_sent_yet(device: RawDevice, told: Told) -> None:
    """A set-point waits for one answer at most, however long the scan."""
    device.delay_s = 0.005
    site = small_site([device.port], [far_points(8)], [(0, 1)])
    async with running(field_of(site, told)) as field:
        field.begin()
        await until(lambda: len(device.asked) == 3, 1.0)
        done: list[DeviceError | None] = []
        field.pollers[0].submit(Write(site.devices[0], modbus_point(5000), 7.0, done.append))
        await until(lambda: len(device.asked) == 9, 1.0)
    assert registers(device)[:5] == [0, 200, 400, 5000, 600]
    assert done == [None]


async def test_the_queue_of_writes_is_bounded(device: RawDevice, told: Told) -> None:
    """What does not fit is refused at once, not kept until memory ends."""
    device.delay_s = 0.05
    site = small_site([device.port], [far_points(1)], [(0, 1)])
    heard: list[DeviceError | None] = []
    async with running(field_of(site, told)) as field:
        for _ in range(WRITES_MAX + 5):
            field.pollers[0].submit(Write(site.devices[0], site.points[0], 1.0, heard.append))
        assert [str(e) for e in heard] == [f"c0: {WRITES_MAX} writes are waiting already"] * 5
    assert len(heard) == WRITES_MAX + 5        # stopped: every one heard


async def test_a_write_to_a_closed_connection_fails_at_once(told: Told) -> None:
    """The actuator tries again each cycle: nothing may wait for a device that is not there."""
    async with raw_device() as gone:
        port = gone.port
    site = small_site([port], [far_points(1)], [(0, 1)])
    heard: list[DeviceError | None] = []
    field = field_of(site, told)
    field.start()
    await until(lambda: field.pollers[0].state == "backoff", 1.0)
    field.pollers[0].submit(Write(site.devices[0], site.points[0], 1.0, heard.append))
    await field.stop()
    assert [str(e) for e in heard] == ["c0: backoff"]


async def test_writes_to_a_silent_unit_keep_to_its_back_off(device: RawDevice, told: Told) -> None:
    """Tried every cycle at 200 ms each, they would take the whole gateway from its neighbours."""
    device.muted.add(2)
    site = small_site([device.port], [far_points(1), [modbus_point(0, write=ANY, readable=False)]], [(0, 1), (0, 2)],
                      timeout_max_ms=60)
    heard: list[DeviceError | None] = []
    async with running(field_of(site, told)) as field:
        for _ in range(50):
            field.pollers[0].submit(Write(site.devices[1], site.points[1], 1.0, heard.append))
            await cycles(field, 1)
        assert device.count(2) <= 6
        assert device.count(1) >= 10
        assert all(isinstance(e, SilentError) for e in heard)
        device.muted.clear()
        while heard[-1] is not None:
            field.pollers[0].submit(Write(site.devices[1], site.points[1], 1.0, heard.append))
            await cycles(field, 1)
    assert told.codes("dev1") == ["device_silent", "device_back"]


async def test_the_gap_between_frames_is_kept(device: RawDevice, told: Told) -> None:
    """Some gateways need a pause after each answer; reads and writes alike."""
    site = small_site([device.port], [far_points(4)], [(0, 1)], min_gap_ms=10)
    async with running(field_of(site, told)) as field:
        field.begin()
        for _ in range(2):
            field.pollers[0].submit(Write(site.devices[0], site.points[0], 1.0, lambda _: None))
        await until(lambda: len(device.asked) == 6, 1.0)
    gaps_s = [b - a for a, b in zip(device.asked_s, device.asked_s[1:], strict=False)]
    assert min(gaps_s) > 0.009
