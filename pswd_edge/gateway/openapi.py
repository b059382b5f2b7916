"""The OpenAPI 3.1 document of a profile, from its table of endpoints and their models. Pure.

3.1, because its schemas are the JSON Schema that the models speak, and because it has a word for client certificates.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import BaseModel

from pswd_edge.gateway.endpoint import Category, Endpoint
from pswd_edge.gateway.openapi_schemas import Schema, Schemas
from pswd_edge.gateway.roles import Operation

VERSION = "3.1.0"
_COMMANDS = frozenset({"POST", "PUT"})
_REFUSED = {
    400: "The request is wrong; the message names the first mistake, the details every one.",
    401: "Nobody that is known: no identity was shown, or it is no longer good.",
    403: "Known, but not allowed to do this.",
    404: "No such resource on this site.",
    409: "The state of the site does not allow it.",
    413: "The body is over 64 KiB.",
    415: "The body is no plain `application/json`.",
    422: "The Idempotency-Key was used for another request.",
    426: "A stream is opened by a WebSocket handshake.",
    429: "More requests than the category of this operation allows.",
    503: "Nothing is wrong with the request; asking again after `Retry-After` may help.",
}
_HEADERS: dict[str, Schema] = {
    "X-Request-ID": {
        "description": "The id by which the log knows this request; a client may choose it.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"}},
    "X-RateLimit-Limit": {
        "description": "Requests a minute that this category allows.", "schema": {"type": "integer", "minimum": 1}},
    "X-RateLimit-Remaining": {
        "description": "Requests that are left at this moment.", "schema": {"type": "integer", "minimum": 0}},
    "X-RateLimit-Reset": {
        "description": "When all of them are there again, in seconds since 1970.",
        "schema": {"type": "integer", "minimum": 0}},
    "Retry-After": {
        "description": "Seconds after which asking again may help.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"description": "How to show who asks.", "schema": {"type": "string"}},
}
_RATES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_OWN_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
_IDEMPOTENCY: Schema = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "description": "Makes the command safe to repeat: the same key gets the first outcome.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"}}
_REQUEST_ID: Schema = {
    "name": "X-Request-ID", "in": "header", "required": False,
    "description": "Chosen by the client where it likes to: 1 to 64 letters, digits, `.` `_` `:` `-`. One of another "
                   "form is replaced.",
    "schema": {"type": "string"}}


class Title(NamedTuple):
    """What a profile says about itself.

    `schemes` are its security schemes; `needs` gives what an operation needs of them (OpenAPI's security requirements),
    None: an endpoint that is open to everybody; `allows` names the roles or scopes that may. `error` is the model of
    its error body; `tags` explains its tags, the first part of each path.
    """

    title: str
    version: str
    description: str
    prefix: str
    schemes: Mapping[str, Schema]
    needs: Callable[[Operation | None], list[dict[str, list[str]]]]
    allows: Callable[[Operation], list[str]]
    error: type[BaseModel]
    tags: Mapping[str, str]


def document(title: Title, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document of `endpoints`."""
    schemas = Schemas([title.error, *(m for e in endpoints for m in (e.params, e.query, e.body, e.answer) if m)])
    paths: dict[str, Schema] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, title, schemas)
    used = dict.fromkeys(tag_of(endpoint.path) for endpoint in endpoints)
    return {
        "openapi": VERSION,
        "info": {"title": title.title, "version": title.version, "description": title.description},
        "servers": [{"url": title.prefix}],
        "tags": [{"name": name, "description": title.tags.get(name, "")} for name in used],
        "paths": paths,
        "components": {
            "securitySchemes": dict(title.schemes), "headers": _HEADERS, "schemas": _used(schemas, paths, title),
            "parameters": {"IdempotencyKey": _IDEMPOTENCY, "RequestId": _REQUEST_ID},
            "responses": {f"Refused{status}": _refused(status, text, schemas.reference(title.error))
                          for status, text in _REFUSED.items()},
        },
    }


def tag_of(path: str) -> str:
    """The first part of a path: "/power/realtime" is about "power"."""
    return path.split("/")[1]


def _used(schemas: Schemas, paths: Mapping[str, Schema], title: Title) -> dict[str, Schema]:
    """The schemas that something refers to: those of parameters stand in their places already."""
    kept: set[str] = set()
    waiting = [_names(paths), _names(schemas.reference(title.error))]
    while waiting:
        for name in waiting.pop() - kept:
            kept.add(name)
            waiting.append(_names(schemas.components[name]))
    return {name: schema for name, schema in schemas.components.items() if name in kept}


