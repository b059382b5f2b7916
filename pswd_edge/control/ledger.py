"""The ledger: what was asked and answered, on disk before the answer; and what control decided, soon after.

All of it in one thread: the loop never waits for the disk, the answer does. A chain of hashed entries (`archive`) is
the record; SQLite holds what a restart and a repeated request need of it.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import uuid4

import msgspec
import structlog

from pswd_edge.chain.chain import Body
from pswd_edge.clock import iso_utc
from pswd_edge.control.archive import Archive
from pswd_edge.control.power_record import PowerBlock
from pswd_edge.control.requests import TTL_MAX_S
from pswd_edge.model.command import Accepted, Clamped, ControlWorkload, Level, Outcome, Request
from pswd_edge.model.window import is_live
from pswd_edge.model.workload import Workload

_T = TypeVar("_T")
KEEP_S = 7 * 86400
HOLD_MAX_S = max(TTL_MAX_S.values())
ENDED_KEPT = 100              # workloads that have ended, of those that `open` returns
_PRUNE_EVERY = 1000
_CUT = 200                    # characters of a text that somebody else wrote
_log = structlog.get_logger("ledger")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS command (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    received_utc_s REAL NOT NULL,
    expires_utc_s REAL,
    level INTEGER NOT NULL,
    origin TEXT NOT NULL,
    kind TEXT NOT NULL,
    workload TEXT,
    live INTEGER NOT NULL,
    request BLOB NOT NULL,
    outcome BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS command_workload ON command (workload, number) WHERE workload IS NOT NULL;
CREATE INDEX IF NOT EXISTS command_received ON command (received_utc_s);
"""
# `live`: the request was taken, or (with `workload`) its workload holds a reservation afterwards.
_IN_FORCE = """
SELECT number, request, outcome, level, received_utc_s, expires_utc_s FROM command
    WHERE live AND kind IN ('SetPoint', 'PrepareCooling', 'SetBatteryTarget', 'SetLimit')
    AND received_utc_s > :held_since
UNION ALL SELECT * FROM (
    SELECT number, request, outcome, level, received_utc_s, expires_utc_s FROM command WHERE live AND number IN (
        SELECT max(number) FROM command WHERE workload IS NOT NULL GROUP BY workload))
UNION ALL SELECT * FROM (
    SELECT number, request, outcome, level, received_utc_s, expires_utc_s FROM command WHERE NOT live AND number IN (
        SELECT max(number) FROM command WHERE workload IS NOT NULL GROUP BY workload)
    ORDER BY number DESC LIMIT :ended_kept)
ORDER BY number
"""
# Of a workload the last row stays while it lives. The others go first: a row that stayed would bring it back to life.
_PRUNE = """
DELETE FROM command WHERE received_utc_s < :old AND workload IS NULL AND coalesce(expires_utc_s, 0) < :now;
DELETE FROM command WHERE received_utc_s < :old AND number < (
    SELECT max(n.number) FROM command AS n WHERE n.workload = command.workload);
DELETE FROM command WHERE received_utc_s < :old AND workload IS NOT NULL AND NOT live AND NOT EXISTS (
    SELECT 1 FROM command AS n WHERE n.workload = command.workload AND n.number <> command.number);
"""


class Entry(NamedTuple):
    """A request with its outcome; `level` is the authority it came with. `expires_utc_s` None: it has no end."""

    request: Request
    outcome: Outcome
    level: Level
    received_utc_s: float
    expires_utc_s: float | None


