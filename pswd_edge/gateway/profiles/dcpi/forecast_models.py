"""What DCPI says about the power to come."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Percent, Time

NotNegative = Annotated[float, Field(ge=0)]


class ForecastQuery(Message):
    """GET /power/forecast."""

    horizon_hours: Annotated[int, Field(ge=1, le=48)] = 24
    resolution_minutes: Annotated[int, Field(ge=1, le=60)] = 15


class Accuracy(Answer):
    """100 less the mean error in % of the last day's forecasts; left out until enough of them can be compared."""

    fifteen_min_percent: Percent | None = None
    one_hour_percent: Percent | None = None


class Interval(Answer):
    """Where the load will be, with the confidence of the moment."""

    lower_bound_mw: NotNegative
    upper_bound_mw: NotNegative


class Flexibility(Answer):
    """How much more and how much less the site could take, and until when all of it is there."""

    up_mw: NotNegative
    down_mw: NotNegative
    response_time_sec: NotNegative


class Composition(Answer):
    """What announced workloads draw by kind; `unannounced_mw`, beyond the contract, is the rest."""

    ai_training_mw: NotNegative | None = None
    inference_serving_mw: NotNegative | None = None
    traditional_compute_mw: NotNegative | None = None
    unannounced_mw: NotNegative


class ForecastMoment(Answer):
    """One moment. `interval_basis`, beyond the contract: what the interval comes from."""

    timestamp: Time
    predicted_load_mw: NotNegative
    confidence_percent: Percent
    confidence_interval: Interval
    interval_basis: Literal["measured_errors", "load_spread"]
    flexibility: Flexibility
    workload_composition: Composition


class PowerForecast(Answer):
    """The load of the next hours; `baseline_load_mw` is the present load without announced workloads."""

    forecast_generated: Time
    forecast_horizon_hours: int
    baseline_load_mw: NotNegative
    forecast_accuracy: Accuracy
    forecast_data: list[ForecastMoment]
