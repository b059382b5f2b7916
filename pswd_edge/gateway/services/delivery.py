"""Messages to the grid operator and the heat network: kept before they are sent, sent until they are answered.

A message is on disk before the first try. What is not answered within a few seconds goes on in the background, through
restarts, with growing pauses, until it is acknowledged, rejected, or too old to mean anything. The receiver knows a
message by its id, so that a second try is no second message.
"""

import asyncio
import random
import sqlite3
from typing import Any, Literal, NamedTuple, cast

import orjson
import structlog

from pswd_edge.clock import Clock, iso_utc
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.services.outside import NAMES, Outside, OutsideError, Reply, Target
from pswd_edge.gateway.store import Store

INLINE_S = 4.5                # of the 5 s that a client waits at most
TRY_S = 2.0                   # for one request
PAUSES_S = (0.2, 60.0)        # first and longest pause between two tries; each is twice the last, less by chance
OLDEST_S = 3600.0             # an older message is given up: what it says is not so any more
WAITING_MAX = 200             # of each target
_KEPT_S = 7 * 86_400.0        # answered ones: so long the same id gets the same answer
_RETRIED = frozenset({401, 403, 404, 407, 408, 425, 429})    # our set-up or its hurry, not this message's fault
_LOG = structlog.get_logger("pswd_edge.gateway")

Status = Literal["acknowledged", "pending", "rejected"]
_TABLE = """CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, target TEXT NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL, origin TEXT NOT NULL,
    made_utc_s REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'pending',
    response TEXT NOT NULL DEFAULT '', at_utc_s REAL NOT NULL)"""


class Delivered(NamedTuple):
    """How far a message is. `response` is the receiver's own word, or why there is none; `at_utc_s` when it changed."""

    id: str
    status: Status
    response: str
    at_utc_s: float


class _Message(NamedTuple):
    id: str
    target: Target
    kind: str
    payload: bytes
    origin: str
    made_utc_s: float


class Contact(NamedTuple):
    """Since when a target is reached or not: UTC seconds of its last answer (None: none yet), and why there is none."""

    answered_utc_s: float | None
    trouble: str


class Delivery:
    """The outbox. `send` is a client's; `run` delivers in the background, for ever."""

    def __init__(self, store: Store, outside: Outside, live: LiveImage, clock: Clock,
                 pauses_s: tuple[float, float] = PAUSES_S) -> None:
        self._store, self._outside, self._live, self._clock = store, outside, live, clock
        self._pauses_s = pauses_s
        self._busy: set[str] = set()
        self._wake: dict[Target, asyncio.Event] = {"grid": asyncio.Event(), "heat": asyncio.Event()}
        self._contact: dict[Target, Contact] = {"grid": Contact(None, ""), "heat": Contact(None, "")}
        store.run_blocking(lambda db: db.execute(_TABLE).rowcount)

    def contact(self, target: Target) -> Contact:
        """How the connection to the target is."""
        return self._contact[target]

    def require(self, target: Target) -> None:
        """Raise 503 where the site has no such receiver: a message that nobody can receive must not look sent."""
        if self._outside.endpoint(target) is None:
            raise unavailable(f"NO_{NAMES[target].upper().replace(' ', '_')}", f"no {NAMES[target]} is configured: "
                              "nobody would receive it; name one in the site file", retry_after_s=3600)

    async def send(self, target: Target, kind: str, payload: dict[str, Any], origin: str, message_id: str,
                   inline_s: float = INLINE_S) -> Delivered:
        """Deliver, waiting `inline_s` at most. The same id again gets what the first one got.

        Raises:
            RefusalError: 503 where the site has no such receiver or too much waits for it already, 409 where the id
                has been used for another message.
        """
        self.require(target)
        message = _Message(message_id, target, kind, orjson.dumps(payload), origin, self._clock.utc_s())
        known = await self._store.run(lambda db: _keep(db, message))
        if known is not None and (known.status != "pending" or message_id in self._busy):
            return known
        if known is not None:
            message = await self._store.run(lambda db: _message(db, message_id))
        self._busy.add(message_id)
        try:
            async with asyncio.timeout(inline_s):
                return await self._try_on(message)
        except TimeoutError:
            return await self._store.run(lambda db: _read(db, message_id))
        finally:
            self._busy.discard(message_id)
            self._wake[target].set()

    async def find(self, message_id: str) -> Delivered | None:
        """How far a message is; None where there is none of this id."""
        return await self._store.run(lambda db: _read(db, message_id) if _known(db, message_id) else None)

    async def _try_on(self, message: _Message) -> Delivered:
        for number in range(1_000_000):
            found = await self._try(message)
            if found.status != "pending":
                return found
            await asyncio.sleep(self._pause_s(number))
        raise AssertionError("unreachable")  # pragma: no cover

    def _pause_s(self, number: int) -> float:
        first_s, most_s = self._pauses_s
        return min(most_s, first_s * 2.0 ** min(number, 30)) * random.uniform(0.5, 1.0)  # noqa: S311  # no cryptography

    async def _try(self, message: _Message) -> Delivered:
        """One request, and its answer on disk."""
        status, response = await self._judged(message)
        now_s = self._clock.utc_s()
        if status == "pending" and now_s - message.made_utc_s > OLDEST_S:
            status, response = "rejected", f"given up after {OLDEST_S:g} s; last: {response}"
        found = Delivered(message.id, status, response, now_s)
        await self._store.run(lambda db: _note(db, found))
        if status != "pending":
            _LOG.info("delivery", to=message.target, kind=message.kind, id=message.id, origin=message.origin,
                      status=status, response=response)
        return found

    async def _judged(self, message: _Message) -> tuple[Status, str]:
        try:
            reply = await self._outside.ask(message.target, "POST", "/signals", content=self._envelope(message),
                                            key=message.id, timeout_s=TRY_S)
        except OutsideError as error:
            self._meet(message.target, str(error))
            return "pending", f"not delivered yet: {error}"
        self._meet(message.target, f"status {reply.status}" if reply.status >= 500 or reply.status in _RETRIED else "")
        return _status(reply)

    def _envelope(self, message: _Message) -> dict[str, Any]:
        return {"id": message.id, "kind": message.kind, "facility_id": self._live.site.facility_id,
                "origin": message.origin, "issued_at": iso_utc(message.made_utc_s),
                "content": orjson.loads(message.payload)}

    def _meet(self, target: Target, trouble: str) -> None:
        """Note how the receiver is; a change is logged, what stays so is not."""
        before = self._contact[target]
        if trouble and not before.trouble:
            _LOG.warning("delivery: not answered; tried again in the background", to=target, reason=trouble)
        elif before.trouble and not trouble:
            _LOG.info("delivery: answered again", to=target)
        self._contact[target] = Contact(before.answered_utc_s if trouble else self._clock.utc_s(), trouble)

    # --- in the background ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Both targets at a time, each one message after the other, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for target in self._wake:
                group.create_task(self._run(target), name=f"delivery-{target}")

    async def _run(self, target: Target) -> None:
        failures = 0
        while True:
            self._wake[target].clear()
            try:
                found = await self.turn(target)
            except sqlite3.Error as error:
                _LOG.error("delivery: the outbox cannot be used", to=target, error=str(error))
                found = "pending"
            failures = failures + 1 if found == "pending" else 0
            if found is None:
                await self._wake[target].wait()
            elif failures:
                await asyncio.sleep(self._pause_s(failures))

    async def turn(self, target: Target) -> Status | None:
        """One try of the message that was tried least; its status, or None where nothing waits."""
        waiting = await self._store.run(lambda db: _waiting(db, target))
        message = next((m for m in waiting if m.id not in self._busy), None)
        if message is None:
            return None
        self._busy.add(message.id)
        try:
            return (await self._try(message)).status
        finally:
            self._busy.discard(message.id)


