"""The load of the next hours: its present level, what is announced, past days, and how wrong that was. Pure.

    predicted(t) = profile(t) + carried + left * exp(-t / 6 h) + announced steps until t

where the profile is the mean of past days at the same time of day (a day of minutes at least; without it the level
stays). What the level is beyond the profile now belongs to running workloads as far as they account for it, and stays
until they end (`carried`); the rest (`left`) dies away.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.model.workload import Workload, WorkloadState
from pswd_edge.planning.announcements import running_w

LEVEL_PERCENT = 90.0          # how likely the truth lies in an interval
LEADS_S = (900.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 24 * 3600.0, 48 * 3600.0)   # at which errors are measured
SAMPLES_LEAST = 20            # errors of a lead before they speak for it
_DAY_S, _MINUTE_S = 86_400, 60
_SMOOTH_MIN = 15              # of the profile
_FADE_S = 6 * 3600.0
_Z = 1.645                    # two-sided 90 % of a normal spread
_GROWS_S = 900.0              # the spread's share grows as sqrt(1 + t / 15 min)
_RUNNING = frozenset({WorkloadState.APPROVED, WorkloadState.CONDITIONAL, WorkloadState.THROTTLED})


class Span(NamedTuple):
    """When a workload runs, UTC seconds, and its mean power then, W. `until_utc_s` may be infinite.

    `now_w` is what the present level has of it: what it draws, as far as that is known, and 0 before its time.
    """

    workload: Workload
    from_utc_s: float
    until_utc_s: float
    power_w: float
    now_w: float


class Past(NamedTuple):
    """What has been: `level_w` now (mean of a minute), `spread_w` (standard deviation of minutes), the daily profile.

    `profile_w` is (1440,), minutes of the UTC day, or None with less than a day. `errors_w` are absolute errors of past
    forecasts by lead, as many as there are.
    """

    level_w: float
    spread_w: float
    profile_w: NDArray[np.float64] | None
    errors_w: dict[float, NDArray[np.float64]]


class LoadForecast(NamedTuple):
    """(n,) each, W; `half_w` is half the interval. `measured`: the interval of that moment comes from past errors."""

    utc_s: NDArray[np.float64]
    load_w: NDArray[np.float64]
    half_w: NDArray[np.float64]
    measured: NDArray[np.bool_]


def spans_of(workloads: Sequence[Workload], utc_s: float, drawn_w: Mapping[str, float]) -> list[Span]:
    """When the announced workloads run from now on. One that is paused without an end does not come.

    `drawn_w` is the mean of what those that are measured draw, by workload id.
    """
    return [span for w in workloads if (span := _span(w, utc_s, drawn_w)) is not None and span.until_utc_s > utc_s]


def _span(workload: Workload, utc_s: float, drawn_w: Mapping[str, float]) -> Span | None:
    said = workload.announcement
    begins_s = max(said.earliest_start_utc_s or 0.0, workload.announced_utc_s)
    ends_s = begins_s + said.duration_s if said.duration_s is not None else math.inf
    if workload.state is WorkloadState.PAUSED and workload.paused_until_utc_s is not None:
        begins_s = max(utc_s, begins_s, workload.paused_until_utc_s)
    elif workload.state not in _RUNNING:
        return None
    power_w = running_w(workload)
    drawn = min(power_w, drawn_w.get(said.workload_id, power_w))
    return Span(workload, begins_s, ends_s, power_w, drawn if begins_s <= utc_s else 0.0)


def daily_profile(utc_s: NDArray[np.float64], load_w: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Mean load of each minute of the UTC day, smoothed over 15 minutes; None with less than a day of minutes."""
    good = np.isfinite(load_w)
    minute = (utc_s[good] // _MINUTE_S).astype(np.int64) % (_DAY_S // _MINUTE_S)
    count = np.bincount(minute, minlength=1440)
    if count.sum() < 1440 or np.count_nonzero(count) < 1200:
        return None
    mean = np.bincount(minute, load_w[good], minlength=1440) / np.maximum(count, 1)
    known = np.flatnonzero(count)
    mean = np.interp(np.arange(1440), known, mean[known], period=1440)
    wrapped = np.concatenate([mean[-_SMOOTH_MIN:], mean, mean[:_SMOOTH_MIN]])
    smooth: NDArray[np.float64] = np.convolve(wrapped, np.ones(_SMOOTH_MIN) / _SMOOTH_MIN, "same")
    return smooth[_SMOOTH_MIN:-_SMOOTH_MIN]


def predict(past: Past, spans: Sequence[Span], now_utc_s: float, at_utc_s: NDArray[np.float64],
            most_w: float) -> LoadForecast:
    """The load at each moment, 0 to `most_w`, and half of its interval."""
    ahead_s = at_utc_s - now_utc_s
    load_w = _base(past, spans, now_utc_s, at_utc_s, ahead_s)
    for span in spans:
        then_w = span.now_w if span.from_utc_s <= now_utc_s else span.power_w
        load_w += np.where(runs(span, at_utc_s), then_w, 0.0) - span.now_w
    half_w, measured = _interval(past, spans, now_utc_s, at_utc_s, ahead_s)
    return LoadForecast(at_utc_s, np.clip(load_w, 0.0, most_w), half_w, measured)


def _base(past: Past, spans: Sequence[Span], now_utc_s: float, at_utc_s: NDArray[np.float64],
          ahead_s: NDArray[np.float64]) -> NDArray[np.float64]:
    if past.profile_w is None:
        return np.full(len(at_utc_s), past.level_w)
    then_w, now_w = _at(past.profile_w, at_utc_s), float(_at(past.profile_w, np.array([now_utc_s]))[0])
    beyond_w = past.level_w - now_w
    running = sum(s.now_w for s in spans)
    carried_w = min(max(beyond_w, 0.0), running)
    return then_w + carried_w + (beyond_w - carried_w) * np.exp(-ahead_s / _FADE_S)


def _at(profile_w: NDArray[np.float64], utc_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.interp(utc_s % _DAY_S / _MINUTE_S, np.arange(1440) + 0.5, profile_w, period=1440)


def runs(span: Span, at_utc_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """At which of the moments it runs."""
    return (span.from_utc_s <= at_utc_s) & (at_utc_s < span.until_utc_s)


def _interval(past: Past, spans: Sequence[Span], now_utc_s: float, at_utc_s: NDArray[np.float64],
              ahead_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """From measured errors up to the longest lead that has enough; beyond it from the spread, and never narrower."""
    leads = [lead for lead in LEADS_S if len(past.errors_w.get(lead, ())) >= SAMPLES_LEAST]
    grown = np.sqrt(1.0 + np.maximum(ahead_s, 0.0) / _GROWS_S)
    half_w = _Z * past.spread_w * grown + _doubt(spans, now_utc_s, at_utc_s)
    if not leads:
        return half_w, np.zeros(len(at_utc_s), bool)
    quantiles = np.maximum.accumulate([np.quantile(past.errors_w[lead], LEVEL_PERCENT / 100) for lead in leads])
    measured = ahead_s <= leads[-1]
    by_errors = np.interp(ahead_s, leads, quantiles)
    return np.where(measured, by_errors, np.maximum(half_w, quantiles[-1])), measured


def _doubt(spans: Sequence[Span], now_utc_s: float, at_utc_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """An announced workload that is not seen yet draws between its baseline and its peak, if it comes at all."""
    square = np.zeros(len(at_utc_s))
    for span in spans:
        if span.from_utc_s > now_utc_s:
            square += runs(span, at_utc_s) * (max(span.workload.approved_w - span.power_w, span.power_w / 2)) ** 2
    return np.sqrt(square)
