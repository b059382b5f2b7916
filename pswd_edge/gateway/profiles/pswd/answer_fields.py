"""The kinds of fields that PSWD answers are made of. What is not known is absent, so nearly all are optional."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Progress = Literal["executed", "pending", "failed"]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Percent = Annotated[float, Field(ge=0, le=100)]
NotNegative = Annotated[float, Field(ge=0)]
ToTen = Annotated[float, Field(ge=0, le=10)]


class Answer(BaseModel):
    """An answer or a part of one: no field beyond those that are documented."""

    model_config = ConfigDict(extra="forbid")


class CommandAnswer(Answer):
    """Beyond the contract: what bound a command, to what, when it will be reached, and until when it holds."""

    limit: str | None = None
    message: str | None = None
    granted_power_mw: float | None = None
    eta_sec: float | None = None
    expires_at: Time | None = None
    timestamp: Time
