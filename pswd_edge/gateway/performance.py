"""How well the gateway itself does, measured on its own answers."""

from collections import deque
from typing import NamedTuple

from pswd_edge.gateway.roles import Operation

_KEPT = 1000
_CONTROL_S = 1.0        # DCPI: control operations are answered within a second
_CONTROLS = frozenset({Operation.BATTERY_CONTROL, Operation.POWER_CONTROL, Operation.WORKLOAD_CONTROL,
                       Operation.THERMAL_CONTROL, Operation.HEAT_CONTROL})


class Performance(NamedTuple):
    """Over the last 1,000 answers and since start; None before the first answer or look."""

    response_mean_ms: float | None
    error_percent: float | None
    uptime_percent: float | None


class Counts(NamedTuple):
    """Answers since the start. `controls`: of control operations that were let in, `controls_in_time` within a second.

    `unauthenticated`, `forbidden`, `limited`, `failed`: 401, 403, 429 and 5xx.
    """

    controls: int = 0
    controls_in_time: int = 0
    unauthenticated: int = 0
    forbidden: int = 0
    limited: int = 0
    failed: int = 0


class PerformanceMeter:
    """Collects answer times, failures (5xx) and whether control was alive, once a second."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, bool]] = deque(maxlen=_KEPT)
        self._looks = 0
        self._alive = 0
        self.counts = Counts()

    def answered(self, duration_s: float, status: int, operation: Operation | None = None) -> None:
        """One answer has left; `operation` where an endpoint was found."""
        self._answers.append((duration_s, status >= 500))
        refused = (status == 401, status == 403, status == 429)
        control = operation in _CONTROLS and not any(refused)
        in_time = control and duration_s <= _CONTROL_S and status < 500
        found = (control, in_time, *refused, status >= 500)
        self.counts = Counts(*(count + one for count, one in zip(self.counts, found, strict=True)))

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
