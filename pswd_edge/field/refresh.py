"""How often each device really renews what it shows, learnt from its answers.

A meter that renews its registers every second answers ten times a second all the same: what comes then is a repeated
value, not a fresh one. Counting answers whose content differs tells the true period.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_WEIGHT = 0.1                 # of one look
_LOOK_S = 0.5                 # at least: too little is counted in a shorter time
_SURE_CHANGES = 8             # seen before a period is told


class Refresh:
    """Periods by slot, s; NaN where not known: too few changes yet, or a content that hardly ever changes."""

    def __init__(self, slots: int) -> None:
        self.changes: NDArray[np.int64] = np.zeros(slots, np.int64)
        self._seen = self.changes.copy()
        self._seen_s = np.full(slots, np.nan)
        self._period_s = np.full(slots, np.nan)
        self._looked_s = -np.inf

    def look(self, now_s: float) -> None:
        """Learn from what was counted since the last change; call it about once a second.

        A content that stands still teaches nothing: a hung device must not pass for a slow one.
        """
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        counted = self.changes - self._seen
        moved = counted > 0
        found_s = (now_s - self._seen_s) / np.maximum(counted, 1)
        first = moved & np.isnan(self._period_s)
        learnt_s = self._period_s + _WEIGHT * (found_s - self._period_s)
        self._period_s = np.where(first, found_s, np.where(moved, learnt_s, self._period_s))
        self._seen = np.where(moved, self.changes, self._seen)
        self._seen_s = np.where(moved, now_s, self._seen_s)

    def adopt(self, old: "Refresh", slots: Mapping[int, int]) -> None:
        """Take over what was learnt of the slots that are kept: old number to new."""
        for before, after in slots.items():
            for mine, theirs in ((self.changes, old.changes), (self._seen, old._seen), (self._seen_s, old._seen_s),
                                 (self._period_s, old._period_s)):
                mine[after] = theirs[before]

    @property
    def period_s(self) -> NDArray[np.float64]:
        """The learnt periods. No shorter than the polling: what changes in between is not seen."""
        period: NDArray[np.float64] = np.where(self.changes >= _SURE_CHANGES, self._period_s, np.nan)
        return period
