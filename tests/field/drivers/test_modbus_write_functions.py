"""With which function a point is written, and what its answer proves."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pswd_edge.errors import DecodeError, RefusedError, WriteError
from pswd_edge.field.drivers.codec import BCD, FORMATS, decode, encode
from pswd_edge.field.drivers.modbus_write import check_written, write_pdu
from pswd_edge.field.drivers.plan import WORDS
from pswd_edge.model.point import ModbusAddress, Point, WriteRule
from tests.field.fieldmaker import frame, modbus_device, modbus_point, opened, raw_device

DEVICE = modbus_device(unit=3)
ORDERS = [("big", "big"), ("big", "little"), ("little", "big"), ("little", "little")]
NUMBERS = [t for t in FORMATS if t != "bit" and t not in BCD]


def pdu_of(point: Point, value: float) -> str:
    address = point.address
    assert isinstance(address, ModbusAddress)
    return write_pdu(point, address, value, 0).hex()


@pytest.mark.parametrize(("function", "type_", "value", "pdu"), [
    (0, "uint16", 7.0, "0600050007"), (6, "uint16", 7.0, "0600050007"), (16, "uint16", 7.0, "1000050001020007"),
    (23, "uint16", 7.0, "1700050001000500010200" + "07"),
    (0, "float32", 100.0, "10000500020442c80000"), (16, "float32", 100.0, "10000500020442c80000"),
    (23, "float32", 100.0, "17000500020005000204" + "42c80000"),
    (23, "int64", -2.0, "17000500040005000408" + "f" * 15 + "e"),
])
def test_a_register_is_written_by_its_function(function: int, type_: str, value: float, pdu: str) -> None:
    """Typed from Modbus V1.1b3, 6.6, 6.12 and 6.17: some devices take 16 only, even for one register."""
    assert pdu_of(modbus_point(5, type_, write_function=function), value) == pdu


@pytest.mark.parametrize(("function", "value", "pdu"), [
    (0, 1.0, "050005ff00"), (5, 0.0, "0500050000"), (15, 1.0, "0f000500010101"), (15, 0.0, "0f000500010100"),
])
def test_a_coil_is_written_by_its_function(function: int, value: float, pdu: str) -> None:
    """Modbus V1.1b3, 6.5 and 6.11."""
    assert pdu_of(modbus_point(5, "bit", kind="coil", write_function=function), value) == pdu


@pytest.mark.parametrize(("kind", "type_", "function"), [
    ("holding", "float32", 6), ("holding", "uint16", 5), ("holding", "uint16", 15), ("coil", "bit", 16),
    ("coil", "bit", 23), ("holding", "uint16", 3),
])
def test_a_function_that_cannot_write_the_point_writes_nothing(kind: str, type_: str, function: int) -> None:
    """Two words by two requests of function 6 would be half a set-point for a while."""
    point = modbus_point(5, type_, kind=kind, write_function=function)
    with pytest.raises(WriteError, match=f"got function {function}: expected one of .*; nothing was written"):
        pdu_of(point, 1.0)


@pytest.mark.parametrize("echo", ["1000050002", "1000060001", "10000500", "1000050001ff", "90"])
def test_row_22_an_echo_that_differs_is_no_confirmation(echo: str) -> None:
    """The device confirmed something else than what it was told."""
    point = modbus_point(5, write_function=16)
    with pytest.raises(DecodeError, match=r"write dev0.p0: got .*: expected the echo 1000050001"):
        check_written(point, bytes.fromhex("1000050001020007"), bytes.fromhex(echo), 7.0, 0)


WRITE_23 = bytes.fromhex("170005000100050001020064")
RULE = WriteRule(minimum=0, maximum=1000, tolerance=0.5, read_back=0)


@pytest.mark.parametrize(("point", "answer"), [
    (modbus_point(5, write=RULE), "17020064"),
    (modbus_point(5, write=WriteRule(0, 1000, tolerance=2.0, read_back=0)), "17020062"),   # within the tolerance
    (modbus_point(5, write=WriteRule(0, 1000, read_back=8)), "17020000"),                  # another point shows it
    (modbus_point(5, write=RULE, readable=False), "17020000"),                             # it shows nothing
])
def test_row_22_function_23_reads_back_what_it_wrote(point: Point, answer: str) -> None:
    """Written and shown in one exchange: the same registers, judged as any read-back is."""
    check_written(point, WRITE_23, bytes.fromhex(answer), 100.0, 0)


@pytest.mark.parametrize("answer", ["17020063", "1702ffff", "17020000"])
def test_row_22_a_write_that_the_device_does_not_show_has_failed(answer: str) -> None:
    """Peers' writes "succeeded" and did not apply. 0xffff is the point's marker: not available is no value."""
    point = modbus_point(5, write=RULE, invalid=(65535.0,))
    with pytest.raises(RefusedError, match=r"the device shows .* after 100 was written: expected it within 0.5"):
        check_written(point, WRITE_23, bytes.fromhex(answer), 100.0, 0)


@pytest.mark.parametrize("answer", ["1702", "170400640000", "03020064", "17020064ff", "17"])
def test_an_answer_to_23_of_another_shape_proves_nothing(answer: str) -> None:
    """Too short, too long, another function."""
    with pytest.raises(DecodeError, match=r"expected 1702 and 2 bytes"):
        check_written(modbus_point(5, write=RULE), WRITE_23, bytes.fromhex(answer), 100.0, 0)


async def test_row_22_the_driver_tells_a_write_that_was_not_applied() -> None:
    """By the whole road: the device answers function 23 with what it held before."""
    async with raw_device() as device, opened(device.port) as driver:
        device.misbehave = lambda t, u, pdu: [frame(t, u, bytes.fromhex("17020001"))]
        with pytest.raises(RefusedError, match="the device shows 1 W after 100 was written"):
            await driver.write(DEVICE, modbus_point(5, write=RULE, write_function=23), 100.0, 1.0)


# --- every type, every order, judged by struct and by printed digits --------------------------------------------------


def wire(packed: bytes, word_order: str, byte_order: str) -> bytes:
    """A big-endian value as a device of these orders has it."""
    words = [packed[i : i + 2] for i in range(0, len(packed), 2)]
    if word_order == "little":
        words.reverse()
    return b"".join(w[::-1] if byte_order == "little" else w for w in words)


def numbers(type_: str) -> Any:
    if type_.startswith("float"):
        return st.floats(allow_nan=False, allow_infinity=False, width=int(type_[5:]))  # type: ignore[arg-type]
    bits = 16 * WORDS[type_]
    low, high = (0, 2**bits - 1) if type_.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(max(low, -(2**53)), min(high, 2**53))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from(ORDERS), st.data())
def test_row_27_every_type_in_every_order_is_written_as_struct_says(
    type_: str, orders: tuple[str, str], data: st.DataObject
) -> None:
    """The bytes on the wire, not only that our own decoder understands them."""
    raw = data.draw(numbers(type_))
    point = modbus_point(0, type_, word_order=orders[0], byte_order=orders[1])
    expected = wire(struct.pack(FORMATS[type_], raw), *orders)
    assert encode(point, raw) == expected
    assert decode(point, expected) == raw


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(BCD), st.sampled_from(ORDERS), st.data())
def test_decimal_digits_are_read_back_as_they_are_printed(
    type_: str, orders: tuple[str, str], data: st.DataObject
) -> None:
    """A digit above nine is no number."""
    size = 4 * WORDS[type_]
    digits = data.draw(st.text("0123456789", min_size=size, max_size=size))
    point = modbus_point(0, type_, word_order=orders[0], byte_order=orders[1])
    assert decode(point, wire(bytes.fromhex(digits), *orders)) == int(digits)
    wrong = "a" + digits[1:]
    assert math.isnan(decode(point, wire(bytes.fromhex(wrong), *orders)))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([t for t in NUMBERS if "int" in t]), st.sampled_from(ORDERS), st.integers(0, 16), st.data())
def test_binary_fixed_point_is_written_and_read_without_loss(
    type_: str, orders: tuple[str, str], places: int, data: st.DataObject
) -> None:
    """2^-n is a float without rounding: every raw number comes back as itself."""
    raw = data.draw(numbers(type_))
    point = modbus_point(0, type_, word_order=orders[0], byte_order=orders[1], scale=1 / 2.0**places)
    packed = wire(struct.pack(FORMATS[type_], raw), *orders)
    assert decode(point, packed) == raw / 2.0**places
    assert encode(point, raw / 2.0**places) == packed
