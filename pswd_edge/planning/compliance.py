"""How the grid's power kept its ramp limit, from a record of it. Pure: numbers in, findings out.

Time is cut into slots of 100 ms; means and ramps are those of `ramps.py`, the plant's own score too. The time that was
not judged is told.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.planning.ramps import APART_S, rolling_ramp

WINDOWS_S = (60, 10, 1)
JOIN_S = 1.0                  # violations that are closer together are one

Power = NDArray[np.float64]


class Run(NamedTuple):
    """Consecutive slots on one clock.

    `start_utc_s` is when the first slot begins; `power_w` W, import positive, NaN where nothing good was measured.
    """

    start_utc_s: float
    slot_s: float
    power_w: Power


class Violation(NamedTuple):
    """Ramps of one window above the limit, from the first to the last slot's end.

    `peak_w_per_min` has the sign of the change: positive where import rises. `excess_w` is the excess over the limit in
    W/min, integrated over minutes. What caused it lies no earlier than `from_watch_utc_s`: the begin of the first
    ramp's older window.
    """

    window_s: int
    start_utc_s: float
    end_utc_s: float
    peak_w_per_min: float
    excess_w: float
    from_watch_utc_s: float


class Gap(NamedTuple):
    """Time without a good measurement."""

    start_utc_s: float
    end_utc_s: float


class WindowScore(NamedTuple):
    """One window's figures; None where nothing could be judged. `partial_s` was judged with up to 5 % missing."""

    window_s: int
    max_w_per_min: float | None
    p999_w_per_min: float | None
    judged_s: float
    partial_s: float
    not_judged_s: float
    above_s: float


class Span(NamedTuple):
    """The time that is judged, UTC seconds; a ramp belongs to it where it ends in it."""

    from_utc_s: float
    to_utc_s: float


def ends_in(run: Run, span: Span) -> NDArray[np.bool_]:
    """Which slots end within the span."""
    ends = run.start_utc_s + run.slot_s * np.arange(1, len(run.power_w) + 1)
    return (ends > span.from_utc_s) & (ends <= span.to_utc_s + 1e-6)


def score(runs: list[Run], window_s: int, limit_w_per_min: float, span: Span) -> WindowScore:
    """Figures of one window over all runs. Time of the span without any run is not judged either."""
    judged: list[Power] = []
    judged_s = partial_s = above_s = 0.0
    for run in runs:
        ramp, lacking = rolling_ramp(run.power_w, run.slot_s, window_s)
        known = np.isfinite(ramp) & ends_in(run, span)
        judged.append(np.abs(ramp[known]))
        judged_s += float(known.sum()) * run.slot_s
        partial_s += float((known & (lacking > 0)).sum()) * run.slot_s
        above_s += float((judged[-1] > limit_w_per_min).sum()) * run.slot_s
    every = np.concatenate(judged) if judged else np.zeros(0)
    top = (float(every.max()), float(np.quantile(every, 0.999))) if len(every) else (None, None)
    not_judged_s = max(0.0, span.to_utc_s - span.from_utc_s - judged_s)
    return WindowScore(window_s, top[0], top[1], judged_s, partial_s, not_judged_s, above_s)


def violations(run: Run, window_s: int, limit_w_per_min: float, span: Span) -> list[Violation]:
    """Where the ramp was above the limit, in order."""
    ramp, _ = rolling_ramp(run.power_w, run.slot_s, window_s)
    judged = np.isfinite(ramp) & ends_in(run, span)
    excess = np.where(judged, np.abs(ramp), 0.0) - limit_w_per_min
    found = []
    for first, last in _stretches(excess > 0, round(JOIN_S / run.slot_s)):
        part = ramp[first : last + 1]
        peak = float(part[int(np.nanargmax(np.abs(part)))])
        over = np.maximum(excess[first : last + 1], 0.0)
        start = run.start_utc_s + first * run.slot_s
        found.append(Violation(window_s, start, run.start_utc_s + (last + 1) * run.slot_s, peak,
                               float(over.sum()) * run.slot_s / 60, start - APART_S - window_s))
    return found


def gaps(runs: list[Run], span: Span) -> list[Gap]:
    """Where nothing good was measured within the span, time without any run too; a slot or more each."""
    found, known_to = [], span.from_utc_s
    for run in sorted(runs):
        slot = run.slot_s
        end = run.start_utc_s + slot * len(run.power_w)
        inside = [(run.start_utc_s + f * slot, run.start_utc_s + (last + 1) * slot)
                  for f, last in _stretches(~np.isfinite(run.power_w), 0)]
        for first, last in [(known_to, run.start_utc_s), *inside]:
            found.append((max(first, span.from_utc_s), min(last, span.to_utc_s), slot))
        known_to = max(known_to, end)
    found.append((known_to, span.to_utc_s, 0.1))
    return [Gap(first, last) for first, last, slot in found if last - first > 0.5 * slot]


def _stretches(true: NDArray[np.bool_], join: int) -> list[tuple[int, int]]:
    """First and last index of each stretch of true; stretches at most `join` slots apart are one."""
    at = np.flatnonzero(true)
    if not len(at):
        return []
    breaks = np.flatnonzero(np.diff(at) > join + 1)
    firsts, lasts = np.concatenate(([0], breaks + 1)), np.concatenate((breaks, [len(at) - 1]))
    return [(int(at[f]), int(at[last])) for f, last in zip(firsts, lasts, strict=True)]
