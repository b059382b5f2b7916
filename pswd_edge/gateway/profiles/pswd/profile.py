"""PSWD: its table of endpoints, tokens, and its error body."""

import uuid
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.auth import Authority
from pswd_edge.gateway.endpoint import Endpoint
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profiles.pswd import battery, forecast, grid, heat, login, power, system, thermal, workloads
from pswd_edge.gateway.profiles.pswd.title import TITLE
from pswd_edge.gateway.projection import present
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.services import Services


class PswdProfile:
    """The 15 operations of PSWD 1.0."""

    name = "pswd"
    prefix = "/v1"
    title = TITLE

    def __init__(self, services: Services, authority: Authority) -> None:
        self._clock = services.clock
        self._authority = authority
        domains = (workloads, power, forecast, battery, thermal, grid, heat, system)
        own = [e for d in domains for e in d.endpoints(services)]
        self.endpoints: Sequence[Endpoint] = [*login.endpoints(authority), *own]

    def authenticate(self, request: web.Request, *, stream: bool = False) -> Principal:  # noqa: ARG002  # no streams
        """By the token of a login, or an API key."""
        return self._authority.authenticate(request)

    def error(self, refusal: RefusalError, request_id: str) -> dict[str, Any]:
        """The contract's Error, whose details are text."""
        details = refusal.details
        text = orjson.dumps(details).decode() if isinstance(details, dict) else details
        return present({"error_code": refusal.code, "message": refusal.message, "details": text,
                        "timestamp": iso_utc(self._clock.utc_s()), "request_id": request_id or uuid.uuid4().hex})
