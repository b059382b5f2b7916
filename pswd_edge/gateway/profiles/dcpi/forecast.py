"""DCPI: the power forecast."""

from typing import Any

import orjson
from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profiles.dcpi.forecast_models import ForecastQuery, PowerForecast
from pswd_edge.gateway.projection import mw, percent, present, scaled
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.forecast import ForecastView, Moment

_FIELDS = {"ai_training": "ai_training_mw", "ai_inference": "inference_serving_mw",
           "inference_serving": "inference_serving_mw"}
_OTHER = "traditional_compute_mw"


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on the power forecast."""

    async def forecast(call: Call) -> web.StreamResponse:
        query: ForecastQuery = call.query
        body = await services.forecast.encoded(3600.0 * query.horizon_hours, 60.0 * query.resolution_minutes, _encode)
        return web.Response(body=body, content_type="application/json")

    return [Endpoint("GET", "/power/forecast", Operation.POWER_FORECAST_READ, Category.MONITORING, forecast,
                     "The load of the next 1 to 48 hours with intervals, flexibility and composition", PowerForecast,
                     query=ForecastQuery)]


def _encode(view: ForecastView) -> bytes:
    return orjson.dumps(power_forecast(view))


def power_forecast(view: ForecastView) -> dict[str, Any]:
    """PowerForecast."""
    return {
        "forecast_generated": iso_utc(view.made_utc_s), "forecast_horizon_hours": round(view.horizon_s / 3600),
        "baseline_load_mw": mw(view.baseline_w),
        "forecast_accuracy": present({"fifteen_min_percent": percent(view.accuracy_percent.get(900.0)),
                                      "one_hour_percent": percent(view.accuracy_percent.get(3600.0))}),
        "forecast_data": [_moment(m, view.confidence_percent) for m in view.moments],
    }


def _moment(moment: Moment, confidence_percent: float) -> dict[str, Any]:
    flexibility = moment.flexibility
    return {
        "timestamp": iso_utc(moment.utc_s), "predicted_load_mw": mw(moment.load_w),
        "confidence_percent": confidence_percent,
        "confidence_interval": {"lower_bound_mw": mw(moment.low_w), "upper_bound_mw": mw(moment.high_w)},
        "interval_basis": "measured_errors" if moment.measured else "load_spread",
        "flexibility": {"up_mw": mw(flexibility.up_w), "down_mw": mw(flexibility.down_w),
                        "response_time_sec": scaled(flexibility.response_s, 1, 1)},
        "workload_composition": _composition(moment),
    }


def _composition(moment: Moment) -> dict[str, float | None]:
    found: dict[str, float] = {}
    for kind, power_w in moment.by_kind_w.items():
        field = _FIELDS.get(kind, _OTHER)
        found[field] = found.get(field, 0.0) + power_w
    rest_w = max(0.0, moment.load_w - sum(found.values()))
    return {name: mw(power_w) for name, power_w in found.items()} | {"unannounced_mw": mw(rest_w)}
