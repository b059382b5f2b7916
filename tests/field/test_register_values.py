"""Registers to values and back: the decoder and the codec, with `struct` as the judge."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pswd_edge.errors import WriteError
from pswd_edge.field.decoder import Decoder
from pswd_edge.field.drivers.codec import BCD, FORMATS, encode
from pswd_edge.field.drivers.plan import WORDS
from pswd_edge.model.point import OpcUaAddress, Point
from pswd_edge.model.quality import Reason
from tests.field.fieldmaker import modbus_point, request_of

ORDERS = [("big", "big"), ("big", "little"), ("little", "big"), ("little", "little")]
NUMBERS = [t for t in FORMATS if t != "bit" and t not in BCD]
WIDTHS = {"uint16": 16, "uint32": 32, "uint64": 64}


def decode(points: list[Point], answer: bytes) -> tuple[list[float], list[int]]:
    """Values and marks of the points of one request."""
    (request,) = request_of(points)
    decoder = Decoder([request], [0], np.frombuffer(answer, np.uint8))
    values = decoder.decode()
    order = np.argsort(decoder.points)
    return values[order].tolist(), decoder.marked[order].tolist()


def one(answer: str, type_: str, **more: Any) -> float:
    return decode([modbus_point(0, type_, **more)], bytes.fromhex(answer))[0][0]


def wire(packed: bytes, word_order: str, byte_order: str) -> bytes:
    """A big-endian value as a device of these orders sends it."""
    words = [packed[i : i + 2] for i in range(0, len(packed), 2)]
    if word_order == "little":
        words.reverse()
    return b"".join(w[::-1] if byte_order == "little" else w for w in words)


@pytest.mark.parametrize(("raw", "type_", "more", "value"), [
    ("ffff", "int16", {}, -1.0),
    ("ffff", "uint16", {}, 65535.0),
    ("7fff", "int16", {"scale": 0.1}, 3276.7),
    ("fffe7960", "int32", {}, -100000.0),
    ("7960fffe", "int32", {"word_order": "little"}, -100000.0),
    ("feff6079", "int32", {"byte_order": "little"}, -100000.0),
    ("6079feff", "int32", {"word_order": "little", "byte_order": "little"}, -100000.0),
    ("00010000", "uint32", {"scale": 1000.0}, 65536000.0),
    ("42c80000", "float32", {}, 100.0),
    ("000042c8", "float32", {"word_order": "little"}, 100.0),
    ("c0490fdb", "float32", {}, -3.1415927410125732),
    ("3ff8000000000000", "float64", {}, 1.5),
    ("3c00", "float16", {}, 1.0),
    ("c100", "float16", {"scale": 10.0}, -25.0),
    ("ff7b", "float16", {"byte_order": "little"}, 65504.0),                     # 7bff, the largest
    ("0001", "float16", {}, 2.0**-24),                                          # the smallest
    ("1234", "bcd16", {}, 1234.0),
    ("0950", "bcd16", {"scale": 0.1, "offset": -50.0}, 45.0),
    ("3412", "bcd16", {"byte_order": "little"}, 1234.0),
    ("12345678", "bcd32", {}, 12345678.0),
    ("56781234", "bcd32", {"word_order": "little"}, 12345678.0),
    ("34127856", "bcd32", {"byte_order": "little"}, 12345678.0),
    ("78563412", "bcd32", {"word_order": "little", "byte_order": "little", "scale": 1000.0}, 12345678000.0),
    ("a5c3", "uint16", {"bits": (0, 3)}, 3.0),
    ("a5c3", "uint16", {"bits": (12, 15)}, 10.0),
    ("a5c3", "uint16", {"bits": (6, 10)}, 23.0),                                # 10100 10111 000011
    ("a5c3", "uint16", {"bits": (15, 15)}, 1.0),
    ("a5c3", "uint16", {"bits": (0, 15)}, 42435.0),
    ("c3a5", "uint16", {"bits": (12, 15), "byte_order": "little", "scale": 0.5, "offset": 1.0}, 6.0),
    ("0001f000", "uint32", {"bits": (12, 16)}, 31.0),
    ("f0000001", "uint32", {"bits": (12, 16), "word_order": "little"}, 31.0),
    ("8000000000000000", "uint64", {"bits": (60, 63)}, 8.0),
    ("ffffffffffffff9c", "int64", {}, -100.0),
    ("00000000000186a0", "uint64", {"scale": 0.001}, 100.0),
    ("0bb8", "uint16", {"scale": 0.1, "offset": -300.0}, 0.0),      # 3000 + 10 per degree, device facts 5.0
    ("0bad", "uint16", {"scale": 0.1, "offset": -273.15}, 25.75),   # tenths of a kelvin
    ("0064", "uint16", {"scale": 1 / 256}, 0.390625),               # fixed point with 8 binary places
])
def test_values_typed_by_hand(raw: str, type_: str, more: dict[str, Any], value: float) -> None:
    """Worked out on paper, so that decoder and codec cannot agree on the same mistake."""
    assert one(raw, type_, **more) == pytest.approx(value, rel=1e-12, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from(ORDERS), st.binary(min_size=8, max_size=8),
       st.integers(0, 20), st.sampled_from([1.0, 0.1, -1.0, 1000.0]), st.sampled_from([0.0, -273.15]))
def test_every_type_in_every_order_is_what_struct_says(
    type_: str, orders: tuple[str, str], noise: bytes, before: int, scale: float, offset: float
) -> None:
    """Any bytes, at any place in the answer."""
    packed = noise[: 2 * WORDS[type_]]
    point = modbus_point(before, type_, word_order=orders[0], byte_order=orders[1], scale=scale, offset=offset, index=1)
    values, marked = decode([modbus_point(0), point], (b"\0\0" * before + wire(packed, *orders)).ljust(2, b"\0"))
    raw = float(struct.unpack(FORMATS[type_], packed)[0])
    expected = raw * scale + offset
    assert marked == [0, 0]
    if math.isfinite(expected):
        assert values[1] == pytest.approx(expected, rel=1e-12)
    else:
        assert not math.isfinite(values[1])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(BCD), st.sampled_from(ORDERS), st.data(), st.integers(0, 20), st.sampled_from([1.0, 0.1]))
def test_bcd_is_read_as_its_digits_are_printed(
    type_: str, orders: tuple[str, str], data: st.DataObject, before: int, scale: float
) -> None:
    """The digits of the hexadecimal dump are the number, at any place in the answer."""
    size = 4 * WORDS[type_]
    digits = data.draw(st.text("0123456789", min_size=size, max_size=size))
    points = [modbus_point(0), modbus_point(before + 1, type_, word_order=orders[0], byte_order=orders[1], scale=scale,
                                            index=1)]
    values, marked = decode(points, b"\0\0" * (before + 1) + wire(bytes.fromhex(digits), *orders))
    assert marked == [0, 0]
    assert values[1] == pytest.approx(int(digits) * scale, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(BCD), st.sampled_from(ORDERS), st.data())
def test_a_bcd_digit_above_nine_is_no_number(type_: str, orders: tuple[str, str], data: st.DataObject) -> None:
    """0x1A34 is not 2034: something else than BCD is in this register. Its neighbours keep their numbers."""
    size = 4 * WORDS[type_]
    digits = data.draw(st.text("0123456789", min_size=size, max_size=size))
    at = data.draw(st.integers(0, size - 1))
    wrong = digits[:at] + data.draw(st.sampled_from("abcdef")) + digits[at + 1 :]
    more = {"word_order": orders[0], "byte_order": orders[1]}
    points = [modbus_point(n * WORDS[type_], type_, index=n, **more) for n in range(3)]
    answer = b"".join(wire(bytes.fromhex(d), *orders) for d in (digits, wrong, digits))
    values, marked = decode(points, answer)
    assert marked == [0, Reason.UNDECODABLE, 0]
    assert math.isnan(values[1])
    assert values[0] == values[2] == int(digits)


def test_a_wrong_bcd_digit_does_not_stay_when_the_next_answer_is_right() -> None:
    """Marks are of one answer: the array that holds them is used again in every cycle."""
    raw = np.frombuffer(bytes.fromhex("12f4"), np.uint8).copy()
    (request,) = request_of([modbus_point(0, "bcd16")])
    decoder = Decoder([request], [0], raw)
    assert math.isnan(decoder.decode()[0])
    raw[1] = 0x34
    assert decoder.decode().tolist() == [1234.0]
    assert decoder.marked.tolist() == [0]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(WIDTHS)), st.sampled_from(ORDERS), st.data(), st.integers(0, 20))
def test_a_bit_field_is_what_stands_there_in_binary(
    type_: str, orders: tuple[str, str], data: st.DataObject, before: int
) -> None:
    """The judge is the word written out in binary: no shift or mask is shared with the decoder."""
    width = WIDTHS[type_]
    binary = data.draw(st.text("01", min_size=width, max_size=width))
    low, high = sorted((data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, width - 1))))
    more = {"word_order": orders[0], "byte_order": orders[1]}
    points = [modbus_point(0), modbus_point(before + 1, type_, bits=(low, high), index=1, **more),
              modbus_point(before + 1, type_, index=2, **more)]
    packed = int(binary, 2).to_bytes(width // 8, "big")
    values, marked = decode(points, b"\0\0" * (before + 1) + wire(packed, *orders))
    assert marked == [0, 0, 0]
    assert values == [0.0, float(int(binary[width - 1 - high : width - low], 2)), float(int(binary, 2))]


def test_a_marker_of_a_bit_field_is_compared_with_the_field() -> None:
    """15 in four bits is "not available", whatever the other twelve say; 15 beside them is nothing of the kind."""
    points = [modbus_point(0, bits=(4, 7), invalid=(15.0,)), modbus_point(0, bits=(0, 3), index=1),
              modbus_point(0, bits=(8, 15), index=2, invalid=(15.0,))]
    assert decode(points, bytes.fromhex("12ff"))[1] == [Reason.SENTINEL, 0, 0]
    assert decode(points, bytes.fromhex("0f0f")) == ([0.0, 15.0, pytest.approx(math.nan, nan_ok=True)],
                                                     [0, 0, Reason.SENTINEL])


def test_a_bit_field_is_multiplied_by_a_scale_register_like_any_number() -> None:
    """Scale, offset and scale register come after the field is cut out."""
    assert one("03450002", "uint16", bits=(0, 7), scale_register=1, scale=0.5) == 3450.0


def test_a_bit_field_is_not_written() -> None:
    """The register's other bits would be written along, with whatever they were a moment ago."""
    with pytest.raises(WriteError, match=r"dev0\.p0: got bits 4 to 7 of a uint16: expected a whole one; nothing"):
        encode(modbus_point(0, bits=(4, 7)), 1.0)