class Ledger:
    """Every method is called from the event loop; the work happens in one thread, in order.

    Rows stay for a week, and the last row of a workload while it lives.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._connection: sqlite3.Connection | None = None
        self._archive = Archive(path.parent)
        self._flushing: Future[None] | None = None
        self._appended = 0
        self._closed = False
        self._encode = msgspec.msgpack.Encoder().encode
        self._request = msgspec.msgpack.Decoder(Request)
        self._outcome = msgspec.msgpack.Decoder(Outcome)

    async def open(self, utc_s: float) -> list[Entry]:
        """Open or create; returns, oldest first, what may still be in force.

        That is: every set-point, target and limit of the last day (a later one ends an earlier one, even where it has
        itself run out), and the last word on each workload that lives and on the last hundred that ended.

        Raises sqlite3.Error or OSError where the file cannot be used; requests then fail, and nothing else does.
        """
        return await self._run(self._open, utc_s)

    async def append(self, entry: Entry) -> None:
        """Return when the entry is on disk. Raises sqlite3.Error or OSError where it cannot be."""
        await self._run(self._append, entry)
        self._appended += 1
        if self._appended % _PRUNE_EVERY == 0:
            self._thread.submit(self._prune_later, entry.received_utc_s)

    async def find(self, request_id: str) -> Outcome | None:
        """The first outcome of a request id, or None. Raises sqlite3.Error where the ledger cannot be read."""
        return await self._run(self._find, request_id)

    @property
    def trouble(self) -> str:
        """Why decisions cannot be written down, or where the chain is broken; "" where all is well."""
        return self._archive.trouble

    def note(self, body: Body) -> None:
        """Write an entry soon; never waits, and the entry may be lost and counted where the disk does not keep up."""
        self._archive.note(body)

    def keep_power(self, block: PowerBlock) -> None:
        """Write a block of the grid's power soon."""
        self._archive.power(block)

    def flush(self) -> None:
        """Have the thread write what was noted. Call it about once a second."""
        under_way = self._flushing is not None and not self._flushing.done()
        if self._archive.waits and not under_way and not self._closed:
            self._flushing = self._thread.submit(self._archive.flush)

    async def close(self) -> None:
        """Close the file and end the thread."""
        if not self._closed:
            await self._run(self._close)
            self._closed = True
            self._thread.shutdown(wait=False)

    async def _run(self, function: Callable[..., _T], *args: object) -> _T:
        if self._closed:
            raise sqlite3.ProgrammingError(f"{self._path}: the ledger is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    # --- in the thread ------------------------------------------------------------------------------------------

    def _open(self, utc_s: float) -> list[Entry]:
        connection = sqlite3.connect(self._path)
        try:
            self._path.chmod(0o640)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(_SCHEMA)
            _prune(connection, utc_s)
            rows = connection.execute(_IN_FORCE, {"held_since": utc_s - HOLD_MAX_S, "ended_kept": ENDED_KEPT})
            entries = [e for row in rows if (e := self._entry(*row)) is not None]
        except BaseException:
            connection.close()
            raise
        try:
            self._archive.open(utc_s)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return entries

    def _entry(self, number: int, request: bytes, outcome: bytes, level: int, received_utc_s: float,
               expires_utc_s: float | None) -> Entry | None:
        try:
            return Entry(self._request.decode(request), self._outcome.decode(outcome), Level(level), received_utc_s,
                         expires_utc_s)
        except (msgspec.MsgspecError, ValueError) as error:  # of another release, or damaged: the others still count
            _log.warning("ledger: a row cannot be read; it is passed over", number=number, error=str(error))
            return None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError(f"{self._path}: it could not be opened when control started")
        return self._connection

    def _append(self, entry: Entry) -> None:
        request, outcome = entry.request, entry.outcome
        workload = outcome.workload
        live = isinstance(outcome, Accepted | Clamped) if workload is None else is_live(workload)
        row = (request.id, entry.received_utc_s, entry.expires_utc_s, int(entry.level), request.origin,
               type(request).__name__, None if workload is None else workload.announcement.workload_id, live,
               self._encode(request), self._encode(outcome))
        connection = self._opened()
        with self._archive_agrees(entry), connection:
            connection.execute(
                "INSERT INTO command (id, received_utc_s, expires_utc_s, level, origin, kind, workload, live, request, "
                "outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            self._archive.write([request_body(entry)])

    @contextlib.contextmanager
    def _archive_agrees(self, entry: Entry) -> Iterator[None]:
        """The row is inserted, the chain written, the row committed; where the commit fails the chain says so."""
        try:
            yield
        except sqlite3.OperationalError as error:
            with contextlib.suppress(OSError):
                head = request_head(entry.request, entry.received_utc_s)
                self._archive.write([{**head, "kind": "withdrawn", "reason": str(error)}])
            raise

    def _find(self, request_id: str) -> Outcome | None:
        found = self._opened().execute("SELECT outcome FROM command WHERE id = ?", (request_id,)).fetchone()
        return None if found is None else self._outcome.decode(found[0])

    def _prune_later(self, utc_s: float) -> None:
        try:
            _prune(self._opened(), utc_s)
        except sqlite3.Error as error:  # tried again a thousand rows later
            _log.warning("ledger: old rows cannot be deleted", error=str(error))

    def _close(self) -> None:
        self._archive.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def request_head(request: Request, utc_s: float, length_max: int | None = None) -> Body:
    """How every entry about a request begins. `length_max` cuts the id of one that nobody has checked."""
    return {"kind": "request", "subject": f"request:{request.id[:length_max]}", "utc_s": utc_s, "utc": iso_utc(utc_s)}


def own_word(workload: Workload, action: str, utc_s: float, cycle: int) -> Entry:
    """What control itself has decided about a workload, as an entry like an order's."""
    request = ControlWorkload(id=f"control-{uuid4()}", origin="control", role="control", issued_utc_s=utc_s,
                              workload_id=workload.announcement.workload_id, action=action)
    outcome = Accepted(id=request.id, cycle=cycle, workload=workload, reason=workload.reason)
    return Entry(request, outcome, Level.LAW, utc_s, None)


def unwritten(request: Request, outcome: Outcome, utc_s: float) -> Body:
    """What the ledger keeps of a request that it does not answer for: who asked and why not, cut to a sane length."""
    return {**request_head(request, utc_s, _CUT), "origin": request.origin[:_CUT], "asked": type(request).__name__,
            "answer": type(outcome).__name__, "reason": outcome.reason[:_CUT]}


def request_body(entry: Entry) -> Body:
    """A request with its outcome as the chain keeps it."""
    return {**request_head(entry.request, entry.received_utc_s), "level": int(entry.level),
            "cycle": entry.outcome.cycle, "request": entry.request, "answer": type(entry.outcome).__name__,
            "outcome": entry.outcome, "expires_utc_s": entry.expires_utc_s}


def _prune(connection: sqlite3.Connection, utc_s: float) -> None:
    with connection:
        for statement in _PRUNE.split(";"):
            connection.execute(statement, {"old": utc_s - KEEP_S, "now": utc_s})
