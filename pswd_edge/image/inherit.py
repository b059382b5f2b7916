"""Rows of an older image in a newer one: a restart, or a site that was changed while it ran, keeps the hour."""

import numpy as np

from pswd_edge.image.layout import ROW_HEAD_BYTES, Layout
from pswd_edge.image.record import Record
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site

_BAD = int(Quality.BAD)


class Heritage:
    """Copies rows from one image's ring to another's, a range at a time. Points that the old one lacks are BAD."""

    def __init__(self, old: Site, old_layout: Layout, old_buffer: memoryview, new: Site, layout: Layout,
                 buffer: memoryview) -> None:
        self._from, self._source, self._to, self._target = old_layout, old_buffer, layout, buffer
        before = {old.points[p].id: i for i, p in enumerate(old.trend_points)}
        places = [before.get(new.points[p].id, -1) for p in new.trend_points]
        self._places = np.array(places, np.intp)
        self._known = self._places >= 0
        self.same_period = old.control.period_ms == new.control.period_ms

    def copy(self, first: int, end: int) -> None:
        """Rows `first` (or the oldest that both rings have) up to `end`."""
        for row in range(max(first, end - self._from.rows, end - self._to.rows, 0), end):
            self._copy_row(row)

    def _copy_row(self, row: int) -> None:
        where, to = self._from, self._to
        found = Record(self._source, where.ring + (row % where.rows) * where.row_bytes, where.row_payload)
        data = found.copy(row + 1)
        if data is None:
            return
        middle = ROW_HEAD_BYTES + where.trend * 8
        value = np.full(to.trend, np.nan)
        quality = np.full(to.trend, _BAD, np.uint8)
        value[self._known] = np.frombuffer(data, np.float64, where.trend, ROW_HEAD_BYTES)[self._places[self._known]]
        quality[self._known] = np.frombuffer(data, np.uint8, where.trend, middle)[self._places[self._known]]
        record = Record(self._target, to.ring + (row % to.rows) * to.row_bytes, to.row_payload)
        record.write(row + 1, data[:ROW_HEAD_BYTES] + value.tobytes() + quality.tobytes())
