"""RTU framing, pure: CRC, frames, and what an answer to a request must look like.

Source: MODBUS over Serial Line V1.02, 2.5.1 and 6.2.2 (CRC); MODBUS Application Protocol V1.1b3, 6 (lengths).
"""

import struct
from typing import NamedTuple

LONGEST_BYTES = 256
_SHORTEST_BYTES = 5           # unit, function, exception code, CRC
_READS = (1, 2, 3, 4, 23)
_ECHOES = (5, 6, 15, 16)      # their answers repeat the first five bytes of the request


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


_CRC = tuple(_crc_entry(byte) for byte in range(256))


def crc16(content: bytes) -> int:
    """The CRC, as it stands in a frame with its low byte first; 0 over a whole right frame."""
    crc = 0xFFFF
    for byte in content:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """A frame ready to be sent."""
    body = bytes((unit,)) + pdu
    return body + struct.pack("<H", crc16(body))


class Shape(NamedTuple):
    """What a right answer looks like: its PDU begins with `head` and has `size` bytes.

    `size` is None for functions whose answers tell no length: such a frame ends where its CRC fits.
    """

    head: bytes
    size: int | None

    def fits(self, pdu: bytes) -> bool:
        """Whether this is the answer, or its refusal."""
        if len(pdu) == 2 and pdu[0] == self.head[0] | 0x80:
            return True
        return pdu.startswith(self.head) and self.size in (None, len(pdu))


def answer_shape(request: bytes) -> Shape:
    """The shape of the answer to this request PDU."""
    function = request[0]
    if function in _READS:
        (count,) = struct.unpack_from(">H", request, 3)
        size = (count + 7) // 8 if function in (1, 2) else 2 * count
        return Shape(bytes((function, size & 0xFF)), 2 + size)
    if function in _ECHOES:
        return Shape(request[:5], 5)
    return Shape(request[:1], None)


def whole_frame(received: bytes, at: int) -> int:
    """The end of the well-formed answer that begins at `at`; 0 where there is none (yet)."""
    function = received[at + 1]
    if function & 0x80:
        size = _SHORTEST_BYTES
    elif function in _ECHOES:
        size = 8
    elif function in _READS:
        size = _SHORTEST_BYTES + received[at + 2]
    else:
        return 0
    end = at + size
    return end if end <= len(received) and crc16(received[at:end]) == 0 else 0


def may_become(received: bytes, at: int, unit: int, shape: Shape) -> bool:
    """Whether what begins at `at` is the beginning of the awaited answer."""
    begun = received[at:]
    if begun[0] != unit:
        return False
    if len(begun) < _SHORTEST_BYTES and begun[1] == shape.head[0] | 0x80:
        return True
    whole = LONGEST_BYTES if shape.size is None else shape.size + 3
    return len(begun) < whole and begun[1 : 1 + len(shape.head)] == shape.head[: len(begun) - 1]


def other_answer(received: bytes, at: int, unit: int, shape: Shape) -> int:
    """As `whole_frame`, for the awaited answer of a function that is not in the standard's lists."""
    begun = received[at:]
    right = shape.size is None and begun[0] == unit and begun[1] == shape.head[0]
    return len(received) if right and len(begun) >= _SHORTEST_BYTES and crc16(begun) == 0 else 0