@pytest.mark.parametrize(("type_", "marker", "raw"), [
    ("int16", -32768.0, "8000"), ("uint16", 65535.0, "ffff"), ("int32", -(2.0**31), "80000000"),
    ("uint32", 2.0**32 - 1, "ffffffff"), ("int64", -(2.0**63), "8000000000000000"),
    ("uint64", 2.0**64 - 1, "ffffffffffffffff"), ("float32", -9999.9, struct.pack(">f", -9999.9).hex()),
    ("float64", -9999.9, struct.pack(">d", -9999.9).hex()),
    ("float16", -9999.9, struct.pack(">e", -9999.9).hex()),
    ("bcd16", 9999.0, "9999"), ("bcd32", 99999999.0, "99999999"),
])
@pytest.mark.parametrize("orders", ORDERS)
def test_the_marker_for_not_available_is_no_value(type_: str, marker: float, raw: str, orders: tuple[str, str]) -> None:
    """All ones is not 1.8e19 W; and -9999.9 is another number once a float32 has rounded it."""
    point = modbus_point(0, type_, invalid=(123.0, marker), word_order=orders[0], byte_order=orders[1])
    values, marked = decode([point], wire(bytes.fromhex(raw), *orders))
    assert math.isnan(values[0])
    assert marked == [Reason.SENTINEL]


