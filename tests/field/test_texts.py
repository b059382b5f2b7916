"""Texts in registers: never a number, decoded when their bytes change, bounded where they are published."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pswd_edge.errors import WriteError
from pswd_edge.field.drivers.codec import encode
from pswd_edge.field.group import Group
from pswd_edge.field.table import Table
from pswd_edge.field.texts import TEXT_BYTES_MAX, decode_text
from pswd_edge.image.layout import FIELD_BYTES
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.report import FieldReport
from tests.field.fieldmaker import Told, cycles, field_of, modbus_point, raw_device, request_of, running, small_site

T = 1000.0


def text_point(register: int = 0, length: int = 4, **more: Any) -> Point:
    return modbus_point(register, "string", length=length, **more)


def table_of(*points: Point) -> tuple[Table, Group]:
    table = Table(points, request_of(points))
    return table, table.group(range(len(table.requests)))


def put(table: Table, group: Group, answer: bytes, now_s: float = T) -> None:
    table.put_raw(0, answer, now_s)
    table.settle(group, now_s)


@pytest.mark.parametrize(("image", "text"), [
    (b"PM5560\0\0", "PM5560"), (b"PM5560  ", "PM5560"), (b"  a b   ", "a b"), (b"PM\0junk!", "PM"), (b"\0" * 8, ""),
    (b" " * 8, ""), (b"ABCDEFGH", "ABCDEFGH"), (b"K\xf6ln\0\0\0\0", "K\N{REPLACEMENT CHARACTER}ln"),
    (b"a\x1b[2Jb\r\n", "a\N{REPLACEMENT CHARACTER}[2Jb" + 2 * "\N{REPLACEMENT CHARACTER}"),
])
def test_a_text_ends_at_its_nul_and_holds_what_can_be_printed(image: bytes, text: str) -> None:
    """A device's name goes to terminals and logs: it must not clear a screen or begin a line."""
    assert decode_text(image, ModbusAddress(0, "string", length=4)) == text


@pytest.mark.parametrize(("word_order", "byte_order", "image"), [
    ("big", "big", b"ABCDEF"), ("big", "little", b"BADCFE"), ("little", "big", b"EFCDAB"),
    ("little", "little", b"FEDCBA"),
])
def test_a_text_is_read_in_all_four_orders(word_order: Any, byte_order: Any, image: bytes) -> None:
    """Many PLCs swap the two letters of each register."""
    address = ModbusAddress(0, "string", length=3, word_order=word_order, byte_order=byte_order)
    assert decode_text(image, address) == "ABCDEF"


@given(st.binary(min_size=2, max_size=40).filter(lambda b: len(b) % 2 == 0))
def test_any_bytes_make_a_text_of_printable_letters_or_none(image: bytes) -> None:
    """Whatever stands there."""
    text = decode_text(image, ModbusAddress(0, "string", length=len(image) // 2))
    assert len(text) <= len(image)
    assert all(c == "\N{REPLACEMENT CHARACTER}" or " " <= c <= "~" for c in text)


def test_a_text_is_good_without_being_a_number() -> None:
    """NaN in the arrays, GOOD beside it: no sum and no trend can take it for 0."""
    table, group = table_of(text_point(), modbus_point(4, index=1))
    put(table, group, b"PM5560\0\0" + b"\0\x07")
    reading = table.reading(0, T)
    assert math.isnan(reading.value)
    assert (reading.quality, reading.reason, reading.age_s) == (Quality.GOOD, Reason.NONE, 0.0)
    assert table.texts == {0: "PM5560"}
    assert table.value[1] == 7.0


def test_a_text_that_changes_is_told_anew() -> None:
    """And one that does not keeps its text object: it is decoded when its bytes change only."""
    table, group = table_of(text_point())
    put(table, group, b"one\0\0\0\0\0")
    first = table.texts[0]
    put(table, group, b"one\0\0\0\0\0", T + 1)
    assert table.texts[0] is first
    assert table.received_s[0] == T + 1
    put(table, group, b"two\0\0\0\0\0", T + 2)
    assert table.texts == {0: "two"}


def test_a_text_ages_is_refused_and_comes_back_as_a_number_does() -> None:
    """A name that was true ten minutes ago may be another device's now."""
    table, group = table_of(text_point(), text_point(500, index=1))
    put(table, group, b"one\0\0\0\0\0")
    table.settle(group, T + 0.35)
    assert (table.quality[0], table.reason[0]) == (Quality.UNCERTAIN, Reason.STALE)
    table.settle(group, T + 5)
    assert (table.quality[0], table.reason[0]) == (Quality.BAD, Reason.UNREACHABLE)
    put(table, group, b"one\0\0\0\0\0", T + 6)
    assert (table.quality[0], table.texts[0]) == (Quality.GOOD, "one")
    table.put_failure(0, Reason.REFUSED)
    assert (table.quality[0], table.reason[0]) == (Quality.BAD, Reason.REFUSED)
    put(table, group, b"one\0\0\0\0\0", T + 7)
    assert table.quality.tolist() == [Quality.GOOD, Quality.BAD]


@pytest.mark.parametrize(("model", "quality"), [(None, Quality.GOOD), (1, Quality.BAD)])
def test_an_empty_text_is_not_available_in_sunspec_only(model: int | None, quality: Quality) -> None:
    """SunSpec says so; elsewhere a label may just be empty."""
    table, group = table_of(text_point(2, model=model))
    put(table, group, bytes(table.sizes[0]))
    assert table.quality[0] == quality
    assert table.reason[0] == (Reason.SENTINEL if quality == Quality.BAD else Reason.NONE)


def test_a_text_is_not_written() -> None:
    """A number has no letters."""
    with pytest.raises(WriteError, match=r"dev0\.p0: got a number for a text: .*nothing was written"):
        encode(text_point(), 1.0)


async def test_texts_are_reported_while_they_are_good() -> None:
    """Beside the health of the links, by point; what is BAD is left out."""
    async with raw_device() as device:
        device.words = {0: 0x504D, 1: 0x3535, 2: 0x3630, 3: 0}
        site = small_site([device.port], [[text_point(period_ms=20), modbus_point(4, period_ms=20)]], [(0, 1)])
        field = field_of(site, Told())
        async with running(field):
            await cycles(field, 20)
            report = field.report(1.0)
            assert (report.texts, report.points_good, report.devices_good) == ({0: "PM5560"}, 2, 1)
            device.muted = {1}
            await cycles(field, 60)
            assert field.report(1.0).texts == {}


async def test_the_texts_of_a_large_site_fit_their_place_in_the_image() -> None:
    """The report has a fixed place: what has no room is left out, and the links never are."""
    points = [text_point(125 * n, 125, period_ms=20, index=n) for n in range(500)]
    field = field_of(small_site([1], [points], [(0, 1)]), Told())
    for n in range(500):
        field.table.texts[n] = "\N{REPLACEMENT CHARACTER}" * 250
        field.table.quality[n] = Quality.GOOD
    report = field.report(1.0)
    encoded = msgspec.msgpack.encode(report)
    assert 10 < len(report.texts) < 500
    assert len(encoded) < TEXT_BYTES_MAX + 1000 < FIELD_BYTES
    assert msgspec.msgpack.decode(encoded, type=FieldReport) == report
