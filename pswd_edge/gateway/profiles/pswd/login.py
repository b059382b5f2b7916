"""POST /auth/login."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from pswd_edge.gateway.auth import Authority
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.message import Message
from pswd_edge.gateway.profile import respond

RoleName = Literal["workload_operator", "infrastructure_manager", "grid_operator", "municipal_utility"]


class Login(Message):
    """User name, password, and the role to act in."""

    username: Annotated[str, Field(max_length=256)]
    password: Annotated[str, Field(max_length=1024)]
    role: RoleName


class LoginAnswer(BaseModel):
    """A token for the role. `expires_in` in seconds."""

    model_config = ConfigDict(extra="forbid")

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    role: RoleName


def endpoints(authority: Authority) -> list[Endpoint]:
    """The operations of logging in."""

    async def login(call: Call) -> web.StreamResponse:
        said: Login = call.body
        grant = await authority.login(said.username, said.password, said.role, call.request.remote or "")
        return respond({"access_token": grant.token, "token_type": "Bearer", "expires_in": grant.expires_s,
                        "role": grant.role})

    return [Endpoint("POST", "/auth/login", None, Category.AUTH, login, "Log in with name, password and role",
                     LoginAnswer, body=Login)]
