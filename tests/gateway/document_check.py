"""Holds a served OpenAPI document against the table of a contract: what is missing or named otherwise is a line."""

import math
from collections.abc import Mapping

_TYPES = {str: {"string"}, int: {"integer"}, float: {"number", "integer"}, bool: {"boolean"}}


class Reader:
    """A document, and what it says of the kinds of the contract's table (see `pswd_contract`)."""

    def __init__(self, document: Mapping) -> None:
        self.document = document

    def found(self, reference: Mapping) -> Mapping:
        """What a reference stands for; a schema that is its one choice counts as it."""
        while "$ref" in reference:
            here = self.document
            for part in reference["$ref"].removeprefix("#/").split("/"):
                here = here[part]
            reference = {**here, **{key: value for key, value in reference.items() if key != "$ref"}}
        return reference

    def operation(self, method: str, path: str) -> Mapping | None:
        return self.document["paths"].get(path, {}).get(method.lower())

    def differences(self, where: str, schema: Mapping, kind: object) -> list[str]:
        """Lines for everything of `kind` that the schema does not have."""
        schema = self.found(schema)
        if isinstance(kind, dict):
            return self._object(where, schema, kind)
        if isinstance(kind, list):
            wrong = [] if schema.get("type") == "array" else [f"{where}: {schema}: expected an array"]
            return wrong or self.differences(f"{where}[]", schema["items"], kind[0])
        return [] if self._fits(schema, kind) else [f"{where}: {schema}: expected {kind}"]

    def _object(self, where: str, schema: Mapping, kind: Mapping) -> list[str]:
        if schema.get("type") != "object":
            return [f"{where}: {schema.get('type')}: expected an object"]
        fields, required, lines = schema.get("properties", {}), set(schema.get("required", ())), []
        for key, inner in kind.items():
            name = key.removesuffix("!")
            if name not in fields:
                lines.append(f"{where}.{name}: missing")
                continue
            if key.endswith("!") and name not in required:
                lines.append(f"{where}.{name}: expected to be required")
            lines += self.differences(f"{where}.{name}", fields[name], inner)
        return lines

    def _fits(self, schema: Mapping, kind: object) -> bool:
        if kind == "time":
            return schema.get("type") == "string" and schema.get("format") == "date-time"
        if isinstance(kind, tuple) and not isinstance(kind[0], type):
            return set(kind) <= set(schema.get("enum", [schema.get("const")]))
        if isinstance(kind, tuple):
            return self._fits(schema, kind[0]) and _bounded(schema, *kind[1:])
        return schema.get("type") in _TYPES[kind]

    def operation_differences(self, promise: object, answers: Mapping, requests: Mapping) -> list[str]:
        """Lines for everything of the promised operation that the document does not have."""
        where = f"{promise.method} {promise.path}"
        found = self.operation(promise.method, promise.path)
        if found is None:
            return [f"{where}: missing"]
        lines = [f"{where}: status {s} is missing" for s in promise.statuses if str(s) not in found["responses"]]
        lines += self._parameters(where, found, promise)
        if promise.body:
            body = found.get("requestBody", {"content": {"application/json": {"schema": {}}}})
            lines += self.differences(f"{where} body", body["content"]["application/json"]["schema"],
                                      requests[promise.body])
        return lines + self._answer(where, found, promise, answers)

    def _answer(self, where: str, found: Mapping, promise: object, answers: Mapping) -> list[str]:
        if getattr(promise, "stream", False):
            return self.differences(f"{where} message", found["x-message"], answers[promise.answer])
        good = self.found(found["responses"].get(str(promise.statuses[0]), {}))
        content = good.get("content", {}).get("application/json", {"schema": {}})
        return self.differences(f"{where} answer", content["schema"], answers[promise.answer])

    def _parameters(self, where: str, found: Mapping, promise: object) -> list[str]:
        lines = []
        listed = [self.found(parameter) for parameter in found.get("parameters", ())]
        for place, kinds in (("query", promise.query), ("path", promise.params)):
            known = {p["name"]: p for p in listed if p["in"] == place}
            for key, kind in kinds.items():
                name = key.removesuffix("!")
                if name not in known:
                    lines.append(f"{where}: {place} parameter {name}: missing")
                    continue
                lines += self.differences(f"{where} {name}", known[name]["schema"], kind)
        return lines


def _bounded(schema: Mapping, low: float, high: float, default: object = None) -> bool:
    """The contract's bounds are ours; where it has none, ours may be tighter."""
    low_ok = low == -math.inf or schema.get("minimum", schema.get("exclusiveMinimum")) == low
    high_ok = high == math.inf or schema.get("maximum") == high
    return low_ok and high_ok and (default is None or schema.get("default") == default)
