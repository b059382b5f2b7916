"""The control process' own memory of every point: what came last, when, and how good it is.

Answers are put in as they come (cheap); `settle` turns them into values for a group of requests at once.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.drivers.plan import Span
from pswd_edge.field.group import STALE_PERIODS, Group, padded
from pswd_edge.field.plausible import Columns
from pswd_edge.field.refresh import Refresh
from pswd_edge.field.texts import decode_text
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.snapshot import Reading

LOST_PERIODS = 10             # then there is no value at all
_TYPED, _NO_ANSWER = -1, -2   # sizes of answers that are no registers
_GOOD, _UNCERTAIN, _BAD = int(Quality.GOOD), int(Quality.UNCERTAIN), int(Quality.BAD)  # enum look-ups cost on this path
_NOT_A_NUMBER, _OUT_OF_RANGE, _NONE, _STALE, _UNREACHABLE, _SENTINEL = (
    int(r) for r in (Reason.NOT_A_NUMBER, Reason.OUT_OF_RANGE, Reason.NONE, Reason.STALE, Reason.UNREACHABLE,
                     Reason.SENTINEL))


class Table:
    """What is known of every point.

    Arrays are indexed by point: `value` (SI, NaN where BAD), `quality`, `reason`, `received_s` (monotonic, -inf
    where it never came), `source_utc_s` (NaN where unknown), `unchanged` (answers in a row with the same value).
    Slot `trash` belongs to no request: answers to what is no longer asked go there.
    `texts` are the last texts of text points, by point: they count only while the point's quality is not BAD.
    """

    def __init__(self, points: Sequence[Point], requests: Sequence[ReadRequest]) -> None:
        count, slots = len(points), len(requests) + 1
        self.trash = len(requests)
        self.requests = list(requests)
        self.sizes = [*(_answer_bytes(r) for r in requests), _NO_ANSWER]
        self.value = np.full(count, np.nan)
        self.quality = np.full(count, Quality.BAD, dtype=np.uint8)
        self.reason = np.full(count, Reason.NEVER_READ, dtype=np.uint8)
        self.received_s = np.full(count, -np.inf)
        self.source_utc_s = np.full(count, np.nan)
        self.unchanged = np.zeros(count, dtype=np.int32)
        self.texts: dict[int, str] = {}
        self._images: dict[int, bytes] = {}
        self.answered_s = np.full(slots, -np.inf)
        self.refresh = Refresh(slots)
        # what came since the last settling: lists, since single places of arrays cost three times as much to set
        self._came_s = [-math.inf] * slots
        self._latest: list[Any] = [bytes(padded(size)) for size in self.sizes]
        self._columns = Columns(self.value, self.quality, self.reason)
        self._aged = np.full(slots, 2, dtype=np.int8)  # what was never read has nothing to lose

    def group(self, slots: Sequence[int], watched: Collection[int] | None = None) -> Group:
        """Some requests that are settled together; see `Group`."""
        return Group(self.requests, self.sizes, slots, watched)

    def put_raw(self, slot: int, answer: bytes, now_s: float) -> None:
        """A register answer came: keep its bytes until the group is settled. One of another length is no answer."""
        if len(answer) != self.sizes[slot]:
            self.put_failure(slot, Reason.UNDECODABLE)
            return
        self._latest[slot] = answer + b"\0" if len(answer) & 1 else answer
        # an answer is told from the last one by its time: where a coarse clock gives both the same, by a hair
        self._came_s[slot] = now_s if now_s != self._came_s[slot] else math.nextafter(now_s, math.inf)

    def put_values(self, slot: int, values: Sequence[Value], now_s: float) -> None:
        """An answer of a protocol with typed values came, one for each point of the request."""
        if slot == self.trash:
            return
        self._came_s[slot] = now_s if now_s != self._came_s[slot] else math.nextafter(now_s, math.inf)
        if values is not self._latest[slot] and values != self._latest[slot]:
            self._latest[slot] = values
            self.refresh.changes[slot] += 1
        for point, found in zip(self.requests[slot].points, values, strict=True):
            value = found.value * point.scale + point.offset
            i, quality, reason = point.index, found.quality, found.reason
            if found.value in point.invalid:
                value, quality, reason = np.nan, Quality.BAD, Reason.SENTINEL
            elif quality is not Quality.BAD and not math.isfinite(value):
                quality, reason = Quality.BAD, Reason.NOT_A_NUMBER
            elif quality is not Quality.BAD and not point.minimum <= value <= point.maximum:
                quality, reason = Quality.BAD, Reason.OUT_OF_RANGE
            self._put(i, np.nan if quality is Quality.BAD else value, quality, reason, now_s)
            self.source_utc_s[i] = np.nan if found.source_utc_s is None else found.source_utc_s

    def _put(self, i: int, value: float, quality: Quality, reason: Reason, now_s: float) -> None:
        same = value == self.value[i]
        self.unchanged[i] = self.unchanged[i] + 1 if same else 0
        self.value[i], self.quality[i], self.reason[i], self.received_s[i] = value, quality, reason, now_s

    def put_failure(self, slot: int, reason: Reason) -> None:
        """A request was refused or its answer made no sense: its points are BAD at once. Silence only ages them.

        An answer that came before and was not settled yet is dropped: it is no longer the latest.
        """
        self._came_s[slot] = float(self.answered_s[slot])
        if slot == self.trash:
            return
        for point in self.requests[slot].points:
            self.value[point.index] = np.nan
            self.quality[point.index] = Quality.BAD
            self.reason[point.index] = reason

    def settle(self, group: Group, now_s: float) -> None:
        """Decode what came for this group, then age all of it."""
        came_s = np.array(group.pick(self._came_s))
        fresh = came_s != self.answered_s[group.slots]
        self.answered_s[group.slots] = came_s
        raw_fresh = fresh[group.raw_at]
        if np.count_nonzero(raw_fresh):
            self._load(group, raw_fresh)
            self._take(group, raw_fresh)
            if group.texts:
                self._take_texts(group, raw_fresh)
        if len(group.plausible.points):
            by_slot = np.zeros(len(self.answered_s), dtype=bool)
            by_slot[group.slots] = fresh
            group.plausible.judge(self._columns, by_slot, self.refresh.changes, self.refresh.period_s, now_s)
        self._age(group, now_s)

    def _load(self, group: Group, fresh: NDArray[np.bool_]) -> None:
        """All answers of the group in one piece, and which of them differ from those before."""
        changed = group.load(b"".join(group.pick_raw(self._latest)))
        self.refresh.changes[group.raw_slots] += changed & fresh

    def _take(self, group: Group, fresh: NDArray[np.bool_]) -> None:
        value, marked, points = group.decoder.decode(), group.decoder.marked, group.points
        low, high = group.low, group.high
        received_s = np.repeat(self.answered_s[group.raw_slots], group.counts)
        if len(group.tracked):
            self._track(group, value, fresh)
        if np.count_nonzero(fresh) < len(fresh):
            chosen = np.repeat(fresh, group.counts)
            value, marked, points = value[chosen], marked[chosen], group.decoder.points[chosen]
            low, high, received_s = low[chosen], high[chosen], received_s[chosen]
        good = (value >= low) & (value <= high)
        self.received_s[points] = received_s
        self.quality[points], self.reason[points] = _GOOD, _NONE
        self.value[points] = value
        if np.count_nonzero(good) < len(good):
            at = np.arange(len(self.value))[points] if isinstance(points, slice) else points
            self._mark_bad(at[~good], value[~good], marked[~good])

    def _track(self, group: Group, value: NDArray[np.float64], fresh: NDArray[np.bool_]) -> None:
        """Count answers in a row with the same value."""
        at = group.tracked_points
        count = (self.unchanged[at] + 1) * (value[group.tracked] == self.value[at])
        self.unchanged[at] = np.where(fresh[group.tracked_at], count, self.unchanged[at])

    def _take_texts(self, group: Group, fresh: NDArray[np.bool_]) -> None:
        for request, point, start, end, address, may_be_empty in group.texts:
            if not fresh[request]:
                continue
            image = group.data[start:end]
            if image != self._images.get(point):
                self._images[point] = image
                self.texts[point] = decode_text(image, address)
            there = may_be_empty or self.texts[point] != ""
            self.quality[point], self.reason[point] = (_GOOD, _NONE) if there else (_BAD, _SENTINEL)
            self.received_s[point] = self.answered_s[group.raw_slots[request]]

    def _mark_bad(self, points: NDArray[np.intp], value: NDArray[np.float64], marked: NDArray[np.uint8]) -> None:
        self.value[points], self.quality[points] = np.nan, _BAD
        self.reason[points] = np.where(marked != 0, marked, np.where(np.isfinite(value), _OUT_OF_RANGE, _NOT_A_NUMBER))

    def _age(self, group: Group, now_s: float) -> None:
        """By request: its points came together and have one period. Only what has just become older costs more."""
        age_s = now_s - self.answered_s[group.slots]
        if not group.aged and not np.count_nonzero(age_s > group.stale_s):
            return
        periods = age_s / group.period_s
        aged = (periods > STALE_PERIODS).astype(np.int8) + (periods > LOST_PERIODS)
        older = aged > self._aged[group.slots]
        self._aged[group.slots] = aged
        group.aged = bool(np.count_nonzero(aged))
        if older.any():
            for slot, level in zip(group.slots[older], aged[older], strict=True):
                self._downgrade([p.index for p in self.requests[slot].points], lost=level > 1)

    def _downgrade(self, points: list[int], *, lost: bool) -> None:
        at = np.array(points, dtype=np.intp)
        if lost:
            at = at[self.quality[at] != _BAD]
            self.value[at], self.quality[at], self.reason[at] = np.nan, _BAD, _UNREACHABLE
        else:
            at = at[self.quality[at] == _GOOD]
            self.quality[at], self.reason[at] = _UNCERTAIN, _STALE

    def refuse(self, points: Sequence[int]) -> None:
        """Points that their device is known to refuse, and that nobody asks for."""
        self.reason[list(points)] = Reason.REFUSED

    def adopt(self, old: "Table", points: tuple[NDArray[np.intp], NDArray[np.intp]], slots: Mapping[int, int]) -> None:
        """Take over what an older table knows. `points`: old indices and new; `slots`: old number to new."""
        before, after = points
        asked = self.reason[after] != Reason.REFUSED
        before, after = before[asked], after[asked]
        for name in ("value", "quality", "reason", "received_s", "source_utc_s", "unchanged"):
            getattr(self, name)[after] = getattr(old, name)[before]
        self.texts = {int(new): old.texts[i] for i, new in zip(before, after, strict=True) if i in old.texts}
        for before_slot, slot in slots.items():
            self._adopt_slot(old, before_slot, slot)
        self.refresh.adopt(old.refresh, slots)

    def _adopt_slot(self, old: "Table", before: int, slot: int) -> None:
        self.answered_s[slot], self._aged[slot] = old.answered_s[before], old._aged[before]
        if self.sizes[slot] == old.sizes[before]:
            self._latest[slot], self._came_s[slot] = old._latest[before], old._came_s[before]

    def reading(self, point: int, now_s: float) -> Reading:
        """One point as the rules see it."""
        received_s = float(self.received_s[point])
        return Reading(
            float(self.value[point]), Quality(int(self.quality[point])), Reason(int(self.reason[point])),
            now_s - received_s, received_s, int(self.unchanged[point]),
        )


def _answer_bytes(request: ReadRequest) -> int:
    """How long the raw answer is, _TYPED where the driver answers with typed values."""
    span = getattr(request.payload, "span", None)
    if not isinstance(span, Span):
        return _TYPED
    return (span.length + 7) // 8 if span.kind in ("coil", "discrete") else 2 * span.length
