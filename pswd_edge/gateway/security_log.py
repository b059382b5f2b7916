"""What looks like an attack: counted by kind, and logged without filling the log."""

from collections import Counter, deque
from enum import StrEnum

import structlog

from pswd_edge.clock import Clock

_LINES_MAX = 20      # of one kind within 10 s: a flood is counted, not written down
_WINDOW_S = 10.0
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
        self._logged_s: dict[Kind, deque[float]] = {kind: deque(maxlen=_LINES_MAX) for kind in Kind}
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
        """One more. `facts` go to the log (never a secret): at most 20 lines of a kind within 10 s."""
        self._counts[kind] += 1
        now_s = self._clock.monotonic_s()
        logged_s = self._logged_s[kind]
        if len(logged_s) == _LINES_MAX and now_s - logged_s[0] < _WINDOW_S:
            self._unlogged[kind] += 1
            return
        logged_s.append(now_s)
        missed = self._unlogged.pop(kind, 0)
        _LOG.warning(kind.value, **facts, **({"more_since_last_line": missed} if missed else {}))
