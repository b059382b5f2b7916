"""A plausible day of the grid and of a heat network, from the time alone: the same moment looks the same again."""

import math
from typing import Any

_DAY_S, _YEAR_S = 86_400.0, 365.25 * 86_400.0
_DEMAND_W = 9e9               # of the region, on average


def grid_conditions(utc_s: float) -> dict[str, Any]:
    """Carbon, renewables by source, prices (per MWh) and stability, as the operator's API tells them."""
    solar_w, wind_w, hydro_w = _solar_w(utc_s), _wind_w(utc_s), 0.6e9
    renewable_w, demand_w = solar_w + wind_w + hydro_w, _demand_w(utc_s)
    share = min(1.0, renewable_w / demand_w)
    return {
        "operator_id": "grid-sim", "carbon_intensity_g_per_kwh": round(30.0 + 420.0 * (1.0 - share), 1),
        "renewables": {"wind_w": round(wind_w), "solar_w": round(solar_w), "hydro_w": round(hydro_w)},
        "renewable_percent": round(100.0 * share, 1), "price_per_mwh": _price(utc_s),
        "next_hour_price_per_mwh": _price(utc_s + 3600.0), "peak": _is_peak(utc_s), "stability": "normal",
    }


def heat_conditions(utc_s: float) -> dict[str, Any]:
    """What the heat network asks for now, its peak of the next day, season and price (per MWh)."""
    winter = 0.5 + 0.5 * math.cos(2 * math.pi * utc_s / _YEAR_S)
    peak_w = 4e6 + 8e6 * winter
    share = 0.7 + 0.3 * max(0.0, math.cos(2 * math.pi * (_hour(utc_s) - 7.0) / 12.0))
    season = "winter_heating" if winter > 0.65 else "summer_base" if winter < 0.35 else "transition"
    return {"network_id": "heat-sim", "current_request_w": round(share * peak_w), "peak_forecast_w": round(peak_w),
            "season": season, "price_per_mwh": round(18.0 + 12.0 * winter, 2)}


def _hour(utc_s: float) -> float:
    return utc_s % _DAY_S / 3600.0


def _solar_w(utc_s: float) -> float:
    return 4e9 * max(0.0, math.sin(math.pi * (_hour(utc_s) - 6.0) / 12.0))


def _wind_w(utc_s: float) -> float:
    return 2.4e9 + 1.4e9 * math.sin(2 * math.pi * utc_s / 61_000.0) + 0.5e9 * math.sin(2 * math.pi * utc_s / 17_000.0)


def _demand_w(utc_s: float) -> float:
    hour = _hour(utc_s)
    return _DEMAND_W * (1.0 + 0.18 * math.sin(math.pi * (hour - 8.0) / 12.0) + 0.06 * math.sin(math.pi * hour / 4.0))


def _is_peak(utc_s: float) -> bool:
    return 17.0 <= _hour(utc_s) < 20.0


def _price(utc_s: float) -> float:
    share = min(1.0, (_solar_w(utc_s) + _wind_w(utc_s) + 0.6e9) / _demand_w(utc_s))
    return round(95.0 - 70.0 * share + (25.0 if _is_peak(utc_s) else 0.0), 2)
