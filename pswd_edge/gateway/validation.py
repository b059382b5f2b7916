"""Requests in: JSON read strictly, checked by a pydantic model, every mistake named at once."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pswd_edge.gateway.refusal import RefusalError

BODY_MAX = 64 * 1024
DEPTH_MAX = 16
_SHOWN = 60
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_SECRET = frozenset({"password", "token", "refresh_token"})
_M = TypeVar("_M", bound=BaseModel)

_EXPECTED = {
    "missing": "a value", "int_type": "an integer", "int_from_float": "an integer", "float_type": "a number",
    "bool_type": "true or false", "string_type": "a string", "finite_number": "a finite number",
    "model_type": "an object", "dict_type": "an object", "list_type": "an array",
}
_EXPECTED_WITH = {
    "literal_error": "one of {expected}", "greater_than_equal": "at least {ge}", "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}", "less_than": "less than {lt}",
    "string_too_long": "at most {max_length} characters", "string_too_short": "at least {min_length} characters",
    "string_pattern_mismatch": "text like {pattern}", "value_error": "{error}",
}


async def read_json(request: web.Request) -> object:
    """The body's JSON value.

    Raises:
        RefusalError: 415 for another content type or an encoding, 413 over 64 KiB, 400 for what is no JSON.
    """
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
        raise RefusalError(415, "UNSUPPORTED_MEDIA_TYPE",
                           f"Content-Type: got {_show(request.headers.get('Content-Type'))}: expected application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RefusalError(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Encoding: expected none")
    if (request.content_length or 0) > BODY_MAX:       # not a byte of it is waited for
        raise too_large()
    raw = await request.read()
    try:
        found: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, "MALFORMED_JSON", f"body: got no JSON ({error.msg} at line {error.lineno}, "
                           f"column {error.colno}): expected a JSON object") from error
    if _deeper_than(found, DEPTH_MAX):
        raise RefusalError(400, "MALFORMED_JSON", f"body: got over {DEPTH_MAX} levels: expected at most {DEPTH_MAX}")
    _check_keys(raw)
    return found


def too_large() -> RefusalError:
    """413; the connection is closed, since the rest of the body would stand before the next request."""
    return RefusalError(413, "BODY_TOO_LARGE", f"body: got over {BODY_MAX} bytes: expected at most {BODY_MAX}",
                        headers={"Connection": "close"})


def _check_keys(raw: bytes) -> None:
    """Raises RefusalError where an object has a key twice: readers differ in which of the two they take."""
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except ValueError as error:
        raise RefusalError(400, "MALFORMED_JSON", f"body: {error}") from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"got {_show(twice)} twice in one object: expected once")
    return found


def _deeper_than(found: object, levels: int) -> bool:
    layer = [found]
    for _ in range(levels):
        inner: list[object] = []
        for item in layer:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        layer = inner
        if not layer:
            return False
    return any(isinstance(item, dict | list) for item in layer)


def check(model: type[_M], found: object) -> _M:
    """`found` as the model; raises RefusalError 400 with one line a mistake.

    A model's `REFUSED_AS` names other codes than INVALID_REQUEST for mistakes in some of its fields.
    """
    try:
        return model.model_validate(found)
    except ValidationError as error:
        errors, codes = error.errors(include_url=False), getattr(model, "REFUSED_AS", {})
        code = next((codes[part] for e in errors for part in e["loc"][:1] if part in codes), "INVALID_REQUEST")
        raise invalid([_line(e) for e in errors], code) from error


def check_query(model: type[_M], query: Mapping[str, str]) -> _M:
    """As `check` for query parameters: text that is an integer is taken for one."""
    return check(model, {name: _integer(text) for name, text in query.items()})


def invalid(lines: list[str], code: str = "INVALID_REQUEST") -> RefusalError:
    """400; `lines` are mistakes as `path: got X: expected Y`."""
    more = f" (and {len(lines) - 1} more, see details)" if len(lines) > 1 else ""
    return RefusalError(400, code, lines[0] + more, details="\n".join(lines))


def _integer(text: str) -> int | str:
    return int(text) if _INTEGER.fullmatch(text) else text


def _line(error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"]) or "body"
    if error["type"] == "missing":
        got = "nothing"
    elif _SECRET & {str(part) for part in error["loc"]}:
        got = f"a {type(error['input']).__name__} (not shown)"
    else:
        got = _show(error["input"])
    return f"{path}: got {got}: expected {_expected(error)}"


def _expected(error: ErrorDetails) -> str:
    kind: str = error["type"]
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    context: dict[str, Any] = error.get("ctx", {})
    return _EXPECTED_WITH[kind].format(**context) if kind in _EXPECTED_WITH else error["msg"]


def _show(found: object) -> str:
    """The value as JSON, cut to 60 characters."""
    try:
        text = orjson.dumps(found).decode()
    except TypeError:
        text = type(found).__name__
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
