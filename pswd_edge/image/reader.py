"""Everybody else's side of the image: read-only, never in the writer's way."""

import mmap
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from pswd_edge.errors import ImageError, TornReadError
from pswd_edge.image import header
from pswd_edge.image.layout import (
    EVENT_BYTES,
    EVENT_SLOTS,
    FIELD_BYTES,
    REPORT_BYTES,
    ROW_HEAD_BYTES,
    Layout,
    layout_of,
)
from pswd_edge.image.record import OVERHEAD, Record
from pswd_edge.image.writer import POINTER
from pswd_edge.model.event import Event
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.report import FieldReport, Report
from pswd_edge.model.site import Site, decode_site, site_hash
from pswd_edge.model.snapshot import Reading


class Rows(NamedTuple):
    """Consecutive ring rows, oldest first: n rows of the site's k trend points.

    `number`, `cycle` uint64 (n,); `monotonic_s`, `utc_s` float64 (n,); `value` float64 (n, k), NaN where BAD;
    `quality` uint8 (n, k). Columns are in the order of `Site.trend_points`.
    """

    number: NDArray[np.uint64]
    cycle: NDArray[np.uint64]
    monotonic_s: NDArray[np.float64]
    utc_s: NDArray[np.float64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]


class ImageReader:
    """A read-only view of the newest generation. Call `follow` now and then: a reload makes a new generation."""

    def __init__(self, runtime_dir: Path, expected_hash: str | None = None) -> None:
        """Open the image of `runtime_dir`.

        Raises:
            ImageMismatchError: `expected_hash` is given and the image is of another site.
            ImageError: there is none, or the compiled site beside it does not match its name.
        """
        self._runtime_dir = runtime_dir
        self._open(expected_hash)

    def _open(self, expected_hash: str | None) -> None:
        """Everything is checked before anything is changed: a reader that cannot follow keeps what it has."""
        path = self._runtime_dir / POINTER
        try:
            with path.open("rb") as file:
                buffer = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise ImageError(f"{path}: no process image ({error}); is the control process running?") from error
        if expected_hash is not None:
            header.require_site(buffer, str(path), expected_hash)
        found_hash, generation, size = header.get_identity(buffer, str(path))
        site = _load_site(self._runtime_dir, found_hash)
        where = layout_of(site)
        if not len(buffer) == size == where.size:
            raise ImageError(f"{path}: got {len(buffer)} bytes that say {size}: expected {where.size}; "
                             "restart control and gateway from the same release")
        self._buffer, self.site_hash, self.generation = buffer, found_hash, generation
        self.site: Site = site
        self.layout: Layout = where
        self._blocks = [Record(buffer, where.block_offset(b), where.block_bytes) for b in range(where.blocks)]
        self._report = Record(buffer, where.report, REPORT_BYTES)
        self._field = Record(buffer, where.field, FIELD_BYTES)
        self._report_decoder = msgspec.msgpack.Decoder(Report)
        self._field_decoder = msgspec.msgpack.Decoder(FieldReport)
        self._event_decoder = msgspec.msgpack.Decoder(Event)

    def follow(self) -> bool:
        """Open the newest generation where this one is superseded; True where it did. `site` may have changed.

        Raises ImageError where the new one cannot be used; the reader then still reads the old one.
        """
        if not header.get_word(self._buffer, header.SUPERSEDED):
            return False
        self._open(None)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the map; the memory goes when the last array made from it goes."""
        self._blocks = []

    @property
    def beat_s(self) -> float:
        """Monotonic time of control's last completed cycle; 0.0 before the first."""
        return header.get_beat(self._buffer)

    @property
    def row_count(self) -> int:
        """Rows written since the ring began; the newest row's number is one less."""
        return header.get_word(self._buffer, header.ROWS)

    def value(self, point: int, now_s: float) -> tuple[Reading, float]:
        """Latest reading of a point and its source time (UTC seconds; NaN where the device gives none).

        Raises IndexError where the site has no such point: beyond the last one a block holds zeros called GOOD.
        """
        if not 0 <= point < self.layout.points:
            raise IndexError(f"point {point}: expected 0..{self.layout.points - 1}")
        size = self.layout.block_points
        block, at = divmod(point, size)
        number, payload = self._blocks[block].read()
        if number == 0:
            return Reading(float("nan"), Quality.BAD, Reason.NEVER_READ, float("inf"), float("-inf")), float("nan")
        wide = [float(np.frombuffer(payload, np.float64, 1, (i * size + at) * 8)[0]) for i in range(3)]
        quality, reason = payload[24 * size + at], payload[25 * size + at]
        return Reading(wide[0], Quality(quality), Reason(reason), now_s - wide[2], wide[2]), wide[1]

    def latest(self) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64],
                              NDArray[np.float64]]:
        """Every point's latest: value (NaN where BAD), quality, reason, received_s (monotonic), source_utc_s."""
        points, size = self.layout.points, self.layout.block_points
        value, source, received = np.full(points, np.nan), np.full(points, np.nan), np.full(points, -np.inf)
        quality = np.full(points, Quality.BAD, np.uint8)
        reason = np.full(points, Reason.NEVER_READ, np.uint8)
        for b, record in enumerate(self._blocks):
            number, payload = record.read()
            if number == 0:
                continue
            first, count = self.layout.block_span(b)
            span = slice(first, first + count)
            for i, wide in enumerate((value, source, received)):
                wide[span] = np.frombuffer(payload, np.float64, count, i * 8 * size)
            for i, narrow in enumerate((quality, reason)):
                narrow[span] = np.frombuffer(payload, np.uint8, count, (24 + i) * size)
        return value, quality, reason, received, source

    def report(self) -> Report | None:
        """Control's report of its newest cycle, or None before the first."""
        number, payload = self._report.read()
        return self._report_decoder.decode(payload) if number else None

    def field_report(self) -> FieldReport | None:
        """The connections' health, or None before the first second."""
        number, payload = self._field.read()
        return self._field_decoder.decode(payload) if number else None

    def events(self, after: int) -> list[Event]:
        """Events with a number above `after`, oldest first, at most the last 1,024."""
        newest = header.get_word(self._buffer, header.EVENTS)
        found = []
        for number in range(max(after + 1, newest - EVENT_SLOTS + 1, 1), newest + 1):
            payload = Record(self._buffer, self.layout.event_offset(number), EVENT_BYTES).copy(number)
            if payload is not None:
                found.append(self._event_decoder.decode(payload))
        return found

    def rows(self, count: int) -> Rows:
        """The newest `count` ring rows, fewer where there are fewer."""
        total = self.row_count
        return self._rows(total - count, total)

    def rows_after(self, number: int, most: int | None = None) -> Rows:
        """Ring rows with a number above `number`, oldest first, at most `most` of them.

        Rows that the writer overtakes while they are copied are left out; the two newest are checked by CRC too,
        since a processor may still be reordering their bytes.
        """
        total = self.row_count
        first = max(number + 1, total - self.layout.rows)
        return self._rows(first, total if most is None else min(total, first + most))

    def _rows(self, first: int, total: int) -> Rows:
        where = self.layout
        first = max(first, total - where.rows, 0)
        raw = self._copy_rows(first, total)
        if len(raw) == 0:
            return _decode_rows(raw, where)
        expected = np.arange(first + 1, total + 1, dtype=np.uint64)
        heads = raw[:, :8].copy().view(np.uint64)[:, 0]
        tails = raw[:, -8:].copy().view(np.uint64)[:, 0]
        whole = (heads == expected) & (tails == expected)
        whole[expected <= max(0, self.row_count + 1 - where.rows)] = False
        for row in range(max(first, total - 2), total):
            record = Record(self._buffer, where.ring + (row % where.rows) * where.row_bytes, where.row_payload)
            whole[row - first] &= record.copy(row + 1) is not None
        return _decode_rows(raw[whole], where)

    def _copy_rows(self, first: int, end: int) -> NDArray[np.uint8]:
        """Raw rows [first, end) as (n, row_bytes)."""
        where = self.layout
        parts = []
        while first < end:
            slot = first % where.rows
            count = min(end - first, where.rows - slot)
            at = where.ring + slot * where.row_bytes
            parts.append(np.frombuffer(bytes(self._buffer[at : at + count * where.row_bytes]), np.uint8))
            first += count
        joined = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
        return joined.reshape(-1, where.row_bytes)


