"""PSWD 1.0: the routes below /v1 and the error body."""

import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.auth import Authority
from pswd_edge.gateway.middleware import PRINCIPAL
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd.commands import Commands
from pswd_edge.gateway.profiles.pswd.models import Login
from pswd_edge.gateway.profiles.pswd.readings import Readings
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.validation import check, read_json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PswdProfile:
    """Joins routes, admission and handlers."""

    name = "pswd"
    prefix = "/v1"

    def __init__(self, services: Services, authority: Authority) -> None:
        self._clock = services.clock
        self._authority = authority
        self._readings = Readings(services)
        self._commands = Commands(services)

    def routes(self) -> Iterable[web.RouteDef]:
        """Everything that this profile answers."""
        read, command, op = self._readings, self._commands, Operation
        return [
            web.post(self.prefix + "/auth/login", self.login),
            self._get("/power/realtime", op.POWER_READ, read.power),
            self._get("/battery/status", op.BATTERY_READ, read.battery),
            self._get("/thermal/status", op.THERMAL_READ, read.thermal),
            self._get("/grid/status", op.GRID_READ, read.grid),
            self._get("/workload/{workload_id}/status", op.WORKLOAD_READ, read.workload),
            self._get("/system/health", op.HEALTH_READ, read.health),
            self._post("/battery/control", op.BATTERY_CONTROL, command.battery),
            self._post("/workload/announce", op.WORKLOAD_ANNOUNCE, command.announce),
            self._post("/workload/{workload_id}/control", op.WORKLOAD_CONTROL, command.workload),
        ]

    def _get(self, path: str, operation: Operation, handler: Handler) -> web.RouteDef:
        return web.get(self.prefix + path, self._admitted(operation, handler), allow_head=False)

    def _post(self, path: str, operation: Operation, handler: Handler) -> web.RouteDef:
        return web.post(self.prefix + path, self._admitted(operation, handler))

    def _admitted(self, operation: Operation, handler: Handler) -> Handler:
        """The handler behind a token whose role may: checked before a byte of the body is read."""

        async def admitted(request: web.Request) -> web.StreamResponse:
            request[PRINCIPAL] = self._authority.admit(request.headers.get("Authorization"), operation)
            return await handler(request)

        return admitted

    async def login(self, request: web.Request) -> web.Response:
        """POST /auth/login."""
        message = check(Login, await read_json(request))
        grant = await self._authority.login(message.username, message.password, message.role, request.remote or "")
        return respond({"access_token": grant.token, "token_type": "Bearer", "expires_in": grant.expires_s,
                        "role": grant.role})

    def error(self, refusal: RefusalError, request_id: str) -> dict[str, Any]:
        """The contract's Error."""
        body = {"error_code": refusal.code, "message": refusal.message, "details": refusal.details,
                "timestamp": iso_utc(self._clock.utc_s()), "request_id": request_id or uuid.uuid4().hex}
        return {name: value for name, value in body.items() if value is not None}
