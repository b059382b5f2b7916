"""The kinds of fields that only PSWD's answers are made of."""

from typing import Annotated

from pydantic import Field

from pswd_edge.gateway.message import Answer, Time

NotNegative = Annotated[float, Field(ge=0)]
ToTen = Annotated[float, Field(ge=0, le=10)]


class CommandAnswer(Answer):
    """Beyond the contract: what bound a command, to what, when it will be reached, and until when it holds."""

    limit: str | None = None
    message: str | None = None
    granted_power_mw: float | None = None
    eta_sec: float | None = None
    expires_at: Time | None = None
    timestamp: Time
