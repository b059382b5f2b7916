"""What DCPI says about the grid, and what is told to its operator."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pswd_edge.gateway.message import Answer, Message, Moment, Percent, Power, Time
from pswd_edge.gateway.profiles.dcpi.fields import Id

NotNegative = Annotated[float, Field(ge=0)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Acknowledgment = Literal["acknowledged", "pending", "rejected"]


class RenewableGeneration(Answer):
    """Renewable generation as the operator tells it."""

    total_available_mw: NotNegative | None = None
    wind_mw: NotNegative | None = None
    solar_mw: NotNegative | None = None
    hydro_mw: NotNegative | None = None
    percentage_of_total: Percent | None = None


class ElectricityPricing(Answer):
    """Prices per MWh, in the operator's currency."""

    current_price_per_mwh: float | None = None
    next_hour_forecast: float | None = None
    peak_time_active: bool | None = None


class Delivered(Answer):
    """The reduction as it was measured against the baseline."""

    mean_reduction_mw: float | None = None
    minimum_reduction_mw: float | None = None
    current_reduction_mw: float | None = None
    energy_mwh: float
    measured_sec: NotNegative


class ThrottledWorkload(Answer):
    """A named workload that was throttled, and to what."""

    workload_id: str
    target_power_mw: NotNegative


class Committed(Answer):
    """A commitment: the grid's power is kept at `import_limit_mw` from its start to its end."""

    load_reduction_mw: NotNegative
    baseline_mw: float
    baseline_sec: NotNegative
    import_limit_mw: NotNegative
    start_time: Time
    end_time: Time
    throttled_workloads: list[ThrottledWorkload]
    delivered: Delivered | None = None
    note: str | None = None


class CurrentCommitment(Committed):
    """A commitment that is to come or in force."""

    event_id: str
    commitment_status: Literal["scheduled", "active"]


class GridStatus(Answer):
    """The grid; `source` and `commitments` beyond the contract."""

    grid_operator: str | None = None
    timestamp: Time
    grid_frequency_hz: float | None = None
    stability_status: Literal["normal", "alert", "emergency"] | None = None
    carbon_intensity_g_co2_kwh: NotNegative | None = None
    renewable_generation: RenewableGeneration | None = None
    electricity_pricing: ElectricityPricing | None = None
    demand_response_active: bool
    commitments: list[CurrentCommitment] | None = None
    source: Literal["operator", "contract"]


class ForecastEntry(Message):
    """One moment of a forecast of the client's own."""

    timestamp: Moment
    predicted_load_mw: Power
    confidence_percent: Percent | None = None
    flexibility_up_mw: Power | None = None
    flexibility_down_mw: Power | None = None
    response_time_sec: Seconds | None = None


class GridForecast(Message):
    """POST /grid/forecast."""

    facility_id: Annotated[str, Field(min_length=1, max_length=128)]
    forecast_horizon_hours: Annotated[int, Field(ge=1, le=48)]
    baseline_load_mw: Power
    forecast_data: Annotated[list[ForecastEntry], Field(min_length=1, max_length=1000)]


class GridForecastAnswer(Answer):
    """How far the forecast is, in the operator's own words."""

    submission_id: str
    facility_id: str
    acknowledgment_status: Acknowledgment
    grid_operator_response: str
    timestamp: Time


class CommitmentOffer(Message):
    """What a client commits the site to."""

    load_reduction_mw: Annotated[float, Field(gt=0, le=1e9)]
    duration_hours: Annotated[float, Field(gt=0, le=24)]
    response_time_sec: Seconds = 0
    affected_workloads: list[Id] = Field(default_factory=list, max_length=100)


class DemandResponse(Message):
    """POST /grid/demand-response."""

    event_id: Id
    response: Literal["accept", "decline"]
    commitment: CommitmentOffer | None = None

    @model_validator(mode="after")
    def _whole(self) -> "DemandResponse":
        if self.response == "accept" and self.commitment is None:
            raise ValueError("a commitment with response accept")
        return self


class DemandResponseAnswer(Answer):
    """The answer that stands, what has come of it, and what the operator said to it."""

    event_id: str
    response: Literal["accept", "decline"]
    commitment_status: Literal["declined", "scheduled", "active", "completed", "cancelled", "rejected"]
    commitment: Committed | None = None
    acknowledgment_status: Acknowledgment
    grid_operator_response: str
    timestamp: Time
