"""What PSWD says about the power to come."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Percent, Time
from pswd_edge.gateway.profiles.pswd.answer_fields import NotNegative


class ForecastQuery(Message):
    """GET /power/forecast."""

    horizon_hours: Annotated[int, Field(ge=1, le=48)] = 24


class Forecast(Answer):
    """One moment. `interval_basis`, beyond the contract: what the interval comes from."""

    timestamp: Time
    predicted_power_mw: NotNegative
    confidence_interval_lower: NotNegative
    confidence_interval_upper: NotNegative
    flexibility_upward_mw: NotNegative
    flexibility_downward_mw: NotNegative
    interval_basis: Literal["measured_errors", "load_spread"]


class PowerForecast(Answer):
    """The load of the next hours."""

    facility_id: str
    forecast_horizon_hours: int
    confidence_level_percent: Percent
    forecasts: list[Forecast]
