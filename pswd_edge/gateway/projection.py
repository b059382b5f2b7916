"""SI values as profiles show them. What is not known is left out: None stays None, and `present` takes it away."""

import math
from typing import Any

from pswd_edge.clock import iso_utc

W_PER_MW = 1e6
W_PER_KW = 1e3


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that are known."""
    return {name: value for name, value in fields.items() if value is not None}


def scaled(value: float | None, factor: float = 1.0, digits: int = 6) -> float | None:
    """`value * factor`, rounded; None stays None, and so becomes what is no number: JSON would show it as null."""
    if value is None or not math.isfinite(value * factor):
        return None
    return round(value * factor, digits) + 0.0    # + 0.0: never "-0.0"


def mw(power_w: float | None) -> float | None:
    """W to MW, to a watt."""
    return scaled(power_w, 1e-6)


def percent(value: float | None) -> float | None:
    """Kept within 0 to 100: a meter may stand a hair outside."""
    return None if value is None or not math.isfinite(value) else round(min(100.0, max(0.0, value)), 2)


def moment(utc_s: float | None) -> str | None:
    """ISO 8601 UTC."""
    return None if utc_s is None else iso_utc(utc_s)