def _decode_rows(raw: NDArray[np.uint8], where: Layout) -> Rows:
    at = OVERHEAD - 8
    middle = at + ROW_HEAD_BYTES + where.trend * 8
    number = raw[:, :8].copy().view(np.uint64)[:, 0] - np.uint64(1)
    cycle = raw[:, at : at + 8].copy().view(np.uint64)[:, 0]
    times = raw[:, at + 8 : at + 24].copy().view(np.float64)
    value = raw[:, at + ROW_HEAD_BYTES : middle].copy().view(np.float64).reshape(len(raw), where.trend)
    quality = raw[:, middle : middle + where.trend].copy()
    return Rows(number, cycle, times[:, 0], times[:, 1], value, quality)


def _load_site(runtime_dir: Path, expected_hash: str) -> Site:
    path = runtime_dir / f"site-{expected_hash}.bin"
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error}); restart the control process") from error
    if site_hash(encoded) != expected_hash:
        raise ImageError(f"{path}: its content is site {site_hash(encoded)}; restart the control process")
    try:
        return decode_site(encoded)
    except msgspec.MsgspecError as error:
        raise ImageError(f"{path}: no site of this release ({error}); restart control and gateway from the same "
                         "release") from error


__all__ = ["ImageReader", "Rows", "TornReadError"]
