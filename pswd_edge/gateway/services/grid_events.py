"""Events of the grid: what its operator tells (long poll), and what becomes of a commitment here. Kept, and fanned out.

A listener that does not listen loses its oldest events, and knows how many; the recent ones can be read again.
"""

import asyncio
import random
import sqlite3
from collections import deque
from typing import Any, Self

import msgspec
import orjson
import structlog

from pswd_edge.clock import Clock
from pswd_edge.gateway.services.grid_event import CANCELLED, REQUEST, Demand, EventType, GridEvent, Page, judged
from pswd_edge.gateway.services.outside import Outside, OutsideError
from pswd_edge.gateway.store import Store

RECENT_MAX, KEPT_MAX = 200, 2000
QUEUE_MAX = 100
_WAIT_S, _SLACK_S = 25.0, 5.0
_PAUSES_S = (1.0, 30.0)
_BETWEEN_S = 0.2      # two questions: an operator that does not wait is not asked without end
_LOG = structlog.get_logger("pswd_edge.gateway")

_TABLES = (
    """CREATE TABLE IF NOT EXISTS grid_events (number INTEGER PRIMARY KEY AUTOINCREMENT, event_type TEXT NOT NULL,
    event_id TEXT NOT NULL, utc_s REAL NOT NULL, parameters BLOB NOT NULL, UNIQUE (event_type, event_id))""",
    "CREATE TABLE IF NOT EXISTS grid_events_read (one INTEGER PRIMARY KEY CHECK (one = 1), stream TEXT, after INTEGER)",
)


class Subscription:
    """`async for event in subscription:` from now on, until `close`. `lost`: what its queue had no room for."""

    def __init__(self, owner: "GridEvents") -> None:
        self._owner = owner
        self._queue: deque[GridEvent] = deque()
        self._came = asyncio.Event()
        self._closed = False
        self.lost = 0

    def put(self, event: GridEvent) -> None:
        """Never waits: the oldest makes room."""
        if len(self._queue) >= QUEUE_MAX:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(event)
        self._came.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> GridEvent:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._came.clear()
            await self._came.wait()
        return self._queue.popleft()

    def close(self) -> None:
        """End it; what is queued can still be read."""
        self._closed = True
        self._came.set()
        self._owner.leave(self)


