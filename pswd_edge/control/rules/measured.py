"""What of a reading a rule may use, in one place: quality, age and the value itself."""

import math

from pswd_edge.model.quality import Quality
from pswd_edge.model.snapshot import Reading


def flaw(reading: Reading, max_age_s: float) -> str:
    """Why a reading cannot be used ("never_read", "stale", "not_a_number", …); empty where it can.

    A value that is no finite number is refused whatever its quality says: it would pass through every comparison.
    """
    if reading.quality is Quality.BAD:
        return reading.reason.name.lower()
    if not math.isfinite(reading.value):
        return "not_a_number"
    return "" if reading.age_s <= max_age_s else "stale"


def measured(reading: Reading, max_age_s: float) -> float:
    """The value, or NaN where it cannot be used."""
    return math.nan if flaw(reading, max_age_s) else reading.value
