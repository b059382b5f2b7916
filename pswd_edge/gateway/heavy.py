"""Work of more than a few milliseconds, in one thread, so that the loop goes on answering."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pswd_edge.gateway.refusal import unavailable

_WAITING_MAX = 8
_BREATH_S = 0.0003
_T = TypeVar("_T")


def breathe() -> None:
    """Let the event loop have the interpreter now; without it every step of the loop waits its 5 ms turn."""
    time.sleep(_BREATH_S)


class HeavyWork:
    """One job at a time: two would share the interpreter lock, and both would end later."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "heavy")
        self._waiting = 0

    async def run(self, job: Callable[[], _T]) -> _T:
        """The job's result; 503 where 8 jobs wait already."""
        if self._waiting >= _WAITING_MAX:
            raise unavailable("BUSY", f"{_WAITING_MAX} long answers are being made already; ask again in 2 s")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the thread; what has begun is finished first."""
        self._thread.shutdown(wait=True, cancel_futures=True)
