"""How many disruptive operations may be made in a second, on one connection and on the whole site."""

from collections import deque

_SITE = -1
_WINDOW_S = 1.0


class Pace:
    """Counts operations of the last second and those that are selected and may follow at any moment."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._made: dict[int, deque[float]] = {}
        self._held: dict[int, int] = {}

    def select(self, connection: int, now_s: float) -> bool:
        """Take a place for one operation on this connection; False where a second has enough already."""
        keys = (_SITE, connection)
        if any(self._recent(key, now_s) + self._held.get(key, 0) >= self._per_s for key in keys):
            return False
        for key in keys:
            self._held[key] = self._held.get(key, 0) + 1
        return True

    def release(self, connection: int) -> None:
        """The selection came to nothing."""
        for key in (_SITE, connection):
            self._held[key] -= 1

    def operate(self, connection: int, now_s: float) -> None:
        """The place that was taken is used now."""
        self.release(connection)
        for key in (_SITE, connection):
            self._made.setdefault(key, deque()).append(now_s)

    def _recent(self, key: int, now_s: float) -> int:
        made = self._made.get(key)
        if made is None:
            return 0
        while made and now_s - made[0] >= _WINDOW_S:
            made.popleft()
        return len(made)
