"""The list of everything that is wrong, in the words that an engineer can act on."""

import math
import re
from typing import Any, NamedTuple

UNSET = "__UNSET__"    # stands for a variable that is missing, so that nothing more is said of it
SECRET_KEY = re.compile(r"passw|passphrase|secret|community|token|api_?key", re.IGNORECASE)


class Mistake(NamedTuple):
    """One mistake; `path` is empty where it concerns the file."""

    file: str
    line: int
    path: str
    got: str
    expected: str

    def __str__(self) -> str:
        place = f" {self.path}:" if self.path else ""
        return f"{self.file}:{self.line}:{place} got {self.got}: expected {self.expected}"


class Mistakes:
    """Collects mistakes. One place is named once: the first mistake of a path hides what follows from it."""

    def __init__(self) -> None:
        self._found: list[Mistake] = []
        self._paths: set[tuple[str, int, str]] = set()

    def add(self, file: str, line: int, path: str, got: str, expected: str) -> None:
        """Note one mistake."""
        if UNSET in got or (path and (file, line, path) in self._paths):
            return
        self._paths.add((file, line, path))
        self._found.append(Mistake(file, line, path, got, expected))

    def __bool__(self) -> bool:
        return bool(self._found)

    def lines(self) -> list[str]:
        """One line per mistake, by file in the order of reading, then by line number."""
        files = list(dict.fromkeys(m.file for m in self._found))
        return [str(m) for m in sorted(self._found, key=lambda m: (files.index(m.file), m.line))]


def number(value: float) -> str:
    """A number as it would stand in YAML: 125_000_000, 0.15."""
    return f"{value:_.0f}" if math.isfinite(value) and value == int(value) else f"{value:g}"


def shown(value: Any, key: str = "") -> str:
    """A value as it stands in a message: short, and never a secret."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if SECRET_KEY.search(key) or (isinstance(value, str) and "PRIVATE KEY" in value):
        return "a hidden value"
    if isinstance(value, float) and abs(value) < 1e15:
        return number(value)
    text = "true" if value is True else "false" if value is False else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
