"""What only the gateway keeps: one SQLite file, used from one thread. What `run` returns from is on disk."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pswd_edge.errors import SecretError

FILE = "gateway.sqlite"
_T = TypeVar("_T")


class Store:
    """The gateway's database. Each service makes its own tables with `CREATE TABLE IF NOT EXISTS`."""

    def __init__(self, state_dir: Path) -> None:
        """Open or make the file, mode 0600; raises SecretError where it cannot be used or is damaged."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._closed = False
        try:
            self._connection = self._thread.submit(_open, state_dir / FILE).result()
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown()
            raise SecretError(f"{state_dir / FILE}: cannot be used ({error}); restore it, or remove it") from error

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """`work` in the store's thread, as one transaction: on disk when this returns, undone where it raises.

        Raises:
            sqlite3.Error: disk full or read-only; nothing of `work` is kept.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    def run_blocking(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """As `run`, for a start before there is a loop."""
        return self._thread.submit(self._transact, work).result()

    def _transact(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            found = work(self._connection)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return found

    def close(self) -> None:
        """Waits for what runs; call `run` no more. A second time it does nothing."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._connection.close).result()
            self._thread.shutdown()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None)    # the one thread that uses it
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 2000")
    connection.execute("PRAGMA quick_check")
    return connection
