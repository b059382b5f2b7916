"""The kinds of fields that only PSWD's requests are made of."""

from typing import Annotated

from pydantic import Field

SECONDS_MAX = 10**9

Temperature = Annotated[float, Field(ge=-273.15, le=1000)]
Seconds = Annotated[int, Field(ge=0, le=SECONDS_MAX)]
WorkloadId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
