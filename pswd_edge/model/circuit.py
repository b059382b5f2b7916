"""The tree of circuits: utility, transformer, hall, row."""

from msgspec import Struct


class Circuit(Struct, frozen=True):
    """A branch; `meter` is the point index of its active power or None; `parent` is None at the grid connection."""

    id: str
    parent: str | None
    rating_w: float
    meter: int | None
    name: str = ""
