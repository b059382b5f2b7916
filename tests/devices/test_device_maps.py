"""Every bundled map against numbers typed by hand: registers as they stand on the wire, and what they mean in SI.

A simulator's layout comes from the map itself, and so agrees with each of its mistakes; these pairs do not.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from pswd_edge.config import load_map
from pswd_edge.config.map_form import MapFile, ModbusMap, ModbusRow
from pswd_edge.config.maps import MAP_FOLDERS, known_maps
from pswd_edge.config.points import PointContext, compile_points
from pswd_edge.field.decoder import Decoder
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.codec import encode
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.drivers.plan import Span
from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress, OpcUaAddress, Point, SnmpAddress
from pswd_edge.model.quality import Reason

ROOT = Path(__file__).parents[2]
CONTEXT = PointContext("unit", 0, 0, 100, frozenset(), 0, None)

PAIRS = yaml.safe_load((Path(__file__).parent / "map_pairs.yaml").read_text(encoding="utf-8"))
REGISTERS: dict[str, str] = PAIRS["registers"]
NUMBERS: dict[str, str] = PAIRS["numbers"]


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def pairs(table: dict[str, str]) -> list[tuple[str, ...]]:
    return [(name, *row) for name, text in table.items() for row in rows(text)]


def points_of(form: MapFile) -> dict[str, Point]:
    return {p.signal: p for p in compile_points(form, CONTEXT)}


def planned(form: MapFile, points: dict[str, Point]) -> list[ReadRequest]:
    """The requests of all readable points, under the map's own bounds."""
    assert isinstance(form, ModbusMap)
    device = Device(0, "unit", form.kind, 0, 1, form.map, 0, len(points),
                    form.max_registers, form.max_gap, form.barriers)
    return ModbusDriver({"host": "127.0.0.1", "port": 1}).plan(device, [p for p in points.values() if p.readable])


def answered(form: MapFile, registers: str, key: str) -> tuple[float, int, Point]:
    """Value and mark of one point, when the device's memory is 0 but for `registers`: planned, asked, decoded."""
    points = points_of(form)
    requests = planned(form, points)
    places, raw = [], bytearray()
    for request in requests:
        places.append(len(raw))
        raw += answer(request.payload.span, memory(registers))
    decoder = Decoder(requests, places, np.frombuffer(bytes(raw), np.uint8))
    values = decoder.decode()
    at = decoder.points.tolist().index(points[key].index)
    return float(values[at]), int(decoder.marked[at]), points[key]


