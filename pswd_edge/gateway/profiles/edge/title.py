"""What the document of the gateway's own API says beside its operations."""

from pydantic import BaseModel, ConfigDict

from pswd_edge.gateway.openapi import Title
from pswd_edge.gateway.roles import ALLOWED, Operation


class Error(BaseModel):
    """Why a request was refused. `request_id` finds it in the log."""

    model_config = ConfigDict(extra="forbid")

    code: str
    message: str
    details: str | dict[str, object] | None = None
    request_id: str


def _needs(operation: Operation | None) -> list[dict[str, list[str]]]:
    return [{"token": []}, {"key": []}] if operation else []


def _allows(operation: Operation) -> list[str]:
    return sorted(role.value for role, operations in ALLOWED.items() if operation in operations)


TITLE = Title(
    "The gateway's own API", "1.0.0", "What the PSWD contract has no word for.", "/edge",
    {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
               "description": "Token of `POST /v1/auth/login`."},
     "key": {"type": "apiKey", "in": "header", "name": "X-API-Key",
             "description": "A key that an administrator of this gateway made."}},
    _needs, _allows, Error,
    {"setup": "The first user.", "alarms": "What is wrong, and who has seen it.",
     "heartbeat": "Supervisors say that they are there."},
)
