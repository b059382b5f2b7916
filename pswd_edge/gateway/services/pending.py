"""Announcements that wait for a judgement, and how they were judged: on disk, so that a restart goes on with them."""

import sqlite3
from typing import NamedTuple

import msgspec
import structlog

from pswd_edge.gateway.store import Store
from pswd_edge.model.workload import Announcement

_LOG = structlog.get_logger("pswd_edge.gateway")
KEEP_S = 7 * 86_400.0
_TABLE = """CREATE TABLE IF NOT EXISTS announcements (
    request_id TEXT PRIMARY KEY, workload_id TEXT NOT NULL, origin TEXT NOT NULL, role TEXT NOT NULL,
    received_utc_s REAL NOT NULL, said BLOB NOT NULL, details BLOB NOT NULL, state TEXT NOT NULL DEFAULT 'pending',
    judged_utc_s REAL, reasons BLOB NOT NULL DEFAULT '[]')"""
_INDEX = "CREATE INDEX IF NOT EXISTS announcements_workload ON announcements (workload_id, received_utc_s)"
_SELECT = """SELECT request_id, workload_id, origin, role, received_utc_s, said, state, judged_utc_s, reasons
    FROM announcements """


class Kept(NamedTuple):
    """An announcement. `state`: "pending", "judged" (control has it) or "rejected", for `reasons`."""

    request_id: str
    said: Announcement
    origin: str
    role: str
    received_utc_s: float
    state: str = "pending"
    judged_utc_s: float | None = None
    reasons: tuple[str, ...] = ()


class PendingFile:
    """The table of announcements in the gateway's store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.run_blocking(lambda db: (db.execute(_TABLE), db.execute(_INDEX)))

    def waiting(self) -> list[Kept]:
        """Those without a judgement, the oldest first; before there is a loop."""
        rows = self._store.run_blocking(lambda db: db.execute(
            _SELECT + "WHERE state = 'pending' ORDER BY received_utc_s").fetchall())
        return [kept for row in rows if (kept := _kept(row)) is not None]

    async def add(self, kept: Kept, details: bytes) -> None:
        """On disk when this returns; old ones go. `details`: JSON of what neither control nor planner needs."""
        row = (kept.request_id, kept.said.workload_id, kept.origin, kept.role, kept.received_utc_s,
               msgspec.msgpack.encode(kept.said), details)

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM announcements WHERE state <> 'pending' AND received_utc_s < ?",
                       (kept.received_utc_s - KEEP_S,))
            db.execute("INSERT INTO announcements (request_id, workload_id, origin, role, received_utc_s, said, "
                       "details) VALUES (?, ?, ?, ?, ?, ?, ?)", row)

        await self._store.run(work)

    async def settle(self, kept: Kept) -> None:
        """Its state is another now."""
        await self._store.run(lambda db: db.execute(
            "UPDATE announcements SET state = ?, judged_utc_s = ?, reasons = ? WHERE request_id = ?",
            (kept.state, kept.judged_utc_s, msgspec.json.encode(kept.reasons), kept.request_id)).rowcount)

    async def latest(self, workload_id: str) -> Kept | None:
        """The last announcement of a workload; None: there was none within the week."""
        row = await self._store.run(lambda db: db.execute(
            _SELECT + "WHERE workload_id = ? ORDER BY received_utc_s DESC LIMIT 1",
            (workload_id,)).fetchone())
        return None if row is None else _kept(row)

    async def find(self, request_id: str) -> Kept | None:
        """The announcement of a request id."""
        row = await self._store.run(lambda db: db.execute(
            _SELECT + "WHERE request_id = ?", (request_id,)).fetchone())
        return None if row is None else _kept(row)


def _kept(row: tuple[str, str, str, str, float, bytes, str, float | None, bytes]) -> Kept | None:
    request_id, workload_id, origin, role, received, said, state, judged, reasons = row
    try:
        return Kept(request_id, msgspec.msgpack.decode(said, type=Announcement), origin, role, received, state, judged,
                    msgspec.json.decode(reasons, type=tuple[str, ...]))
    except msgspec.MsgspecError as error:    # of another release, or damaged: the others still count
        _LOG.warning("announcements: a row cannot be read; announce it again", workload=workload_id, error=str(error))
        return None
