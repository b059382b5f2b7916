"""What PSWD says about power."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Time


class RealtimeQuery(Message):
    """How far back, and in which steps."""

    duration_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    resolution_ms: Literal[100, 250, 500, 1000] = 1000


class PowerQuality(Answer):
    """At the grid connection."""

    thd_percent: float | None = None
    power_factor: float | None = None
    voltage_stability: float | None = None


class CircuitPower(Answer):
    """What one circuit's meter shows."""

    circuit_id: str
    power_mw: float


class Measurement(Answer):
    """The mean over one interval that begins at `timestamp`."""

    timestamp: Time
    total_power_mw: float | None = None
    power_quality: PowerQuality | None = None
    circuit_breakdown: list[CircuitPower] | None = None


class PowerMeasurement(Answer):
    """The site's power over the time asked for, oldest first."""

    facility_id: str
    measurement_interval_ms: int
    measurements: list[Measurement]
