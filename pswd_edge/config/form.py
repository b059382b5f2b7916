"""What the models of both files share: strict forms, and their errors in our words."""

import math
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from pswd_edge.config.document import Document, KeyPath, dotted
from pswd_edge.config.mistakes import Mistakes, shown


class Form(BaseModel):
    """A part of a file: no unknown keys, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


FormT = TypeVar("FormT", bound=BaseModel)


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a number")
    return value


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise PydanticCustomError("rising", "Input should be [lower, higher]")
    return value


Number = Annotated[float, BeforeValidator(_no_switch)]
Whole = Annotated[int, BeforeValidator(_no_switch)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Percent = Annotated[Number, Field(ge=0, le=100)]
Span = Annotated[tuple[Number, Number], AfterValidator(_rising)]
_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
_POINT_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]*\.[A-Za-z0-9][A-Za-z0-9_\[\]-]*$"
NODE = r"^((nsu=[^;]+;)?[sigb]=.+|p=\{[^{}]+\}.+)$"
OID = r"^\.?[0-2](\.([0-9]+|\{n\}))+$"  # {n}: config/repeat.py
PATTERN_WORDS = {
    _ID: "letters, digits, - and _", _POINT_ID: "device.signal",
    NODE: "nsu=<namespace URI>;s=<id>, i=<number>, or p={<namespace URI>}<name>/<name>",
    OID: "digits with dots between",
}
Id = Annotated[str, StringConstraints(pattern=_ID)]
PointId = Annotated[str, StringConstraints(pattern=_POINT_ID)]
Text = Annotated[str, StringConstraints(min_length=1)]


def read_form(form: type[FormT], document: Document, raw: Any, path: KeyPath, mistakes: Mistakes) -> FormT:
    """Read one part of a document. Where it has mistakes, they are noted and what can be used is returned.

    What cannot be used stands as NaN, "" or empty, so that later checks say nothing of it.
    """
    try:
        return form.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False)
    inside = {detail["loc"][:end] for detail in found for end in range(len(detail["loc"]))}
    for detail in found:
        if detail["type"] != "too_short" or detail["loc"] not in inside:    # short, as its items are wrong
            _note(form, detail, document, path, mistakes)
    return _salvage(form, raw)


def check_settings(
    config: type[BaseModel], settings: Mapping[str, Any], document: Document, path: KeyPath, mistakes: Mistakes
) -> None:
    """Note what a driver's `Config` says of the settings of one connection."""
    try:
        config.model_validate(settings)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _note(config, detail, document, path, mistakes)


def _note(
    form: type[BaseModel], detail: ErrorDetails, document: Document, base: KeyPath, mistakes: Mistakes
) -> None:
    path = (*base, *_real_path(_at(document.root, base), detail["loc"]))
    key = str(path[-1]) if path else ""
    kind = detail["type"]
    if kind == "missing":
        got, expected = "nothing", "a value"
    elif kind == "extra_forbidden":
        got, expected = "an unknown key", _known_keys(form, detail["loc"])
    else:
        got, expected = shown(detail["input"], key), _expected(detail)
    mistakes.add(document.file, document.line(path), dotted(path), got, expected)


_EXPECTED = {
    "int_parsing": "a whole number", "int_type": "a whole number", "int_from_float": "a whole number",
    "float_parsing": "a number", "float_type": "a number", "finite_number": "a number that is finite",
    "string_type": "a text (in quotes where it looks like a number)", "bool_type": "true or false",
    "bool_parsing": "true or false", "dict_type": "a mapping", "model_type": "a mapping",
    "model_attributes_type": "a mapping", "list_type": "a list", "tuple_type": "a list",
    "string_too_short": "a text that is not empty",
}
_BOUNDS = {
    "greater_than": ("gt", "more than {:g}"), "greater_than_equal": ("ge", "{:g} or more"),
    "less_than": ("lt", "less than {:g}"), "less_than_equal": ("le", "{:g} or less"),
}