class GridEvents:
    """Keeps the events and hands them out. `run` listens to the operator, for ever."""

    def __init__(self, store: Store, outside: Outside, clock: Clock) -> None:
        self._store, self._outside, self._clock = store, outside, clock
        self._listeners: set[Subscription] = set()
        self._recent: deque[GridEvent] = deque(store.run_blocking(_open), maxlen=RECENT_MAX)
        self.heard_utc_s: float | None = None
        self.trouble = ""

    def recent(self) -> list[GridEvent]:
        """The last 200 events, the newest last."""
        return list(self._recent)

    def subscribe(self) -> Subscription:
        """All events from now on; to be closed."""
        made = Subscription(self)
        self._listeners.add(made)
        return made

    def leave(self, subscription: Subscription) -> None:
        """As `Subscription.close` does."""
        self._listeners.discard(subscription)

    async def demand(self, event_id: str) -> Demand | None:
        """The request of this id; None where there was none."""
        found = await self._store.run(lambda db: _find(db, REQUEST, event_id))
        if found is None:
            return None
        said = found.parameters
        return Demand(event_id, said["requested_reduction_w"], said["duration_s"], said["response_deadline_utc_s"],
                      said.get("compensation_per_mwh"))

    async def cancelled(self, event_id: str) -> bool:
        """Whether the operator has taken its request back."""
        return await self._store.run(lambda db: _find(db, CANCELLED, event_id)) is not None

    async def tell(self, event_type: EventType, event_id: str, parameters: dict[str, Any]) -> None:
        """An event of our own; one of a type and id is told once."""
        self._hand_out(await self._store.run(lambda db: _insert(
            db, [GridEvent(0, event_type, event_id, self._clock.utc_s(), parameters)])))

    def _hand_out(self, events: list[GridEvent]) -> None:
        for event in events:
            _LOG.info("grid event", type=event.event_type, id=event.event_id, **event.parameters)
            self._recent.append(event)
            for listener in tuple(self._listeners):
                listener.put(event)

    # --- listening -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            well, (first_s, most_s) = await self.look(_WAIT_S), _PAUSES_S
            failures = 0 if well else min(failures + 1, 10)
            by_chance = random.uniform(0.5, 1.0)  # noqa: S311  # no cryptography
            await asyncio.sleep(by_chance * min(most_s, first_s * 2.0**failures) if failures else _BETWEEN_S)

    async def look(self, wait_s: float) -> bool:
        """Ask for new events, waiting `wait_s` for one; False where nobody answered."""
        if self._outside.endpoint("grid") is None:
            self.heard_utc_s, self.trouble = None, ""
            return False
        stream, after = await self._store.run(_read_to)
        try:
            reply = await self._outside.ask("grid", "GET", f"/events?after={after}&wait_s={wait_s:g}",
                                            timeout_s=wait_s + _SLACK_S)
            page = _page(reply.status, reply.content)
        except (OutsideError, msgspec.ValidationError) as error:
            if not self.trouble:
                _LOG.warning("grid events: not heard", reason=str(error))
            self.trouble = str(error)
            return False
        self.trouble, self.heard_utc_s = "", self._clock.utc_s()
        if page.stream != stream and after > 0:      # another operator, or one that counts anew: from the beginning
            await self._store.run(lambda db: _read_on(db, page.stream, 0))
        else:
            await self._take(page)
        return True

    async def _take(self, page: Page) -> None:
        told = [event for event in map(judged, page.events) if event is not None]
        last = max((int(e["number"]) for e in page.events if isinstance(e.get("number"), int)), default=None)

        def keep(db: sqlite3.Connection) -> list[GridEvent]:
            if last is not None:
                _read_on(db, page.stream, last)
            return _insert(db, told)

        self._hand_out(await self._store.run(keep))


def _page(status: int, content: dict[str, Any]) -> Page:
    if status != 200:
        raise OutsideError(f"status {status}")
    return msgspec.convert(content, Page)


def _open(db: sqlite3.Connection) -> list[GridEvent]:
    for table in _TABLES:
        db.execute(table)
    rows = db.execute("SELECT * FROM grid_events ORDER BY number DESC LIMIT ?", (RECENT_MAX,)).fetchall()
    return [_event(row) for row in reversed(rows)]


def _event(row: tuple[Any, ...]) -> GridEvent:
    number, event_type, event_id, utc_s, parameters = row
    return GridEvent(number, event_type, event_id, utc_s, orjson.loads(parameters))


def _find(db: sqlite3.Connection, event_type: str, event_id: str) -> GridEvent | None:
    row = db.execute("SELECT * FROM grid_events WHERE event_type = ? AND event_id = ?",
                     (event_type, event_id)).fetchone()
    return None if row is None else _event(row)


def _insert(db: sqlite3.Connection, events: list[GridEvent]) -> list[GridEvent]:
    """Those that are new, with their numbers."""
    made = []
    for event in events:
        row = db.execute("INSERT INTO grid_events (event_type, event_id, utc_s, parameters) VALUES (?, ?, ?, ?) "
                         "ON CONFLICT DO NOTHING RETURNING number",
                         (*event[1:4], orjson.dumps(event.parameters))).fetchone()
        if row is not None:
            made.append(event._replace(number=row[0]))
    db.execute("DELETE FROM grid_events WHERE number <= (SELECT max(number) FROM grid_events) - ?", (KEPT_MAX,))
    return made


def _read_to(db: sqlite3.Connection) -> tuple[str, int]:
    row = db.execute("SELECT stream, after FROM grid_events_read").fetchone()
    return ("", 0) if row is None else (row[0], row[1])


def _read_on(db: sqlite3.Connection, stream: str, after: int) -> None:
    db.execute("INSERT INTO grid_events_read VALUES (1, ?, ?) ON CONFLICT DO UPDATE SET stream = excluded.stream, "
               "after = excluded.after", (stream, after))
