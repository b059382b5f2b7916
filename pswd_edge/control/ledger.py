"""The ledger: what was asked and answered, on disk before the answer. SQLite in its own thread; the loop never waits
for the disk, the answer does.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from pswd_edge.model.command import Outcome, Request

_T = TypeVar("_T")
KEEP_S = 7 * 86400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    received_utc_s REAL NOT NULL,
    expires_utc_s REAL,
    origin TEXT NOT NULL,
    kind TEXT NOT NULL,
    request BLOB NOT NULL,
    outcome BLOB NOT NULL
)"""


class Ledger:
    """Append-only. Every method is called from the event loop; the work happens in one thread, in order."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._connection: sqlite3.Connection | None = None
        self._encode = msgspec.msgpack.Encoder().encode
        self._request = msgspec.msgpack.Decoder(Request)
        self._outcome = msgspec.msgpack.Decoder(Outcome)

    async def open(self, utc_s: float) -> list[tuple[Request, Outcome, float | None]]:
        """Open or create; returns requests that have not expired with their outcomes and ends, oldest first."""
        return await self._run(self._open, utc_s)

    async def append(self, request: Request, outcome: Outcome, utc_s: float, expires_utc_s: float | None) -> None:
        """Return when the entry is on disk. Raises sqlite3.Error where it cannot be."""
        blobs = (self._encode(request), self._encode(outcome))
        await self._run(self._append, request.id, utc_s, expires_utc_s, request.origin, type(request).__name__, *blobs)

    async def find(self, request_id: str) -> Outcome | None:
        """The first outcome of a request id, or None."""
        return await self._run(self._find, request_id)

    async def close(self) -> None:
        """Close the file and end the thread."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, function: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    # --- in the thread ------------------------------------------------------------------------------------------

    def _open(self, utc_s: float) -> list[tuple[Request, Outcome, float | None]]:
        self._connection = sqlite3.connect(self._path)
        self._path.chmod(0o640)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(_SCHEMA)
        self._connection.execute("DELETE FROM entry WHERE received_utc_s < ? AND coalesce(expires_utc_s, 0) < ?",
                                 (utc_s - KEEP_S, utc_s))
        self._connection.commit()
        rows = self._connection.execute(
            "SELECT request, outcome, expires_utc_s FROM entry WHERE expires_utc_s IS NULL OR expires_utc_s > ? "
            "ORDER BY number", (utc_s,))
        return [(self._request.decode(r), self._outcome.decode(o), e) for r, o, e in rows]

    def _append(self, *row: object) -> None:
        assert self._connection is not None  # `open` comes first
        with self._connection:
            self._connection.execute(
                "INSERT INTO entry (id, received_utc_s, expires_utc_s, origin, kind, request, outcome) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _find(self, request_id: str) -> Outcome | None:
        assert self._connection is not None  # `open` comes first
        found = self._connection.execute("SELECT outcome FROM entry WHERE id = ?", (request_id,)).fetchone()
        return None if found is None else self._outcome.decode(found[0])

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
