"""Power of the last hour as JSON rows, kept encoded: the hour is never built anew for an answer."""

import asyncio
import contextlib
from collections.abc import Callable

from pswd_edge.gateway.heavy import HeavyWork, breathe
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.services.kept_rows import PIECE_ROWS, KeptRows
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.row_encoding import RowForm, encode
from pswd_edge.image.reader import ImageReader

_AT_ONCE = 100          # ring rows that the event loop takes over in one go: some 2 ms


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
            self._kept = kept
            return kept
        self._kept = None
        if self._making is None or self._making.done():
            self._making = asyncio.get_running_loop().create_task(self._make(reader), name="realtime rows")
        return None

    async def _make(self, reader: ImageReader) -> None:
        """The ring's hour, in the thread: an answer meanwhile is built anew."""
        made = KeptRows(reader, self._forms)

        with contextlib.suppress(RefusalError):     # too much waits: the next look tries again
            await self._heavy.run(lambda: made.take_all(breathe))
            self._kept = made

    async def _anew(self, form: RowForm, duration_s: int, interval_ms: int) -> list[bytes]:
        now = self._power.quality()

        def make(breathe: Callable[[], None] = lambda: None) -> list[bytes]:
            series = self._power.series(duration_s, interval_ms).with_newest(now)
            found: list[bytes] = []
            for first in range(0, len(series.start_ms), PIECE_ROWS):
                found += encode(form, series.part(slice(first, first + PIECE_ROWS)))
                breathe()
            return found

        return make() if self._power.small(duration_s) else await self._heavy.run(lambda: make(breathe))

    def close(self) -> None:
        """Make nothing more."""
        if self._making is not None:
            self._making.cancel()
