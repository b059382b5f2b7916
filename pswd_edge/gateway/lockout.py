"""Counts failures, so that passwords, keys and setup tokens cannot be guessed quickly."""

from collections import OrderedDict
from typing import Generic, TypeVar

from pswd_edge.clock import Clock

FAILURES_MAX = 5
ADDRESS_FAILURES_MAX = 20     # whatever the names: many users behind one address may err, a list of names may not
WINDOW_S = 60.0
_KEPT = 10_000     # the oldest are forgotten first, so that a flood of names cannot fill the memory
_K = TypeVar("_K")


class Lockout:
    """Within the last 60 s: five failures of one user from one address lock that pair, twenty lock the address."""

    def __init__(self, clock: Clock) -> None:
        self._pairs: _Failures[tuple[str, str]] = _Failures(clock, FAILURES_MAX)
        self._addresses: _Failures[str] = _Failures(clock, ADDRESS_FAILURES_MAX)

    def locked(self, username: str, address: str) -> bool:
        """True where this pair or this address has to wait."""
        return self._pairs.full((username, address)) or self._addresses.full(address)

    def address_locked(self, address: str) -> bool:
        """True where everything from this address has to wait."""
        return self._addresses.full(address)

    def failed(self, username: str, address: str) -> int:
        """Count one more failure of the pair; returns how many there are within the window, 5 at most."""
        self._addresses.add(address)
        return self._pairs.add((username, address))

    def address_failed(self, address: str) -> int:
        """Count a failure that has no name (a key, a setup token); how many the address has, 20 at most."""
        return self._addresses.add(address)

    def succeeded(self, username: str, address: str) -> None:
        """Forget the pair's failures; the address keeps its own: one good password does not excuse nineteen guesses."""
        self._pairs.forget((username, address))


class _Failures(Generic[_K]):
    """Times of the last failures by key, at most `most` of each."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock, self._most = clock, most
        self._times: OrderedDict[_K, list[float]] = OrderedDict()

    def full(self, key: _K) -> bool:
        return len(self._recent(key)) >= self._most

    def add(self, key: _K) -> int:
        recent = [*self._recent(key), self._clock.monotonic_s()][-self._most:]
        self._times[key] = recent
        self._times.move_to_end(key)
        if len(self._times) > _KEPT:
            self._times.popitem(last=False)
        return len(recent)

    def forget(self, key: _K) -> None:
        self._times.pop(key, None)

    def _recent(self, key: _K) -> list[float]:
        since_s = self._clock.monotonic_s() - WINDOW_S
        return [at_s for at_s in self._times.get(key, ()) if at_s > since_s]
