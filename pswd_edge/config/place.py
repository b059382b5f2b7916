"""Where a check stands: the document and the list that takes its complaints."""

from typing import NamedTuple

from pswd_edge.config.document import Document, KeyPath, dotted
from pswd_edge.config.mistakes import Mistakes


class Place(NamedTuple):
    """A part of a document; `base` is its path."""

    document: Document
    mistakes: Mistakes
    base: KeyPath = ()

    def at(self, *keys: str | int) -> "Place":
        """A place below this one."""
        return self._replace(base=(*self.base, *keys))

    def complain(self, keys: KeyPath, got: str, expected: str) -> None:
        """Note a mistake at `keys` below this place."""
        path = (*self.base, *keys)
        self.mistakes.add(self.document.file, self.document.line(path), dotted(path), got, expected)

    def line(self, *keys: str | int) -> int:
        """The line of a path from the document's top."""
        return self.document.line(keys)
