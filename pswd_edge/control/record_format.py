"""A recording's file: frames with their length and CRC, and columns of numbers packed without losing a bit.

A file begins with `MAGIC`. A frame is kind (one byte), length (u32) and CRC-32 (u32) of the payload, little-endian, and
the payload. The first frame is the head (what is needed to begin), the others are blocks of cycles.

A column's numbers lie as 64-bit patterns. Each is XORed with its neighbour in the row (values that were answered
together have one time) or with the one before in its column, bytes of one weight are put together, and all is deflated:
what does not change costs next to nothing.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

MAGIC = b"PSWDREC1"
HEAD, BLOCK = 1, 2
FRAME = struct.Struct("<BII")
ABSENT = np.uint64(0x7FF4_5053_5744_5245)  # a NaN that no arithmetic makes: nothing stands here
_LEVEL = 6
Bits = NDArray[np.uint64]


class FormatError(ValueError):
    """The bytes are no recording; the text says where."""


class Frame(NamedTuple):
    """One frame; `offset` is where it begins in the file."""

    kind: int
    payload: bytes
    offset: int


def framed(kind: int, payload: bytes) -> bytes:
    """A frame, ready to be appended to a file."""
    return FRAME.pack(kind, len(payload), zlib.crc32(payload)) + payload


def frames(data: bytes) -> Iterator[Frame]:
    """The frames of a file.

    Raises FormatError at the first that is damaged. One that is not whole at the very end (the machine went down while
    it was written) ends the file; `tail_of` tells of it.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise FormatError(f"byte 0: got {data[: len(MAGIC)]!r}: expected {MAGIC!r}")
    at = len(MAGIC)
    while (end := _end(data, at)) is not None:
        kind, _, crc = FRAME.unpack_from(data, at)
        payload = data[at + FRAME.size : end]
        if zlib.crc32(payload) != crc:
            raise FormatError(f"byte {at}: the frame of {len(payload)} bytes has another checksum than was written")
        yield Frame(kind, payload, at)
        at = end


def _end(data: bytes, at: int) -> int | None:
    """Where the frame that begins at `at` ends; None where it is not whole."""
    if at + FRAME.size > len(data):
        return None
    end = at + FRAME.size + int(FRAME.unpack_from(data, at)[1])
    return end if end <= len(data) else None


def tail_of(data: bytes) -> int:
    """How many bytes at the end belong to a frame that was not written whole; 0: none."""
    at = len(MAGIC)
    while (end := _end(data, at)) is not None:
        at = end
    return len(data) - at


def packed(columns: Bits, *, across: bool = False) -> bytes:
    """Columns of bit patterns, shape (cycles, columns), small. `across`: neighbours in a row are alike."""
    if columns.size == 0:
        return b""
    work = columns.copy()
    if across:
        work[:, 1:] ^= columns[:, :-1]
    down = work.copy()
    down[1:] ^= work[:-1]
    shuffled = down.view(np.uint8).reshape(*columns.shape, 8).transpose(2, 1, 0)
    return zlib.compress(np.ascontiguousarray(shuffled).tobytes(), _LEVEL)


def unpacked(data: bytes, cycles: int, width: int, *, across: bool = False) -> Bits:
    """The inverse of `packed`. Raises FormatError where the data are not of that shape."""
    if cycles * width == 0:
        return np.zeros((cycles, width), np.uint64)
    raw = zlib.decompress(data)
    if len(raw) != 8 * cycles * width:
        raise FormatError(f"a block of {len(raw)} bytes: expected {8 * cycles * width}")
    shuffled = np.frombuffer(raw, np.uint8).reshape(8, width, cycles)
    down = np.ascontiguousarray(shuffled.transpose(2, 1, 0)).view(np.uint64).reshape(cycles, width)
    work = np.bitwise_xor.accumulate(down, axis=0)
    return np.bitwise_xor.accumulate(work, axis=1) if across else work


def bits(numbers: list[float] | list[list[float]]) -> Bits:
    """Floats as their bit patterns."""
    return np.array(numbers, dtype=np.float64).view(np.uint64)


def floats(patterns: Bits) -> NDArray[np.float64]:
    """The inverse of `bits`."""
    return np.ascontiguousarray(patterns).view(np.float64)


def encode(content: Any) -> bytes:
    """MessagePack."""
    return _ENCODER.encode(content)


def decode(payload: bytes, kind: Any = Any) -> Any:
    """MessagePack's inverse. Raises FormatError."""
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except msgspec.MsgspecError as error:
        raise FormatError(f"cannot be read: {error}") from error


_ENCODER = msgspec.msgpack.Encoder()
