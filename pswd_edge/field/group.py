"""Requests that are settled together, and all that can be worked out of them beforehand."""

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pswd_edge.field.decoder import Decoder, selector
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.plausible import Plausible
from pswd_edge.field.texts import is_text, text_places

STALE_PERIODS = 2.9           # three, but for the jitter of two cycles: then UNCERTAIN (OPC UA's LastUsableValue)
_FINITE = float(np.finfo(np.float64).max)


def padded(size: int) -> int:
    """Bytes that an answer takes among the others: an even number, as registers have; none for typed answers."""
    return max(size, 0) + max(size, 0) % 2


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What takes these places of a list, in order, without a loop in Python."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda found: [found[place] for place in places]


class Group:
    """The control inputs, or all the others.

    `raw_slots` are those of its requests that bring registers, `raw_at` their places in `slots`, `counts` how many
    points that are numbers each of these has. `pick` and `pick_raw` take their places from a list. `data` are their
    answers one after the other, each padded to even length. `aged`: some are older than `stale_s`, or were.
    `tracked` are places in the decoder's output of which it is counted how often they come unchanged, and `tracked_at`
    their requests' places in `raw_slots`: only `watched` points (None: all), since counting costs as much as decoding.
    """

    def __init__(self, requests: Sequence[ReadRequest], sizes: Sequence[int], slots: Sequence[int],
                 watched: Collection[int] | None = None) -> None:
        """`requests` and `sizes` (bytes of the answer, negative: typed values) are those of all slots of the table."""
        self.slot_list = list(slots)
        self.raw_list = [s for s in slots if sizes[s] >= 0]
        self.slots, self.raw_slots = np.array(self.slot_list, np.intp), np.array(self.raw_list, np.intp)
        self.raw_at = np.flatnonzero(np.isin(self.slots, self.raw_slots))
        self.pick, self.pick_raw = _picker(self.slot_list), _picker(self.raw_list)
        self.period_s = np.array([requests[s].period_ms / 1000 for s in slots])
        self.stale_s, self.aged = STALE_PERIODS * self.period_s, True
        raw = [requests[s] for s in self.raw_list]
        ends = list(accumulate((padded(sizes[s]) for s in self.raw_list), initial=0))
        self._starts = np.array(ends[:-1], np.intp)
        self._image: NDArray[np.uint8] | None = None
        self.data = bytes(ends[-1])
        self.decoder = Decoder(raw, ends[:-1], np.frombuffer(self.data, np.uint8))
        self.points = selector(self.decoder.points)
        self.texts = text_places(raw, ends[:-1])
        self.plausible = Plausible([p for s in slots for p in requests[s].points],
                                   [s for s in slots for _ in requests[s].points])
        points = [p for r in raw for p in r.points if not is_text(p)]
        self.counts = np.array([sum(not is_text(p) for p in r.points) for r in raw], dtype=np.intp)
        tracked = [i for i, p in enumerate(points) if watched is None or p.index in watched]
        self.tracked = np.array(tracked, np.intp)
        self.tracked_points = np.array([points[i].index for i in tracked], np.intp)
        self.tracked_at = np.repeat(np.arange(len(raw)), self.counts)[self.tracked]
        self.low = np.array([max(p.minimum, -_FINITE) for p in points])
        self.high = np.array([min(p.maximum, _FINITE) for p in points])

    def load(self, data: bytes) -> NDArray[np.bool_]:
        """Take all answers for decoding; which of them differ from the last ones, in the order of `raw_slots`."""
        image = np.frombuffer(data, np.uint8)
        self.decoder.load(image)
        before, self._image, self.data = self._image, image, data
        if before is None:
            return np.ones(len(self._starts), dtype=bool)
        changed: NDArray[np.bool_] = np.logical_or.reduceat(image != before, self._starts)
        return changed
