"""Words of one point, for writing. Reading is decoded for the whole site at once: field/decoder.py."""

import math
import struct

from pswd_edge.errors import WriteError
from pswd_edge.model.point import ModbusAddress, Point

FORMATS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q",
           "float16": ">e", "float32": ">f", "float64": ">d", "bcd16": ">H", "bcd32": ">I", "bit": ">H"}
BCD = ("bcd16", "bcd32")    # their format is that of the word whose hexadecimal digits are the decimal ones


def byte_order(address: ModbusAddress, size: int) -> list[int]:
    """Where each byte of the big-endian value stands in the received bytes of the point.

    Four orders in use: words big or little, bytes in a word big or little. The list has `size` entries.
    """
    words = [[2 * w, 2 * w + 1] for w in range(max(1, size // 2))]
    if address.word_order == "little":
        words.reverse()
    if address.byte_order == "little":
        words = [[b, a] for a, b in words]
    return [b for word in words for b in word][:size]


def encode(point: Point, value: float, power_of_ten: int = 0) -> bytes:
    """The registers of `value` (the point's SI unit) as they go on the wire.

    `power_of_ten` is the content of the point's scale register, 0 where it has none.
    Raises WriteError where the type cannot hold the value, where the device would read its "not available" marker,
    and for a bit field: the other bits of its register belong to others.
    """
    address = point.address
    if not isinstance(address, ModbusAddress):
        raise WriteError(f"{point.id}: got a {type(address).__name__}: expected a Modbus address")
    if address.type == "string":
        raise WriteError(f"{point.id}: got a number for a text: expected a point that is a number; nothing was written")
    if address.bits is not None:
        raise WriteError(f"{point.id}: got bits {address.bits[0]} to {address.bits[1]} of a {address.type}: expected a "
                         "whole one; nothing was written")
    raw = (value - point.offset) / (point.scale * 10.0**power_of_ten)
    try:
        number = _number(raw, point)
        packed = struct.pack(FORMATS[address.type], number)
    except (struct.error, OverflowError, ValueError) as error:
        raise WriteError(f"{point.id}: {value} {point.unit} is {raw} in the device's steps: expected what "
                         f"{address.type} can hold; nothing was written") from error
    placed = bytearray(len(packed))
    for source, target in enumerate(byte_order(address, len(packed))):
        placed[target] = packed[source]
    return bytes(placed)


def decode(point: Point, words: bytes, power_of_ten: int = 0) -> float:
    """The value (SI) of one point's registers as received; NaN for a marker and for BCD digits that are none.

    For the answer to one write. What is polled is decoded for the whole site at once.
    """
    address = point.address
    assert isinstance(address, ModbusAddress)   # callers have encoded it before
    packed = bytes(words[at] for at in byte_order(address, len(words)))
    if address.type in BCD and not packed.hex().isdecimal():
        return math.nan
    (raw,) = (int(packed.hex()),) if address.type in BCD else struct.unpack(FORMATS[address.type], packed)
    return math.nan if raw in point.invalid else float(raw) * point.scale * 10.0**power_of_ten + point.offset


def _number(raw: float, point: Point) -> float:
    """Raises ValueError for what is no number, and for the point's markers: they mean "nothing"."""
    floating = point.address.type.startswith("float")
    number = raw if floating else round(raw)
    markers = list(point.invalid)
    if floating and markers:    # what is next to a marker may be rounded to it
        form = FORMATS[point.address.type]
        number, *markers = (struct.unpack(form, struct.pack(form, n))[0] for n in (number, *markers))
    if not math.isfinite(number) or number in markers:
        raise ValueError
    return int(str(number), 16) if point.address.type in BCD else number  # a sign stays, and is refused as no word
