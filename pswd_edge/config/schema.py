"""JSON Schemas of both files, for editors. `python -m pswd_edge.config.schema` writes them to `config/schema`."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from pswd_edge.config.map_form import ModbusMap, OpcUaMap, SnmpMap
from pswd_edge.config.site_form import SiteFile

SCHEMA_FOLDER = Path(__file__).parents[2] / "config" / "schema"
_DIALECT = GenerateJsonSchema.schema_dialect
_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
_VARIABLE = {"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}$"}


class _WithVariables(GenerateJsonSchema):
    """Numbers of a site file may be variables, which are replaced before it is read."""

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return {"anyOf": [super().int_schema(schema), _VARIABLE]}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {"anyOf": [super().float_schema(schema), _VARIABLE]}


def _with_bounds(value: Any) -> Any:
    """Bounds that stand beside a validator of ours come out under pydantic's names: give them the standard ones."""
    if isinstance(value, list):
        return [_with_bounds(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _BOUNDS.get(key, key) if isinstance(inner, int | float) else key: _with_bounds(inner)
        for key, inner in value.items()
    }


def site_schema() -> dict[str, Any]:
    """The schema of a site file."""
    made = SiteFile.model_json_schema(schema_generator=_WithVariables)
    return {"$schema": _DIALECT, **_with_bounds(made), "title": "pswd-edge site"}


def map_schema() -> dict[str, Any]:
    """The schema of a device map; its driver decides which of the three forms holds."""
    forms: TypeAdapter[Any] = TypeAdapter(Annotated[ModbusMap | OpcUaMap | SnmpMap, Field(discriminator="driver")])
    return {"$schema": _DIALECT, **_with_bounds(forms.json_schema()), "title": "pswd-edge device map"}


def schema_texts() -> dict[str, str]:
    """The files' texts by their names."""
    return {
        "site.schema.json": json.dumps(site_schema(), indent=1, sort_keys=True) + "\n",
        "map.schema.json": json.dumps(map_schema(), indent=1, sort_keys=True) + "\n",
    }


def write_schemas(folder: Path = SCHEMA_FOLDER) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_texts().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
