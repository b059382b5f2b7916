"""POST /edge/setup: the first user of a new gateway."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.auth import Authority
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.roles import Role


class SetupBody(BaseModel):
    """The one-time token of the log, and the user that it shall make."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    token: Annotated[str, Field(min_length=1, max_length=128)]
    username: Annotated[str, Field(max_length=256)]
    password: Annotated[str, Field(max_length=1024)]


class SetupAnswer(BaseModel):
    """The user that can log in now."""

    model_config = ConfigDict(extra="forbid")

    username: str
    role: str


def endpoints(authority: Authority) -> list[Endpoint]:
    """The one operation of setting up."""

    async def set_up(call: Call) -> web.StreamResponse:
        said: SetupBody = call.body
        await authority.set_up(said.token, said.username, said.password, call.request.remote or "")
        note_change(call.request, after={"username": said.username, "role": Role.INFRASTRUCTURE_MANAGER.value})
        return respond({"username": said.username, "role": Role.INFRASTRUCTURE_MANAGER.value})

    return [Endpoint("POST", "/setup", None, Category.AUTH, set_up, "Make the first user with the one-time token",
                     SetupAnswer, body=SetupBody, refusals=(401,))]
