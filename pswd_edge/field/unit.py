"""What is known of one unit behind a connection: how fast it answers, whether it is silent, what it refuses."""

from pswd_edge.field.health import Breaker, Latency

_WELL_AFTER = 10              # right answers in a row to a request before its failures are called over


class Unit:
    """`scan` is the scan in which it went silent: the rest of that scan is skipped. `shares`: others are on its road.

    `wrong` are the requests (by slot) that it refuses or answers with what makes no sense, each with the number of
    right answers after which that is over.
    """

    def __init__(self, seed: int, timeout_max_s: float) -> None:
        self.breaker = Breaker(seed)
        self.latency = Latency(timeout_max_s)
        self.scan = -1
        self.shares = False
        self.down_since_s = 0.0
        self.wrong: dict[int, int] = {}

    def may_ask(self, scan: int, now_s: float) -> bool:
        """After silence: one request in each back-off, and none more in the scan that met it."""
        return self.scan < scan and self.breaker.ready(now_s)

    @property
    def timeout_s(self) -> float:
        """How long to wait for the next answer."""
        failures = self.breaker.failures
        if failures == 0:
            return self.latency.timeout_s
        if self.shares:
            return self.latency.shared_retry_timeout_s(failures)
        return self.latency.retry_timeout_s(failures)

    def found_wrong(self, slot: int) -> bool:
        """A request failed; True where none of this unit's did before."""
        first = not self.wrong
        self.wrong[slot] = _WELL_AFTER
        return first

    def found_right(self, slot: int) -> bool:
        """A request was answered; True where the last one that failed works again, and has for a while."""
        left = self.wrong.get(slot, 0) - 1
        if left > 0:
            self.wrong[slot] = left
        elif self.wrong.pop(slot, None) is not None:
            return not self.wrong
        return False
