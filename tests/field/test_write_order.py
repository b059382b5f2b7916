"""What must stand before a set-point is sent, what keeps a device's watchdog alive, and what writes cost a connection.

Point 3 of the bench is the revert time (or the watchdog), point 0 the set-point.
"""

import asyncio
import time
from itertools import pairwise

import pytest

from pswd_edge.field.slot import REFRESH_SHARE
from pswd_edge.model.point import WriteRule
from tests.field.fieldmaker import (
    Told,
    cycles,
    field_of,
    modbus_device,
    modbus_point,
    raw_device,
    running,
    small_site,
    until,
)
from tests.field.writebench import REFUSED, SILENT, Bench


@pytest.fixture
def bess(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A SunSpec-like battery: the revert time before the set-point."""
    return Bench(monkeypatch, after=(3,), revert_s=12.0)


def answered(bench: Bench, error: Exception | None = None) -> None:
    """Answer everything that waits, in order."""
    for write in list(bench.wire.writes):
        if bench.field.slots[write.point.index].in_flight and bench.field.slots[write.point.index].sent == write.value:
            write.done(error)  # type: ignore[arg-type]


def order(bench: Bench) -> list[int]:
    return [w.point.index for w in bench.wire.writes]


def test_the_revert_time_is_acknowledged_before_the_set_point_is_sent(bess: Bench) -> None:
    """And its acknowledgement lets the set-point go in the same moment: no cycle is lost."""
    bess.want(10.0, second=12.0)
    assert order(bess) == [3]
    bess.answer()
    assert order(bess) == [3, 0]
    bess.answer()
    assert bess.slot.written == 10.0


def test_after_a_reconnect_the_revert_time_comes_first_again(bess: Bench) -> None:
    """The device may have started anew, with a revert time of its own, or none."""
    bess.want(10.0, second=12.0)
    bess.answer()
    bess.answer()
    bess.wire.sessions += 1
    bess.want(20.0, second=12.0)
    assert order(bess) == [3, 0, 3]
    bess.answer()
    assert order(bess) == [3, 0, 3, 0]
    assert bess.sent[-1] == 20.0


@pytest.mark.parametrize("error", [REFUSED, SILENT])
def test_without_its_revert_time_no_larger_set_point_is_sent(bess: Bench, error: Exception) -> None:
    """A battery that would hold 50 MW for ever without us is not given 50 MW. Said once; sent when it is there."""
    bess.want(50.0, second=12.0)
    for _ in range(100):
        if bess.wire.writes:
            bess.wire.writes[-1].done(error)  # type: ignore[arg-type]
        bess.want(50.0, second=12.0)
    assert set(order(bess)) == {3}
    assert bess.slot.state == "pending"
    assert bess.told.codes().count("write_held") == 1
    assert bess.acknowledged < bess.cycle
    bess.want(50.0, second=12.0, after_s=5.1)
    bess.answer()
    assert order(bess)[-1] == 0
    bess.answer()
    assert bess.told.codes()[-2:] == ["write_works", "write_works"]


@pytest.mark.parametrize(("value", "goes"), [(20.0, True), (0.0, True), (40.0, False), (60.0, False), (-20.0, False)])
def test_toward_zero_a_set_point_goes_without_its_revert_time(bess: Bench, value: float, goes: bool) -> None:
    """Less of what the device holds is never the greater danger; the other sign is."""
    bess.want(40.0, second=12.0)
    bess.answer()
    bess.answer()
    bess.wire.sessions += 1
    bess.want(40.0, second=12.0)
    bess.answer(REFUSED)
    bess.want(value, second=12.0)
    assert (order(bess)[3:] == [0]) is goes


def test_what_is_held_and_may_go_down_is_told_once(bess: Bench) -> None:
    """A set-point that falls and rises while the gate is shut is no event in every cycle."""
    bess.want(40.0, second=12.0)
    bess.answer()
    bess.answer()
    bess.wire.sessions += 1
    bess.want(40.0, second=12.0)
    bess.answer(REFUSED)
    for n in range(30):
        bess.want(38.0 - n + 3 * (n % 2), second=12.0)
        if bess.slot.in_flight:
            bess.answer()
    assert bess.told.codes() == ["write_refused", "write_held"]


def test_a_reload_keeps_who_waits_for_whom(bess: Bench) -> None:
    """The slots are the same, the order too: a new revert time is acknowledged before the next set-point."""
    bess.want(10.0, second=12.0)
    bess.answer()
    bess.answer()
    points = {i: slot.point for i, slot in bess.field.slots.items()}
    bess.field.replan(points, (modbus_device(),), {0: bess.wire}, bess.table, {i: i for i in range(4)})  # type: ignore[dict-item]
    bess.want(20.0, second=15.0)
    assert order(bess) == [3, 0, 3]
    bess.answer()
    assert order(bess) == [3, 0, 3, 0]


def test_a_gate_that_nobody_wants_is_open(bess: Bench) -> None:
    """OBSERVE keeps the set-point that it found and writes no revert time: as it was found, it stays."""
    bess.want(10.0)
    assert order(bess) == [0]


def test_a_watchdog_register_is_written_again_before_half_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """KACO: every write of the seconds starts them anew; the value is the time."""
    bench = Bench(monkeypatch, second={"minimum": 1.0, "maximum": 3600.0, "keep_alive": True})
    at_s: list[float] = []
    for _ in range(400):
        bench.want(10.0, second=12.0)
        if bench.wire.writes[-1].point.index == 3 and bench.field.slots[3].in_flight:
            at_s.append(bench.now_s)
        answered(bench)
    gaps = [b - a for a, b in pairwise(at_s)]
    assert len(gaps) >= 6
    assert max(gaps) < 6.0
    assert min(gaps) > 12.0 * REFRESH_SHARE - 0.2
    assert bench.sent.count(10.0) == 1


def test_a_refresh_of_the_watchdog_does_not_stop_the_set_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """While its write is on the wire the old one still counts."""
    bench = Bench(monkeypatch, after=(3,), second={"minimum": 1.0, "maximum": 3600.0, "keep_alive": True})
    bench.want(10.0, second=12.0)
    bench.answer()
    bench.answer()
    bench.want(20.0, second=12.0, after_s=5.0)
    assert order(bench) == [3, 0, 3, 0]


def test_a_watchdog_that_nobody_asks_for_is_kept_alive_while_the_device_is_led(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map says value and time; let go, it may run out."""
    bench = Bench(monkeypatch, second={"keep_alive_s": 10.0, "keep_alive_value": 1.0})
    bench.field.apply([], 1, bench.now_s)
    assert order(bench) == []
    for _ in range(100):
        bench.want(10.0)
        answered(bench)
    assert order(bench).count(3) == 3  # at 0, 4 and 8 s
    bench.want(None)
    count = len(order(bench))
    for _ in range(100):
        bench.now_s += 0.1
        bench.field.apply([], 1, bench.now_s)
    assert len(order(bench)) == count


def test_a_saturated_wish_costs_the_bus_no_more_than_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Field lessons 23: another value in every cycle, one write a second; the latest one."""
    bench = Bench(monkeypatch, min_interval_s=1.0, revert_s=2.0)
    for n in range(100):
        bench.want(float(n))
        answered(bench)
    assert len(bench.sent) == 10
    assert bench.sent[1:3] == [10.0, 20.0]


def test_how_long_a_write_took_is_exported(bess: Bench) -> None:
    """Field lessons 14: write-to-wire time is a number that somebody can watch."""
    bess.want(10.0)
    bess.now_s += 0.025
    bess.answer()
    assert bess.slot.took_s == pytest.approx(0.025)


async def test_a_write_goes_before_the_reads_that_wait() -> None:
    """Field lessons 14: twenty slow reads are due, the write waits for one of them at most."""
    points = [modbus_point(200 * n, period_ms=20) for n in range(20)]
    points.append(modbus_point(9000, "int16", write=WriteRule(-100.0, 100.0)))
    async with raw_device() as device:
        device.delay_s = 0.01
        site = small_site([device.port], [points], [(0, 1)])
        field = field_of(site, Told(), actuated=[20])
        async with running(field):
            field.begin()
            await asyncio.sleep(0.03)
            before = len(device.asked)
            field.apply([(20, 7.0)], 1, time.monotonic())
            await until(lambda: any(pdu[0] in (6, 16) for _, pdu in device.asked), 5.0)
            asked = [pdu[0] for _, pdu in device.asked[before:]]
            await cycles(field, 2)
            assert field.slot(20).took_ms is not None
    assert next(i for i, function in enumerate(asked) if function in (6, 16)) <= 1
