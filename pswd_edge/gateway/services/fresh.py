"""Answers that are dear to make: kept for some seconds, and made once for all who ask at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from pswd_edge.clock import Clock

_MOST = 32
_T = TypeVar("_T")


class Fresh(Generic[_T]):
    """At most 32 answers by key, each for `seconds`; the oldest goes first."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._kept: dict[Hashable, tuple[float, _T]] = {}
        self._making: dict[Hashable, asyncio.Task[_T]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[_T]]) -> _T:
        """The answer under this key; `make` is called where there is none that is young enough."""
        found = self._kept.get(key)
        if found is not None and 0 <= self._clock.monotonic_s() - found[0] < self._seconds:
            return found[1]
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.get_running_loop().create_task(self._make(key, make))
            making.add_done_callback(lambda done: done.cancelled() or done.exception())    # looked at, if all went away
        return await asyncio.shield(making)    # of all who wait for it, one may go away

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[_T]]) -> _T:
        made_s = self._clock.monotonic_s()
        try:
            made = await make()
        finally:
            del self._making[key]
        self._kept.pop(key, None)
        self._kept = dict([*self._kept.items()][1 - _MOST:]) | {key: (made_s, made)}
        return made