def memory(registers: str) -> dict[tuple[str, int], int]:
    """Words (or bits) by kind and wire address, or by model and offset."""
    kinds = {"h": "holding", "i": "input", "c": "coil", "d": "discrete"}
    found = {}
    for part in registers.split("+"):
        where, _, words = part.partition("=")
        kind, at = kinds.get(where[0], where.partition(":")[0]), where.partition(":")[2] or where[1:]
        for n in range(0, len(words), 4):
            found[kind, int(at, 0) + n // 4] = int(words[n : n + 4], 16)
    return found


def answer(span: Span, found: dict[tuple[str, int], int]) -> bytes:
    """What the device sends for one request, as Modbus packs it."""
    kind = span.kind if span.model is None else f"m{span.model}"
    cells = [found.get((kind, r), 0) for r in range(span.start, span.start + span.length)]
    if span.kind in ("holding", "input"):
        return b"".join(cell.to_bytes(2, "big") for cell in cells)
    return sum(bit << n for n, bit in enumerate(cells)).to_bytes((len(cells) + 7) // 8, "little")


def agrees(point: Point, value: float, mark: int, expected: str) -> None:
    """Compare with what was typed: NA, NAN and OUT must not pass for a value, and a value must lie in the range."""
    if expected == "NA":
        assert mark == Reason.SENTINEL
    elif expected == "NAN":
        assert (mark, math.isfinite(value)) == (0, False)
    elif expected == "OUT":
        assert mark == 0
        assert not point.minimum <= value <= point.maximum
    else:
        assert mark == 0
        assert value == pytest.approx(float(expected), rel=1e-9, abs=1e-9)
        assert point.minimum <= value <= point.maximum


@pytest.mark.parametrize("name", known_maps(MAP_FOLDERS[:1]))
def test_every_map_has_five_pairs_of_three_points_at_least(name: str) -> None:
    """A map that nobody compared with numbers from outside is a guess."""
    found = rows((REGISTERS | NUMBERS)[name])
    assert len(found) >= 5
    assert len({row[0] for row in found}) >= 3


@pytest.mark.parametrize(("name", "key", "registers", "expected"), pairs(REGISTERS))
def test_registers_mean_what_the_manual_says(name: str, key: str, registers: str, expected: str) -> None:
    """Address, type, word order, scale, marker and unit at once, by the real planner and decoder."""
    value, mark, point = answered(load_map(name), registers, key)
    agrees(point, value, mark, expected)


@pytest.mark.parametrize(("name", "key", "address", "raw", "expected"), pairs(NUMBERS))
def test_numbers_mean_what_the_manual_says(name: str, key: str, address: str, raw: str, expected: str) -> None:
    """OPC UA and SNMP decode by themselves; the object, the scale and the unit are the map's."""
    point = points_of(load_map(name))[key]
    assert isinstance(point.address, OpcUaAddress | SnmpAddress)
    assert address == (point.address.node if isinstance(point.address, OpcUaAddress) else point.address.oid)
    agrees(point, float(raw) * point.scale + point.offset, 0, expected)


@pytest.mark.parametrize(("name", "key", "value", "power", "expected"), [tuple(row) for row in rows(PAIRS["writes"])])
def test_what_is_written_is_what_the_manual_says(name: str, key: str, value: str, power: str, expected: str) -> None:
    """A set-point of the wrong scale or sign is worse than a reading of the wrong scale or sign."""
    point = points_of(load_map(name))[key]
    assert point.write is not None
    assert point.write.minimum <= float(value) <= point.write.maximum
    assert encode(point, float(value), 0 if power == "-" else int(power)).hex() == expected


def test_low_word_first_is_one_word_in_the_map(tmp_path: Path) -> None:
    """Some meters send the low word of a float first (Schneider PM1200): read the other way it is a wild number."""
    text = (ROOT / "devices" / "schneider-pm5xxx.yaml").read_text(encoding="utf-8")
    path = tmp_path / "schneider-pm5xxx.yaml"
    path.write_text(text.replace("type: float32, every", "type: float32, word_order: little, every"), encoding="utf-8")
    swapped, straight = "h3059=0000c47a", "h3059=c47a0000"
    assert answered(load_map(path), swapped, "active_power_w")[0] == -1_000_000.0
    assert answered(load_map(path), straight, "active_power_w")[0] != -1_000_000.0
    assert answered(load_map("schneider-pm5xxx"), swapped, "active_power_w")[0] != -1_000_000.0


@pytest.mark.parametrize("name", known_maps(MAP_FOLDERS[:1]))
def test_a_command_that_shows_elsewhere_names_what_it_shows(name: str) -> None:
    """Every coded read-back covers what may be written, and only what its point can show."""
    form = load_map(name)
    points = points_of(form)
    for row in form.rows:
        if row.write is None or not row.write.read_back_values:
            continue
        written = range(int(row.write.min), int(row.write.max) + 1)
        shown = points[row.write.read_back or ""].labels
        assert set(row.write.read_back_values) == set(written)
        assert [shown[row.write.read_back_values[v]] for v in written] == [row.labels[v] for v in written]


@pytest.mark.parametrize("name", known_maps(MAP_FOLDERS[:1]))
def test_every_point_that_is_read_has_a_scale_beside_it_that_is_read_too(name: str) -> None:
    """Where a value has a scale register, the map shows it: a wrong exponent is found by looking.

    SunSpec rows are left out: which register that is is not typed by hand.
    """
    form = load_map(name)
    by_hand = {row.key for row in form.rows if isinstance(row, ModbusRow) and row.sunspec is None}
    points = [p for key, p in points_of(form).items() if key in by_hand]
    scales = {p.address.scale_register for p in points if isinstance(p.address, ModbusAddress)} - {None}
    shown = {p.address.register for p in points if isinstance(p.address, ModbusAddress) and p.maximum == 10}
    assert scales <= shown


@pytest.mark.parametrize(("name", "spans"), [
    ("soltaro-bms", ["holding 4132+1", "holding 4164+12", "holding 4225+7", "holding 4243+3", "holding 4291+6"]),
    ("orv3-bbu-shelf", [*(f"holding {0x101 + 0x10 * n}+9" for n in range(6)), "holding 392+24", "holding 424+24"]),
    ("sunspec-battery-802", ["model 1 0+66", "model 802 0+64"]),
    ("sunspec-battery-803", ["model 1 0+66", "model 802 0+64", "model 803 0+90"]),
    ("sunspec-bess-7xx", ["model 1 0+66", "model 701 0+123", "model 704 0+56", "model 713 0+9", "model 715 0+7"]),
    ("trane-ch530", ["input 1+9", "discrete 1+1"]),
])
def test_requests_stay_inside_the_blocks_that_the_device_has(name: str, spans: list[str]) -> None:
    """A hole that no list names may refuse the whole block; a value and its scale come in one answer."""
    form = load_map(name)
    assert [request.text for request in planned(form, points_of(form))] == spans
