"""What the server needs of an API profile."""

from collections.abc import Iterable
from typing import Any, Protocol

import orjson
from aiohttp import web

from pswd_edge.gateway.refusal import RefusalError


class Profile(Protocol):
    """One northbound API: its routes below `prefix`, and its own words for an error."""

    name: str
    prefix: str

    def routes(self) -> Iterable[web.RouteDef]:
        """Routes with their full paths."""
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
