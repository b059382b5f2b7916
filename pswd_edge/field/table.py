"""The control process' own memory of every point: what came last, when, and how good it is.

Answers are put in as they come (cheap); `settle` turns them into values for a group of requests at once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pswd_edge.field.decoder import Decoder
from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.snapshot import Reading

STALE_PERIODS = 3             # then the last value is UNCERTAIN (OPC UA's LastUsableValue)
LOST_PERIODS = 10             # then there is no value at all
_ANSWER_BYTES = 250           # 125 registers
_GOOD, _UNCERTAIN, _BAD = int(Quality.GOOD), int(Quality.UNCERTAIN), int(Quality.BAD)  # enum look-ups cost on this path
_SENTINEL, _NOT_A_NUMBER, _OUT_OF_RANGE, _NONE, _STALE, _UNREACHABLE = (
    int(r) for r in (Reason.SENTINEL, Reason.NOT_A_NUMBER, Reason.OUT_OF_RANGE, Reason.NONE, Reason.STALE,
                     Reason.UNREACHABLE))


class Group:
    """Requests that are settled together: the control inputs, or all the others."""

    def __init__(self, table: "Table", slots: Sequence[int]) -> None:
        raw = [s for s in slots if hasattr(table.requests[s].payload, "span")]
        self.decoder = Decoder([table.requests[s] for s in raw], [table.places[s] for s in raw], table.raw)
        self.slot_of = np.array([s for s in raw for _ in table.requests[s].points], dtype=np.intp)
        points = [p.index for s in slots for p in table.requests[s].points]
        self.points = np.array(points, dtype=np.intp)
        self.all_slots = np.array([s for s in slots for _ in table.requests[s].points], dtype=np.intp)


class Table:
    """What is known of every point.

    Arrays are indexed by point: `value` (SI, NaN where BAD), `quality`, `reason`, `received_s` (monotonic, -inf
    where it never came), `source_utc_s` (NaN where unknown), `unchanged` (answers in a row with the same value).
    """

    def __init__(self, points: Sequence[Point], requests: Sequence[ReadRequest]) -> None:
        count, slots = len(points), len(requests)
        self.requests = list(requests)
        self.places = [i * _ANSWER_BYTES for i in range(slots)]
        self.raw = np.zeros(slots * _ANSWER_BYTES, dtype=np.uint8)
        self._bytes = self.raw.data
        self._points = list(points)
        self.value = np.full(count, np.nan)
        self.quality = np.full(count, Quality.BAD, dtype=np.uint8)
        self.reason = np.full(count, Reason.NEVER_READ, dtype=np.uint8)
        self.received_s = np.full(count, -np.inf)
        self.source_utc_s = np.full(count, np.nan)
        self.unchanged = np.zeros(count, dtype=np.int32)
        self._low = np.array([p.minimum for p in points])
        self._high = np.array([p.maximum for p in points])
        self._period_s = np.array([p.period_ms / 1000 for p in points])
        self.answered_s = np.full(slots, -np.inf)
        self._fresh = np.zeros(slots, dtype=bool)

    def put_raw(self, slot: int, answer: bytes, now_s: float) -> None:
        """A register answer came: keep its bytes until the group is settled."""
        place = slot * _ANSWER_BYTES
        self._bytes[place : place + len(answer)] = answer
        self.answered_s[slot] = now_s
        self._fresh[slot] = True

    def put_values(self, slot: int, values: Sequence[Value], now_s: float) -> None:
        """An answer of a protocol with typed values came, one for each point of the request."""
        self.answered_s[slot] = now_s
        for point, found in zip(self.requests[slot].points, values, strict=True):
            value = found.value * point.scale + point.offset
            i, quality, reason = point.index, found.quality, found.reason
            if found.value in point.invalid:
                value, quality, reason = np.nan, Quality.BAD, Reason.SENTINEL
            elif quality is not Quality.BAD and not point.minimum <= value <= point.maximum:
                quality = Quality.BAD
                reason = Reason.NOT_A_NUMBER if value != value else Reason.OUT_OF_RANGE  # noqa: PLR0124  # NaN
            self._put(i, np.nan if quality is Quality.BAD else value, quality, reason, now_s)
            self.source_utc_s[i] = np.nan if found.source_utc_s is None else found.source_utc_s

    def _put(self, i: int, value: float, quality: Quality, reason: Reason, now_s: float) -> None:
        same = value == self.value[i]
        self.unchanged[i] = self.unchanged[i] + 1 if same else 0
        self.value[i], self.quality[i], self.reason[i], self.received_s[i] = value, quality, reason, now_s

    def put_failure(self, slot: int, reason: Reason) -> None:
        """A request was refused or its answer made no sense: its points are BAD at once. Silence only ages them."""
        for point in self.requests[slot].points:
            self.value[point.index] = np.nan
            self.quality[point.index] = Quality.BAD
            self.reason[point.index] = reason

    def settle(self, group: Group, now_s: float) -> None:
        """Decode what came for this group, then age all of it."""
        if len(group.slot_of):
            fresh = self._fresh[group.slot_of]
            if fresh.any():
                self._take(group, fresh)
                self._fresh[group.slot_of] = False
        self._age(group.points, now_s)

    def _take(self, group: Group, fresh: NDArray[np.bool_]) -> None:
        decoded = group.decoder.decode()
        points, value = group.decoder.points[fresh], decoded[fresh]
        missing = np.isnan(value)
        outside = (value < self._low[points]) | (value > self._high[points])
        reason = np.where(missing, np.where(group.decoder.sentinel[fresh], _SENTINEL, _NOT_A_NUMBER),
                          np.where(outside, _OUT_OF_RANGE, _NONE))
        value[outside] = np.nan
        self.unchanged[points] = np.where(value == self.value[points], self.unchanged[points] + 1, 0)
        self.value[points] = value
        self.quality[points] = np.where(missing | outside, _BAD, _GOOD)
        self.reason[points] = reason
        self.received_s[points] = self.answered_s[group.slot_of[fresh]]

    def _age(self, points: NDArray[np.intp], now_s: float) -> None:
        periods = (now_s - self.received_s[points]) / self._period_s[points]
        stale = points[(periods > STALE_PERIODS) & (self.quality[points] == _GOOD)]
        self.quality[stale], self.reason[stale] = _UNCERTAIN, _STALE
        lost = points[(periods > LOST_PERIODS) & (self.quality[points] != _BAD)]
        self.value[lost] = np.nan
        self.quality[lost], self.reason[lost] = _BAD, _UNREACHABLE

    def reading(self, point: int, now_s: float) -> Reading:
        """One point as the rules see it."""
        received_s = float(self.received_s[point])
        return Reading(
            float(self.value[point]), Quality(int(self.quality[point])), Reason(int(self.reason[point])),
            now_s - received_s, received_s, int(self.unchanged[point]),
        )
