"""Schemas of the OpenAPI document, made from the models. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

REFERENCE = "#/components/schemas/"
Schema = dict[str, Any]


class Schemas:
    """The components of all models of a profile, and references to them.

    What a model calls `X | None = None` is a field that may be left out: null is neither taken nor given, so the
    document does not name it.
    """

    def __init__(self, models: Iterable[type[BaseModel]]) -> None:
        unique = list(dict.fromkeys(models))
        found, definitions = models_json_schema([(model, "validation") for model in unique],
                                                ref_template=REFERENCE + "{model}")
        self._reference = {model: _renamed(found[model, "validation"]) for model in unique}
        self.components: dict[str, Schema] = {
            short(name): plain(_renamed(schema)) for name, schema in sorted(definitions.get("$defs", {}).items())}

    def reference(self, model: type[BaseModel]) -> Schema:
        """`{"$ref": …}` to the model's component."""
        return dict(self._reference[model])

    def fields(self, model: type[BaseModel]) -> list[tuple[str, Schema, bool]]:
        """A flat model's fields as name, schema, required: parameters of path or query."""
        schema = self.components[self._reference[model]["$ref"].removeprefix(REFERENCE)]
        required = schema.get("required", ())
        return [(name, rule, name in required) for name, rule in schema.get("properties", {}).items()]


def short(name: str) -> str:
    """Pydantic tells two models of one name apart by their modules' paths; the module's own name will do.

    "gateway__profiles__dcpi__forecast_models__Flexibility" is "ForecastFlexibility".
    """
    *path, own = name.split("__")
    return path[-1].removesuffix("_models").title().replace("_", "") + own if path else name


def _renamed(found: Any) -> Any:
    if isinstance(found, list):
        return [_renamed(item) for item in found]
    if not isinstance(found, Mapping):
        return found
    return {key: REFERENCE + short(value.removeprefix(REFERENCE)) if key == "$ref" and isinstance(value, str)
            else _renamed(value) for key, value in found.items()}


def plain(found: Any) -> Any:
    """A schema of pydantic without titles, and without nulls that stand for "left out"."""
    if isinstance(found, list):
        return [plain(item) for item in found]
    if not isinstance(found, Mapping):
        return found
    required = found.get("required", ())
    return {key: _properties(value, required) if key == "properties" else plain(value)
            for key, value in found.items() if not _noise(key, value)}


def _properties(found: Mapping[str, Any], required: Sequence[str]) -> Schema:
    """A field may be called "title": only its schema is cleaned. One that must be there may be null in earnest."""
    return {name: plain(schema) if name in required else _without_null(plain(schema))
            for name, schema in found.items()}


def _noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)


def _without_null(schema: Schema) -> Schema:
    choices = schema.get("anyOf")
    if choices is None or {"type": "null"} not in choices:
        return schema
    left = [choice for choice in choices if choice != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**left[0], **rest} if len(left) == 1 else {**rest, "anyOf": left}
