"""The gateway's own API below /edge: alarms are listed and acknowledged, supervisors say that they are there."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any

import msgspec
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from pswd_edge.gateway.auth import Authority
from pswd_edge.gateway.middleware import PRINCIPAL
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.refusal import RefusalError, control_unavailable
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.sender import sender_of
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.dispatch import accepted
from pswd_edge.gateway.validation import check, read_json
from pswd_edge.model.command import Acknowledge, Heartbeat

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AcknowledgeBody(BaseModel):
    """POST /edge/alarms/acknowledge."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    code: Annotated[str, Field(min_length=1, max_length=200)]


class EdgeProfile:
    """Tokens are those of POST /v1/auth/login."""

    name = "edge"
    prefix = "/edge"

    def __init__(self, services: Services, authority: Authority) -> None:
        self._services, self._authority = services, authority

    def routes(self) -> Iterable[web.RouteDef]:
        """Everything that this profile answers."""
        return [
            web.get(self.prefix + "/alarms", self._admitted(Operation.HEALTH_READ, self.alarms), allow_head=False),
            web.post(self.prefix + "/alarms/acknowledge",
                     self._admitted(Operation.ALARM_ACKNOWLEDGE, self.acknowledge)),
            web.post(self.prefix + "/heartbeat", self._admitted(Operation.HEARTBEAT, self.heartbeat)),
        ]

    def _admitted(self, operation: Operation, handler: Handler) -> Handler:
        """The handler behind a token whose role may: checked before a byte of the body is read."""

        async def admitted(request: web.Request) -> web.StreamResponse:
            request[PRINCIPAL] = self._authority.admit(request.headers.get("Authorization"), operation)
            return await handler(request)

        return admitted

    async def alarms(self, _: web.Request) -> web.Response:
        """GET /edge/alarms: the list as it is now, gravest first; 503 where control is not alive."""
        report = self._services.live.report()
        if report is None or not self._services.live.alive:
            raise control_unavailable()
        return respond({"alarms": msgspec.to_builtins(report.alarms)})

    async def acknowledge(self, request: web.Request) -> web.Response:
        """POST /edge/alarms/acknowledge."""
        code = check(AcknowledgeBody, await read_json(request)).code
        sender, utc_s = sender_of(request), self._services.clock.utc_s()
        outcome = accepted(await self._services.dispatch.ask(Acknowledge(
            id=sender.id, origin=f"api:{sender.name}", role=sender.role, issued_utc_s=utc_s, code=code)))
        return respond({"code": code, "reason": outcome.reason})

    async def heartbeat(self, request: web.Request) -> web.Response:
        """POST /edge/heartbeat, without a body; 404 where the site file does not wait for this user."""
        sender, utc_s = sender_of(request), self._services.clock.utc_s()
        accepted(await self._services.dispatch.ask(Heartbeat(
            id=sender.id, origin=f"api:{sender.name}", role=sender.role, issued_utc_s=utc_s)))
        return respond({"heard": True})

    def error(self, refusal: RefusalError, request_id: str) -> dict[str, Any]:
        """Code, sentence, details where there are any, and the id by which the log knows it."""
        body = {"code": refusal.code, "message": refusal.message, "details": refusal.details, "request_id": request_id}
        return {name: value for name, value in body.items() if value is not None}
