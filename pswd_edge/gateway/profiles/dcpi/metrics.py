"""DCPI: figures over an hour, a day or a week."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.dcpi.metrics_models import Metrics, MetricsQuery
from pswd_edge.gateway.projection import moment, mw, present, scaled
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.metrics import MetricsView

_WINDOWS_S = {"1h": 3600.0, "24h": 86_400.0, "7d": 604_800.0}


def metrics_endpoint(services: Services) -> Endpoint:
    """GET /system/metrics."""

    async def metrics(call: Call) -> web.StreamResponse:
        query: MetricsQuery = call.query
        view = services.metrics.read(_WINDOWS_S[query.time_range])
        groups = {name: group(view) for name, (kind, group) in _GROUPS.items() if query.metric_type in (None, kind)}
        return respond({"metrics_window": {
            "start_time": moment(view.since_utc_s), "end_time": moment(view.until_utc_s), "resolution": "1_minute",
            "minutes_known": view.minutes}, **groups})

    return Endpoint("GET", "/system/metrics", Operation.METRICS_READ, Category.MONITORING, metrics,
                    "Figures of the site over an hour, a day or a week", Metrics, query=MetricsQuery)


def _power(view: MetricsView) -> dict[str, Any]:
    return present({"average_load_mw": mw(view.load_mean_w), "peak_load_mw": mw(view.load_max_w),
                    "load_factor": _ratio(view.load_factor), "power_quality_score": _ratio(view.quality_score)})


def _thermal(view: MetricsView) -> dict[str, Any]:
    return present({"cooling_efficiency": _ratio(view.cooling_efficiency),
                    "heat_recovery_rate": _ratio(view.heat_recovery),
                    "temperature_stability": _ratio(view.temperature_stability),
                    "temperature_deviation_k": scaled(view.temperature_off_k, 1, 3)})


def _coordination(view: MetricsView) -> dict[str, Any]:
    return present({"workload_approval_rate": _ratio(view.approval),
                    "forecast_accuracy": _ratio(view.forecast_accuracy),
                    "response_time_compliance": _ratio(view.in_time)})


def _grid(view: MetricsView) -> dict[str, Any]:
    return present({"average_import_mw": mw(view.grid_mean_w), "peak_import_mw": mw(view.grid_max_w),
                    "frequency_min_hz": scaled(view.frequency_min_hz, 1, 4),
                    "frequency_max_hz": scaled(view.frequency_max_hz, 1, 4)})


def _security(view: MetricsView) -> dict[str, Any]:
    return present({"authentication_failures": view.unauthenticated, "authorization_denials": view.forbidden,
                    "rate_limited": view.limited})


def _ratio(value: float | None) -> float | None:
    return scaled(value, 1, 4)


_GROUPS: dict[str, tuple[str, Callable[[MetricsView], dict[str, Any]]]] = {
    "power_metrics": ("power", _power), "thermal_metrics": ("thermal", _thermal),
    "coordination_metrics": ("grid", _coordination), "grid_metrics": ("grid", _grid),
    "security_metrics": ("security", _security),
}
"""The groups of an answer: which metric_type asks for each."""
