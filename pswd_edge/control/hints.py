"""The planner's hint: where it would have the grid's power over the next minutes. A wish, never a set-point.

Kept in memory only. A new one comes every few seconds and the next takes its place: the ledger has what it led to, and
when it began and ended to lead (`chronicle.py`). One that has run out leaves the law its own target; the reference
moves at its ramp from where it is, so neither end makes a step.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from pswd_edge.model.command import (
    HINT_AHEAD_MAX_S,
    HINT_KNOTS_MAX,
    HINT_TTL_MIN_S,
    PLANNER_ORIGIN,
    Accepted,
    Clamped,
    Hint,
    Level,
    Outcome,
    Rejected,
)
from pswd_edge.model.control import ControlSpec

BEGAN_MAX_S, BEGINS_MAX_S = 30.0, 5.0  # how long ago, how far ahead a way may begin


class Hints:
    """The newest hint. Taken and asked between two steps of the event loop: a cycle sees one throughout."""

    def __init__(self) -> None:
        self._after_s: tuple[float, ...] = ()
        self._reference_w: tuple[float, ...] = ()
        self._begin_s = 0.0
        self._until_s = -math.inf
        self._told = False

    def take(self, hint: Hint, authority: Level, spec: ControlSpec, now_s: float, cycle: int) -> Outcome:
        """Keep it where it is in order; `now_s` monotonic. One that is refused leaves the one before as it is."""
        if wrong := _refused(hint, authority, now_s):
            return Rejected(id=hint.id, code=wrong[0], reason=wrong[1])
        most_w = min(spec.load_maximum_w, spec.import_limit_w)
        kept = tuple(min(max(w, 0.0), most_w) for w in hint.reference_w)
        self._after_s, self._reference_w = hint.after_s, kept
        self._begin_s, self._until_s = hint.begin_s, now_s + hint.ttl_s
        found = next((k for k, w in zip(kept, hint.reference_w, strict=True) if k != w), None)
        if found is None:
            return Accepted(id=hint.id, cycle=cycle + 1)
        return Clamped(id=hint.id, cycle=cycle + 1, value=found, limit="load_maximum" if found > 0 else "zero",
                       reason=f"kept within 0..{most_w / 1e6:.1f} MW")

    def at(self, now_s: float) -> float | None:
        """The reference wanted now, W; None where there is no hint, or it has run out."""
        return None if now_s >= self._until_s else between(
            self._after_s, self._reference_w, now_s - self._begin_s)

    def turned(self, now_s: float) -> str:
        """Once each time that hints have begun or ended to lead, a sentence; else empty."""
        leads = now_s < self._until_s
        if leads is self._told:
            return ""
        self._told = leads
        return "the planner leads the reference" if leads else "no hint of the planner any more: the law's own target"

    def drop(self) -> None:
        """Forget it: it was made for another site."""
        self._until_s = -math.inf


def between(after_s: Sequence[float], reference_w: Sequence[float], at_s: float) -> float:
    """The straight line between two knots; before the first and after the last the knot's own value."""
    right = bisect_right(after_s, at_s)
    if right == 0:
        return reference_w[0]
    if right == len(after_s):
        return reference_w[-1]
    share = (at_s - after_s[right - 1]) / (after_s[right] - after_s[right - 1])
    return reference_w[right - 1] + share * (reference_w[right] - reference_w[right - 1])


def _refused(hint: Hint, authority: Level, now_s: float) -> tuple[str, str] | None:
    """Code and reason why a hint is not taken at all, or None."""
    if hint.origin != PLANNER_ORIGIN or authority is not Level.API:
        return "forbidden", "hints are the gateway's own planner's only; ask for a battery target instead"
    if wrong := _no_way(hint):
        return "invalid", wrong
    if not now_s - BEGAN_MAX_S <= hint.begin_s <= now_s + BEGINS_MAX_S:
        return "invalid", (f"begin_s: {now_s - hint.begin_s:.1f} s ago: expected -{BEGINS_MAX_S:g}..{BEGAN_MAX_S:g} s; "
                           "is it of this machine's monotonic clock?")
    if hint.ttl_s < HINT_TTL_MIN_S:
        return "ttl", f"holds for {hint.ttl_s:g} s: expected {HINT_TTL_MIN_S:g} s or more: beginning and end are told"
    return None


def _no_way(hint: Hint) -> str:
    """Why its knots are no way over time; empty where they are."""
    count = len(hint.after_s)
    if not 1 <= count <= HINT_KNOTS_MAX or count != len(hint.reference_w):
        return (f"got {count} times and {len(hint.reference_w)} powers: expected as many of both, "
                f"1..{HINT_KNOTS_MAX}")
    if not all(math.isfinite(v) for v in (*hint.after_s, *hint.reference_w)):
        return "got a time or a power that is no finite number"
    if hint.after_s[0] < 0 or hint.after_s[-1] > HINT_AHEAD_MAX_S or any(b <= a for a, b in pairwise(hint.after_s)):
        return f"after_s: expected rising times of 0..{HINT_AHEAD_MAX_S:g} s"
    return ""
