"""Power of the last hour as JSON rows, kept encoded: the hour is never built anew for an answer."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.gateway.heavy import HeavyWork, breathe
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.services.power import PowerSeries, PowerService, series_of
from pswd_edge.gateway.services.power_columns import Columns, find_columns, values
from pswd_edge.gateway.services.row_encoding import RowForm, encode
from pswd_edge.gateway.services.row_store import RowStore
from pswd_edge.gateway.services.timeline import CHUNK, Timeline
from pswd_edge.image.layout import RING_SECONDS
from pswd_edge.image.reader import ImageReader, Rows

_AT_ONCE = 100          # ring rows that the event loop takes over in one go: some 2 ms
_PIECE_ROWS = 200       # rows that the thread makes between two breaths


class _Tail(NamedTuple):
    """Cycles that are not all in a finished interval yet."""

    time_ms: NDArray[np.int64]
    value: NDArray[np.float64]


class KeptRows:
    """Row stores of one generation of the image and one setting of the wall clock."""

    def __init__(self, reader: ImageReader, forms: list[RowForm]) -> None:
        self.reader = reader
        self.line: Timeline | None = None
        self.number = -1
        self._columns: Columns = find_columns(reader.site)
        self._period_ms = reader.site.control.period_ms
        self._stores = [RowStore(form, interval_ms) for form in forms for interval_ms in form.intervals_ms]
        self._ends_ms = dict.fromkeys((store.interval_ms for store in self._stores), 0)
        self._seen: Rows | None = None
        self._tail = _Tail(np.zeros(0, np.int64), np.zeros((0, self._columns.width)))

    @property
    def newest_s(self) -> float | None:
        """Monotonic time of the newest row; None before the first."""
        return None if self._seen is None else float(self._seen.monotonic_s[-1])

    @property
    def behind(self) -> int:
        """Ring rows that are not taken over yet."""
        return self.reader.row_count - 1 - self.number

    def store(self, form: RowForm, interval_ms: int) -> RowStore | None:
        """The store of this form and interval, where there is one."""
        return next((s for s in self._stores if s.form is form and s.interval_ms == interval_ms), None)

    def end_ms(self, interval_ms: int) -> int:
        """Where the newest whole interval ends; 0 before the first."""
        return self._ends_ms[interval_ms]

    def take(self) -> bool:
        """Take over what is new in the ring; False where the wall clock was set: all that is kept is dated wrongly."""
        rows = self.reader.rows_after(self.number)
        if not len(rows.number):
            return True
        line = self._follow(rows)
        if self.line is not None and line.offset_s != self.line.offset_s:
            return False
        self.line, self.number = line.since(float(rows.monotonic_s[-1]) - 2 * RING_SECONDS), int(rows.number[-1])
        self._tail = _Tail(np.concatenate([self._tail.time_ms, line.utc_ms(rows.monotonic_s)]),
                           np.concatenate([self._tail.value, values(rows, self._columns)]))
        return True

    def _follow(self, rows: Rows) -> Timeline:
        seen = rows if self._seen is None else _joined(self._seen, rows)
        self._seen = seen._replace(monotonic_s=seen.monotonic_s[-CHUNK:], utc_s=seen.utc_s[-CHUNK:])
        if self.line is None:
            return Timeline.of(self._period_ms, rows.monotonic_s, rows.utc_s)
        return self.line.following(seen.monotonic_s, seen.utc_s)

    def finish(self, breathe: Callable[[], None] = lambda: None) -> None:
        """Encode the intervals that are whole now."""
        if not len(self._tail.time_ms):
            return
        whole_ms = int(self._tail.time_ms[-1]) + self._period_ms
        for interval_ms, done_ms in self._ends_ms.items():
            end_ms = whole_ms // interval_ms * interval_ms
            start_ms = done_ms or int(self._tail.time_ms[0]) // interval_ms * interval_ms
            self._encode(series_of(interval_ms, start_ms, end_ms, *self._tail, self._columns.circuit_ids), breathe)
            self._ends_ms[interval_ms] = max(done_ms, end_ms)
        keep = self._tail.time_ms >= min(self._ends_ms.values(), default=0)
        self._tail = _Tail(self._tail.time_ms[keep], self._tail.value[keep])

    def _encode(self, series: PowerSeries, breathe: Callable[[], None]) -> None:
        stores = [store for store in self._stores if store.interval_ms == series.interval_ms]
        for first in range(0, len(series.start_ms), _PIECE_ROWS):
            piece = series.part(slice(first, first + _PIECE_ROWS))
            age_ms = int(series.start_ms[-1] - piece.start_ms[-1])
            for store in stores:
                if age_ms < 1000 * store.form.kept_s:
                    store.append(piece)
                    breathe()


class RealtimeService:
    """Gives the rows of a profile. Forms are registered before the first answer."""

    def __init__(self, live: LiveImage, power: PowerService, heavy: HeavyWork) -> None:
        self._live = live
        self._power = power
        self._heavy = heavy
        self._forms: list[RowForm] = []
        self._kept: KeptRows | None = None
        self._making: asyncio.Task[None] | None = None

    def register(self, form: RowForm) -> None:
        """Keep rows of this form from now on."""
        self._forms.append(form)
        self._kept = None

    async def rows(self, form: RowForm, duration_s: int, interval_ms: int) -> list[bytes]:
        """Encoded intervals of the last `duration_s`, oldest first; the newest has the quality of now.

        As `PowerService.series` has them. Raises 503 where too much else is being made.
        """
        kept = self._current()
        store = kept.store(form, interval_ms) if kept is not None else None
        if kept is None or store is None or duration_s > form.kept_s:
            return await self._anew(form, duration_s, interval_ms)
        start_ms = kept.end_ms(interval_ms) - duration_s * 1000 // interval_ms * interval_ms
        silent_ms = 0 if kept.newest_s is None else self._power.silent_ms(kept.newest_s)
        found, newest = store.rows(start_ms + silent_ms)
        if newest is not None:
            found[-1:] = encode(form, newest.with_newest(self._power.quality()))
        return found

    def look(self) -> None:
        """Take over what is new: once a second, so that an answer has little left to do."""
        self._current()

    def _current(self) -> KeptRows | None:
        """What is kept, with every row of the ring; None while it is being made anew."""
        kept, reader = self._kept, self._live.reader
        if kept is None or kept.reader is not reader:
            kept = KeptRows(reader, self._forms)
        if kept.behind <= _AT_ONCE and kept.take():
            kept.finish()
            self._kept = kept
            return kept
        self._kept = None
        if self._making is None or self._making.done():
            self._making = asyncio.get_running_loop().create_task(self._make(reader), name="realtime rows")
        return None

    async def _make(self, reader: ImageReader) -> None:
        """The ring's hour, in the thread: an answer meanwhile is built anew."""
        made = KeptRows(reader, self._forms)

        def make() -> None:
            made.take()
            made.finish(breathe)

        with contextlib.suppress(RefusalError):     # too much waits: the next look tries again
            await self._heavy.run(make)
            self._kept = made

    async def _anew(self, form: RowForm, duration_s: int, interval_ms: int) -> list[bytes]:
        now = self._power.quality()

        def make(breathe: Callable[[], None] = lambda: None) -> list[bytes]:
            series = self._power.series(duration_s, interval_ms).with_newest(now)
            found: list[bytes] = []
            for first in range(0, len(series.start_ms), _PIECE_ROWS):
                found += encode(form, series.part(slice(first, first + _PIECE_ROWS)))
                breathe()
            return found

        return make() if self._power.small(duration_s) else await self._heavy.run(lambda: make(breathe))

    def close(self) -> None:
        """Make nothing more."""
        if self._making is not None:
            self._making.cancel()


def _joined(older: Rows, newer: Rows) -> Rows:
    return newer._replace(monotonic_s=np.concatenate([older.monotonic_s, newer.monotonic_s]),
                          utc_s=np.concatenate([older.utc_s, newer.utc_s]))
