"""The law's state as plain data and back, bit for bit: NamedTuples, tuples, numbers and arrays.

Nothing of a file is executed: names are looked up among the types that `LawState` is made of. A field that a later
release adds takes its default; one that it dropped is passed over.
"""

import typing
from functools import lru_cache
from typing import Any

import numpy as np

from pswd_edge.control.rules.law import LawState

_TYPE, _ARRAY, _SHAPE, _BYTES, _NUMPY = "type", "array", "shape", "bytes", "numpy"


class StateError(ValueError):
    """The data are no state of these rules; the text says where."""


@lru_cache(maxsize=1)
def _types() -> dict[str, type]:
    """Every NamedTuple that a law's state can hold, by name."""
    found: dict[str, type] = {}

    def walk(hint: Any) -> None:
        for inner in typing.get_args(hint):
            walk(inner)
        named = isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")
        if named and hint.__name__ not in found:
            found[hint.__name__] = hint
            for inner in typing.get_type_hints(hint).values():
                walk(inner)

    walk(LawState)
    return found


def plain(value: Any) -> Any:
    """A state as dicts, lists, numbers, texts and bytes. Raises StateError for what a state cannot hold."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        return {_NUMPY: value.dtype.str, _BYTES: value.tobytes()}
    if isinstance(value, int | float):
        return value
    if isinstance(value, np.ndarray):
        return {_ARRAY: value.dtype.str, _SHAPE: list(value.shape), _BYTES: value.tobytes()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        name = type(value).__name__
        if _types().get(name) is not type(value):
            raise StateError(f"{name}: no type of the law's state")
        return {_TYPE: name, **{f: plain(v) for f, v in zip(value._fields, value, strict=True)}}
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    raise StateError(f"{type(value).__name__}: a state holds numbers, texts, tuples and arrays only")


def restored(data: Any) -> Any:
    """The inverse of `plain`. Raises StateError for an unknown type or a field that has no default and is missing."""
    if isinstance(data, list):
        return tuple([restored(v) for v in data])
    if not isinstance(data, dict):
        return data
    if _NUMPY in data:
        return np.frombuffer(data[_BYTES], np.dtype(data[_NUMPY]))[0]
    if _ARRAY in data:
        return np.frombuffer(data[_BYTES], np.dtype(data[_ARRAY])).reshape(data[_SHAPE]).copy()
    kind = _types().get(data.get(_TYPE, ""))
    if kind is None:
        raise StateError(f"{data.get(_TYPE)!r}: the rules of this release have no such state")
    fields: Any = kind
    known = {f: restored(v) for f, v in data.items() if f in fields._fields}
    try:
        return kind(**known)
    except TypeError as error:
        raise StateError(f"{kind.__name__}: {error}") from error
