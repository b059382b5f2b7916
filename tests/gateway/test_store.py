import sqlite3
from pathlib import Path

import pytest

from pswd_edge.errors import SecretError
from pswd_edge.gateway.store import FILE, Store


def _table(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS kept (word TEXT)")


def _words(connection: sqlite3.Connection) -> list[str]:
    return [word for (word,) in connection.execute("SELECT word FROM kept")]


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    """A 2xx for a command means: on disk."""
    store = Store(tmp_path)
    await store.run(_table)
    await store.run(lambda db: db.execute("INSERT INTO kept VALUES ('one')").rowcount)
    store.close()
    again = Store(tmp_path)
    assert await again.run(_words) == ["one"]
    again.close()


async def test_work_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    """Half a change is worse than none."""
    store = Store(tmp_path)
    store.run_blocking(_table)

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO kept VALUES ('half')")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.run(half)
    assert await store.run(_words) == []
    store.close()


def test_a_damaged_file_is_told_with_its_path(tmp_path: Path) -> None:
    """The gateway does not start on a file that it cannot read, and says which."""
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(SecretError, match=FILE):
        Store(tmp_path)


def test_the_file_is_private(tmp_path: Path) -> None:
    """Hashes of keys lie in it."""
    Store(tmp_path).close()
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