def test_a_marker_belongs_to_its_own_point() -> None:
    """The decoder works in columns: a neighbour without markers must keep its 65535."""
    points = [modbus_point(0, invalid=(65535.0,)), modbus_point(1, index=1),
              modbus_point(2, index=2, invalid=(0.0, 7.0))]
    assert decode(points, bytes.fromhex("ffffffff0007"))[1] == [Reason.SENTINEL, 0, Reason.SENTINEL]
    assert decode(points, bytes.fromhex("0001ffff0008")) == ([1.0, 65535.0, 8.0], [0, 0, 0])


@pytest.mark.parametrize("raw", ["7fc00000", "ffc00000", "7f800001", "7f800000", "ff800000"])
def test_nan_and_infinity_are_not_finite_and_make_no_noise(raw: str) -> None:
    """A signalling NaN makes numpy warn at every poll; an infinity would pass every upper limit that is infinite."""
    assert not math.isfinite(one(raw, "float32", scale=0.1))


@pytest.mark.parametrize(("power", "value"), [("0000", 123.0), ("0003", 123000.0), ("fffe", 1.23), ("000a", 1.23e12),
                                              ("fff6", 1.23e-8)])
def test_a_scale_register_multiplies_by_its_power_of_ten(power: str, value: float) -> None:
    """SunSpec scale factors: -10 to 10, beside the value."""
    assert one("007b" + power, "int16", scale_register=1) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("power", "reason"), [("8000", Reason.SENTINEL), ("000b", Reason.UNDECODABLE),
                                               ("fff5", Reason.UNDECODABLE), ("7fff", Reason.UNDECODABLE)])
def test_a_scale_register_without_a_power_makes_no_value(power: str, reason: Reason) -> None:
    """0x8000 says that the point is absent; 11 is not 10: to bend it into range would be to invent a value."""
    points = [modbus_point(0, "int16", scale_register=1), modbus_point(1, "int16", index=1)]
    values, marked = decode(points, bytes.fromhex("007b" + power))
    assert math.isnan(values[0])
    assert marked == [reason, 0]


