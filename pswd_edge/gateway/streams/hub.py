"""All streams of the gateway: driven by control's rows, watched for clients that lag or are gone."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import numpy as np
import structlog

from pswd_edge.clock import Clock
from pswd_edge.errors import TornReadError
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.middleware import traceback_of
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.streams.client import StreamClient
from pswd_edge.gateway.streams.frame import PING
from pswd_edge.gateway.streams.pace import Pace
from pswd_edge.gateway.streams.stream import Maker, Stream

TOTAL_MAX = 300
PRINCIPAL_MAX = 25
BEAT_S = 10.0
SILENT_S = 25.0             # two pings unanswered
_LOOK_S = 0.005             # while no bell rings
_LOST_BELL_PERIODS = 1.5    # a datagram may be lost: then the row is seen so long after the one before
_LOG = structlog.get_logger("pswd_edge.streams")


class Counts(NamedTuple):
    """Since start: clients cut because they lagged, were gone or may no longer listen; and those without a seat."""

    slow: int = 0
    silent: int = 0
    dismissed: int = 0
    refused: int = 0


class StreamHub:
    """Owns the streams and the seats of their clients. `run` is to be running while anybody listens."""

    def __init__(self, live: LiveImage, clock: Clock) -> None:
        self._live, self._clock = live, clock
        self.counts = Counts()
        self._streams: list[Stream] = []
        self._feeders: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._seats: Counter[str] = Counter()
        self._row = live.reader.row_count
        self._beat_s = self._look_s = clock.monotonic_s()
        self._pace = Pace()
        self._closing = False

    def open(self, name: str, make: Maker | None = None, *, keep: int = 0) -> Stream:
        """A new stream; see `Stream`."""
        stream = Stream(name, make, keep=keep)
        self._streams.append(stream)
        return stream

    def feed(self, feeder: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run this beside the rows: it sends what comes as events."""
        self._feeders.append(feeder)

    @property
    def seats_taken(self) -> int:
        """Clients connected now."""
        return self._seats.total()

    def seat(self, origin: str) -> None:
        """Room for one client more; raises 503 where the gateway is full or ends, 429 where `origin` has its share."""
        if self._closing or self.seats_taken >= TOTAL_MAX:
            self._count("refused")
            raise unavailable("BUSY", f"{TOTAL_MAX} stream clients are connected already; ask again in 10 s",
                              retry_after_s=10)
        if self._seats[origin] >= PRINCIPAL_MAX:
            self._count("refused")
            raise RefusalError(429, "TOO_MANY_STREAMS", f"{PRINCIPAL_MAX} streams of this client are open already; "
                               "close one", headers={"Retry-After": "10"})
        self._seats[origin] += 1

    def unseat(self, origin: str) -> None:
        """Its connection has ended."""
        self._seats[origin] -= 1
        if not self._seats[origin]:
            del self._seats[origin]

    async def run(self) -> None:
        """For ever: a message of every stream at each row, what feeders bring, a look at the clients each second."""
        async with asyncio.TaskGroup() as group:
            for feeder in self._feeders:
                group.create_task(feeder())
            await self._run_rows()

    async def _run_rows(self) -> None:
        rung = False
        while True:
            await self.step()
            rung = await self._live.next_row(self._patience_s() if rung else _LOOK_S)

    async def step(self) -> None:
        """What is due now; nothing twice."""
        self._live.follow()
        row = self._live.reader.row_count
        if row != self._row:
            step, self._row = (row - self._row if row > self._row else 1), row
            await self._publish(step)
        now_s = self._clock.monotonic_s()
        if now_s - self._look_s >= 1.0:
            self._look_s = now_s
            self._look(now_s)

    def _patience_s(self) -> float:
        return _LOST_BELL_PERIODS * self._live.site.control.period_ms / 1000

    async def _publish(self, step: int) -> None:
        """Make every stream's message at once, send all of them when it is time."""
        began_s, utc_s = self._row_times()
        period_s = self._live.site.control.period_ms / 1000
        due_s = self._pace.due_s(began_s, self._clock.monotonic_s(), period_s)
        by_rows = [stream for stream in self._streams if stream.make is not None]
        made = [(stream, _made(stream, utc_s) if stream.clients else None) for stream in by_rows]
        if (left_s := due_s - self._clock.monotonic_s()) > 0:
            await asyncio.sleep(left_s)
        for stream, content in made:
            if content is None:
                stream.sequence += step
            else:
                stream.send(content, stream.sequence + step)

    def _row_times(self) -> tuple[float, float]:
        """Of the newest row: when its cycle began, monotonic, and UTC; now where it is being overwritten."""
        try:
            rows = self._live.reader.rows(1)
        except TornReadError:
            return self._clock.monotonic_s(), self._clock.utc_s()
        if not len(rows.utc_s) or not np.isfinite(rows.utc_s[-1]):
            return self._clock.monotonic_s(), self._clock.utc_s()
        return float(rows.monotonic_s[-1]), float(rows.utc_s[-1])

    def _look(self, now_s: float) -> None:
        due = now_s - self._beat_s >= BEAT_S
        if due:
            self._beat_s = now_s
        for stream in self._streams:
            for client in tuple(stream.clients):
                if client.too_slow():
                    self._cut(stream, client, "slow", "does not keep up")
                elif now_s - client.heard_s > SILENT_S:
                    self._cut(stream, client, "silent", f"gave no sign of life for {SILENT_S:g} s")
                elif due:
                    self._beat(stream, client)

    def _beat(self, stream: Stream, client: StreamClient) -> None:
        """A ping; and whether it may still listen: a certificate can end or be revoked while a stream runs."""
        try:
            client.admission()
        except RefusalError as refusal:
            self._cut(stream, client, "dismissed", refusal.message)
        else:
            client.beat(PING)

    def _cut(self, stream: Stream, client: StreamClient, kind: str, why: str) -> None:
        self._count(kind)
        stream.leave(client)
        client.cut()
        _LOG.warning("stream: client cut", stream=stream.name, client=client.origin, reason=why,
                     clients=self.seats_taken)

    def _count(self, kind: str) -> None:
        self.counts = self.counts._replace(**{kind: getattr(self.counts, kind) + 1})

    async def close(self) -> None:
        """Tell every client that this gateway goes away; none is let in any more."""
        self._closing = True
        leaving = [(stream, client) for stream in self._streams for client in stream.clients]
        for stream, client in leaving:
            stream.leave(client)
        await asyncio.gather(*(client.close(1001, b"the gateway stops") for _, client in leaving))


def _made(stream: Stream, utc_s: float) -> dict[str, object] | None:
    """The stream's message; None where there is nothing to tell, or its making failed: the others go on."""
    assert stream.make is not None  # asked only of streams of rows
    try:
        return stream.make(utc_s)
    except RefusalError:      # control does not live: nothing is measured
        return None
    except Exception as error:  # noqa: BLE001  # one stream's mistake must not end the others
        _LOG.error("stream: a message could not be made", stream=stream.name, traceback=traceback_of(error))
        return None
