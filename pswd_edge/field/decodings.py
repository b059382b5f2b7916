"""Every number that some registers can mean: address, type, word order and byte order. Pure."""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pswd_edge.field.drivers.codec import BCD, FORMATS, byte_order
from pswd_edge.field.drivers.plan import WORDS
from pswd_edge.model.point import ModbusAddress, Order, RegisterKind, WordType

Registers = Mapping[RegisterKind, Mapping[int, int]]
"""What was read: 16-bit words by kind and wire address. Registers that could not be read are absent."""

TYPES: tuple[WordType, ...] = (
    "int16", "uint16", "int32", "uint32", "float32", "int64", "uint64", "float64", "float16", "bcd16", "bcd32")
OFFSETS = (0, -1, 1)          # manuals count from 0 or from 1, and gateways add one of their own
FIRST, LAST = -1, 4           # registers around the address that all decodings need
_ORDERS: tuple[Order, ...] = ("big", "little")


class Decoding(NamedTuple):
    """One way to read a number; `raw` is its value without scale, `words` what it was made of.

    `step` is the distance to the next number that the type can tell from it.
    """

    address: ModbusAddress
    raw: float
    step: float
    words: tuple[int, ...]


def decodings(registers: Registers, register: int, types: Sequence[WordType] = TYPES) -> Iterator[Decoding]:
    """All decodings at the address and beside it that the registers allow; those that are no finite number left out."""
    for kind, words in registers.items():
        for offset in OFFSETS:
            for type_ in types:
                for address in _addresses(kind, register + offset, type_):
                    found = _decode(address, words)
                    if found is not None:
                        yield found


def _addresses(kind: RegisterKind, register: int, type_: WordType) -> Iterator[ModbusAddress]:
    for word_order in _ORDERS if WORDS[type_] > 1 else _ORDERS[:1]:
        for order in _ORDERS:
            yield ModbusAddress(register, type_, kind, word_order, order)


def _decode(address: ModbusAddress, words: Mapping[int, int]) -> Decoding | None:
    count = WORDS[address.type]
    found = tuple(words[r] for r in range(address.register, address.register + count) if r in words)
    if len(found) < count:
        return None
    received = struct.pack(f">{count}H", *found)
    content = bytes(received[i] for i in byte_order(address, 2 * count))
    (number,) = struct.unpack(FORMATS[address.type], content)
    if address.type in BCD:
        digits = content.hex()
        if not digits.isdigit():
            return None
        number = int(digits)
    raw = float(number)
    return Decoding(address, raw, step_of(address.type, raw), found) if math.isfinite(raw) else None


def step_of(type_: WordType, raw: float) -> float:
    """The distance from `raw` to the next number of this type: 1 for integers."""
    digits = {"float16": 10, "float32": 23, "float64": 52}.get(type_)
    if digits is None:
        return 1.0
    smallest = {"float16": 2.0**-24, "float32": 2.0**-149, "float64": 5e-324}[type_]
    return max(smallest, 2.0 ** (math.frexp(raw)[1] - 1 - digits)) if raw else smallest
