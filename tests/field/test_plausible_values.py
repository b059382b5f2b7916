"""Frozen values, jumps and true periods: what comes again is not fresh, and what cannot be is not shown."""

import math
import time

import msgspec
import numpy as np
import pytest

from pswd_edge.field.refresh import Refresh
from pswd_edge.field.table import Table
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.report import FieldReport
from tests.field.fieldmaker import Told, cycles, field_of, modbus_point, raw_device, request_of, running, small_site


class Meter:
    """Two registers read together: the point under test, and one that may change beside it."""

    def __init__(self, **rules: float) -> None:
        points = [modbus_point(0, index=0, **rules), modbus_point(1, index=1)]
        self.table = Table(points, request_of(points))
        self.group = self.table.group([0])
        self.now_s = 100.0

    def shows(self, value: int, beside: int = 0) -> tuple[float, Quality, Reason]:
        self.now_s += 0.1
        self.table.put_raw(0, value.to_bytes(2, "big") + (beside % 65536).to_bytes(2, "big"), self.now_s)
        self.table.settle(self.group, self.now_s)
        self.table.refresh.look(self.now_s)
        reading = self.table.reading(0, self.now_s)
        return reading.value, reading.quality, reading.reason


def test_a_value_that_stands_still_while_its_device_lives_is_frozen() -> None:
    """A stuck sensor inside a meter whose other registers go on: the answers come, the value is dead."""
    meter = Meter(frozen_after=5)
    found = [meter.shows(700, beside=n) for n in range(8)]

    assert [quality for _, quality, _ in found[:5]] == [Quality.GOOD] * 5
    assert found[-1] == (700.0, Quality.UNCERTAIN, Reason.FROZEN)
    assert meter.shows(701, beside=9)[1:] == (Quality.GOOD, Reason.NONE)


def test_a_device_that_stops_renewing_anything_is_frozen_by_its_learnt_period() -> None:
    """A hung meter repeats its last answer for ever; ten answers a second are no sign of life."""
    meter = Meter(frozen_after=20)
    for n in range(100):
        meter.shows(700 + n // 2)                              # renews every 0.2 s

    found = [meter.shows(749) for _ in range(60)]

    assert found[10][1] is Quality.GOOD
    assert found[-1] == (749.0, Quality.UNCERTAIN, Reason.FROZEN)


def test_without_a_rule_a_value_may_stand_still_for_ever() -> None:
    """A set-point, or an idle feeder."""
    meter = Meter()

    assert {meter.shows(0, beside=n)[1] for n in range(300)} == {Quality.GOOD}
    assert len(meter.group.plausible.points) == 0


def test_a_jump_is_bad_until_it_is_confirmed() -> None:
    """One garbled register must not move a battery; a true step costs one answer."""
    meter = Meter(jump=50.0)
    assert meter.shows(100)[0] == 100.0

    value, quality, reason = meter.shows(9000, beside=1)

    assert math.isnan(value)
    assert (quality, reason) == (Quality.BAD, Reason.JUMP)
    assert meter.shows(101, beside=2)[:2] == (101.0, Quality.GOOD)  # it was one bad answer
    meter.shows(9000, beside=3)
    assert meter.shows(9010, beside=4)[:2] == (9010.0, Quality.GOOD)  # it was true


def test_a_repeated_answer_confirms_a_jump_only_after_a_second() -> None:
    """The same register read twice is one reading, not two."""
    meter = Meter(jump=50.0)
    meter.shows(100)

    found = [meter.shows(9000) for _ in range(13)]

    assert [quality for _, quality, _ in found[:9]] == [Quality.BAD] * 9
    assert found[-1][:2] == (9000.0, Quality.GOOD)


def test_a_ramp_within_the_jump_is_never_doubted() -> None:
    """Steps below the limit add up to any distance."""
    meter = Meter(jump=50.0)

    assert {meter.shows(40 * n, beside=n)[1] for n in range(200)} == {Quality.GOOD}


@pytest.mark.parametrize("period", [1, 2, 5, 10])
def test_the_true_period_of_a_device_is_learnt(period: int) -> None:
    """A meter that renews its registers every second answers ten times a second all the same."""
    refresh, now_s = Refresh(2), 50.0
    for n in range(600):
        now_s += 0.1
        refresh.changes[0] += n % period == 0
        if n % 10 == 9:
            refresh.look(now_s)

    assert refresh.period_s[0] == pytest.approx(0.1 * period, rel=0.1)
    assert np.isnan(refresh.period_s[1])                       # never changed: not known, never 0


async def test_the_report_shows_a_devices_true_period() -> None:
    """The operator sees that a meter renews every second, whatever it is asked; and the report can be written."""
    told = Told()
    async with raw_device() as device:
        field = field_of(small_site([device.port], [[modbus_point(0, period_ms=20)]], [(0, 1)]), told)
        async with running(field):
            for n in range(60):
                device.words[0] = n
                await cycles(field, 2)
                field.report(0.0)
            found = msgspec.msgpack.decode(msgspec.msgpack.encode(field.report(0.0)), type=FieldReport)

    assert found.devices[0].points_not_good == 0
    assert found.devices[0].refresh_ms == pytest.approx(40, rel=0.5)
    assert found.devices[0].clock_offset_s is None


def test_a_device_whose_clock_is_ahead_is_told_once() -> None:
    """Time stamps of the future spoil every log that is compared; what is old may only be unchanged."""
    told = Told()
    field = field_of(small_site([1], [[modbus_point(0, period_ms=20)]], [(0, 1)]), told)
    table, now_s = field.table, time.monotonic()
    table.received_s[0] = now_s
    for ahead_s in (-500.0, 1.0, 30.0, 30.0, 0.5, 0.5):
        table.source_utc_s[0] = 1e9 + ahead_s
        found = field.report(1e9 + time.monotonic() - now_s)

    assert found.devices[0].clock_offset_s == pytest.approx(0.5, abs=0.1)
    assert told.codes() == ["device_clock", "device_clock_well"]
