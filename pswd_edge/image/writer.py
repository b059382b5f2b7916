"""The control process' side of the image."""

import contextlib
import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pswd_edge.errors import ImageError
from pswd_edge.image import header
from pswd_edge.image.inherit import Heritage
from pswd_edge.image.layout import (
    EVENT_BYTES,
    FIELD_BYTES,
    HEADER_BYTES,
    REPORT_BYTES,
    ROW_HEAD_BYTES,
    Layout,
    layout_of,
)
from pswd_edge.image.record import Record
from pswd_edge.model.site import Site, decode_site, encode_site, site_hash

POINTER = "image"
_ROW_HEAD = struct.Struct("<Qdd")


def _columns(record: Record, count: int, size: int) -> list[NDArray[Any]]:
    """Views of one block's columns: value, source_utc_s, received_s (f64), quality, reason (u8)."""
    wide = [np.frombuffer(record.payload, np.float64, count, i * 8 * size) for i in range(3)]
    narrow = [np.frombuffer(record.payload, np.uint8, count, (24 + i) * size) for i in range(2)]
    return [*wide, *narrow]


class ImageWriter:
    """Creates the next generation in `runtime_dir` and writes it. One writer a runtime folder.

    With `successor_of` it stays unseen until `publish`: made in a thread while the older one is written.
    """

    def __init__(self, runtime_dir: Path, site: Site, successor_of: "ImageWriter | None" = None) -> None:
        self._runtime_dir, self._site = runtime_dir, site
        encoded = encode_site(site)
        self.site_hash = site_hash(encoded)
        self.layout: Layout = layout_of(decode_site(encoded))
        self._trend = np.array(site.trend_points, dtype=np.intp)
        runtime_dir.mkdir(parents=True, exist_ok=True)
        _replace(runtime_dir / f"site-{self.site_hash}.bin", encoded)
        older = _older(runtime_dir)
        self.generation = max(older, default=0) + 1
        self.path = runtime_dir / f"image-{self.generation:08d}"
        self._map = _create(self.path, self.layout.size)
        self._buffer = memoryview(self._map)
        header.put_identity(self._buffer, self.site_hash, self.generation, self.layout.size)
        self._rows = 0
        self._make_records()
        self._heritage: Heritage | None = None
        if successor_of is not None:
            self._heritage = Heritage(successor_of._site, successor_of.layout, successor_of._buffer, site, self.layout,
                                      self._buffer)
            self.catch_up(successor_of)
            return
        with contextlib.suppress(OSError, ValueError, ImageError):  # nothing usable was left: the hour begins anew
            self._inherit(runtime_dir / POINTER)
        self.publish()

    def catch_up(self, old: "ImageWriter") -> None:
        """Take over what the older one has written since the last time: rows of the points that both have, events."""
        if self._heritage is None or not self._heritage.same_period:
            return
        end = old._rows
        self._heritage.copy(self._rows, end)
        self._rows = end
        events = slice(self.layout.events, self.layout.ring)
        self._buffer[events] = old._buffer[old.layout.events : old.layout.ring]
        header.put_word(self._buffer, header.EVENTS, old.last_event)
        header.put_word(self._buffer, header.ROWS, self._rows)

    def publish(self) -> None:
        """Let readers follow to this generation."""
        older = {n: path for n, path in _older(self._runtime_dir).items() if n != self.generation}
        _point(self._runtime_dir, self.path)
        for path in older.values():
            _retire(path)

    def discard(self) -> None:
        """Give up a generation that was never published."""
        self.path.unlink(missing_ok=True)

    def _make_records(self) -> None:
        where = self.layout
        self._blocks = []
        for b in range(where.blocks):
            record = Record(self._buffer, where.block_offset(b), where.block_bytes)
            first, count = where.block_span(b)
            self._blocks.append((record, slice(first, first + count), _columns(record, count, where.block_points)))
        self._report = Record(self._buffer, where.report, REPORT_BYTES)
        self._field = Record(self._buffer, where.field, FIELD_BYTES)

    def _inherit(self, old: Path) -> None:
        """Take over rows and events of the previous generation of the same site: a restart keeps the hour."""
        with old.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as found, \
                memoryview(found) as view:
            if header.get_identity(view, old.name)[0] != self.site_hash or len(view) != self.layout.size:
                return
            self._buffer[self.layout.events :] = view[self.layout.events :]
            header.put_word(self._buffer, header.EVENTS, header.get_word(view, header.EVENTS))
            self._rows = header.get_word(view, header.ROWS)
            header.put_word(self._buffer, header.ROWS, self._rows)

    def publish_latest(
        self,
        number: int,
        value: NDArray[np.float64],
        source_utc_s: NDArray[np.float64],
        received_s: NDArray[np.float64],
        quality: NDArray[np.uint8],
        reason: NDArray[np.uint8],
    ) -> None:
        """All points' latest values; `number` rises with each call, from 1. Arrays are indexed by point."""
        columns: tuple[NDArray[Any], ...] = (value, source_utc_s, received_s, quality, reason)
        for record, span, views in self._blocks:
            record.begin(number)
            for view, column in zip(views, columns, strict=True):
                view[:] = column[span]
            record.end(number, self.layout.block_bytes)

    def publish_row(
        self, cycle: int, monotonic_s: float, utc_s: float, value: NDArray[np.float64], quality: NDArray[np.uint8]
    ) -> int:
        """Append the trend points of one cycle to the ring; returns the row's number (0, 1, …)."""
        row, where = self._rows, self.layout
        record = Record(self._buffer, where.ring + (row % where.rows) * where.row_bytes, where.row_payload)
        record.begin(row + 1)
        _ROW_HEAD.pack_into(record.payload, 0, cycle, monotonic_s, utc_s)
        middle = ROW_HEAD_BYTES + where.trend * 8
        record.payload[ROW_HEAD_BYTES:middle] = value[self._trend].tobytes()
        record.payload[middle:] = quality[self._trend].tobytes()
        record.end(row + 1, where.row_payload)
        self._rows = row + 1
        header.put_word(self._buffer, header.ROWS, self._rows)
        return row

    def publish_report(self, number: int, encoded: bytes) -> None:
        """The encoded `Report` of a cycle."""
        self._report.write(number, encoded)

    def publish_field(self, number: int, encoded: bytes) -> None:
        """The encoded `FieldReport`."""
        self._field.write(number, encoded)

    def publish_event(self, number: int, encoded: bytes) -> None:
        """The encoded `Event` of that number; texts are cut by the caller to fit 1,024 bytes."""
        Record(self._buffer, self.layout.event_offset(number), EVENT_BYTES).write(number, encoded)
        header.put_word(self._buffer, header.EVENTS, number)

    def beat(self, monotonic_s: float) -> None:
        """Mark the cycle as completed: readers judge by this whether control lives."""
        header.put_beat(self._buffer, monotonic_s)

    @property
    def last_event(self) -> int:
        """Number of the newest event, 0 before the first."""
        return header.get_word(self._buffer, header.EVENTS)


def _create(path: Path, size: int) -> mmap.mmap:
    """A preallocated file: later writes cannot meet a full tmpfs. Its group may read it, whatever the umask says."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o640)
        os.posix_fallocate(descriptor, 0, size)
        return mmap.mmap(descriptor, size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.chmod(0o640)
    temporary.replace(path)


def _older(runtime_dir: Path) -> dict[int, Path]:
    """The image files in the folder by generation: one, and what starts that were killed have left."""
    return {int(p.name[6:]): p for p in runtime_dir.glob("image-????????") if p.name[6:].isdecimal()}


def _point(runtime_dir: Path, target: Path) -> None:
    temporary = runtime_dir / "image.new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.name)
    temporary.replace(runtime_dir / POINTER)


def _retire(old: Path) -> None:
    """Tell readers of the old file to follow the pointer, then unlink it: open maps live on."""
    if old.stat().st_size >= HEADER_BYTES:
        with old.open("r+b") as file, mmap.mmap(file.fileno(), 0) as found, memoryview(found) as view:
            header.put_word(view, header.SUPERSEDED, 1)
    old.unlink()
