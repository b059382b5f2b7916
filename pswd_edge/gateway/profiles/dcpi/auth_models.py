"""DCPI: the messages about tokens."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message

Scope = Literal["workload:announce", "workload:control", "power:read", "power:control", "thermal:read",
                "thermal:control", "grid:communicate", "grid:read", "grid:respond", "heat:read", "heat:communicate",
                "system:read"]


class TokenRequest(Message):
    """Which client asks for what, where."""

    client_id: Annotated[str, Field(min_length=1, max_length=128)]
    scope: Annotated[list[Scope], Field(min_length=1, max_length=32)]
    facility_id: Annotated[str, Field(min_length=1, max_length=128)]


class RefreshRequest(Message):
    """The newest refresh token of a family."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=512)]


class TokenAnswer(Answer):
    """Tokens for these scopes. `expires_in` in seconds; `refresh_token` is good once."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(ge=1)]
    scope: list[Scope]
    facility_id: str
    refresh_token: str
