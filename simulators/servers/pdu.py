"""Modbus requests to answers, without the transport.

Source: MODBUS Application Protocol V1.1b3, chapter 6 (functions 1-6, 15, 16, 23) and 7 (exceptions).
"""

import struct
from collections.abc import Callable

from pswd_edge.model.point import RegisterKind
from simulators.servers.registers import ILLEGAL_FUNCTION, ILLEGAL_VALUE, RefusedRequest, RegisterSpace

_TWO = struct.Struct(">HH")
_READ_WRITE = struct.Struct(">HHHHB")
_ON = 0xFF00


def answer(space: RegisterSpace, request: bytes) -> bytes:
    """The response PDU to a request PDU (function code first). Never raises."""
    function = request[0]
    handler = _HANDLERS.get(function)
    try:
        if handler is None:
            return refusal(function, ILLEGAL_FUNCTION)
        return handler(space, request)
    except RefusedRequest as refused:
        return refusal(function, refused.code)
    except struct.error:
        return refusal(function, ILLEGAL_VALUE)


def refusal(function: int, code: int) -> bytes:
    """An exception response."""
    return bytes((function | 0x80, code))


def _counted(request: bytes, most: int) -> tuple[int, int]:
    start, count = _TWO.unpack_from(request, 1)
    if not 1 <= count <= most:
        raise RefusedRequest(ILLEGAL_VALUE)
    return start, count


def _read_words(kind: RegisterKind) -> Callable[[RegisterSpace, bytes], bytes]:
    def handle(space: RegisterSpace, request: bytes) -> bytes:
        start, count = _counted(request, 125)
        return bytes((request[0], 2 * count)) + space.read_words(kind, start, count)

    return handle


def _read_bits(kind: RegisterKind) -> Callable[[RegisterSpace, bytes], bytes]:
    def handle(space: RegisterSpace, request: bytes) -> bytes:
        start, count = _counted(request, 2000)
        bits = space.read_bits(kind, start, count)
        size = (count + 7) // 8
        packed = sum(bit << i for i, bit in enumerate(bits)).to_bytes(size, "little")
        return bytes((request[0], size)) + packed

    return handle


def _write_coil(space: RegisterSpace, request: bytes) -> bytes:
    start, state = _TWO.unpack_from(request, 1)
    if state not in (0, _ON):
        raise RefusedRequest(ILLEGAL_VALUE)
    space.write_bits(start, bytes((state == _ON,)))
    return request[:5]


def _write_register(space: RegisterSpace, request: bytes) -> bytes:
    start, _ = _TWO.unpack_from(request, 1)
    space.write_words(start, request[3:5])
    return request[:5]


def _write_coils(space: RegisterSpace, request: bytes) -> bytes:
    start, count = _counted(request, 1968)
    size = (count + 7) // 8
    if len(request) != 6 + size or request[5] != size:
        raise RefusedRequest(ILLEGAL_VALUE)
    packed = int.from_bytes(request[6:], "little")
    space.write_bits(start, bytes(packed >> i & 1 for i in range(count)))
    return request[:5]


def _write_registers(space: RegisterSpace, request: bytes) -> bytes:
    start, count = _counted(request, 123)
    if len(request) != 6 + 2 * count or request[5] != 2 * count:
        raise RefusedRequest(ILLEGAL_VALUE)
    space.write_words(start, request[6:])
    return request[:5]


def _read_write(space: RegisterSpace, request: bytes) -> bytes:
    read_start, read_count, start, count, size = _READ_WRITE.unpack_from(request, 1)
    fits = 1 <= read_count <= 125 and 1 <= count <= 121 and size == 2 * count == len(request) - 10
    if not fits:
        raise RefusedRequest(ILLEGAL_VALUE)
    space.write_words(start, request[10:])
    return bytes((request[0], 2 * read_count)) + space.read_words("holding", read_start, read_count)


_HANDLERS: dict[int, Callable[[RegisterSpace, bytes], bytes]] = {
    1: _read_bits("coil"), 2: _read_bits("discrete"), 3: _read_words("holding"), 4: _read_words("input"),
    5: _write_coil, 6: _write_register, 15: _write_coils, 16: _write_registers, 23: _read_write,
}
