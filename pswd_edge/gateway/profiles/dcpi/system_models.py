"""What DCPI says about the system itself."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Percent, Time

Overall = Literal["healthy", "degraded", "critical", "offline"]
State = Literal["operational", "degraded", "critical", "offline"]
Milliseconds = Annotated[float, Field(ge=0)]


class PowerHealth(Answer):
    """Meters, batteries, racks and PDUs, and the control that leads them."""

    status: State
    response_time_ms: Annotated[Milliseconds | None, Field(
        description="From a measurement to the set-point made of it, at the 99th percentile.")] = None
    accuracy_percent: Annotated[Percent | None, Field(
        description="How far the grid's meter agrees with the load's meters less the batteries.")] = None


class ThermalHealth(Answer):
    """Cooling and heat recovery."""

    status: State
    cooling_efficiency_percent: Annotated[Percent | None, Field(
        description="Heat that is carried, of what the racks make for it.")] = None
    sensor_availability_percent: Annotated[Percent | None, Field(
        description="Readable points of the cooling with a fresh, good value.")] = None


class GridHealth(Answer):
    """The grid's meter, and the line to its operator."""

    status: State
    last_communication: Annotated[Time | None, Field(description="When its operator last answered.")] = None
    forecast_accuracy_percent: Annotated[Percent | None, Field(
        description="100 less the mean error of the 15-minute forecasts of the last day.")] = None


class SecurityHealth(Answer):
    """The gateway's own door."""

    status: Annotated[Literal["secure", "warning", "critical"], Field(
        description="warning: the certificate ends within 30 days; critical: it has ended.")]
    certificate_expiry: Time | None = None
    intrusion_attempts: Annotated[int | None, Field(ge=0, description="What was refused since the start.")] = None


class SubsystemHealth(Answer):
    """The parts that the site has."""

    power_management: PowerHealth
    thermal_management: ThermalHealth | None = None
    grid_integration: GridHealth
    security: SecurityHealth


class GatewayPerformance(Answer):
    """Of the gateway's own answers, and how often control was alive."""

    api_response_time_ms: Milliseconds | None = None
    uptime_percent: Percent | None = None
    error_rate_percent: Percent | None = None


class SystemHealth(Answer):
    """Health of the site. `reasons`, beyond the contract, says what is wrong."""

    overall_status: Overall
    timestamp: Time
    subsystems: SubsystemHealth
    performance_metrics: GatewayPerformance
    reasons: list[str] | None = None
