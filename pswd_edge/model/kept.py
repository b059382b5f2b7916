"""What control writes down of its tiers, so that a restart does not forget them."""

from msgspec import Struct


class KeptTier(Struct, frozen=True):
    """One tier; times are UTC seconds, 0 where there was none.

    `setpoint` is the id of the point that it writes: a tier of the same name with another one is another tier.
    `before_w` is the most that it may have drawn when it was engaged, `cap_w` what it may draw, `recent_utc_s` when it
    was engaged in the last hour.
    """

    id: str
    setpoint: str
    engaged: bool
    since_utc_s: float
    before_w: float
    cap_w: float
    recent_utc_s: tuple[float, ...] = ()


class KeptTiers(Struct, frozen=True):
    """All tiers of a site that ever changed, and when that was written."""

    site: str
    utc_s: float
    tiers: tuple[KeptTier, ...]
