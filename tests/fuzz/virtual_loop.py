"""Just enough of an event loop to drive links by hand, in virtual time: a million time-outs take no time."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any


class VirtualLoop:
    """Timers and futures; `now_s` moves only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._heap: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = itertools.count()

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        """As the module `time` has it."""
        return self.now_s

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def call_later(self, delay_s: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        due_s = self.now_s + max(0.0, delay_s)
        handle = asyncio.TimerHandle(due_s, callback, args, self)  # type: ignore[arg-type]
        heapq.heappush(self._heap, (due_s, next(self._count), handle))
        return handle

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_later(0.0, callback, *args)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A future whose error nobody wanted: whoever asked had gone."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its turn comes."""

    @property
    def next_s(self) -> float | None:
        """When the next timer runs; None where there is none."""
        while self._heap and self._heap[0][2].cancelled():
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_until(self, when_s: float, done: Callable[[], bool] = lambda: False) -> None:
        """Run timers in order up to `when_s`, or until `done`."""
        while not done() and (next_s := self.next_s) is not None and next_s <= when_s:
            _, _, handle = heapq.heappop(self._heap)
            self.now_s = max(self.now_s, next_s)
            handle._run()
        if not done():
            self.now_s = max(self.now_s, when_s)
