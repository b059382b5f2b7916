"""The datagram "row k": sent once a cycle, dropped where a reader is slow, so that streams need no timer."""

import contextlib
import socket
import struct
from pathlib import Path

_ROW = struct.Struct("<Q")


class RowBell:
    """Control's side: rings for every socket in `folder`, and never waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.dropped = 0

    def look(self) -> None:
        """Find the readers' sockets again; once a second is enough."""
        self._paths = [str(p) for p in self._folder.glob("*.row")] if self._folder.is_dir() else []

    def ring(self, row: int) -> None:
        """Tell every reader that row `row` is whole."""
        message = _ROW.pack(row)
        for path in self._paths:
            try:
                self._socket.sendto(message, path)
            except OSError:  # full, gone or refused: the reader catches up from the ring by itself
                self.dropped += 1

    def close(self) -> None:
        """Close the sending socket."""
        self._socket.close()


class RowListener:
    """A reader's side: a bound datagram socket, non-blocking; `fileno` goes to the event loop."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.row"
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(self.path))

    def drain(self) -> int | None:
        """The newest row announced since the last call, or None."""
        row = None
        with contextlib.suppress(BlockingIOError):
            while True:
                message = self.socket.recv(_ROW.size + 1)
                row = _ROW.unpack(message)[0] if len(message) == _ROW.size else row
        return row

    def close(self) -> None:
        """Unbind."""
        self.socket.close()
        self.path.unlink(missing_ok=True)
