"""Hostile SNMP messages, made of a right one."""

import random
import struct
from collections.abc import Sequence

from simulators.servers.cheap_snmp import tlv

ANSWER, REPORT, TRAP, GET = 0xA2, 0xA8, 0xA7, 0xA0
POISON = 666                  # stands in every message that must not be taken


def integer(value: int, tag: int = 2) -> bytes:
    """BER."""
    size = max(1, (value.bit_length() + 8) // 8)
    return tlv(tag, value.to_bytes(size, "big", signed=True))


def oid(text: str) -> bytes:
    """BER."""
    numbers = [int(part) for part in text.split(".")]
    found = bytearray((40 * numbers[0] + numbers[1],))
    for number in numbers[2:]:
        digits = [number & 127]
        while number := number >> 7:
            digits.append(128 | (number & 127))
        found += bytes(reversed(digits))
    return tlv(6, bytes(found))


def message(request_id: bytes, pairs: Sequence[tuple[str, bytes]], *, tag: int = ANSWER, version: int = 1,
            community: bytes = b"bench", status: int = 0) -> bytes:
    """A v2c message; `pairs` are object ids with values in BER."""
    found = tlv(0x30, b"".join(tlv(0x30, oid(name) + value) for name, value in pairs))
    body = tlv(2, request_id) + integer(status) + integer(0) + found
    return tlv(0x30, integer(version) + tlv(4, community) + tlv(tag, body))


def odd_value(dice: random.Random) -> bytes:
    """A value of another type, that no good number can come of."""
    return dice.choice((
        tlv(5, b""), tlv(0x80, b""), tlv(0x81, b""), tlv(0x82, b""), tlv(4, b"not a number"), tlv(4, b""),
        tlv(4, b"\xff\xfe\x00"), tlv(6, b"\x2b\x06"), tlv(0x40, b"\x7f\x00\x00\x01"), tlv(4, b"nan"), tlv(4, b"1e999"),
        tlv(0x44, b"\x9f\x78\x04\x7f\xc0\x00\x00"),  # an opaque float NaN
    ))


def flipped(dice: random.Random, data: bytes, least: int, most: int) -> bytes:
    """Some bits flipped between two places."""
    made = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        made[dice.randrange(least, most)] ^= 1 << dice.randrange(8)
    return bytes(made)


def cut(dice: random.Random, data: bytes) -> bytes:
    """The beginning of it."""
    return data[: dice.randrange(1, len(data))]  # asyncio does not send an empty datagram


def noise(dice: random.Random) -> bytes:
    """Anything, often with a plausible beginning."""
    body = dice.randbytes(dice.randrange(1, 200))
    head = dice.choice((b"", b"\x30", b"\x30\x82", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80", b"\x30\x26\x02\x01\x01"))
    return head + body


def other_id(dice: random.Random, request_id: bytes) -> bytes:
    """A request id that is not this one, near or far."""
    (number,) = struct.unpack(">i", request_id)
    made = number
    while made == number:
        made = dice.choice((number - dice.randint(1, 9), number ^ (1 << dice.randrange(31)), dice.getrandbits(31)))
    return struct.pack(">i", max(-(2**31), min(2**31 - 1, made)))
