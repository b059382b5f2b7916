"""Rows of a device map that stand for several: `repeat: [1, 24]` and `{n}` in their texts, for outlets of a kind."""

from typing import Any

from pswd_edge.config.document import Document, KeyPath
from pswd_edge.config.mistakes import Mistakes

MEMBERS_MAX = 200
_MARK = "{n}"


def repeated(document: Document, mistakes: Mistakes) -> Document:
    """The document with each such row written out; every copy keeps the lines of the row that it comes from."""
    rows = document.root.get("points")
    if not isinstance(rows, list):
        return document
    made: list[Any] = []
    origins: list[int] = []
    for index, row in enumerate(rows):
        copies = _copies(row, index, document, mistakes)
        made += copies
        origins += [index] * len(copies)
    return Document(document.file, {**document.root, "points": made}, _lines(document.lines, origins))


def _copies(row: Any, index: int, document: Document, mistakes: Mistakes) -> list[Any]:
    if not isinstance(row, dict):
        return [row]

    def complain(key: str, got: str, expected: str) -> None:
        mistakes.add(document.file, document.line(("points", index, key)), f"points[{index}].{key}", got, expected)

    rest: dict[Any, Any] = {key: value for key, value in row.items() if key != "repeat"}
    ends: Any = row.get("repeat")
    if ("repeat" in row) != (_MARK in str(row.get("oid", ""))):
        complain("oid", repr(row.get("oid")), f"{_MARK} in it beside repeat, or neither")
    if "repeat" not in row:
        return [row]
    whole = isinstance(ends, list) and len(ends) == 2 and all(type(end) is int for end in ends)
    if not whole or not 0 <= ends[0] <= ends[1] < ends[0] + MEMBERS_MAX:
        complain("repeat", repr(ends), f"[first, last], whole numbers from 0 up, {MEMBERS_MAX} at most")
        return [_with_number(rest, 1)]
    return [_with_number(rest, number) for number in range(ends[0], ends[1] + 1)]


def _with_number(value: Any, number: int) -> Any:
    if isinstance(value, str):
        return value.replace(_MARK, str(number))
    if isinstance(value, dict):
        return {key: _with_number(inner, number) for key, inner in value.items()}
    return [_with_number(inner, number) for inner in value] if isinstance(value, list) else value


def _lines(lines: dict[KeyPath, int], origins: list[int]) -> dict[KeyPath, int]:
    inside: dict[int, list[tuple[KeyPath, int]]] = {}
    kept: dict[KeyPath, int] = {}
    for path, line in lines.items():
        if path[:1] == ("points",) and len(path) > 1 and isinstance(path[1], int):
            inside.setdefault(path[1], []).append((path[2:], line))
        else:
            kept[path] = line
    for index, origin in enumerate(origins):
        kept.update((("points", index, *rest), line) for rest, line in inside.get(origin, ()))
    return kept
