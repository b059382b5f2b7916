"""No secret stands in a configuration file: only references to where it lies."""

from typing import Any

from pswd_edge.config.document import Document, KeyPath, dotted
from pswd_edge.config.mistakes import SECRET_KEY, Mistakes
from pswd_edge.config.secrets import is_reference


def check_secrets(document: Document, mistakes: Mistakes) -> None:
    """Note every literal under a key that holds a secret; the literal itself is not shown."""
    _walk(document.root, (), document, mistakes)


def _walk(value: Any, path: KeyPath, document: Document, mistakes: Mistakes) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _walk(inner, (*path, key), document, mistakes)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _walk(inner, (*path, index), document, mistakes)
    elif _is_literal(value, path):
        mistakes.add(
            document.file, document.line(path), dotted(path), "a literal secret",
            "a reference: file:<path> or credential:<name>",
        )


def _is_literal(value: Any, path: KeyPath) -> bool:
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if value is None or isinstance(value, bool) or not SECRET_KEY.search(key):
        return False
    return not (isinstance(value, str) and is_reference(value))
