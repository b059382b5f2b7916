"""The gateway's own API below /edge: alarms are listed and acknowledged, supervisors say that they are there."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.auth import Authority
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.edge import setup
from pswd_edge.gateway.profiles.edge.title import TITLE
from pswd_edge.gateway.projection import present
from pswd_edge.gateway.refusal import RefusalError, control_unavailable
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.dispatch import accepted
from pswd_edge.model.command import Acknowledge, Heartbeat


class AcknowledgeBody(BaseModel):
    """Which alarm somebody has seen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    code: Annotated[str, Field(min_length=1, max_length=200)]


class AlarmEntry(BaseModel):
    """An alarm that is listed, as `pswd-edge alarms` shows it. Times in seconds since 1970."""

    model_config = ConfigDict(extra="forbid")

    code: str
    message: str
    since_utc_s: float
    severity: Literal["info", "warning", "critical"]
    latched: bool
    active: bool
    acknowledged_utc_s: float | None
    acknowledged_by: str
    count: int
    last_utc_s: float
    ended_utc_s: float | None
    shelved_until_utc_s: float | None
    shelved_by: str


class AlarmList(BaseModel):
    """The alarms as they are now, gravest first."""

    model_config = ConfigDict(extra="forbid")

    alarms: list[AlarmEntry]


class AcknowledgeAnswer(BaseModel):
    """What became of an acknowledgement."""

    model_config = ConfigDict(extra="forbid")

    code: str
    reason: str


class HeartbeatAnswer(BaseModel):
    """A supervisor was heard."""

    model_config = ConfigDict(extra="forbid")

    heard: bool


class EdgeProfile:
    """Tokens are those of POST /v1/auth/login."""

    name = "edge"
    prefix = "/edge"
    title = TITLE

    def __init__(self, services: Services, authority: Authority) -> None:
        self._services, self._authority = services, authority
        self.endpoints: Sequence[Endpoint] = [
            *setup.endpoints(authority),
            Endpoint("GET", "/alarms", Operation.HEALTH_READ, Category.MONITORING, self.alarms,
                     "The alarms that are listed", AlarmList),
            Endpoint("POST", "/alarms/acknowledge", Operation.ALARM_ACKNOWLEDGE, Category.CONTROL, self.acknowledge,
                     "Say that an alarm was seen", AcknowledgeAnswer, body=AcknowledgeBody, refusals=(404, 409)),
            Endpoint("POST", "/heartbeat", Operation.HEARTBEAT, Category.MONITORING, self.heartbeat,
                     "Say that a supervisor is still there", HeartbeatAnswer, refusals=(404,)),
        ]

    def authenticate(self, request: web.Request, *, stream: bool = False) -> Principal:  # noqa: ARG002  # no streams
        """By the token of a login, or an API key."""
        return self._authority.authenticate(request)

    async def alarms(self, _: Call) -> web.StreamResponse:
        """GET /edge/alarms: the list as it is now, gravest first; 503 where control is not alive."""
        report = self._services.live.report()
        if report is None or not self._services.live.alive:
            raise control_unavailable()
        return respond({"alarms": msgspec.to_builtins(report.alarms)})

    async def acknowledge(self, call: Call) -> web.StreamResponse:
        """POST /edge/alarms/acknowledge."""
        code, sender, utc_s = call.body.code, call.sender, self._services.clock.utc_s()
        outcome = accepted(await self._services.dispatch.ask(Acknowledge(
            id=sender.id, origin=sender.origin, role=sender.role, issued_utc_s=utc_s, code=code)))
        note_change(call.request, after={"alarm": code, "acknowledged_by": sender.origin})
        return respond({"code": code, "reason": outcome.reason})

    async def heartbeat(self, call: Call) -> web.StreamResponse:
        """POST /edge/heartbeat, without a body; 404 where the site file does not wait for this user."""
        sender, utc_s = call.sender, self._services.clock.utc_s()
        accepted(await self._services.dispatch.ask(Heartbeat(
            id=sender.id, origin=sender.origin, role=sender.role, issued_utc_s=utc_s)))
        return respond({"heard": True})

    def error(self, refusal: RefusalError, request_id: str) -> dict[str, Any]:
        """Code, sentence, details where there are any, and the id by which the log knows it."""
        return present({"code": refusal.code, "message": refusal.message, "details": refusal.details,
                        "request_id": request_id})
