"""Refusals of the same kind within ten seconds are one entry and one count: a flood must not fill the disk."""

from typing import Any, NamedTuple

from pswd_edge.clock import iso_utc

WINDOW_S = 10.0
KINDS_MAX = 64         # in one window; of what comes after, only code and status are told apart
Body = dict[str, Any]


class Kind(NamedTuple):
    """What is counted together."""

    origin: str
    code: str
    status: int
    method: str = ""
    path: str = ""


class RefusalWindow:
    """The kinds of refusal since `begin_s` (monotonic)."""

    def __init__(self, begin_s: float) -> None:
        self.begin_s = begin_s
        self._further: dict[Kind, int] = {}
        self._times: dict[Kind, tuple[float, float]] = {}

    def over(self, now_s: float) -> bool:
        """True where a new window begins."""
        return now_s >= self.begin_s + WINDOW_S

    def is_new(self, kind: Kind, utc_s: float) -> bool:
        """True for the first of its kind, which is to be written whole; others are counted."""
        if kind in self._further:
            self._count(kind, utc_s)
            return False
        if len(self._further) >= KINDS_MAX:
            self._count(Kind("(others)", kind.code, kind.status), utc_s)
            return False
        self._further[kind] = 0
        self._times[kind] = (utc_s, utc_s)
        return True

    def _count(self, kind: Kind, utc_s: float) -> None:
        self._further[kind] = self._further.get(kind, 0) + 1
        self._times[kind] = (self._times.get(kind, (utc_s, utc_s))[0], utc_s)

    def take(self) -> list[Body]:
        """One body for each kind that came again since the last time; `count` leaves out those written whole."""
        found = [self._summary(kind, count) for kind, count in self._further.items() if count]
        self._further = dict.fromkeys(self._further, 0)
        return found

    def _summary(self, kind: Kind, count: int) -> Body:
        first_s, last_s = self._times[kind]
        named = {name: value for name, value in kind._asdict().items() if value}
        return {"kind": "refusals", "utc_s": last_s, "utc": iso_utc(last_s), "first_utc": iso_utc(first_s),
                "count": count, **named}
