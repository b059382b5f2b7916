"""Devices to be found: Modbus with identification and a SunSpec chain, and one that misbehaves as real ones do."""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.field.fieldmaker import RawDevice, frame

Frames = Iterable[bytes] | None
NO_TARGET, ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 11, 1, 2


def identity(vendor: str, product: str, revision: str) -> bytes:
    """The answer to Read Device Identification, basic."""
    objects = b"".join(bytes([i, len(t)]) + t.encode() for i, t in enumerate((vendor, product, revision)))
    return bytes([43, 14, 1, 1, 0, 0, 3]) + objects


def behaves(units: Mapping[int, bytes | None], words: Mapping[int, int] | None = None, *,
            anyone: bool = False) -> Callable[[int, int, bytes], Frames]:
    """Units by id with their identification (None: they know no function 43); others get "no target".

    With `words` only those registers exist; `anyone` answers at every unit id, as the first.
    """
    def misbehave(transaction: int, unit: int, pdu: bytes) -> Frames:
        known = next(iter(units)) if anyone else unit
        if known not in units:
            return [frame(transaction, unit, bytes([pdu[0] | 0x80, NO_TARGET]))]
        if pdu[0] == 43:
            return [frame(transaction, unit, units[known] or bytes([0xAB, ILLEGAL_FUNCTION]))]
        start, count = struct.unpack_from(">HH", pdu, 1)
        if words is not None and any(r not in words for r in range(start, start + count)):
            return [frame(transaction, unit, bytes([pdu[0] | 0x80, ILLEGAL_ADDRESS]))]
        return None

    return misbehave


def sunspec_words(base: int, models: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Marker, then a header and zeros for each (model, length), then the end; model 1 says who it is."""
    words = [0x5375, 0x6E53]
    for model, length in models:
        content = [0] * length
        if model == 1:
            for at, text in ((0, "Acme"), (16, "PM-203"), (40, "1.2"), (48, "SN-7")):
                padded = text.encode().ljust(16, b"\0")
                content[at : at + 8] = struct.unpack(">8H", padded)
        words += [model, length, *content]
    words += [0xFFFF, 0]
    return dict(enumerate(words, start=base))


def made(device: RawDevice, units: Mapping[int, bytes | None], words: dict[int, int] | None = None, *,
         anyone: bool = False) -> RawDevice:
    """Give a raw device this behaviour."""
    device.words.update(words or {})
    device.misbehave = behaves(units, words, anyone=anyone)
    return device
