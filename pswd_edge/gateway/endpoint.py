"""A profile is a table of endpoints: routes, admission, rate limits, documents and tests are made from it."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel

from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.sender import Sender, sender_of


class Category(StrEnum):
    """What is limited together, in requests a minute of one client."""

    AUTH = "authentication"
    WORKLOAD = "workload"
    MONITORING = "monitoring"
    CONTROL = "control"
    GRID = "grid"


class Call(NamedTuple):
    """One request, admitted and checked. `params`, `query`, `body` are the endpoint's models, None where it has none.

    `known` is who asks; None at endpoints that are open to everybody.
    """

    request: web.Request
    known: Principal | None
    params: Any = None
    query: Any = None
    body: Any = None

    @property
    def principal(self) -> Principal:
        """Who asks, where the endpoint is not open to everybody."""
        assert self.known is not None
        return self.known

    @property
    def sender(self) -> Sender:
        """What a command's envelope needs. Take it once a request: without an Idempotency-Key each has a new id."""
        return sender_of(self.request, self.principal)


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Endpoint(NamedTuple):
    """One operation of a profile.

    `path` is below the profile's prefix. `operation` is what the asker must be allowed; None: open to everybody.
    `answer` is the model of a 2xx body with `status`, of a message where it is a `stream` (WebSocket). `refusals` are
    its statuses beyond 400, 401, 403, 429 and 503.
    """

    method: str
    path: str
    operation: Operation | None
    category: Category
    handler: Handler
    summary: str
    answer: type[BaseModel]
    params: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    refusals: tuple[int, ...] = ()
    stream: bool = False
