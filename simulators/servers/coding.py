"""SI values to a device's raw numbers and back: scale, offset, enumerations, "not available" markers.

Markers where a map names none: SunSpec information model, "unimplemented" values.
"""

import math
import struct
from typing import NamedTuple, Protocol

from pswd_edge.model.point import Point, WordType
from simulators.servers.meanings import codes


class Packing(Protocol):
    """What `struct.Struct` does for one number."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def pack(self, raw: float, /) -> bytes:
        """The big-endian image."""
        ...

    def unpack(self, image: bytes, /) -> tuple[float, ...]:
        """The number, alone in a tuple."""
        ...


class Decimals:
    """Unsigned BCD: a decimal digit in every four bits."""

    def __init__(self, size: int) -> None:
        self.size = size

    def pack(self, raw: float, /) -> bytes:
        """Whole numbers of `2 * size` digits at most."""
        return bytes.fromhex(f"{round(raw):0{2 * self.size}d}")

    def unpack(self, image: bytes, /) -> tuple[float, ...]:
        """Raises ValueError where four bits hold more than 9."""
        return (float(int(image.hex(), 10)),)


class Form(NamedTuple):
    """A number type on the wire, big-endian; `marker` is its usual "not available" image.

    `step` is how far the numbers next to `low` and `high` are.
    """

    pack: Packing
    low: float
    high: float
    marker: bytes
    integer: bool
    step: float = 1.0


def _integer(code: str, bits: int, *, signed: bool) -> Form:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    marker = 1 << bits - 1 if signed else (1 << bits) - 1
    return Form(struct.Struct(">" + code), low, high, marker.to_bytes(bits // 8, "big"), integer=True)


FORMS: dict[WordType, Form] = {
    "int16": _integer("h", 16, signed=True), "uint16": _integer("H", 16, signed=False),
    "int32": _integer("i", 32, signed=True), "uint32": _integer("I", 32, signed=False),
    "int64": _integer("q", 64, signed=True), "uint64": _integer("Q", 64, signed=False),
    "bcd16": Form(Decimals(2), 0, 9_999, b"\xff" * 2, integer=True),
    "bcd32": Form(Decimals(4), 0, 99_999_999, b"\xff" * 4, integer=True),
    "float16": Form(struct.Struct(">e"), -65504.0, 65504.0, struct.pack(">e", math.nan), integer=False, step=32.0),
    "float32": Form(struct.Struct(">f"), -math.inf, math.inf, struct.pack(">f", math.nan), integer=False),
    "float64": Form(struct.Struct(">d"), -math.inf, math.inf, struct.pack(">d", math.nan), integer=False),
}


class Coder:
    """Between a point's SI value and its raw number: `value = raw * scale * 10**exponent + offset`.

    Where the plant and the map number an enumeration differently, the map's labels decide (an APC outlet says 2
    for on and takes 1 for on; the plant has 1 for on both times).
    """

    __slots__ = ("_codes", "_meanings", "_offset", "_step")

    def __init__(self, point: Point, kind: str, exponent: int = 0) -> None:
        self._step = point.scale * 10.0**exponent
        self._offset = point.offset
        self._codes = codes(kind, point)
        self._meanings = {code: number for number, code in reversed(self._codes.items())}

    def raw(self, value: float) -> float:
        """The raw number of a finite SI value, not rounded."""
        if self._codes:
            value = self._codes.get(round(value), value)
        return (value - self._offset) / self._step

    def value(self, raw: float) -> float:
        """The SI value of a raw number; raises ValueError for a code that the labels do not give a meaning."""
        value = raw * self._step + self._offset
        if not self._codes:
            return value
        if value not in self._meanings:
            raise ValueError(f"got code {value:g}, expected one of {sorted(self._meanings)}; not taken")
        return float(self._meanings[round(value)])


def marker_image(point: Point, form: Form) -> bytes:
    """The big-endian image of a point's "not available" marker."""
    if not point.invalid:
        return form.marker
    marker = point.invalid[0]
    if not form.integer or isinstance(form.pack, Decimals):
        return form.pack.pack(marker)
    size = form.pack.size
    return (int(marker) & (1 << 8 * size) - 1).to_bytes(size, "big")
