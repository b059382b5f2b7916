"""The kinds of fields that only DCPI's messages are made of."""

from typing import Annotated

from pydantic import Field

Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]
