"""What DCPI says about the past hour, day and week."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Time

MetricType = Literal["power", "thermal", "grid", "security"]
Ratio = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class MetricsQuery(Message):
    """Which figures, over which time."""

    metric_type: MetricType | None = None
    time_range: Literal["1h", "24h", "7d"] = "1h"


class MetricsWindow(Answer):
    """The time that the figures are of; `minutes_known`, beyond the contract: how many of its minutes were recorded."""

    start_time: Time
    end_time: Time
    resolution: Literal["1_minute"]
    minutes_known: Count


class PowerMetrics(Answer):
    """The load."""

    average_load_mw: float | None = None
    peak_load_mw: float | None = None
    load_factor: float | None = None
    power_quality_score: Ratio | None = None


class ThermalMetrics(Answer):
    """Cooling and heat recovery."""

    cooling_efficiency: Ratio | None = None
    heat_recovery_rate: Ratio | None = None
    temperature_stability: Ratio | None = None
    temperature_deviation_k: float | None = None


class CoordinationMetrics(Answer):
    """How the site and those who ask it get along."""

    workload_approval_rate: Ratio | None = None
    forecast_accuracy: Ratio | None = None
    response_time_compliance: Ratio | None = None


class GridMetrics(Answer):
    """Beyond the contract: the grid connection."""

    average_import_mw: float | None = None
    peak_import_mw: float | None = None
    frequency_min_hz: float | None = None
    frequency_max_hz: float | None = None


class SecurityMetrics(Answer):
    """Beyond the contract: answers 401, 403 and 429."""

    authentication_failures: Count | None = None
    authorization_denials: Count | None = None
    rate_limited: Count | None = None


class Metrics(Answer):
    """The groups that were asked for."""

    metrics_window: MetricsWindow
    power_metrics: PowerMetrics | None = None
    thermal_metrics: ThermalMetrics | None = None
    coordination_metrics: CoordinationMetrics | None = None
    grid_metrics: GridMetrics | None = None
    security_metrics: SecurityMetrics | None = None
