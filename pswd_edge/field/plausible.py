"""Values that cannot be: frozen ones and implausible jumps. Only of points whose map asks for it, all at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality, Reason

_BAD, _UNCERTAIN, _GOOD = int(Quality.BAD), int(Quality.UNCERTAIN), int(Quality.GOOD)
_FROZEN, _JUMP = int(Reason.FROZEN), int(Reason.JUMP)


_DOUBT_S = 1.0                # a device that shows the same for so long means it


class Columns(NamedTuple):
    """The table's own arrays, by point."""

    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    reason: NDArray[np.uint8]


class Plausible:
    """Looks at some points after their values were settled, before anybody sees them.

    Frozen: bit-identical through `frozen_after` changes of the device's answer, or for as long as so many would have
    taken at its learnt period: then UNCERTAIN, with its value. Jump: more than `jump` from the value before: BAD, until
    an answer with new content, or a second, confirms it: a true step costs one answer.
    """

    def __init__(self, points: Sequence[Point], slots: Sequence[int]) -> None:
        """`slots[i]` is the request that brings `points[i]`."""
        watched = [(p, s) for p, s in zip(points, slots, strict=True) if p.frozen_after or p.jump]
        size = len(watched)
        self.points = np.array([p.index for p, _ in watched], np.intp)
        self._slot = np.array([s for _, s in watched], np.intp)
        self._frozen_after = np.array([p.frozen_after or np.inf for p, _ in watched])
        self._jump = np.array([p.jump or np.inf for p, _ in watched])
        self._before, self._believed, self._doubt = (np.full(size, np.nan) for _ in range(3))
        self._changes, self._doubt_changes = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self._changed_s, self._doubt_s = np.full(size, np.nan), np.full(size, np.nan)

    def judge(self, columns: Columns, fresh: NDArray[np.bool_], changes: NDArray[np.int64],
              period_s: NDArray[np.float64], now_s: float) -> None:
        """Mark what is implausible. `fresh`, `changes` and `period_s` are by slot; only fresh answers are judged."""
        at = self.points
        shown = columns.value[at]
        judged = fresh[self._slot] & (columns.quality[at] != _BAD)
        self._judge_jumps(columns, judged, shown, changes[self._slot], now_s)
        self._judge_frozen(columns, judged, shown, changes[self._slot], period_s[self._slot], now_s)

    def _judge_frozen(self, columns: Columns, judged: NDArray[np.bool_], shown: NDArray[np.float64],
                      changes: NDArray[np.int64], period_s: NDArray[np.float64], now_s: float) -> None:
        changed = judged & (shown != self._before)
        self._before = np.where(changed, shown, self._before)
        self._changes = np.where(changed, changes, self._changes)
        self._changed_s = np.where(changed, now_s, self._changed_s)
        still = np.fmax(changes - self._changes, (now_s - self._changed_s) / period_s)
        frozen = self.points[judged & (still >= self._frozen_after) & (columns.quality[self.points] == _GOOD)]
        columns.quality[frozen], columns.reason[frozen] = _UNCERTAIN, _FROZEN

    def _judge_jumps(self, columns: Columns, judged: NDArray[np.bool_], shown: NDArray[np.float64],
                     changes: NDArray[np.int64], now_s: float) -> None:
        far = judged & (np.abs(shown - self._believed) > self._jump)
        same = np.abs(shown - self._doubt) <= self._jump
        confirmed = far & same & ((changes > self._doubt_changes) | (now_s - self._doubt_s >= _DOUBT_S))
        doubted = far & ~confirmed
        begun = doubted & ~same
        self._doubt = np.where(begun, shown, np.where(judged & ~doubted, np.nan, self._doubt))
        self._doubt_changes = np.where(begun, changes, self._doubt_changes)
        self._doubt_s = np.where(begun, now_s, self._doubt_s)
        self._believed = np.where(judged & ~doubted, shown, self._believed)
        bad = self.points[doubted]
        columns.value[bad], columns.quality[bad], columns.reason[bad] = np.nan, _BAD, _JUMP
