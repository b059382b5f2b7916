"""A small table of secrets in one private JSON file, shared by the gateway and the commands of an administrator."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from pswd_edge.errors import SecretError
from pswd_edge.gateway.private_file import read_private, write_private

_T = TypeVar("_T")


class PrivateTable(Generic[_T]):
    """One value of a msgspec type in one file. What another process writes is seen by the next `read`."""

    def __init__(self, path: Path, kind: type[_T], empty: _T) -> None:
        """`empty` is what a missing file stands for; the file is read at once, so that a damaged one stops a start.

        Raises:
            SecretError: the file is damaged or open to others.
        """
        self._path, self._kind, self._empty = path, kind, empty
        self._seen: tuple[tuple[int, ...] | None, _T] = (None, empty)
        self.read()

    def read(self) -> _T:
        """The table now; where nothing changed, a look at the file's date. Raises SecretError as the start does."""
        state = self._state()
        seen, found = self._seen
        if state is None:
            return self._empty
        if state != seen:
            found = self._load()
            self._seen = (state, found)
        return found

    def change(self, changed: Callable[[_T], _T]) -> _T:
        """Replace the table by `changed(table)`, on disk when this returns; one process at a time. Takes some ms.

        What `changed` raises is passed on, and nothing is written.
        """
        with _locked(self._path.parent):
            before = self._load()
            after = changed(before)
            if after is not before:
                write_private(self._path, msgspec.json.format(msgspec.json.encode(after), indent=1))
                # Two changes within one tick of the file system's clock may look like none: ours are known anyway.
                self._seen = (self._state(), after)
            return after

    def _state(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode

    def _load(self) -> _T:
        content = read_private(self._path)
        if content is None:
            return self._empty
        try:
            return msgspec.json.decode(content, type=self._kind)
        except msgspec.DecodeError as error:
            raise SecretError(f"{self._path}: damaged ({error}); restore it, or remove it and begin anew") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder itself is locked: a lock file made by root would shut the gateway out."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
