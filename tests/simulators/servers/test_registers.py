"""The register space against raw words typed by hand."""

import math

import numpy as np
import pytest
from fake_plant import ANY, device, face_of, modbus, space_of

from pswd_edge.field.decoder import Decoder
from pswd_edge.field.drivers.modbus import ModbusDriver
from simulators.servers.pdu import answer
from simulators.servers.ranges import choose_exponents, usual_limit
from simulators.servers.registers import RefusedRequest, RegisterSpace
from simulators.servers.sunspec import ChainLink


@pytest.mark.parametrize(
    ("point", "value", "words"),
    [
        (modbus("p", 0, "float32"), 100.0, "42c80000"),
        (modbus("p", 0, "float32", word_order="little"), 100.0, "000042c8"),
        (modbus("p", 0, "float32", byte_order="little"), 100.0, "c8420000"),
        (modbus("p", 0, "float32", scale=1000.0), 100_000.0, "42c80000"),
        (modbus("p", 0, "int32", word_order="little"), 70_000.0, "11700001"),
        (modbus("p", 0, "int16"), -2.0, "fffe"),
        (modbus("p", 0, "uint16", unit="degC", scale=0.1, offset=-273.15), 26.85, "0bb8"),
        (modbus("p", 0, "int64"), 4_294_967_297.0, "0000000100000001"),
        (modbus("p", 0, "float64"), 1.5, "3ff8000000000000"),
        (modbus("p", 0, "int16", invalid=(-32768.0,)), math.nan, "8000"),
        (modbus("p", 0, "uint16", invalid=(65535.0,)), math.nan, "ffff"),
        (modbus("p", 0, "int32", invalid=(2147483648.0,)), math.nan, "80000000"),
        (modbus("p", 0, "float32"), math.nan, "7fc00000"),
        (modbus("p", 0, "int16", invalid=(-32768.0,)), -1e9, "8001"),
        (modbus("p", 0, "uint16", invalid=(65535.0,)), 1e9, "fffe"),
        (modbus("p", 0, "float16"), -2.5, "c100"),
        (modbus("p", 0, "float16", byte_order="little"), 1.0, "003c"),
        (modbus("p", 0, "float16"), 1e9, "7bff"),
        (modbus("p", 0, "float16", invalid=(65504.0,)), 1e9, "7bfe"),
        (modbus("p", 0, "float16"), math.nan, "7e00"),
        (modbus("p", 0, "bcd16"), 950.0, "0950"),
        (modbus("p", 0, "bcd16", scale=0.1, offset=-50.0), 45.0, "0950"),
        (modbus("p", 0, "bcd16"), -5.0, "0000"),
        (modbus("p", 0, "bcd16"), 1e9, "9999"),
        (modbus("p", 0, "bcd16", invalid=(9999.0,)), 1e9, "9998"),
        (modbus("p", 0, "bcd16", invalid=(9999.0,)), math.nan, "9999"),
        (modbus("p", 0, "bcd16"), math.nan, "ffff"),
        (modbus("p", 0, "bcd32"), 1_234_567.0, "01234567"),
        (modbus("p", 0, "bcd32", word_order="little"), 1_234_567.0, "45670123"),
        (modbus("p", 0, "bcd32", word_order="little", byte_order="little"), 1_234_567.0, "67452301"),
        (modbus("p", 0, "uint16", bits=(4, 7)), 10.0, "00a0"),
        (modbus("p", 0, "uint16", bits=(4, 7), byte_order="little"), 10.0, "a000"),
        (modbus("p", 0, "uint16", bits=(4, 7)), 99.0, "00f0"),
        (modbus("p", 0, "uint16", bits=(4, 7), invalid=(15.0,)), 99.0, "00e0"),
        (modbus("p", 0, "uint16", bits=(4, 7), invalid=(15.0,)), math.nan, "00f0"),
        (modbus("p", 0, "uint32", bits=(12, 16)), 31.0, "0001f000"),
        (modbus("p", 0, "uint32", bits=(12, 16), word_order="little"), 31.0, "f0000001"),
        (modbus("p", 0, "uint64", bits=(60, 63)), 8.0, "8000000000000000"),
    ],
)
def test_a_value_becomes_these_words(point, value, words):
    """Typed from the definitions of the types, so that an error on both sides of our own code cannot hide itself."""
    space, _ = space_of([point], {"p": value})

    assert space.read_words("holding", 0, len(words) // 4).hex() == words


def test_a_sunspec_point_has_its_scale_factor_beside_it():
    """100 MW in an int16 of W: 10000 and a factor of 4, both in one answer."""
    point = modbus("p", 10, "int16", scale_register=12, minimum=-100e6, maximum=100e6)
    space, _ = space_of([point], {"p": 100e6})

    assert space.read_words("holding", 10, 3).hex() == "2710" + "0000" + "0004"


def test_points_that_share_a_scale_register_share_the_coarser_factor():
    """One register cannot hold two factors."""
    small = modbus("a", 0, "int16", scale_register=9, maximum=3e3, minimum=0.0)
    large = modbus("b", 1, "int16", scale_register=9, maximum=3e6, minimum=0.0)

    assert choose_exponents([small, large], usual_limit) == {9: 2}


def test_a_point_that_reads_the_scale_register_does_not_overwrite_it():
    """Maps may name a scale register as a point of its own."""
    points = [modbus("p", 0, "int16", scale_register=5, minimum=-1e6, maximum=1e6), modbus("sf", 5, "int16")]
    space, _ = space_of(points, {"p": 1e6})

    assert space.read_words("holding", 5, 1).hex() == "0002"


def test_a_percent_has_hundredths():
    """SunSpec 713: SoC 55.5 % is 5550 with a factor of -2."""
    point = modbus("soc", 0, "uint16", unit="%", scale_register=1, minimum=0.0, maximum=100.0)
    space, _ = space_of([point], {"soc": 55.5})

    assert space.read_words("holding", 0, 2).hex() == "15ae" + "fffe"


SUNSPEC = [
    modbus("power_w", 10, "int16", scale_register=116, model=701), modbus("power_setpoint_w", 24, "int32", model=704),
    modbus("soc_percent", 4, "uint16", model=713), modbus("heartbeat", 5, "uint32", model=715),
]


def walk(space: RegisterSpace, base: int = 40000) -> list[tuple[int, int]]:
    assert space.read_words("holding", base, 2) == b"SunS"
    found, at = [], base + 2
    while True:
        model, length = (int.from_bytes(space.read_words("holding", at + i, 1), "big") for i in (0, 1))
        found.append((model, length))
        if model == 0xFFFF:
            return found
        at += 2 + length


def test_sunspec_models_can_be_walked_from_the_marker():
    """A client that finds its way by ids and lengths must end at the end model and meet each id on the way."""
    face, _, _ = face_of(SUNSPEC, {p.signal: 0.0 for p in SUNSPEC}, kind="battery")

    assert walk(RegisterSpace(face)) == [(1, 66), (701, 153), (704, 65), (713, 7), (715, 7), (0xFFFF, 0)]


def test_sunspec_models_stand_in_the_order_and_at_the_base_that_a_test_asks_for():
    """Other firmware, other order, models that nobody knows: the points go with their models."""
    face, _, _ = face_of(SUNSPEC, {"power_w": 1e6, "heartbeat": 7.0}, kind="battery")
    chain = [ChainLink(715, 7), ChainLink(64999, 3), ChainLink(701, 153), ChainLink(1, 65)]
    space = RegisterSpace(face, chain=chain, base=50000)

    assert walk(space, 50000) == [(715, 7), (64999, 3), (701, 153), (1, 65), (0xFFFF, 0)]
    assert space.read_words("holding", 50002 + 5, 2).hex() == "00000007"
    model_701 = 50002 + 9 + 5
    assert space.read_words("holding", model_701 + 10, 1).hex() == "0064"
    assert space.read_words("holding", model_701 + 116, 1).hex() == "0004"
    with pytest.raises(RefusedRequest):
        space.read_words("holding", 40000, 2)


def test_a_text_is_shown_in_the_order_of_its_words_and_bytes():
    """"dut name" in four registers, filled with NUL."""
    points = [modbus("name", 0, "string", length=5, unit="1"),
              modbus("swapped", 9, "string", length=2, unit="1", word_order="little", byte_order="little")]
    space, _ = space_of(points, {})

    assert space.read_words("holding", 0, 5) == b"dut name\0\0"
    assert space.read_words("holding", 9, 2) == b" tud"


def test_holes_read_zero_inside_a_block_and_are_refused_alone():
    """Most devices do so; planners bridge holes because of it."""
    space, _ = space_of([modbus("a", 10, "uint16"), modbus("b", 14, "uint16")], {"a": 1.0, "b": 2.0})

    assert space.read_words("holding", 10, 5).hex() == "0001" + "0000" * 3 + "0002"
    for kind, start, count in (("holding", 11, 3), ("holding", 15, 1), ("input", 10, 1), ("holding", 65535, 2)):
        with pytest.raises(RefusedRequest) as refused:
            space.read_words(kind, start, count)
        assert refused.value.code == 2


def test_a_strict_device_refuses_a_block_with_a_hole():
    """Others refuse the whole block: what bisecting in the planner is for."""
    face, _, _ = face_of([modbus("a", 10, "uint16"), modbus("b", 12, "uint16")], {"a": 1.0, "b": 2.0})
    space = RegisterSpace(face, reserved_reads_zero=False)

    assert space.read_words("holding", 10, 1).hex() == "0001"
    with pytest.raises(RefusedRequest):
        space.read_words("holding", 10, 3)


def test_a_write_reaches_the_plant_in_si_and_reads_back():
    """Raw to SI goes through scale and word order, and the register shows it before the next refresh."""
    space, plant = space_of([modbus("p", 4, "int32", scale=1000.0, word_order="little", write=ANY)], {"p": 0.0})

    space.write_words(4, bytes.fromhex("fff6ffff"))

    assert plant.written == [("dut", "p", -10_000.0)]
    assert space.read_words("holding", 4, 2).hex() == "fff6ffff"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("06 0009 0001", 2),                 # absent
        ("06 0000 0001", 2),                 # read-only
        ("06 0004 0001", 3),                 # half of a value
        ("06 0005 0001", 3),                 # its other half
        ("10 0004 0002 04 7fc00000", 3),     # NaN
        ("10 0004 0002 04 4f000000", 3),     # refused by the plant: 2147483648
        ("10 0004 0002 03 42c800", 3),       # byte count
        ("03 0000 007e", 3),                 # 126 registers
        ("03 0000 0000", 3),
        ("03 00", 3),
        ("2b 0e 01 00", 1),                  # function
    ],
)
def test_what_cannot_be_done_is_refused_with_this_code(request_, code):
    """Exception codes of chapter 7; a client tells "no such address" from "no such value" by them."""
    space, plant = space_of([modbus("ro", 0, "uint16"), modbus("p", 4, write=ANY)], {"ro": 1.0, "p": 0.0})
    request = bytes.fromhex(request_)

    assert answer(space, request) == bytes((request[0] | 0x80, code))
    assert plant.written == []


