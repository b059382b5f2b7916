"""Registers to values for a whole site at once.

Every answer is copied as it came into one long byte array (`raw`), each request at its own place, which is even.
Decoding is then a few numpy operations per word type over all points of the site together, once a cycle, whatever the
number of devices: word orders are a permutation of the gather index, scales and markers are columns. Where the points
of a type follow each other in `raw`, as in a device of one type, nothing is gathered at all.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.codec import BCD, FORMATS, byte_order
from pswd_edge.field.drivers.plan import Span
from pswd_edge.field.texts import is_text
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Reason

NOT_IMPLEMENTED_SCALE = -32768  # SunSpec: scale factor 0x8000 means that the point is absent
SCALE_MAX = 10                # SunSpec: scale factors are -10..10
_SENTINEL, _UNDECODABLE = int(Reason.SENTINEL), int(Reason.UNDECODABLE)
_NUMBERS = tuple(kind for kind in FORMATS if kind != "bit" and kind not in BCD)
_UNSIGNED = ("uint16", "uint32", "uint64")
_ROUNDED = (FORMATS["float16"], FORMATS["float32"])
_Rows = Sequence[tuple[Point, int, Span]]
Selector = slice | NDArray[np.intp]
"""Some places of an array: a slice where they follow each other, which numpy takes without copying."""


def selector(places: NDArray[np.intp]) -> Selector:
    """The cheapest way to say these places."""
    first = int(places[0]) if len(places) else 0
    run = bool((places == np.arange(first, first + len(places))).all())
    return slice(first, first + len(places)) if run else places


class _Group(NamedTuple):
    """Points of one word type: `at` are positions in the decoder's output, (n,).

    `words` are places in `raw` counted in registers, (n * words of the type,), or in bytes where `bytewise`: in the
    order in which they make up big-endian values. `invalid` has one array of markers for each marker that a point of
    the group has at most.
    """

    at: NDArray[np.intp]
    put: Selector
    words: Selector
    bytewise: bool
    dtype: str
    invalid: list[NDArray[np.float64]]


class _Fields(NamedTuple):
    """Bit fields in words of one type: `(word >> low) & mask`."""

    words: _Group
    low: NDArray[np.uint64]
    mask: NDArray[np.uint64]


class _Bits(NamedTuple):
    at: NDArray[np.intp]
    byte: NDArray[np.intp]
    shift: NDArray[np.uint8]


class Decoder:
    """Decodes the raw answers of some requests. Output columns are in the order of `points`, texts left out."""

    def __init__(self, requests: Sequence[ReadRequest], places: Sequence[int], raw: NDArray[np.uint8]) -> None:
        """`places[i]` is where the answer of `requests[i]` begins in `raw`."""
        rows: list[tuple[Point, int, Span]] = []
        for request, place in zip(requests, places, strict=True):
            span: Span = request.payload.span
            rows += [(p, place, span) for p in request.points if not is_text(p)]
        self.load(raw)
        self.points = np.array([p.index for p, _, _ in rows], dtype=np.intp)
        self._scale = np.array([p.scale for p, _, _ in rows])
        self._offset = np.array([p.offset for p, _, _ in rows])
        self._has_offset = bool(self._offset.any())
        self._groups = _word_groups(rows, _NUMBERS)
        self._decimals = _word_groups(rows, BCD)
        self._fields = [_fields(rows, group) for group in _word_groups(rows, _UNSIGNED, fields=True)]
        self._bits = _bit_group(rows)
        self._scaled, self._scale_at = _scale_places(rows)
        self.marked: NDArray[np.uint8] = np.zeros(len(rows), dtype=np.uint8)
        self._number: NDArray[np.float64] = np.zeros(len(rows))

    def load(self, raw: NDArray[np.uint8]) -> None:
        """Decode these answers from now on; they lie as those that came with the plan."""
        self._raw, self._registers = raw, raw[: len(raw) // 2 * 2].view(">u2")

    def decode(self) -> NDArray[np.float64]:
        """Values in SI, of all points, whenever they came.

        Not finite where the device sent no finite number, or where `marked` is not 0: SENTINEL for its "not available"
        marker, UNDECODABLE for a scale register outside -10..10 and for a BCD digit above 9.
        """
        number, marked = self._number, self.marked
        marked[:] = 0
        with np.errstate(invalid="ignore", over="ignore"):  # signalling NaN and overflow become NaN and infinity
            for group in self._groups:
                self._put(group, self._words(group))
            for decimals in self._decimals:
                self._decode_decimals(decimals)
            for field in self._fields:
                self._decode_fields(field)
            if self._bits is not None:
                at, byte, shift = self._bits
                number[at] = (self._raw[byte] >> shift) & 1
            value = number * self._scale
            if len(self._scaled):
                self._apply_scale_registers(value)
            if self._has_offset:
                value += self._offset
        if np.count_nonzero(marked):
            value[marked != 0] = np.nan
        result: NDArray[np.float64] = value
        return result

    def _words(self, group: _Group) -> NDArray[Any]:
        """The group's raw numbers as they were sent, big-endian, (n,)."""
        source = self._raw if group.bytewise else self._registers
        return source[group.words].view(group.dtype)

    def _decode_decimals(self, group: _Group) -> None:
        words = self._words(group).astype(np.uint32)
        places = np.arange(2 * np.dtype(group.dtype).itemsize, dtype=np.uint32)
        digits = (words[:, None] >> (4 * places)) & 15
        self._put(group, digits @ 10.0**places)
        self.marked[group.at[(digits > 9).any(axis=1)]] = _UNDECODABLE

    def _decode_fields(self, field: _Fields) -> None:
        words = self._words(field.words).astype(np.uint64)
        self._put(field.words, (words >> field.low) & field.mask)

    def _put(self, group: _Group, number: NDArray[Any]) -> None:
        """Numbers of any type into their places, as float64; markers become SENTINEL."""
        self._number[group.put] = number
        for marker in group.invalid:
            same = self._number[group.put] == marker
            if np.count_nonzero(same):
                self.marked[group.at[same]] = _SENTINEL

    def _apply_scale_registers(self, value: NDArray[np.float64]) -> None:
        power = self._registers[self._scale_at].view(">i2").astype(np.float64)
        wrong = np.abs(power) > SCALE_MAX
        if wrong.any():
            self.marked[self._scaled[wrong]] = _UNDECODABLE
            self.marked[self._scaled[power == NOT_IMPLEMENTED_SCALE]] = _SENTINEL
        value[self._scaled] *= 10.0 ** np.clip(power, -SCALE_MAX, SCALE_MAX)


