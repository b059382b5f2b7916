"""How fast a scan asks: evenly spaced, whoever asks."""

import asyncio
import time


class Pace:
    """Lets one request go each `1 / rate` seconds; never two at once to make up for a pause."""

    def __init__(self, rate_per_s: float) -> None:
        self._gap_s = 1.0 / rate_per_s
        self._next_s = 0.0
        self.asked = 0

    async def turn(self) -> None:
        """Return when the next request may be sent."""
        now_s = time.monotonic()
        mine_s = max(now_s, self._next_s)
        self._next_s = mine_s + self._gap_s
        self.asked += 1
        while (left_s := mine_s - time.monotonic()) > 0:  # noqa: ASYNC110  # a sleep may end a little early
            await asyncio.sleep(left_s)