def _expected(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return PATTERN_WORDS.get(pattern, f"a text that matches {pattern}")
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return words.format(context[name])
    if kind == "too_short":
        return f"{context['min_length']} or more in it"
    return detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _known_keys(form: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """The keys that would have been right at this place."""
    for part in loc[:-1]:
        if part in form.model_fields:
            form = _inner_form(form.model_fields[str(part)].annotation) or form
    return "one of " + ", ".join(field.alias or name for name, field in form.model_fields.items())


def _inner_form(annotation: Any) -> type[BaseModel] | None:
    """The form inside list[...], dict[..., ...], ... | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (inner := _inner_form(argument)) is not None:
            return inner
    return None


def _at(value: Any, path: KeyPath) -> Any:
    for part in path:
        value = value[part]
    return value


def _real_path(value: Any, loc: tuple[int | str, ...]) -> KeyPath:
    """An error's place without the parts that pydantic adds (`[key]`, names of union members)."""
    path: list[str | int] = []
    for i, part in enumerate(loc):
        inside_list = isinstance(value, list) and part in range(len(value))
        if inside_list or (isinstance(value, dict) and part in value):
            value = value[part]
            path.append(part)
        elif isinstance(value, dict) and str(part).lstrip("-").isdigit() and int(part) in value:
            value = value[int(part)]
            path.append(int(part))
        elif i == len(loc) - 1 and isinstance(value, dict) and part != "[key]":
            path.append(part)
    return tuple(path)


def _salvage(form: type[FormT], raw: Any) -> FormT:
    """A form of what is right in `raw`; the rest is a default, or a value of which no check complains."""
    given = raw if isinstance(raw, Mapping) else {}
    values: dict[str, Any] = {}
    for name, field in form.model_fields.items():
        key = field.alias or name
        if key in given and (value := _usable(field, given[key])) is not None:
            values[key] = value
        elif field.is_required():
            values[key] = _blank(field.annotation)
    if form.model_config.get("extra") == "allow":
        values |= {k: v for k, v in given.items() if isinstance(k, str) and k not in form.model_fields}
    return form.model_construct(**values)


def _usable(field: FieldInfo, raw: Any) -> Any:
    """The value of one field, in parts where it is not whole; None where nothing is left of it."""
    rule: Any = field.annotation
    for part in field.metadata:
        rule = Annotated[rule, part]
    return _usable_part(rule, raw)


def _usable_part(rule: Any, raw: Any) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(rule)
    try:
        return adapter.validate_python(raw)
    except ValidationError:
        pass
    while get_origin(rule) is Annotated:
        rule = get_args(rule)[0]
    inner = _inner_form(rule)
    if inner is None or raw is None:
        return None
    if get_origin(rule) is dict:
        items = raw.items() if isinstance(raw, dict) else ()
        return {k: _usable_item(get_args(rule)[1], inner, v) for k, v in items if isinstance(k, str)}
    if get_origin(rule) is tuple:
        return tuple(_usable_item(get_args(rule)[0], inner, v) for v in raw) if isinstance(raw, list) else None
    return _salvage(inner, raw)


def _usable_item(rule: Any, inner: type[BaseModel], raw: Any) -> Any:
    """As `_usable_part`, but never None: an item that is no form at all is a blank one, so that indices stay."""
    part = _usable_part(rule, raw)
    return _salvage(inner, {}) if part is None else part


def _blank(annotation: Any) -> Any:
    inner = _inner_form(annotation)
    origin = get_origin(annotation)
    if origin is dict:
        return {}
    if origin in (list, tuple):
        return (math.nan, math.nan) if get_args(annotation)[-1] is not Ellipsis and inner is None else ()
    if origin in (Union, types.UnionType):
        return None
    if inner is not None:
        return _salvage(inner, {})
    return "" if annotation is str or origin is Literal else math.nan
