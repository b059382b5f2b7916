"""Messages of DCPI's streams. Each carries, beyond the contract, a `sequence`: a gap in it is a message not sent."""

from typing import Annotated

from pydantic import Field

from pswd_edge.gateway.message import Answer, Percent, Time
from pswd_edge.gateway.services.grid_event import EventType

BASELINE = "baseline_infrastructure"

Megawatts = Annotated[float, Field(ge=0)]
Sequence = Annotated[int, Field(ge=1)]


class StreamedQuality(Answer):
    """Power quality at the grid connection."""

    thd_percent: Percent | None = None
    power_factor: Annotated[float, Field(ge=-1, le=1)] | None = None


class PowerMessage(Answer):
    """The site's power in one cycle of control. Of `workload_breakdown`, workloads and the rest make up `power_mw`."""

    timestamp: Time
    power_mw: Megawatts | None = None
    power_quality: StreamedQuality | None = None
    workload_breakdown: dict[str, Megawatts] | None = None
    sequence: Sequence


class StreamedCooling(Answer):
    """One cooling system; `inlet_temp_c` is what the IT equipment gets, `outlet_temp_c` what comes back."""

    system_id: str
    inlet_temp_c: float | None = None
    outlet_temp_c: float | None = None
    flow_rate_lpm: Annotated[float, Field(ge=0)] | None = None
    heat_load_mw: Megawatts | None = None


class ThermalMessage(Answer):
    """Every cooling system in one cycle of control."""

    timestamp: Time
    cooling_systems: list[StreamedCooling]
    sequence: Sequence


class StreamedEvent(Answer):
    """What an event says: a request by its first four; an end by what was measured, mean and least over its time."""

    requested_reduction_mw: Megawatts | None = None
    duration_hours: Annotated[float, Field(ge=0)] | None = None
    response_deadline: Time | None = None
    compensation_rate: float | None = None
    message: str | None = None
    reason: str | None = None
    agreed_reduction_mw: float | None = None
    mean_reduction_mw: float | None = None
    least_reduction_mw: float | None = None
    energy_mwh: float | None = None
    measured_sec: Annotated[float, Field(ge=0)] | None = None


class GridEventMessage(Answer):
    """An event of the grid when it comes: the operator's own, and begin and end of what was promised to it."""

    event_type: EventType
    timestamp: Time
    event_id: str
    parameters: StreamedEvent
    sequence: Sequence
