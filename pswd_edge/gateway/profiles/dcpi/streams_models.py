"""Messages of DCPI's streams. Each carries, beyond the contract, a `sequence`: a gap in it is a message never made."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.profiles.dcpi.fields import Answer, Percent, Time

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


class StreamedRequest(Answer):
    """What the grid's operator asks for."""

    requested_reduction_mw: Megawatts | None = None
    duration_hours: Annotated[float, Field(ge=0)] | None = None
    response_deadline: Time | None = None
    compensation_rate: float | None = None


class GridEventMessage(Answer):
    """An event of the grid's operator, when it comes."""

    event_type: Literal["demand_response_request"]
    timestamp: Time
    event_id: str
    parameters: StreamedRequest
    sequence: Sequence
