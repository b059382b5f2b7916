"""What PSWD says about the gateway itself."""

from typing import Literal

from pswd_edge.gateway.message import Answer, Time

Status = Literal["healthy", "degraded", "critical", "offline"]


class ComponentStatus(Answer):
    """The parts that the site has."""

    workload_interface: Status | None = None
    power_management: Status | None = None
    thermal_management: Status | None = None
    grid_integration: Status | None = None
    battery_systems: Status | None = None


class PerformanceMetrics(Answer):
    """Of the gateway's own answers, and how often control was alive."""

    average_response_time_ms: float | None = None
    uptime_percent: float | None = None
    error_rate_percent: float | None = None


class SystemHealth(Answer):
    """Health of the site. `reasons`, beyond the contract, says what is wrong."""

    overall_status: Status
    component_status: ComponentStatus
    performance_metrics: PerformanceMetrics
    reasons: list[str] | None = None
    timestamp: Time
