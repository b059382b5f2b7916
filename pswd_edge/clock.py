"""Time: monotonic for every duration and age, UTC only for what leaves the house."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Seconds since an arbitrary start, and seconds since 1970 in UTC."""

    def monotonic_s(self) -> float:
        """Seconds that never jump; the same in every process of one machine."""
        ...

    def utc_s(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z; may jump when the clock is set."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_s(self) -> float:
        """CLOCK_MONOTONIC."""
        return time.monotonic()

    def utc_s(self) -> float:
        """CLOCK_REALTIME."""
        return time.time()


class FakeClock:
    """A clock that moves only when a test moves it."""

    def __init__(self, monotonic_s: float = 1000.0, utc_s: float = 1_780_000_000.0) -> None:
        self._monotonic_s = monotonic_s
        self._utc_s = utc_s

    def monotonic_s(self) -> float:
        """The fake monotonic time."""
        return self._monotonic_s

    def utc_s(self) -> float:
        """The fake UTC time."""
        return self._utc_s

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._monotonic_s += seconds
        self._utc_s += seconds

    def step_utc(self, seconds: float) -> None:
        """Set the wall clock, as an operator or NTP would; the monotonic clock does not notice."""
        self._utc_s += seconds


def iso_utc(utc_s: float) -> str:
    """Seconds since 1970 as ISO 8601 with milliseconds and Z, the only form in which time leaves the house."""
    moment = datetime.fromtimestamp(utc_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
