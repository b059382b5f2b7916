"""The power to come."""

from typing import Any

import orjson
from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profiles.pswd.forecast_models import ForecastQuery, PowerForecast
from pswd_edge.gateway.projection import mw
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.forecast import ForecastView, Moment

STEP_S = 900.0


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on the power to come."""

    async def forecast(call: Call) -> web.StreamResponse:
        query: ForecastQuery = call.query
        view = await services.forecast.read(3600.0 * query.horizon_hours, STEP_S)
        return web.Response(body=orjson.dumps(power_forecast(services.live.site.facility_id, view)),
                            content_type="application/json")

    return [Endpoint("GET", "/power/forecast", Operation.POWER_FORECAST_READ, Category.MONITORING, forecast,
                     "The load of the next 1 to 48 hours with intervals and flexibility", PowerForecast,
                     query=ForecastQuery)]


def power_forecast(facility_id: str, view: ForecastView) -> dict[str, Any]:
    """PowerForecast; 192 moments at most."""
    return {
        "facility_id": facility_id, "forecast_horizon_hours": round(view.horizon_s / 3600),
        "confidence_level_percent": view.confidence_percent, "forecasts": [_moment(m) for m in view.moments],
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "timestamp": iso_utc(moment.utc_s), "predicted_power_mw": mw(moment.load_w),
        "confidence_interval_lower": mw(moment.low_w), "confidence_interval_upper": mw(moment.high_w),
        "flexibility_upward_mw": mw(moment.flexibility.up_w), "flexibility_downward_mw": mw(moment.flexibility.down_w),
        "interval_basis": "measured_errors" if moment.measured else "load_spread",
    }
