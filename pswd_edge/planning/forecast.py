"""What the load will be, as far as somebody has said so: its present level, and the changes that are still to come."""

import math
from collections.abc import Sequence
from typing import NamedTuple

LEVEL_TIME_S = 20.0           # of the mean that a training job's rhythm is taken out with


class Change(NamedTuple):
    """An announced change of the load by `step_w` (mean, negative: a stop), expected at `at_s`.

    It comes between `earliest_s` and `latest_s`; all three on one clock.
    """

    id: str
    step_w: float
    at_s: float
    earliest_s: float
    latest_s: float


class Forecast:
    """Follows the load and knows which changes have come.

    Give it a look at the load every 0.3 s: a job's rhythm of 1 s must not be met at the same place each time.
    """

    def __init__(self, swing_w: float) -> None:
        """`swing_w`: how far a running load swings around its level at most."""
        self._swing_w = swing_w
        self._before_w: dict[str, float] = {}
        self._seen_s: dict[str, float] = {}
        self._last_s = math.nan
        self.level_w = math.nan

    def look(self, now_s: float, load_w: float, changes: Sequence[Change]) -> None:
        """Take note of the filtered load; `changes` are all that are announced at present."""
        self._follow(now_s, load_w)
        names = {c.id for c in changes}
        self._before_w = {i: w for i, w in self._before_w.items() if i in names}
        self._seen_s = {i: s for i, s in self._seen_s.items() if i in names}
        for change in changes:
            before_w = self._before_w.get(change.id, self.level_w)
            if now_s < change.earliest_s or change.id not in self._before_w:
                self._before_w[change.id] = before_w = self.level_w
            if now_s >= change.earliest_s and (load_w - before_w) / change.step_w > 1 / 2:
                self._seen_s.setdefault(change.id, now_s)

    def coming(self, now_s: float, changes: Sequence[Change]) -> list[tuple[float, float]]:
        """Seconds until each change that is still to come, and its W, by time. One that is late may come any moment."""
        return sorted((max(c.at_s - now_s, 0.0), c.step_w) for c in changes
                      if c.id not in self._seen_s and now_s <= c.latest_s)

    def waiting_wh(self, now_s: float, changes: Sequence[Change]) -> tuple[float, float]:
        """Energy that waiting for a late stop takes out of the batteries, and for a late start fills in, Wh.

        Half the step stands between the load and the grid then.
        """
        out, fills = 0.0, 0.0
        for change in changes:
            if change.id in self._seen_s or now_s > change.latest_s:
                continue
            energy = abs(change.step_w) / 2 * (change.latest_s - max(change.at_s, now_s)) / 3600
            out, fills = (max(out, energy), fills) if change.step_w < 0 else (out, max(fills, energy))
        return out, fills

    def settled_s(self, now_s: float) -> float:
        """How long ago the last change came, s; infinite where none has."""
        return now_s - max(self._seen_s.values(), default=-math.inf)

    def _follow(self, now_s: float, load_w: float) -> None:
        since_s = now_s - self._last_s
        self._last_s = now_s
        if math.isnan(since_s) or abs(load_w - self.level_w) > self._swing_w:
            self.level_w = load_w
        else:
            self.level_w += (1 - math.exp(-max(since_s, 0.0) / LEVEL_TIME_S)) * (load_w - self.level_w)