def test_bits_of_a_register_keep_their_neighbours():
    """Two switches in one register: a write to it is a write to both, a refresh of one leaves the other."""
    points = [modbus("low", 3, "bit", bit=0, write=ANY), modbus("high", 3, "bit", bit=9, write=ANY)]
    space, plant = space_of(points, {"low": 0.0, "high": 1.0})
    assert space.read_words("holding", 3, 1).hex() == "0200"

    space.write_words(3, bytes.fromhex("0001"))

    assert plant.written == [("dut", "low", 1.0), ("dut", "high", 0.0)]
    space.refresh()
    assert space.read_words("holding", 3, 1).hex() == "0001"


def test_fields_of_a_register_keep_their_neighbours():
    """Each field moves alone, and a row that has the whole register does not wipe them out."""
    points = [modbus("low", 3, "uint16", bits=(0, 3)), modbus("high", 3, "uint16", bits=(8, 15)),
              modbus("word", 3, "uint16")]
    space, plant = space_of(points, {"low": 5.0, "high": 200.0, "word": 0.0})
    assert space.read_words("holding", 3, 1).hex() == "c805"

    plant.shown["dut"]["low"] = 2.0
    space.face.refresh()
    space.refresh()

    assert space.read_words("holding", 3, 1).hex() == "c802"


