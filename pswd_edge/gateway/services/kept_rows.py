"""Row stores over one generation of the image: what is new in its ring is encoded once."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.gateway.services.power import PowerSeries, series_of
from pswd_edge.gateway.services.power_columns import Columns, find_columns, values
from pswd_edge.gateway.services.row_encoding import RowForm
from pswd_edge.gateway.services.row_store import RowStore
from pswd_edge.gateway.services.timeline import CHUNK, Timeline, utc_offset_s
from pswd_edge.image.layout import RING_SECONDS
from pswd_edge.image.reader import ImageReader, Rows

PIECE_ROWS = 200        # rows that a thread makes between two breaths
_TAKEN_ROWS = 2000      # ring rows that it copies between two breaths


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
        if len(rows.number):
            line = self._follow(rows)
            if self.line is not None and line.offset_s != self.line.offset_s:
                return False
            self._put(rows, line)
            self._finish(lambda: None)
        return True

    def take_all(self, breathe: Callable[[], None]) -> None:
        """As `take` from the ring's begin, piece by piece, all of it dated by the newest rows."""
        newest = self.reader.rows(3)
        if not len(newest.number):
            return
        offset_s = utc_offset_s(newest.monotonic_s, newest.utc_s)
        while len((rows := self.reader.rows_after(self.number, _TAKEN_ROWS)).number):
            self._put(rows, self._follow(rows)._replace(offset_s=offset_s))
            self._finish(breathe)

    def _put(self, rows: Rows, line: Timeline) -> None:
        self.line, self.number = line.since(float(rows.monotonic_s[-1]) - 2 * RING_SECONDS), int(rows.number[-1])
        self._tail = _Tail(np.concatenate([self._tail.time_ms, line.utc_ms(rows.monotonic_s)]),
                           np.concatenate([self._tail.value, values(rows, self._columns)]))

    def _follow(self, rows: Rows) -> Timeline:
        seen = rows if self._seen is None else _joined(self._seen, rows)
        self._seen = seen._replace(monotonic_s=seen.monotonic_s[-CHUNK:], utc_s=seen.utc_s[-CHUNK:])
        if self.line is None:
            return Timeline.of(self._period_ms, rows.monotonic_s, rows.utc_s)
        return self.line.following(seen.monotonic_s, seen.utc_s)

    def _finish(self, breathe: Callable[[], None]) -> None:
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
        for first in range(0, len(series.start_ms), PIECE_ROWS):
            piece = series.part(slice(first, first + PIECE_ROWS))
            age_ms = self.behind * self._period_ms + int(series.start_ms[-1] - piece.start_ms[-1])
            for store in stores:
                if age_ms < 1000 * store.form.kept_s:
                    store.append(piece)
                    breathe()


def _joined(older: Rows, newer: Rows) -> Rows:
    return newer._replace(monotonic_s=np.concatenate([older.monotonic_s, newer.monotonic_s]),
                          utc_s=np.concatenate([older.utc_s, newer.utc_s]))
