"""The life of a value: never read, good, stale, lost, refused, back again."""

import math

import numpy as np
import pytest

from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.group import Group
from pswd_edge.field.table import Table
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality, Reason
from tests.field.fieldmaker import modbus_device, modbus_point, request_of

T = 1000.0


def table_of(*points: Point) -> tuple[Table, Group]:
    """Points of one request each where their registers are far apart."""
    table = Table(points, request_of(points))
    return table, table.group(range(len(table.requests)))


def state(table: Table, point: int = 0) -> tuple[Quality, Reason]:
    reading = table.reading(point, T)
    return reading.quality, reading.reason


def put(table: Table, group: Group, answer: str, now_s: float = T) -> None:
    table.put_raw(0, bytes.fromhex(answer), now_s)
    table.settle(group, now_s)


def test_a_point_that_never_came_has_no_value_and_no_age() -> None:
    """0 would be a lie, and so would "just now"."""
    table, group = table_of(modbus_point(0))
    table.settle(group, T)
    reading = table.reading(0, T)
    assert (reading.quality, reading.reason) == (Quality.BAD, Reason.NEVER_READ)
    assert math.isnan(reading.value)
    assert reading.age_s == math.inf


def test_an_answer_makes_a_good_value_of_its_own_time() -> None:
    """Age counts from the answer, not from the moment at which somebody looked."""
    table, group = table_of(modbus_point(0))
    table.put_raw(0, b"\0\x07", T - 0.2)
    table.settle(group, T)
    assert table.reading(0, T) == (7.0, Quality.GOOD, Reason.NONE, pytest.approx(0.2), T - 0.2, 0)


@pytest.mark.parametrize(("answer", "reason"), [("0065", Reason.OUT_OF_RANGE), ("ffff", Reason.SENTINEL)])
def test_what_cannot_be_is_bad_at_once(answer: str, reason: Reason) -> None:
    """Each for its own reason, since each has its own remedy."""
    table, group = table_of(modbus_point(0, maximum=100.0, invalid=(65535.0,)))
    put(table, group, "0064")
    assert state(table) == (Quality.GOOD, Reason.NONE)
    put(table, group, answer)
    assert state(table) == (Quality.BAD, reason)
    assert math.isnan(table.value[0])
    put(table, group, "0001")
    assert state(table) == (Quality.GOOD, Reason.NONE)


@pytest.mark.parametrize("answer", ["7fc00000", "7f800000", "ff800000"])
def test_nan_and_infinity_are_bad_even_where_any_value_is_possible(answer: str) -> None:
    """An infinite limit lets infinity pass; one infinity makes every sum of the site infinite."""
    table, group = table_of(modbus_point(0, "float32"))
    put(table, group, answer)
    assert state(table) == (Quality.BAD, Reason.NOT_A_NUMBER)
    assert math.isnan(table.value[0])


@pytest.mark.parametrize("period_ms", [100, 1000])
def test_silence_makes_stale_at_three_periods_and_nothing_at_ten(period_ms: int) -> None:
    """By the clock, not by an error: no error comes from a thread that hangs."""
    table, group = table_of(modbus_point(0, period_ms=period_ms))
    period_s = period_ms / 1000
    put(table, group, "0007")
    table.settle(group, T + 2.9 * period_s)
    assert state(table) == (Quality.GOOD, Reason.NONE)
    table.settle(group, T + 3.1 * period_s)
    assert state(table) == (Quality.UNCERTAIN, Reason.STALE)
    assert table.value[0] == 7.0
    table.settle(group, T + 9.9 * period_s)
    assert state(table) == (Quality.UNCERTAIN, Reason.STALE)
    table.settle(group, T + 10.1 * period_s)
    assert state(table) == (Quality.BAD, Reason.UNREACHABLE)
    assert math.isnan(table.value[0])
    assert table.received_s[0] == T  # nothing made it younger on its way

    put(table, group, "0008", T + 20)
    assert state(table) == (Quality.GOOD, Reason.NONE)
    table.settle(group, T + 20 + 3.1 * period_s)
    assert state(table) == (Quality.UNCERTAIN, Reason.STALE)


def test_a_long_pause_makes_a_good_value_bad_in_one_step() -> None:
    """A machine that slept wakes up with values of another time."""
    table, group = table_of(modbus_point(0))
    put(table, group, "0007")
    table.settle(group, T + 3600)
    assert state(table) == (Quality.BAD, Reason.UNREACHABLE)


def test_one_silent_request_ages_its_own_points_only() -> None:
    """One dead device among many."""
    table, group = table_of(modbus_point(0), modbus_point(500, index=1))
    put(table, group, "0007")
    table.put_raw(1, b"\0\x09", T + 5)
    table.settle(group, T + 5)
    assert state(table, 0) == (Quality.BAD, Reason.UNREACHABLE)
    assert state(table, 1) == (Quality.GOOD, Reason.NONE)
    assert table.received_s.tolist() == [T, T + 5]


