"""UTC of the ring's cycles, once and for all: a row that was dated keeps its date until the wall clock is set."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

CHUNK = 10              # cycles that are looked at together: one late cycle is no new rhythm
_ALIKE = 0.8            # how far they must agree, 0 to 1: a chunk of two rhythms is none
_SET_S = 0.02           # the two clocks are read one after the other: less apart is no set clock


class Timeline(NamedTuple):
    """Immutable, so a thread may use one while the next is made.

    Cycles begin some ms late; near the edge of an interval that would put two cycles into one and none into the next.
    So each is put back on the grid of its period. `since_s` (monotonic) says from when a rhythm holds, `due_s` is
    one due time of it: a control process that starts anew has a rhythm of its own. `offset_s` is UTC less monotonic
    time, of the newest rows for all of them: a wall clock that was set makes neither holes nor doubles.
    """

    period_ms: int
    offset_s: float
    since_s: tuple[float, ...]
    due_s: tuple[float, ...]

    @classmethod
    def of(cls, period_ms: int, monotonic_s: NDArray[np.float64], utc_s: NDArray[np.float64]) -> Self:
        """The timeline of these rows, n at least 1."""
        first_s = float(monotonic_s[0])
        late_s, _ = _lateness(monotonic_s[None, :CHUNK], first_s, period_ms)
        return cls(period_ms, utc_offset_s(monotonic_s, utc_s), (first_s,), (first_s + float(late_s[0]),)).following(
            monotonic_s, utc_s)

    def following(self, monotonic_s: NDArray[np.float64], utc_s: NDArray[np.float64]) -> Self:
        """The timeline with later rows, n at least 1, of which some may be known; the same where nothing changes.

        A new rhythm holds from the row after the ones that show it: what was dated already keeps its date.
        """
        line, offset_s = self, utc_offset_s(monotonic_s, utc_s)
        if abs(offset_s - self.offset_s) > _SET_S:
            line = line._replace(offset_s=offset_s)
        chunks_s = monotonic_s[len(monotonic_s) % CHUNK :].reshape(-1, CHUNK)
        while len(chunks_s):
            late_s, alike = _lateness(chunks_s, line.due_s[-1], self.period_ms)
            found = np.flatnonzero((np.abs(late_s) > self.period_ms / 4000) & (alike > _ALIKE))
            if not len(found):
                break
            since_s = float(chunks_s[found[0], -1]) + self.period_ms / 2000
            line = line._replace(since_s=(*line.since_s, since_s),
                                 due_s=(*line.due_s, line.due_s[-1] + float(late_s[found[0]])))
            chunks_s = chunks_s[found[0] + 1 :]
        return line

    def since(self, oldest_s: float) -> Self:
        """Without the rhythms that ended before `oldest_s` (monotonic)."""
        ended = max(0, int(np.searchsorted(self.since_s, oldest_s, "right")) - 1)
        return self._replace(since_s=self.since_s[ended:], due_s=self.due_s[ended:]) if ended else self

    def utc_ms(self, monotonic_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """UTC milliseconds at which each cycle was due, shape (n,)."""
        place = np.maximum(0, np.searchsorted(self.since_s, monotonic_s, "right") - 1)
        due_s = np.asarray(self.due_s)[place]
        slot = np.round(1000 * (monotonic_s - due_s) / self.period_ms).astype(np.int64)
        anchor_ms = np.round(1000 * (due_s + self.offset_s)).astype(np.int64)
        return np.asarray(anchor_ms + slot * self.period_ms)


def utc_offset_s(monotonic_s: NDArray[np.float64], utc_s: NDArray[np.float64]) -> float:
    """UTC less monotonic time, of the three newest rows: one odd reading is none."""
    return float(np.median(utc_s[-3:] - monotonic_s[-3:]))


def _lateness(
    chunks_s: NDArray[np.float64], due_s: float, period_ms: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far after the grid through `due_s` each chunk (m, k) lies in s, at most half a period; how much it agrees."""
    turn = np.exp(2000j * np.pi * (chunks_s - due_s) / period_ms).mean(axis=1)
    return period_ms / (2000 * np.pi) * np.angle(turn), np.abs(turn)
