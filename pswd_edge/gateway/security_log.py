"""What looks like an attack: counted by kind, and logged without filling the log."""

from collections import Counter
from enum import StrEnum

import structlog

from pswd_edge.clock import Clock

_QUIET_S = 1.0      # one line a second and kind: a flood is counted, not written down
_LOG = structlog.get_logger("pswd_edge.security")


class Kind(StrEnum):
    """What was refused."""

    LOGIN = "login refused"
    LOCKED = "login while locked"
    SETUP = "setup token refused"
    TOKEN = "token refused"  # noqa: S105  # a kind, no secret
    EXPIRED = "token expired"
    KEY = "api key refused"
    FORBIDDEN = "not allowed"
    HANDSHAKE = "tls handshake refused"
    CLIENT = "client refused"
    CN_HEADER = "certificate name header differs"
    REPLAY = "refresh token replayed"
    SCOPE = "scope not granted"
    ORIGIN = "foreign origin"
    URL = "credential in the url"


_ROUTINE = frozenset({Kind.EXPIRED})      # every client meets it once an hour


class Intrusions:
    """Counts since the gateway started."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: Counter[Kind] = Counter()
        self._logged_s: dict[Kind, float] = {}
        self._unlogged: Counter[Kind] = Counter()

    @property
    def attempts(self) -> int:
        """All of them but what is routine (an expired token)."""
        return sum(number for kind, number in self._counts.items() if kind not in _ROUTINE)

    @property
    def counts(self) -> dict[Kind, int]:
        """By kind; kinds that never happened are left out."""
        return dict(self._counts)

    def count(self, kind: Kind, **facts: object) -> None:
        """One more. `facts` go to the log (never a secret): at most one line a second and kind."""
        self._counts[kind] += 1
        now_s = self._clock.monotonic_s()
        if now_s - self._logged_s.get(kind, -_QUIET_S) < _QUIET_S:
            self._unlogged[kind] += 1
            return
        self._logged_s[kind] = now_s
        missed = self._unlogged.pop(kind, 0)
        _LOG.warning(kind.value, **facts, **({"more_since_last_line": missed} if missed else {}))
