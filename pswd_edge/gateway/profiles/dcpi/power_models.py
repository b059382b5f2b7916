"""What DCPI says about power in real time."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Time

Stability = Literal["normal", "disturbed", "critical"]


class RealtimeQuery(Message):
    """How far back, and in which steps."""

    resolution_ms: Annotated[int, Field(ge=100, le=1000)] = 100
    duration_sec: Annotated[int, Field(ge=1, le=300)] = 60


class PowerQuality(Answer):
    """At the grid connection now."""

    thd_percent: float | None = None
    power_factor: float | None = None
    voltage_stability: Stability | None = None


class PowerBreakdown(Answer):
    """What the total is for."""

    compute_load_mw: float | None = None
    cooling_systems_mw: float | None = None
    infrastructure_mw: float | None = None


class Measurement(Answer):
    """Means over one interval that begins at `timestamp`; voltage and current are means of the phases."""

    timestamp: Time
    power_mw: float | None = None
    voltage_v: float | None = None
    current_a: float | None = None
    frequency_hz: float | None = None


class RealtimePower(Answer):
    """The site's power now, and over the time asked for, oldest first."""

    facility_id: str
    measurement_timestamp: Time | None = None
    total_power_mw: float | None = None
    power_quality: PowerQuality | None = None
    power_breakdown: PowerBreakdown | None = None
    measurements: list[Measurement]
