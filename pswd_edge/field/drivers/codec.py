"""Words of one point, for writing. Reading is decoded for the whole site at once: field/decoder.py."""

import math
import struct

from pswd_edge.errors import WriteError
from pswd_edge.model.point import ModbusAddress, Point

FORMATS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q",
           "float32": ">f", "float64": ">d", "bit": ">H"}


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
    Raises WriteError where the type cannot hold the value, or where the device would read its "not available" marker.
    """
    address = point.address
    if not isinstance(address, ModbusAddress):
        raise WriteError(f"{point.id}: got a {type(address).__name__}: expected a Modbus address")
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


def _number(raw: float, point: Point) -> float:
    """Raises ValueError for what is no number, and for the point's markers: they mean "nothing"."""
    number = raw if point.address.type.startswith("float") else round(raw)
    if not math.isfinite(number) or number in point.invalid:
        raise ValueError
    return number
