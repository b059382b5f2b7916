"""The kinds of fields that all profiles have in common. Requests are strict; answers leave out what is not known."""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_BOUND = 1e9          # MW or kW: beyond any site, and far from what overflows when it becomes watts

Progress = Literal["executed", "pending", "failed"]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Percent = Annotated[float, Field(ge=0, le=100)]
Power = Annotated[float, Field(ge=0, le=_BOUND)]
SignedPower = Annotated[float, Field(ge=-_BOUND, le=_BOUND)]


class Answer(BaseModel):
    """An answer or a part of one: no field beyond those that are documented."""

    model_config = ConfigDict(extra="forbid")


class Message(BaseModel):
    """A message or a part of one. Unknown fields are let through: newer clients may say more."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, found: object) -> object:
        """An optional field is left out, never null."""
        if found is None:
            raise ValueError("a value, or the field left out")
        return found


def _moment(found: object) -> float:
    """RFC 3339 text as seconds since 1970; the time zone is required."""
    expected = ValueError("a date-time such as 2026-03-01T12:00:00Z")
    if not isinstance(found, str) or not _RFC3339.fullmatch(found):
        raise expected
    try:
        return datetime.fromisoformat(found.upper()).timestamp()
    except (ValueError, OverflowError):
        raise expected from None


Moment = Annotated[float, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339 text in, seconds since 1970 inside."""
