"""Slowness: pure delay and first-order lag."""

import math
from collections import deque


class Delay:
    """Values that take effect some time after they were given, in order. The first value holds at once."""

    __slots__ = ("_waiting", "delay_s", "value")

    def __init__(self, value: float, delay_s: float) -> None:
        self.value = value
        self.delay_s = delay_s
        self._waiting: deque[tuple[float, float]] = deque()

    def put(self, time_s: float, value: float) -> None:
        """Give a value at `time_s`; it is `value` from `time_s + delay_s` on."""
        self._waiting.append((time_s + self.delay_s, value))

    def reset(self, value: float) -> None:
        """Forget what waits; `value` holds now."""
        self._waiting.clear()
        self.value = value

    def advance(self, time_s: float) -> float:
        """The value in force at `time_s`."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= time_s + 1e-9:
            self.value = waiting.popleft()[1]
        return self.value


class Gain:
    """The share of the way that a first-order lag goes in one step; remembers the last step's length."""

    __slots__ = ("_dt_s", "_share", "tau_s")

    def __init__(self, tau_s: float) -> None:
        self.tau_s = tau_s
        self._dt_s = 0.0
        self._share = 0.0

    def over(self, dt_s: float) -> float:
        """1 - exp(-dt/tau)."""
        if dt_s != self._dt_s:
            self._dt_s = dt_s
            self._share = 1.0 - math.exp(-dt_s / self.tau_s)
        return self._share
