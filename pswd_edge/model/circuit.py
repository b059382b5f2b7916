"""The tree of circuits: utility, transformer, hall, row."""

from typing import Literal

from msgspec import Struct


class Circuit(Struct, frozen=True):
    """A branch; `meter` is the point index of its active power or None; `parent` is None at the grid connection.

    `feeds`: what all of its power is for; None where that is mixed or not said.
    """

    id: str
    parent: str | None
    rating_w: float
    meter: int | None
    name: str = ""
    feeds: Literal["compute", "cooling"] | None = None
