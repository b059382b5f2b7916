"""How well the gateway itself does, measured on its own answers."""

from collections import deque
from typing import NamedTuple

_KEPT = 1000


class Performance(NamedTuple):
    """Over the last 1,000 answers and since start; None before the first answer or look."""

    response_mean_ms: float | None
    error_percent: float | None
    uptime_percent: float | None


class PerformanceMeter:
    """Collects answer times, failures (5xx) and whether control was alive, once a second."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, bool]] = deque(maxlen=_KEPT)
        self._looks = 0
        self._alive = 0

    def answered(self, duration_s: float, status: int) -> None:
        """One answer has left."""
        self._answers.append((duration_s, status >= 500))

    def looked(self, *, alive: bool) -> None:
        """Control was looked at."""
        self._looks += 1
        self._alive += alive

    def read(self) -> Performance:
        """The figures now."""
        count = len(self._answers)
        return Performance(
            1000 * sum(duration_s for duration_s, _ in self._answers) / count if count else None,
            100 * sum(failed for _, failed in self._answers) / count if count else None,
            100 * self._alive / self._looks if self._looks else None,
        )
