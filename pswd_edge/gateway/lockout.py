"""Counts failed logins, so that passwords cannot be guessed quickly."""

from collections import OrderedDict

from pswd_edge.clock import Clock

FAILURES_MAX = 5
WINDOW_S = 60.0
_KEPT = 10_000     # pairs; the oldest are forgotten first, so that a flood of names cannot fill the memory


class Lockout:
    """Five failures of one user from one address within the last 60 s lock that pair; tries while locked count too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def locked(self, username: str, address: str) -> bool:
        """True where this pair has to wait."""
        return len(self._recent(username, address)) >= FAILURES_MAX

    def failed(self, username: str, address: str) -> int:
        """Count one more failure; returns how many there are within the window, 5 at most."""
        recent = [*self._recent(username, address), self._clock.monotonic_s()][-FAILURES_MAX:]
        self._failures[username, address] = recent
        self._failures.move_to_end((username, address))
        if len(self._failures) > _KEPT:
            self._failures.popitem(last=False)
        return len(recent)

    def succeeded(self, username: str, address: str) -> None:
        """Forget the pair's failures."""
        self._failures.pop((username, address), None)

    def _recent(self, username: str, address: str) -> list[float]:
        since_s = self._clock.monotonic_s() - WINDOW_S
        return [at_s for at_s in self._failures.get((username, address), ()) if at_s > since_s]
