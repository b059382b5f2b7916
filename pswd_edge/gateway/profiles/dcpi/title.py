"""What DCPI's document says beside its operations."""

from pydantic import JsonValue

from pswd_edge.gateway.message import Answer, Time
from pswd_edge.gateway.openapi import Title
from pswd_edge.gateway.roles import DCPI_SCOPES, Operation


class ErrorBody(Answer):
    """`code` is the contract's; `cause`, beyond it, is ours where that says more. `request_id` finds it in the log."""

    code: str
    message: str
    cause: str | None = None
    details: dict[str, JsonValue] | None = None
    timestamp: Time
    request_id: str


class Error(Answer):
    """Why a request was refused."""

    error: ErrorBody


def _needs(operation: Operation | None) -> list[dict[str, list[str]]]:
    return [{"client_certificate": [], **({"token": []} if operation else {})}]


def _allows(operation: Operation) -> list[str]:
    return sorted(scope for scope, operations in DCPI_SCOPES.items() if operation in operations)


TITLE = Title(
    "DCPI at this gateway", "1.0.0",
    "Data centre power infrastructure 1.0, behind client certificates. Powers are in MW. What is not known is left out "
    "of an answer.",
    "/dcpi/api/v1",
    {"client_certificate": {"type": "mutualTLS", "description": "Its common name is bound to a client_id."},
     "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
               "description": "Token of `POST /auth/token`, good for the certificate that asked for it."}},
    _needs, _allows, Error,
    {"auth": "Tokens.", "workloads": "Announce workloads, and lead them.",
     "power": "What the site draws and will, and commands to it.", "thermal": "Cooling.",
     "grid": "The grid, and what its operator is told.", "heat": "Heat for the municipal network.",
     "system": "The gateway itself.", "stream": "Messages as they come, over WebSockets."},
)