def _names(found: Any) -> set[str]:
    if isinstance(found, list):
        return {name for item in found for name in _names(item)}
    if not isinstance(found, Mapping):
        return set()
    own = found.get("$ref")
    here = {own.rpartition("/")[2]} if isinstance(own, str) and "/schemas/" in own else set()
    return here | {name for value in found.values() for name in _names(value)}


def _operation(endpoint: Endpoint, title: Title, schemas: Schemas) -> Schema:
    made: Schema = {
        "operationId": _identifier(endpoint), "tags": [tag_of(endpoint.path)], "summary": endpoint.summary,
        "x-rate-category": endpoint.category.value,
        "security": title.needs(None if endpoint.stream else endpoint.operation),    # a browser sends no bearer there
        "parameters": _parameters(endpoint, schemas),
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.operation is not None:
        made["x-allowed"] = title.allows(endpoint.operation)
    if endpoint.body is not None:
        made["requestBody"] = {"required": True, "content": _json(schemas.reference(endpoint.body))}
    if endpoint.stream:
        made["x-websocket"] = True
        made["x-message"] = schemas.reference(endpoint.answer)
    return made


def _identifier(endpoint: Endpoint) -> str:
    """As in `get_workload_status`: the method and the words of the path."""
    words = [word for word in endpoint.path.split("/") if word and not word.startswith("{")]
    return "_".join([endpoint.method.lower(), *words]).replace("-", "_")


def is_command(endpoint: Endpoint) -> bool:
    """True where an Idempotency-Key counts: whatever changes something, but a login."""
    return endpoint.method in _COMMANDS and endpoint.category is not Category.AUTH


def _parameters(endpoint: Endpoint, schemas: Schemas) -> list[Schema]:
    found = [{"name": name, "in": "path", "required": True, **_described(rule)}
             for name, rule, _ in (schemas.fields(endpoint.params) if endpoint.params else ())]
    found += [{"name": name, "in": "query", "required": required, **_described(rule)}
              for name, rule, required in (schemas.fields(endpoint.query) if endpoint.query else ())]
    if is_command(endpoint):
        found.append({"$ref": "#/components/parameters/IdempotencyKey"})
    return [*found, {"$ref": "#/components/parameters/RequestId"}]


def _described(rule: Schema) -> Schema:
    """A field's schema as a parameter: its description is the parameter's."""
    schema = {key: value for key, value in rule.items() if key != "description"}
    return {"description": rule["description"], "schema": schema} if "description" in rule else {"schema": schema}


def refusals_of(endpoint: Endpoint) -> list[int]:
    """Every status beyond the good one that the endpoint can answer."""
    found = {429, 503, *endpoint.refusals}
    if endpoint.operation is not None:
        found |= {400, 401, 403}      # 400: who sends two identities has to choose
    if endpoint.category is Category.AUTH:
        found.add(401)
    if endpoint.params or endpoint.query or endpoint.body:
        found.add(400)
    if endpoint.body is not None:
        found |= {413, 415}
    if is_command(endpoint):
        found |= {409, 422}      # the first of two alike is under way, or another one had the key
    return sorted(found)


def _responses(endpoint: Endpoint, schemas: Schemas) -> dict[str, Schema]:
    if endpoint.stream:
        good: Schema = {"description": "The WebSocket is open; messages follow, see `x-message`."}
    else:
        good = {"description": HTTPStatus(endpoint.status).phrase + ".",
                "content": _json(schemas.reference(endpoint.answer))}
    good["headers"] = _headers(*_RATES)
    refused = {str(s): {"$ref": f"#/components/responses/Refused{s}"} for s in refusals_of(endpoint)}
    return {"101" if endpoint.stream else str(endpoint.status): good, **refused}


def _refused(status: int, text: str, error: Schema) -> Schema:
    return {"description": text, "content": _json(error), "headers": _headers(*_OWN_HEADERS.get(status, ()), *_RATES)}


def _headers(*names: str) -> dict[str, Schema]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *names)}


def _json(schema: Schema) -> dict[str, Schema]:
    return {"application/json": {"schema": schema}}
