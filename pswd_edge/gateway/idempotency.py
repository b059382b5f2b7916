"""The same command twice is one command: who repeats an Idempotency-Key gets the first answer again, for a day."""

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, Protocol, TypeVar

import orjson
import structlog
from aiohttp import web

from pswd_edge.clock import Clock
from pswd_edge.gateway.audit import PENDING, REPLAYED, is_command
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.sender import Sender

KEPT_S = 24 * 3600.0
KEYS_MAX = 10_000              # of one origin; its oldest go first, nobody else's
ANSWER_BYTES_MAX = 64 * 1024
_KEPT_REFUSALS = frozenset({409, 422})     # what was judged; other refusals have done nothing and may be tried again
_LOG = structlog.get_logger("pswd_edge.gateway")
_T = TypeVar("_T")
_TABLE = """
CREATE TABLE IF NOT EXISTS idempotency (
    origin TEXT NOT NULL, key TEXT NOT NULL, asked BLOB NOT NULL, status INTEGER NOT NULL, content BLOB NOT NULL,
    refused INTEGER NOT NULL, at_utc_s REAL NOT NULL, PRIMARY KEY (origin, key)) WITHOUT ROWID;
"""
_INDEX = "CREATE INDEX IF NOT EXISTS idempotency_at ON idempotency (origin, at_utc_s)"
_OVER = """
DELETE FROM idempotency WHERE origin = ?1 AND at_utc_s <=
    (SELECT at_utc_s FROM idempotency WHERE origin = ?1 ORDER BY at_utc_s DESC LIMIT 1 OFFSET ?2)
"""


class Store(Protocol):
    """What the answers are kept in: each `run` is one transaction, on disk when it returns."""

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """`work` in the store's thread. Raises sqlite3.Error."""
        ...

    def run_blocking(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """As `run`, before there is a loop."""
        ...


class Kept(NamedTuple):
    """A first answer. `asked` is the SHA-256 of its request, `content` a body, or a refusal as JSON where `refused`."""

    asked: bytes
    status: int
    content: bytes
    refused: bool


class Idempotency:
    """Keeps answers by origin and key. Logins and tokens are left out: their answers are secrets."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Make the table where it is missing. Raises sqlite3.Error."""
        self._store, self._clock = store, clock
        self._turns: dict[tuple[str, str], _Turn] = {}
        store.run_blocking(lambda db: (db.execute(_TABLE), db.execute(_INDEX)))

    async def serve(self, call: Call, endpoint: Endpoint) -> web.StreamResponse:
        """The handler's answer, or the one that it gave the first time.

        A repetition that comes while the first is still being answered waits for it. What the gateway does not know
        any more (it died between the command and its answer) control's ledger still does, by the same key.

        Raises:
            RefusalError: 422 where the key was another request's, 503 where the store cannot be read.
        """
        if call.known is None or not is_command(endpoint) or endpoint.category is Category.AUTH \
                or "Idempotency-Key" not in call.request.headers:
            return await endpoint.handler(call)
        sender, asked = call.sender, await _asked(call.request)
        async with self._turn(sender):
            kept = await self._find(sender)
            if kept is not None:
                call.request[REPLAYED] = True
                return _again(kept, asked)
            return await self._first(call, endpoint, sender, asked)

    async def _first(self, call: Call, endpoint: Endpoint, sender: Sender, asked: bytes) -> web.StreamResponse:
        try:
            response = await endpoint.handler(call)
        except RefusalError as refusal:
            if refusal.status in _KEPT_REFUSALS:
                content = orjson.dumps([refusal.code, refusal.message, refusal.details])
                await self._keep(sender, Kept(asked, refusal.status, content, refused=True))
            raise
        decided = response.status < 300 and not call.request.get(PENDING, False)
        if decided and isinstance(response, web.Response) and isinstance(response.body, bytes):
            await self._keep(sender, Kept(asked, response.status, response.body, refused=False))
        return response

    async def _find(self, sender: Sender) -> Kept | None:
        since = self._clock.utc_s() - KEPT_S
        try:
            row = await self._store.run(lambda db: db.execute(
                "SELECT asked, status, content, refused FROM idempotency WHERE origin = ? AND key = ? AND at_utc_s > ?",
                (sender.origin, sender.id, since)).fetchone())
        except sqlite3.Error as error:
            _LOG.error("idempotency: cannot be read", error=str(error))
            raise unavailable("STORE_UNAVAILABLE", "whether this key was used cannot be read; ask again in 5 s",
                              retry_after_s=5) from error
        return row and Kept(row[0], row[1], row[2], bool(row[3]))

    async def _keep(self, sender: Sender, kept: Kept) -> None:
        """Where the disk does not take it, the answer leaves all the same: the command was carried out."""
        now_s = self._clock.utc_s()
        if len(kept.content) > ANSWER_BYTES_MAX:
            return
        try:
            await self._store.run(lambda db: _insert(db, sender, kept, now_s))
        except sqlite3.Error as error:
            _LOG.error("idempotency: an answer could not be kept", error=str(error))

    @contextlib.asynccontextmanager
    async def _turn(self, sender: Sender) -> AsyncIterator[None]:
        mark = (sender.origin, sender.id)
        turn = self._turns.setdefault(mark, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[mark]


class _Turn:
    """Requests with one key, one after the other."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


def _insert(db: sqlite3.Connection, sender: Sender, kept: Kept, now_s: float) -> None:
    db.execute("DELETE FROM idempotency WHERE origin = ? AND at_utc_s <= ?", (sender.origin, now_s - KEPT_S))
    db.execute("INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?)",
               (sender.origin, sender.id, kept.asked, kept.status, kept.content, kept.refused, now_s))
    db.execute(_OVER, (sender.origin, KEYS_MAX))


async def _asked(request: web.Request) -> bytes:
    """The hash of method, path and JSON body. When it was sent is not what was asked: `timestamp` is left out."""
    raw = await request.read()
    try:
        body = orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        body = None                                 # of an endpoint that reads no body
    if isinstance(body, dict):
        body.pop("timestamp", None)
    said = orjson.dumps([request.method, request.path, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).digest()


def _again(kept: Kept, asked: bytes) -> web.StreamResponse:
    if kept.asked != asked:
        raise RefusalError(422, "IDEMPOTENCY_KEY_REUSED",
                           "Idempotency-Key: got one that was another request's within 24 h: expected a new one")
    headers = {"Idempotency-Replayed": "true"}
    if kept.refused:
        code, message, details = orjson.loads(kept.content)
        raise RefusalError(kept.status, code, message, details=details, headers=headers)
    return web.Response(body=kept.content, status=kept.status, headers=headers, content_type="application/json")
