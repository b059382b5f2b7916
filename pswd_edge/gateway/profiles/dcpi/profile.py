"""DCPI: its table of endpoints, identity by client certificate, and its error body."""

import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.client_authority import ClientAuthority
from pswd_edge.gateway.endpoint import Endpoint
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profiles.dcpi import (
    auth,
    control,
    forecast,
    grid,
    heat,
    power,
    streams,
    system,
    thermal,
    workloads,
)
from pswd_edge.gateway.profiles.dcpi.title import TITLE
from pswd_edge.gateway.projection import present
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.services import Services

_CODES = {401: "AUTHENTICATION_FAILED", 403: "AUTHORIZATION_DENIED", 404: "RESOURCE_NOT_FOUND",
          429: "RATE_LIMIT_EXCEEDED", 503: "SYSTEM_MAINTENANCE"}


class DcpiProfile:
    """18 REST operations and 3 streams of DCPI 1.0; lives on a TLS listener of its own."""

    name = "dcpi"
    prefix = "/dcpi/api/v1"
    title = TITLE

    def __init__(self, services: Services, clients: ClientAuthority) -> None:
        self._clock = services.clock
        self._clients = clients
        domains = (workloads, power, control, forecast, thermal, grid, heat, system, streams)
        self.endpoints: Sequence[Endpoint] = [
            *auth.endpoints(clients, services.live.site.facility_id),
            *(e for d in domains for e in d.endpoints(services))]

    def authenticate(self, request: web.Request, *, stream: bool = False) -> Principal:
        """By client certificate and token; a stream by the certificate alone."""
        return self._clients.authenticate_stream(request) if stream else self._clients.authenticate(request)

    def error(self, refusal: RefusalError, request_id: str) -> dict[str, Any]:
        """The contract's envelope; `cause`, beyond it, keeps our own code where the contract's says less."""
        code = _CODES.get(refusal.status, refusal.code)
        details = {"lines": refusal.details.splitlines()} if isinstance(refusal.details, str) else refusal.details
        return {"error": present({
            "code": code, "message": refusal.message, "cause": refusal.code if refusal.code != code else None,
            "details": details, "timestamp": iso_utc(self._clock.utc_s()), "request_id": request_id or uuid.uuid4().hex,
        })}
