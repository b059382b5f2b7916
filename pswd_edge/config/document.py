"""A YAML file as plain values, with the line of every key: the ground of every message about a mistake.

Scalars follow YAML 1.2 (core schema) more closely than PyYAML does: `off` and `on` are words, `5e6` is a number,
`010` and `12:30` are text. `140_000_000` is a number.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pswd_edge.config.environment import replace_variables
from pswd_edge.config.mistakes import Mistakes

Key = str | int
KeyPath = tuple[Key, ...]


class Document(NamedTuple):
    """`root` holds dicts, lists and scalars; `lines` the line (from 1) of each key and list item, by its path."""

    file: str
    root: Any
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """The line of the deepest part of `path` that the file has; 1 where it has none."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1


class _Loader(yaml.SafeLoader):
    """SafeLoader with scalar types of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the library's own attribute


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+", list("-+0123456789")),
    ("float", r"[-+]?([0-9][0-9_]*)?\.?[0-9]+([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


def read_document(path: Path, environment: Mapping[str, str] | None, mistakes: Mistakes) -> Document | None:
    """Read a file; variables are replaced where `environment` is given. None where it cannot be parsed."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        mistakes.add(file, 1, "", str(error), "a readable file in UTF-8")
        return None
    if environment is not None:
        text = replace_variables(text, environment, file, mistakes)
    lines: dict[KeyPath, int] = {}
    try:
        root = _read_text(text, file, lines, mistakes)
    except yaml.YAMLError as error:
        mistakes.add(file, *_syntax(error))
        return None
    if not isinstance(root, dict):
        mistakes.add(file, 1, "", "no mapping at the top", "keys with values")
        return None
    return Document(file, root, lines)


def _read_text(text: str, file: str, lines: dict[KeyPath, int], mistakes: Mistakes) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _Reader(loader, file, lines, mistakes).value(node, ())
    finally:
        loader.dispose()


def _syntax(error: yaml.YAMLError) -> tuple[int, str, str, str]:
    """Line, path, found and expected of a syntax error."""
    open_key = getattr(error, "context", None) == "while scanning a simple key"    # the ':' is missing where it began
    mark = getattr(error, "context_mark" if open_key else "problem_mark", None)
    found = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return (1 if mark is None else mark.line + 1), "", str(found), "YAML"


class _Reader:
    """Turns nodes into values, noting lines, repeated keys and anchors that contain themselves."""

    def __init__(self, loader: _Loader, file: str, lines: dict[KeyPath, int], mistakes: Mistakes) -> None:
        self._loader = loader
        self._file = file
        self._lines = lines
        self._mistakes = mistakes
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._mistakes.add(self._file, self._lines[path], dotted(path), "an alias of itself", "a tree")
            return None
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        self._open.discard(id(node))
        return value

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:"):
            self._mistakes.add(self._file, self._lines[path], dotted(path), f"the tag {node.tag}", "a plain value")
            return node.value
        try:
            return self._loader.construct_object(node)
        except ValueError:
            self._mistakes.add(self._file, self._lines[path], dotted(path), repr(node.value), "a plain value")
            return None

    def _list(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[Key, Any]:
        result: dict[Key, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._loader.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str | int):
                self._mistakes.add(self._file, line, dotted(path), f"the key {key!r}", "a key that is a word")
                continue
            here = (*path, key)
            if key in result:
                first = self._lines[here]
                self._mistakes.add(self._file, line, dotted(here), "the same key again", f"it once (line {first})")
                continue
            self._lines[here] = line
            result[key] = self.value(value_node, here)
        return result


def dotted(path: KeyPath) -> str:
    """A path as a person writes it: devices.pcc.trend[0]."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