def _status(reply: Reply) -> tuple[Status, str]:
    """What an answer means; only the receiver's own word is an acknowledgement."""
    said, text = reply.content.get("status"), str(reply.content.get("message", ""))[:500]
    if 200 <= reply.status < 300 and said in ("acknowledged", "rejected", "pending"):
        return cast("Status", said), text
    if 400 <= reply.status < 500 and reply.status not in _RETRIED:
        return "rejected", text or f"answered with status {reply.status}"
    return "pending", f"not taken yet: status {reply.status}" + (f", {text}" if text else "")


def _keep(db: sqlite3.Connection, message: _Message) -> Delivered | None:
    """Put the message down; where its id is known, how far that one is."""
    row = db.execute("SELECT target, kind, payload, origin FROM deliveries WHERE id = ?", (message.id,)).fetchone()
    if row is not None:
        if row != message[1:5]:
            raise RefusalError(409, "IDEMPOTENCY_CONFLICT", f"{message.id[:140]}: was used for another message; "
                               "send this one under an id of its own")
        return _read(db, message.id)
    db.execute("DELETE FROM deliveries WHERE status <> 'pending' AND at_utc_s < ?", (message.made_utc_s - _KEPT_S,))
    (waiting,) = db.execute("SELECT count(*) FROM deliveries WHERE status = 'pending' AND target = ?",
                            (message.target,)).fetchone()
    if waiting >= WAITING_MAX:
        raise unavailable("OUTBOX_FULL", f"{waiting} messages wait for the {NAMES[message.target]} already; it does "
                          "not answer", retry_after_s=60)
    db.execute("INSERT INTO deliveries (id, target, kind, payload, origin, made_utc_s, at_utc_s) "
               "VALUES (?, ?, ?, ?, ?, ?, ?)", (*message, message.made_utc_s))
    return None


def _known(db: sqlite3.Connection, message_id: str) -> bool:
    return db.execute("SELECT 1 FROM deliveries WHERE id = ?", (message_id,)).fetchone() is not None


def _read(db: sqlite3.Connection, message_id: str) -> Delivered:
    return Delivered(*db.execute("SELECT id, status, response, at_utc_s FROM deliveries WHERE id = ?",
                                 (message_id,)).fetchone())


def _note(db: sqlite3.Connection, found: Delivered) -> None:
    db.execute("UPDATE deliveries SET status = ?, response = ?, at_utc_s = ?, tries = tries + 1 WHERE id = ?",
               (found.status, found.response, found.at_utc_s, found.id))


def _message(db: sqlite3.Connection, message_id: str) -> _Message:
    return _Message(*db.execute("SELECT id, target, kind, payload, origin, made_utc_s FROM deliveries WHERE id = ?",
                                (message_id,)).fetchone())


def _waiting(db: sqlite3.Connection, target: Target) -> list[_Message]:
    rows = db.execute("SELECT id, target, kind, payload, origin, made_utc_s FROM deliveries WHERE status = 'pending' "
                      "AND target = ? ORDER BY tries, made_utc_s LIMIT 20", (target,)).fetchall()
    return [_Message(*row) for row in rows]
