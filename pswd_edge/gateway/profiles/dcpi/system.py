"""DCPI: the system itself."""

from typing import Any

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.dcpi.metrics import metrics_endpoint
from pswd_edge.gateway.profiles.dcpi.system_models import SystemHealth
from pswd_edge.gateway.projection import moment, percent, present, scaled
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.health import HealthView, Status
from pswd_edge.gateway.services.subsystems import Subsystems

_DAY_S = 86_400.0
_RENEW_S = 30 * _DAY_S      # time enough to have a certificate made, and for somebody to be back from leave
_ORDER: tuple[Status, ...] = ("healthy", "degraded", "critical", "offline")


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on the system itself."""

    async def health(_: Call) -> web.StreamResponse:
        return respond(system_health(services.health.read(), services.subsystems.read(), services.clock.utc_s()))

    return [Endpoint("GET", "/system/health", Operation.HEALTH_READ, Category.MONITORING, health,
                     "Health by what is true now, part by part", SystemHealth),
            metrics_endpoint(services)]


def system_health(view: HealthView, figures: Subsystems, utc_s: float) -> dict[str, Any]:
    """SystemHealth."""
    performance = view.performance
    return present({
        "overall_status": view.overall, "timestamp": iso_utc(utc_s),
        "subsystems": present({
            "power_management": _power(view, figures), "thermal_management": _thermal(view, figures),
            "grid_integration": _grid(view, figures), "security": _security(figures, utc_s),
        }),
        "performance_metrics": present({
            "api_response_time_ms": scaled(performance.response_mean_ms, 1, 3),
            "uptime_percent": percent(performance.uptime_percent),
            "error_rate_percent": percent(performance.error_percent),
        }),
        "reasons": list(view.reasons) or None,
    })


def _power(view: HealthView, figures: Subsystems) -> dict[str, Any]:
    """All that carries electric power: DCPI has one word for meters, batteries and racks."""
    parts = [view.parts[name] for name in ("power_management", "battery_systems", "workload_interface")
             if name in view.parts]
    return present({"status": _state(max(parts, key=_ORDER.index, default=view.overall)),
                    "response_time_ms": scaled(figures.control_ms, 1, 2),
                    "accuracy_percent": percent(figures.balance_percent)})


def _thermal(view: HealthView, figures: Subsystems) -> dict[str, Any] | None:
    """None where the site has no cooling that we know."""
    if "thermal_management" not in view.parts:
        return None
    return present({"status": _state(view.parts["thermal_management"]),
                    "cooling_efficiency_percent": percent(figures.cooling_efficiency_percent),
                    "sensor_availability_percent": percent(figures.sensors_percent)})


def _grid(view: HealthView, figures: Subsystems) -> dict[str, Any]:
    return present({"status": _state(view.parts["grid_integration"]),
                    "last_communication": moment(figures.operator_utc_s),
                    "forecast_accuracy_percent": percent(figures.forecast_percent)})


def _security(figures: Subsystems, utc_s: float) -> dict[str, Any]:
    ends_utc_s, status = figures.certificate_ends_utc_s, "secure"
    if ends_utc_s is not None and ends_utc_s < utc_s + _RENEW_S:
        status = "warning" if ends_utc_s > utc_s else "critical"
    return present({"status": status, "certificate_expiry": moment(ends_utc_s),
                    "intrusion_attempts": figures.intrusions})


def _state(status: Status) -> str:
    return "operational" if status == "healthy" else status
