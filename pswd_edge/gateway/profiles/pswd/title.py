"""What PSWD's document says beside its operations."""

from pswd_edge.gateway.message import Answer, Time
from pswd_edge.gateway.openapi import Title
from pswd_edge.gateway.roles import ALLOWED, Operation


class Error(Answer):
    """Why a request was refused. `details` has one line for each mistake; `request_id` finds it in the log."""

    error_code: str
    message: str
    details: str | None = None
    timestamp: Time
    request_id: str


def _needs(operation: Operation | None) -> list[dict[str, list[str]]]:
    return [{"JWT_Auth": []}, {"API_Key": []}] if operation else []


def _allows(operation: Operation) -> list[str]:
    return sorted(role.value for role, operations in ALLOWED.items() if operation in operations)


TITLE = Title(
    "PSWD at this gateway", "1.0.0",
    "Power Source to Workload Dynamics 1.0: workloads are announced and led, power, batteries, cooling, grid and heat "
    "are read and commanded. Powers are in MW; consumption, grid import and discharge are positive. What is not known "
    "is left out of an answer.",
    "/v1",
    {"JWT_Auth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Token of a login."},
     "API_Key": {"type": "apiKey", "in": "header", "name": "X-API-Key",
                 "description": "A key that an administrator of this gateway made."}},
    _needs, _allows, Error,
    {"auth": "Log in.", "workload": "Announce workloads, and lead them.", "power": "What the site draws, and will.",
     "battery": "All batteries as one.", "thermal": "Cooling.", "grid": "The grid, and what its operator is told.",
     "municipal": "Heat for the municipal network.", "system": "The gateway itself."},
)