def test_settling_again_refreshes_nothing() -> None:
    """Republishing an old value under a new time is the peers' classic."""
    table, group = table_of(modbus_point(0))
    put(table, group, "0007")
    for n in range(20):
        table.settle(group, T + n / 100)
    assert table.received_s[0] == T
    assert table.unchanged[0] == 0


def test_a_refusal_is_bad_at_once_and_keeps_its_reason_while_it_lasts() -> None:
    """The device is there and says no: waiting three periods would hide that."""
    table, group = table_of(modbus_point(0))
    put(table, group, "0007")
    table.put_failure(0, Reason.REFUSED)
    table.settle(group, T + 0.1)
    assert state(table) == (Quality.BAD, Reason.REFUSED)
    assert math.isnan(table.value[0])
    table.settle(group, T + 60)
    assert state(table) == (Quality.BAD, Reason.REFUSED)


def test_a_refusal_after_an_answer_that_was_not_looked_at_yet_wins() -> None:
    """The older answer must not come back to life when the group is settled."""
    table, group = table_of(modbus_point(0))
    table.put_raw(0, b"\0\x07", T)
    table.put_failure(0, Reason.REFUSED)
    table.settle(group, T + 0.1)
    assert state(table) == (Quality.BAD, Reason.REFUSED)


def test_a_short_answer_leaves_nothing_of_an_older_one_readable() -> None:
    """Its missing registers would be those of the last answer, called fresh."""
    table, group = table_of(modbus_point(0), modbus_point(1, index=1))
    put(table, group, "00010002")
    for n, wrong in enumerate(("0009", "000900080007")):
        put(table, group, wrong, T + n + 0.1)
        assert [state(table, i) for i in (0, 1)] == [(Quality.BAD, Reason.UNDECODABLE)] * 2
        assert np.isnan(table.value).all()
        assert table.received_s[0] == T + n
        put(table, group, "00010002", T + n + 1)


def test_answers_in_a_row_with_the_same_value_are_counted() -> None:
    """It is how a frozen meter is told from a steady one; silence and NaN are no answers."""
    table, group = table_of(modbus_point(0, invalid=(65535.0,)))
    counts = []
    for n, answer in enumerate(("0007", "0007", "0007", "0008", "0008", "ffff", "ffff", "0008")):
        put(table, group, answer, T + n)
        counts.append(int(table.unchanged[0]))
    assert counts == [0, 1, 2, 0, 1, 0, 0, 0]


def test_typed_values_are_judged_like_registers() -> None:
    """OPC UA and SNMP bring quality and time stamps of their own; ranges and markers hold for them too."""
    points = [modbus_point(r, index=r, scale=10.0, maximum=100.0, invalid=(-1.0,)) for r in range(6)]
    table = Table(points, [ReadRequest(modbus_device(), tuple(points), 100, None, 6, "typed")])
    group = table.group([0])
    table.put_values(0, [
        Value(5.0, source_utc_s=1e9), Value(50.0), Value(-1.0), Value(math.nan), Value(math.inf),
        Value(3.0, Quality.UNCERTAIN, Reason.DEVICE)], T)
    table.settle(group, T)
    assert [state(table, i) for i in range(6)] == [
        (Quality.GOOD, Reason.NONE), (Quality.BAD, Reason.OUT_OF_RANGE), (Quality.BAD, Reason.SENTINEL),
        (Quality.BAD, Reason.NOT_A_NUMBER), (Quality.BAD, Reason.NOT_A_NUMBER), (Quality.UNCERTAIN, Reason.DEVICE)]
    assert table.value[[0, 5]].tolist() == [50.0, 30.0]
    assert np.isnan(table.value[1:5]).all()
    assert table.source_utc_s[0] == 1e9
    assert np.isnan(table.source_utc_s[1])
    table.settle(group, T + 1.1)
    assert {state(table, i) for i in (0, 5)} == {(Quality.BAD, Reason.UNREACHABLE)}


def test_requests_of_a_group_that_did_not_answer_keep_their_values() -> None:
    """The decoder works on all answers of a group at once: only the fresh ones may be taken."""
    table, group = table_of(*(modbus_point(200 * i, index=i) for i in range(3)))
    for slot in range(3):
        table.put_raw(slot, bytes([0, slot]), T)
    table.settle(group, T)
    table.put_raw(1, b"\0\x63", T + 0.1)
    table.settle(group, T + 0.1)
    assert table.value.tolist() == [0.0, 99.0, 2.0]
    assert table.received_s.tolist() == [T, T + 0.1, T]
    assert table.unchanged.tolist() == [0, 0, 0]


def test_registers_stand_where_they_are_read_behind_answers_of_another_kind() -> None:
    """A request of typed values takes no bytes: an odd place after it would shift every register of the site by one."""
    typed = ReadRequest(modbus_device(), (modbus_point(0, index=0),), 100, "nodes", 1, "one node")
    (registers,) = request_of([modbus_point(0, index=1)])
    table = Table((modbus_point(0, index=0), modbus_point(0, index=1)), [typed, registers])
    group = table.group(range(2))
    table.put_values(0, [Value(5.0)], T)
    table.put_raw(1, b"\x01\x02", T)
    table.settle(group, T)
    assert table.value.tolist() == [5.0, 258.0]