@pytest.mark.parametrize("kind", ["coil", "discrete"])
def test_coils_and_discrete_inputs_come_lowest_bit_first(kind: str) -> None:
    """Modbus V1.1b3, 6.1: the first coil is the least significant bit of the first byte."""
    points = [modbus_point(r, "bit", kind=kind, index=r - 100) for r in range(100, 111)]
    assert decode(points, bytes.fromhex("cd06"))[0] == [1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 0xFFFF))
def test_bit_n_of_a_register_is_bit_n(word: int) -> None:
    """0 is the least significant: alarm words are numbered so."""
    points = [modbus_point(3, "bit", bit=b, index=b) for b in range(16)]
    assert decode(points, word.to_bytes(2, "big"))[0] == [(word >> b) & 1 for b in range(16)]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from(ORDERS), st.data(), st.sampled_from([1.0, 0.5, -1.0]),
       st.integers(-3, 3))
def test_what_is_written_is_what_is_read(
    type_: str, orders: tuple[str, str], data: st.DataObject, scale: float, power: int
) -> None:
    """Through the codec and back through the decoder, scale register included."""
    bits = 16 * WORDS[type_]
    low, high = (0, 2**bits - 1) if type_.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    limit = 2**50  # beyond it float64 cannot tell every integer apart
    raw = data.draw(st.integers(max(low, -limit), min(high, limit)) if "int" in type_ else
                    st.floats(-60000.0, 60000.0, width=16).filter(lambda f: f == 0 or abs(f) > 1e-4)
                    if type_ == "float16" else
                    st.floats(-(2.0**90), 2.0**90, width=32).filter(lambda f: f == 0 or abs(f) > 1e-30))
    value = raw * scale * 10.0**power
    point = modbus_point(0, type_, word_order=orders[0], byte_order=orders[1], scale=scale, scale_register=WORDS[type_])
    written = encode(point, value, power) + struct.pack(">h", power)
    precision = {"float16": 1e-3, "float32": 1e-6}.get(type_, 1e-12)
    assert decode([point], written)[0][0] == pytest.approx(value, rel=precision)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(BCD), st.sampled_from(ORDERS), st.data())
def test_bcd_is_written_as_its_digits(type_: str, orders: tuple[str, str], data: st.DataObject) -> None:
    """Leading zeros included; judged by the printed number."""
    size = 4 * WORDS[type_]
    number = data.draw(st.integers(0, 10**size - 1))
    point = modbus_point(0, type_, word_order=orders[0], byte_order=orders[1], scale=0.1)
    assert encode(point, number * 0.1) == wire(bytes.fromhex(str(number).zfill(size)), *orders)


@pytest.mark.parametrize(("type_", "value", "more"), [
    ("int16", 32768.0, {}), ("int16", -32769.0, {}), ("uint16", -1.0, {}), ("uint16", 65536.0, {}),
    ("uint16", 6553.6, {"scale": 0.1}), ("int32", 2.0**31, {}), ("uint32", -0.6, {}), ("int64", 2.0**63, {}),
    ("uint64", 2.0**64, {}), ("float32", 1e39, {}),
    ("float16", 65536.0, {}), ("float16", 65504.0, {"scale": 0.1}), ("float16", -9999.0, {"invalid": (-9999.9,)}),
    ("bcd16", 10000.0, {}), ("bcd16", -1.0, {}), ("bcd16", -10.0, {"offset": -5.0}), ("bcd32", 1e8, {}),
    ("bcd16", math.nan, {}), ("bcd32", 999.9, {"scale": 0.1, "invalid": (9999.0,)}), ("bcd16", 1e300, {}),
    ("int16", math.nan, {}), ("float32", math.nan, {}), ("float64", math.inf, {}), ("float32", -math.inf, {}),
    ("uint16", math.inf, {}),
    ("int16", -32768.0, {"invalid": (-32768.0,)}), ("uint16", 6553.5, {"scale": 0.1, "invalid": (65535.0,)}),
])
def test_what_a_type_cannot_hold_is_not_written(type_: str, value: float, more: dict[str, Any]) -> None:
    """Cut to 16 bits, 32768 W becomes -32768 W: full discharge becomes full charge. A marker is no value either."""
    with pytest.raises(WriteError, match=r"dev0.p0: .*nothing was written"):
        encode(modbus_point(0, type_, **more), value)


def test_a_point_of_another_protocol_is_not_encoded() -> None:
    """A wrong map is an error with a name, not a traceback."""
    with pytest.raises(WriteError, match="expected a Modbus address"):
        encode(Point(0, "p", 0, "s", "W", OpcUaAddress("i=1")), 1.0)
