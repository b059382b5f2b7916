"""Rows of the last hour as bytes, encoded once: an answer joins them."""

from array import array
from bisect import bisect_left

from pswd_edge.gateway.services.power import PowerSeries
from pswd_edge.gateway.services.row_encoding import RowForm, encode

_TRIM_ROWS = 600


class RowStore:
    """The rows of one form at one interval, oldest first.

    At most `kept_s` of them and 600 more. With 12 circuits an hour at 100 ms is about 33 MB, at 1 s a tenth of it.
    """

    def __init__(self, form: RowForm, interval_ms: int) -> None:
        self.form = form
        self.interval_ms = interval_ms
        self._starts = array("q")
        self._rows: list[bytes] = []
        self._most = form.kept_s * 1000 // interval_ms
        self._newest: PowerSeries | None = None

    def append(self, series: PowerSeries) -> None:
        """Later intervals."""
        if not len(series.start_ms):
            return
        self._starts.frombytes(series.start_ms.tobytes())
        self._rows += encode(self.form, series)
        self._newest = series.part(slice(-1, None))
        if (excess := len(self._rows) - self._most) >= _TRIM_ROWS:
            del self._starts[:excess], self._rows[:excess]

    def rows(self, start_ms: int) -> tuple[list[bytes], PowerSeries | None]:
        """Rows of intervals that begin at `start_ms` or later, and the values of the newest of them."""
        found = self._rows[bisect_left(self._starts, start_ms) :]
        return found, self._newest if found else None