def test_fields_of_a_wide_register_move_with_the_fault_word_order_and_leave_nothing_behind():
    """The fault swaps the words; what stood at the old place is gone, and comes back with the fault's end."""
    points = [modbus("low", 0, "uint32", bits=(0, 7)), modbus("high", 0, "uint32", bits=(20, 31))]
    face, _, faults = face_of(points, {"low": 0x12, "high": 0xABC})
    space = RegisterSpace(face)
    assert space.read_words("holding", 0, 2).hex() == "abc00012"

    for on, words in ((True, "0012abc0"), (False, "abc00012")):
        faults.set("dut", "word_order", on)
        face.refresh()
        space.refresh()
        assert space.read_words("holding", 0, 2).hex() == words


def test_a_field_is_not_written_by_a_client():
    """Modbus writes whole registers; the map lets no rule for a part of one pass."""
    space, _ = space_of([modbus("p", 0, "uint16", bits=(4, 7))], {"p": 3.0})

    assert answer(space, bytes.fromhex("06 0000 0001")) == bytes.fromhex("86 02")
    assert space.read_words("holding", 0, 1).hex() == "0030"


def test_bcd_is_taken_by_its_digits_and_refused_where_they_are_none():
    """0x0950 written to a limit is 950; 0x09f0 is exception 3."""
    space, plant = space_of([modbus("p", 0, "bcd16", scale=10.0, write=ANY)], {"p": 0.0})

    assert answer(space, bytes.fromhex("06 0000 0950")) == bytes.fromhex("06 0000 0950")
    assert answer(space, bytes.fromhex("06 0000 09f0")) == bytes.fromhex("86 03")

    assert plant.written == [("dut", "p", 9500.0)]
    assert space.read_words("holding", 0, 1).hex() == "0950"


