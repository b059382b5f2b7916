"""The JSON Schemas that editors use are those of the models."""

import json

import pytest

from pswd_edge.config.schema import SCHEMA_FOLDER, map_schema, schema_texts, site_schema


@pytest.mark.parametrize("name", ["site.schema.json", "map.schema.json"])
def test_the_schema_in_the_repository_is_the_one_of_the_models(name: str) -> None:
    """Run `python -m pswd_edge.config.schema` after a change of the forms."""
    assert (SCHEMA_FOLDER / name).read_text() == schema_texts()[name]


def test_schemas_forbid_unknown_keys_and_let_drivers_bring_theirs() -> None:
    """A typing error shows in the editor; a connection's further keys are the driver's."""
    forms = site_schema()["$defs"]

    assert forms["ControlForm"]["additionalProperties"] is False
    assert forms["ConnectionForm"]["additionalProperties"] is True


def test_the_schema_uses_standard_words_for_bounds() -> None:
    """Editors do not know pydantic's names `gt` and `le`."""
    text = json.dumps([site_schema(), map_schema()])

    assert '"exclusiveMinimum"' in text
    assert not any(f'"{word}":' in text for word in ("gt", "ge", "lt", "le"))


def test_a_port_may_be_a_variable_in_the_schema() -> None:
    """The demo's ports are variables; an editor must not underline them."""
    port = site_schema()["$defs"]["ListenerForm"]["properties"]["port"]

    assert {"integer", "string"} == {choice["type"] for choice in port["anyOf"]}
