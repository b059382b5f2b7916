"""The grid's power of every cycle on disk, for reports to the utility: blocks of ten seconds in files of an hour.

A block is a head (below) and float32 values in W, one a cycle slot, NaN where nothing good was measured. Some 160 kB an
hour; the oldest hours go when there is more than the budget.
"""

import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

KEEP_BYTES = 128 * 1024 * 1024  # a month
_HEAD = struct.Struct("<4sHHQddI")  # magic, period in ms, slots, first cycle, UTC and monotonic s of it, CRC-32
_MAGIC = b"PWR1"


class PowerBlock(NamedTuple):
    """Consecutive cycle slots. `utc_s` and `monotonic_s` are of the first; `power_w` is import positive."""

    period_ms: int
    cycle: int
    utc_s: float
    monotonic_s: float
    power_w: NDArray[np.float32]


def encode_block(block: PowerBlock) -> bytes:
    """Head and values; the CRC is over both."""
    values = block.power_w.astype("<f4").tobytes()
    fields = (_MAGIC, block.period_ms, len(block.power_w), block.cycle, block.utc_s, block.monotonic_s)
    return _HEAD.pack(*fields, zlib.crc32(_HEAD.pack(*fields, 0) + values)) + values


def decode_blocks(content: bytes) -> Iterator[PowerBlock]:
    """The whole blocks of a file; what is torn or damaged is passed over, up to the next magic that holds."""
    at = content.find(_MAGIC)
    while at >= 0 and at + _HEAD.size <= len(content):
        *fields, crc = _HEAD.unpack_from(content, at)
        end = at + _HEAD.size + 4 * fields[2]
        values = content[at + _HEAD.size : end]
        if end <= len(content) and zlib.crc32(_HEAD.pack(*fields, 0) + values) == crc:
            yield PowerBlock(fields[1], fields[3], fields[4], fields[5], np.frombuffer(values, "<f4"))
            at = content.find(_MAGIC, end)
        else:
            at = content.find(_MAGIC, at + 1)


class PowerRecord:
    """The files of a folder: `<hour since 1970>.power`. One thread writes."""

    def __init__(self, folder: Path, keep_bytes: int = KEEP_BYTES) -> None:
        self._folder, self._keep_bytes = folder, keep_bytes
        self._hour = -1

    def append(self, block: PowerBlock) -> None:
        """On disk when it returns. Raises OSError."""
        hour = math.floor(block.utc_s / 3600)
        if hour != self._hour:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._prune()
        file = os.open(self._folder / f"{hour}.power", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            encoded = memoryview(encode_block(block))
            while encoded:
                encoded = encoded[os.write(file, encoded) :]
            os.fsync(file)
        finally:
            os.close(file)
        self._hour = hour

    def read(self, from_utc_s: float, to_utc_s: float) -> list[PowerBlock]:
        """Blocks that begin in the time given or up to a block's length before, in the order they were written."""
        first, last = math.floor(from_utc_s / 3600) - 1, math.floor(to_utc_s / 3600)
        return [block for hour, path in hours(self._folder) if first <= hour <= last
                for block in decode_blocks(path.read_bytes())
                if from_utc_s <= block.utc_s + len(block.power_w) * block.period_ms / 1000 and block.utc_s <= to_utc_s]

    def _prune(self) -> None:
        kept = hours(self._folder)
        total = sum(path.stat().st_size for _, path in kept)
        for _, path in kept[:-1]:
            if total <= self._keep_bytes:
                break
            total -= path.stat().st_size
            path.unlink()


def hours(folder: Path) -> list[tuple[int, Path]]:
    """The files of the folder, the oldest hour first."""
    return sorted((int(p.stem), p) for p in folder.glob("*.power") if p.stem.isdigit())
