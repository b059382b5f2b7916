"""What the server needs of an API profile."""

from collections.abc import Sequence
from typing import Any, Protocol

import orjson
from aiohttp import web

from pswd_edge.gateway.endpoint import Endpoint
from pswd_edge.gateway.openapi import Title
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.refusal import RefusalError


class Profile(Protocol):
    """One northbound API: its endpoints below `prefix`, how it knows who asks, and its own words for an error."""

    name: str
    prefix: str
    title: Title
    endpoints: Sequence[Endpoint]

    def authenticate(self, request: web.Request, *, stream: bool = False) -> Principal:
        """Who asks; raises RefusalError 401 where that is not proven. `stream`: by a WebSocket's opening request."""
        ...

    def error(self, refusal: RefusalError, request_id: str) -> dict[str, Any]:
        """The error body of this API."""
        ...


def respond(content: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")


def respond_refusal(profile: Profile, refusal: RefusalError, request_id: str) -> web.Response:
    """A refusal in the words of `profile`."""
    response = respond(profile.error(refusal, request_id), refusal.status)
    response.headers.update(refusal.headers)
    return response
