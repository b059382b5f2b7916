"""Figures over an hour, a day or a week, from the minutes of the history."""

from typing import NamedTuple

import numpy as np

from pswd_edge.clock import Clock
from pswd_edge.gateway.services.history import History
from pswd_edge.gateway.services.minute import Minutes


class MetricsView(NamedTuple):
    """Ratios are 0 to 1; None: nothing of it is known in the window.

    `quality_score`: share of the seconds in which all that was measured at the grid connection lay in its band.
    `cooling_efficiency`: as `CoolingSystems` has it. `heat_recovery`: of the heat that coolant carried, what went
    to the heat network. `temperature_stability`: share of the seconds in which every CDU's supply was within
    2 K of its set-point. `approval`: announcements that were approved, with or without conditions. `in_time`: answers
    to control operations within a second.
    """

    since_utc_s: float
    until_utc_s: float
    minutes: int
    load_mean_w: float | None
    load_max_w: float | None
    load_factor: float | None
    quality_score: float | None
    cooling_efficiency: float | None
    heat_recovery: float | None
    temperature_stability: float | None
    temperature_off_k: float | None
    approval: float | None
    forecast_accuracy: float | None
    in_time: float | None
    grid_mean_w: float | None
    grid_max_w: float | None
    frequency_min_hz: float | None
    frequency_max_hz: float | None
    unauthenticated: int | None
    forbidden: int | None
    limited: int | None


class MetricsService:
    """Reads the history."""

    def __init__(self, history: History, clock: Clock) -> None:
        self._history = history
        self._clock = clock

    def read(self, window_s: float) -> MetricsView:
        """The last `window_s` by whole minutes."""
        now_s = self._clock.utc_s()
        found = self._history.minutes(now_s - window_s)
        mean_w, max_w = _mean(found, "load_mean_w"), _most(found, "load_max_w")
        return MetricsView(
            now_s - window_s, now_s, len(found), mean_w, max_w,
            mean_w / max_w if mean_w is not None and max_w is not None and max_w > 0 else None,
            _share(found, "quality_good", "quality_seen"),
            _mean(found, "cooling_efficiency"), _ratio(found, "recovered_mean_w", "heat_mean_w"),
            _share(found, "temperature_good", "temperature_seen"), _mean(found, "temperature_off_mean_k"),
            _part(found, "approved", "rejected"), _mean(found, "forecast_accuracy"),
            _share(found, "controls_in_time", "controls"),
            _mean(found, "grid_mean_w"), _most(found, "grid_max_w"),
            _least(found, "frequency_min_hz"), _most(found, "frequency_max_hz"),
            _count(found, "unauthenticated"), _count(found, "forbidden"), _count(found, "limited"),
        )


def _known(minutes: Minutes, *fields: str) -> list[np.ndarray]:
    """The columns, of the minutes in which all of them are known."""
    columns = np.array([minutes[field] for field in fields])
    return list(columns[:, ~np.isnan(columns).any(axis=0)])


def _mean(minutes: Minutes, field: str) -> float | None:
    (found,) = _known(minutes, field)
    return float(found.mean()) if len(found) else None


def _most(minutes: Minutes, field: str) -> float | None:
    (found,) = _known(minutes, field)
    return float(found.max()) if len(found) else None


def _least(minutes: Minutes, field: str) -> float | None:
    (found,) = _known(minutes, field)
    return float(found.min()) if len(found) else None


def _count(minutes: Minutes, field: str) -> int | None:
    (found,) = _known(minutes, field)
    return int(found.sum()) if len(found) else None


def _share(minutes: Minutes, good: str, seen: str) -> float | None:
    """Of what was seen, the good; both sums over the window."""
    goods, seens = _known(minutes, good, seen)
    return float(goods.sum() / seens.sum()) if seens.sum() > 0 else None


def _part(minutes: Minutes, one: str, other: str) -> float | None:
    """One of one and other."""
    ones, others = _known(minutes, one, other)
    total = ones.sum() + others.sum()
    return float(min(1.0, max(0.0, ones.sum() / total))) if total > 0 else None


def _ratio(minutes: Minutes, one: str, other: str) -> float | None:
    """One of the other, at most 1."""
    ones, others = _known(minutes, one, other)
    return float(min(1.0, max(0.0, ones.sum() / others.sum()))) if others.sum() > 0 else None