@pytest.mark.parametrize("word_order", ["big", "little"])
@pytest.mark.parametrize("byte_order", ["big", "little"])
@pytest.mark.parametrize(("type_", "bits", "value"), [
    ("float16", None, -2.5), ("bcd16", None, 950.0), ("bcd32", None, 1_234_567.0),
    ("uint16", (3, 11), 300.0), ("uint32", (9, 30), 1e6), ("uint64", (5, 50), 1e12),
])
def test_what_the_simulator_shows_the_gateway_reads(word_order, byte_order, type_, bits, value):
    """In all orders, through the field's own planner and decoder; two codes that were written apart."""
    point = modbus("p", 4, type_, word_order=word_order, byte_order=byte_order, bits=bits)
    space, _ = space_of([point], {"p": value})
    (request,) = ModbusDriver({"host": "127.0.0.1", "port": 1}).plan(device(), [point])
    span = request.payload.span

    answered = np.frombuffer(space.read_words("holding", span.start, span.length), np.uint8)

    assert Decoder([request], [0], answered).decode().tolist() == [value]


def test_a_scale_factor_makes_a_value_fit_its_field_of_bits():
    """8 bits hold 255: 2 kW need a factor of 1."""
    point = modbus("p", 0, "uint16", bits=(8, 15), scale_register=1, minimum=0.0, maximum=2000.0)
    space, _ = space_of([point], {"p": 2000.0})

    assert space.read_words("holding", 0, 2).hex() == "c800" + "0001"


def test_an_enumeration_is_shown_in_the_words_of_the_map():
    """The plant says 1 for a running chiller, this one says 3: the label decides."""
    point = modbus("state", 0, "uint16", unit="1", labels={1: "off", 2: "start", 3: "run"})
    space, plant = space_of([point], {"state": 1.0}, kind="chiller")
    assert space.read_words("holding", 0, 1).hex() == "0003"

    plant.shown["dut"]["state"] = 0.0
    space.face.refresh()
    space.refresh()

    assert space.read_words("holding", 0, 1).hex() == "0001"


def test_what_the_plant_does_not_simulate_is_kept_by_the_device():
    """A set-point mode has no physics, and must still read back."""
    point = modbus("setpoint_mode", 0, "uint16", unit="1", write=ANY)
    space, plant = space_of([point], {"power_w": 0.0}, kind="battery")

    space.write_words(0, b"\0\0")
    space.face.refresh()
    space.refresh()

    assert plant.written == []
    assert space.read_words("holding", 0, 1).hex() == "0000"
