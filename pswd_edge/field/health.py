"""How long to wait for an answer, and how long to leave a silent device alone. Pure: no clock, no I/O."""

import random

TIMEOUT_FLOOR_S = 0.05
_LATENCY_TIMES = 4.0
_DOWN = 0.15                  # share of the way down at each round trip that is told
_UNKNOWN_S = 0.2              # to retry a unit that never answered
_BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 1.5           # so that a device is polled again within 2 s of its return


class Latency:
    """Follows a unit's round trips: up at once, down slowly, so that the time-out fits its slowest answers."""

    def __init__(self, timeout_max_s: float) -> None:
        self._timeout_max_s = timeout_max_s
        self.filtered_s = 0.0
        self.timeout_s = timeout_max_s

    def add(self, round_trip_s: float) -> None:
        """A round trip was measured; those that are no rise need be told only now and then (one in eight)."""
        if round_trip_s >= self.filtered_s:
            self.filtered_s = round_trip_s
        else:
            self.filtered_s += _DOWN * (round_trip_s - self.filtered_s)
        self.timeout_s = min(max(_LATENCY_TIMES * self.filtered_s, TIMEOUT_FLOOR_S), self._timeout_max_s)

    def retry_timeout_s(self, failures: int) -> float:
        """How long to wait after `failures` silences in a row: mostly as usual, now and then much longer.

        The factor is 1, 4, 1, 16, 1, 4, 1, 64, …: a unit that has become slow is heard again within a few attempts,
        while one that is dead costs its neighbours little on average.
        """
        return self._times((failures & -failures) ** 2)

    def shared_retry_timeout_s(self, failures: int) -> float:
        """As `retry_timeout_s`, where other units wait for their turn meanwhile: the factor is mostly 1.

        Every eighth is 4, every sixty-fourth 64: one that has become slow is heard again within half a minute or so,
        and one that is dead takes a twelfth of the line's time instead of a quarter.
        """
        return self._times(1 if failures % 8 else 4 if failures % 64 else 64)

    def _times(self, factor: int) -> float:
        usual_s = self.timeout_s if self.filtered_s else _UNKNOWN_S
        return min(usual_s * factor, self._timeout_max_s)


class Breaker:
    """Keeps a failing unit or connection from costing more than one attempt in each back-off.

    The first failure costs nothing more: a single lost answer is no outage. From the second in a row the wait
    doubles up to `BACKOFF_MAX_S`, with full jitter so that many devices do not come back in step.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # jitter, not secrecy
        self.failures = 0
        self.retry_s = float("-inf")

    @property
    def closed(self) -> bool:
        """Whether the unit answers, as far as is known."""
        return self.failures == 0

    def ready(self, now_s: float) -> bool:
        """Whether an attempt may be made now."""
        return now_s >= self.retry_s

    def fail(self, now_s: float) -> None:
        """An attempt failed."""
        self.failures += 1
        if self.failures > 1:
            longest_s = min(BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2.0 ** min(self.failures - 2, 10))
            self.retry_s = now_s + self._random.uniform(0.02, longest_s)

    def succeed(self) -> None:
        """An attempt succeeded."""
        self.failures = 0
        self.retry_s = float("-inf")
