"""What of a reading a rule may use, in one place: quality, age and the value itself."""

import math

from pswd_edge.model.control import BatteryControl
from pswd_edge.model.quality import Quality
from pswd_edge.model.snapshot import Reading

SLOW_MAX_AGE_S = 10.0         # PDUs and rack controllers are polled slowly
POSSIBLE_SHARE = 1.3          # of a battery's rating: converters overshoot, factors of a thousand do more


def flaw(reading: Reading, max_age_s: float) -> str:
    """Why a reading cannot be used ("never_read", "stale", "not_a_number", …); empty where it can.

    A value that is no finite number is refused whatever its quality says: it would pass through every comparison.
    """
    if reading.quality is Quality.BAD:
        return reading.reason.name.lower()
    if not math.isfinite(reading.value):
        return "not_a_number"
    return "" if reading.age_s <= max_age_s else "stale"


def power_flaw(spec: BatteryControl, reading: Reading) -> str:
    """Why a battery's power cannot be used: as `flaw`, or "implausible", far beyond what it can give or take."""
    most_w = POSSIBLE_SHARE * max(spec.discharge_rating_w, spec.charge_rating_w)
    return flaw(reading, spec.power.max_age_ms / 1000) or ("implausible" if abs(reading.value) > most_w else "")


def power_w(spec: BatteryControl, reading: Reading) -> float:
    """A battery's power (discharge positive), or NaN where it cannot be used."""
    return math.nan if power_flaw(spec, reading) else reading.value


def measured(reading: Reading, max_age_s: float) -> float:
    """The value, or NaN where it cannot be used."""
    return math.nan if flaw(reading, max_age_s) else reading.value