def _address(point: Point) -> ModbusAddress:
    assert isinstance(point.address, ModbusAddress)  # register requests carry Modbus points only
    return point.address


def _word_groups(rows: _Rows, kinds: Sequence[str], *, fields: bool = False) -> list[_Group]:
    """One for each of these word types in use: of points that are whole numbers, or of those that are `fields`."""
    groups = []
    for kind in kinds:
        dtype = FORMATS[kind]
        found = [(i, p, place, span) for i, (p, place, span) in enumerate(rows)
                 if _address(p).type == kind and span.kind in ("holding", "input")
                 and (_address(p).bits is not None) is fields]
        if not found:
            continue
        at = np.array([f[0] for f in found], np.intp)
        bytewise = any(_address(p).byte_order == "little" for _, p, _, _ in found)
        words = np.array([w for _, p, place, span in found for w in _places(p, place, span, dtype, bytewise)], np.intp)
        invalid = _markers([p for _, p, _, _ in found], dtype)
        groups.append(_Group(at, selector(at), selector(words), bytewise, dtype, invalid))
    return groups


def _places(point: Point, place: int, span: Span, dtype: str, bytewise: bool) -> list[int]:
    """Where a point's bytes, or its registers, stand in `raw`, most significant first."""
    address = _address(point)
    first = place + 2 * (address.register - span.start)
    order = byte_order(address, np.dtype(dtype).itemsize)
    return [first + b for b in order] if bytewise else [(first + b) // 2 for b in order[::2]]


def _fields(rows: _Rows, group: _Group) -> _Fields:
    bits = [found for i in group.at if (found := _address(rows[i][0]).bits) is not None]
    return _Fields(group, np.array([low for low, _ in bits], np.uint64),
                   np.array([2 ** (high - low + 1) - 1 for low, high in bits], np.uint64))


def _markers(points: Sequence[Point], dtype: str) -> list[NDArray[np.float64]]:
    """As they decode: -9999.9 in a float32 is another float64. NaN where a point has fewer: it equals nothing."""
    columns = []
    for n in range(max(len(p.invalid) for p in points)):
        column = np.array([p.invalid[n] if n < len(p.invalid) else np.nan for p in points])
        columns.append(column.astype(dtype).astype(np.float64) if dtype in _ROUNDED else column)
    return columns


def _bit_group(rows: _Rows) -> _Bits | None:
    at, byte, shift = [], [], []
    for i, (point, place, span) in enumerate(rows):
        address = _address(point)
        if span.kind in ("coil", "discrete"):
            where = address.register - span.start
            byte.append(place + where // 8)
            shift.append(where % 8)
        elif address.type == "bit":
            where = place + 2 * (address.register - span.start)
            byte.append(where + (1 if address.bit < 8 else 0))
            shift.append(address.bit % 8)
        else:
            continue
        at.append(i)
    return _Bits(np.array(at, np.intp), np.array(byte, np.intp), np.array(shift, np.uint8)) if at else None


def _scale_places(rows: _Rows) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Points with a scale register, and where in `raw` that stands, counted in registers."""
    scaled, found = [], []
    for i, (point, place, span) in enumerate(rows):
        register = _address(point).scale_register
        if register is not None:
            scaled.append(i)
            found.append((place + 2 * (register - span.start)) // 2)
    return np.array(scaled, np.intp), np.array(found, np.intp)
