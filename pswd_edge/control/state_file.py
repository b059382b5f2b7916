"""A small file of the state folder that is replaced whole, by a thread of its own: the loop never waits for it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pswd_edge.control import whole_file


class StateFile:
    """`replace` never waits: while a write is under way it does nothing and says so."""

    def __init__(self, path: Path, thread: str) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=thread)
        self._writing: Future[None] | None = None
        self.trouble = ""

    def replace(self, content: Callable[[], bytes]) -> bool:
        """Begin to replace the file; False where the former write has not ended: call again later.

        `content` is made in the thread too. Whether it was written is seen in `trouble`.
        """
        if self._writing is not None and not self._writing.done():
            return False
        self._writing = self._thread.submit(self._write, content)
        return True

    def close(self, content: Callable[[], bytes]) -> None:
        """Write this last, and wait for it. Blocks on the disk."""
        self._thread.submit(self._write, content)
        self._thread.shutdown(wait=True)

    def _write(self, content: Callable[[], bytes]) -> None:
        try:
            whole_file.replace(self.path, content())
        except OSError as error:
            self.trouble = f"{self.path.name} cannot be written ({error}); free the disk"
        else:
            self.trouble = ""
