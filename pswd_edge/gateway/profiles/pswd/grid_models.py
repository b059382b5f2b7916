"""What PSWD says about the grid, and what is sent to its operator."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Moment, Percent, Power, Time
from pswd_edge.gateway.profiles.pswd.answer_fields import NotNegative, ToTen
from pswd_edge.gateway.profiles.pswd.fields import Seconds

Hours = Annotated[float, Field(ge=0, le=8760)]


class GridStatus(Answer):
    """The grid as it is measured, and what is known of it. `source`, beyond the contract: whose word the rest is."""

    grid_operator_id: str | None = None
    carbon_intensity_g_co2_kwh: NotNegative | None = None
    renewable_energy_percent: Percent | None = None
    grid_frequency_hz: float | None = None
    demand_response_active: bool | None = None
    market_price_per_mwh: float | None = None
    grid_stability_index: ToTen | None = None
    source: Literal["operator", "contract"]
    timestamp: Time


class ForecastPoint(Message):
    """The load expected at a moment."""

    timestamp: Moment
    load_mw: Power


class LoadForecast(Message):
    """A load forecast of the client's own."""

    forecast_horizon_hours: Annotated[int, Field(ge=0, le=8760)] | None = None
    predicted_load_mw: Annotated[list[ForecastPoint], Field(max_length=1000)] | None = None


class DemandResponse(Message):
    """What could be taken off."""

    available_reduction_mw: Power | None = None
    response_time_sec: Seconds | None = None
    duration_hours: Hours | None = None


class GridSignal(Message):
    """POST /grid/signal. What a signal needs and does not bring is filled in from the site's own figures."""

    signal_type: Literal["load_forecast", "demand_response", "frequency_regulation", "capacity_available"]
    timestamp: Moment
    load_forecast: LoadForecast | None = None
    demand_response: DemandResponse | None = None


class GridSignalAnswer(Answer):
    """How far a signal is, in the operator's own words. `timestamp` is when that was so."""

    signal_id: str
    acknowledgment_status: Literal["acknowledged", "pending", "rejected"]
    grid_operator_response: str
    timestamp: Time
