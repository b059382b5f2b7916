"""DCPI: municipal heat."""

from typing import Any

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.dcpi.heat_models import HeatAvailability, HeatAvailabilityAnswer, MunicipalHeatStatus
from pswd_edge.gateway.projection import W_PER_MW, mw, present, scaled
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.heat import HeatView
from pswd_edge.gateway.services.heat_offers import Offer, Offered
from pswd_edge.gateway.validation import invalid
from pswd_edge.model.site import HeatFacts

_AHEAD_MAX_S = 366 * 86_400.0
_LPM_PER_M3H = 1000 / 60


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on municipal heat."""
    heat = Heat(services)
    return [
        Endpoint("GET", "/heat/municipal/status", Operation.HEAT_READ, Category.MONITORING, heat.status,
                 "State of heat delivery to the heat network", MunicipalHeatStatus, refusals=(404,)),
        Endpoint("POST", "/heat/municipal/availability", Operation.HEAT_OFFER, Category.CONTROL, heat.offer,
                 "Offer heat to the heat network for a time", HeatAvailabilityAnswer, body=HeatAvailability,
                 refusals=(404, 409)),
    ]


class Heat:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, _: Call) -> web.StreamResponse:
        """GET /heat/municipal/status."""
        services, facts = self._services, self._services.live.site.heat_network
        services.heat.require()
        view = services.heat.read()
        demand = present({
            "current_request_mw": mw(view.demand.current_request_w),
            "peak_demand_forecast_mw": mw(view.demand.peak_forecast_w),
            "seasonal_profile": view.demand.season})
        return respond(present({
            "municipal_partner": facts.name or facts.id or None, "connection_status": view.connection,
            "heat_delivery": _delivery(view), "municipal_demand": demand or None,
            "economic_metrics": _economics(view, facts, services.heat.account.today.energy_wh),
            "availability": [_availability(o) for o in services.heat_offers.current()] or None,
            "timestamp": iso_utc(services.clock.utc_s()),
        }))

    async def offer(self, call: Call) -> web.StreamResponse:
        """POST /heat/municipal/availability."""
        services, message, sender = self._services, call.body, call.sender
        services.heat.require()
        window, now_s = message.availability_window, services.clock.utc_s()
        if window.end_time <= now_s:
            raise invalid(["availability_window.end_time: got a time that is over: expected one to come"])
        if window.start_time > now_s + _AHEAD_MAX_S:
            raise invalid(["availability_window.start_time: got a time over a year ahead: expected a nearer one"])
        offer = _offer(message)
        services.heat_offers.check(offer)
        made = await services.heat_offers.tell(offer, sender)
        note_change(call.request, after={"heat_w": made.heat_w, "status": made.status})
        return respond(present({
            "availability_id": made.id, "status": made.status, "message": made.response or None,
            "available_heat_mw": mw(made.heat_w), "deliverable_heat_mw": mw(services.heat_offers.deliverable_w()),
            "availability_window": {"start_time": iso_utc(made.begin_utc_s), "end_time": iso_utc(made.end_utc_s)},
            "timestamp": iso_utc(services.clock.utc_s()),
        }))


def _offer(message: HeatAvailability) -> Offer:
    window, profile, more = message.availability_window, message.heat_profile, message.coordination
    flow = profile.maximum_flow_rate_m3h
    return Offer(
        window.start_time, window.end_time, profile.available_heat_mw * W_PER_MW, profile.supply_temperature_c,
        None if flow is None else flow * _LPM_PER_M3H, profile.reliability_percent, bool(more.workload_dependent),
        tuple(more.affected_workloads), None if more.flexibility_mw is None else more.flexibility_mw * W_PER_MW)


def _delivery(view: HeatView) -> dict[str, Any]:
    return present({
        "current_output_mw": mw(view.heat_w), "supply_temperature_c": scaled(view.supply_c, 1, 3),
        "return_temperature_c": scaled(view.return_c, 1, 3),
        "flow_rate_m3h": scaled(view.flow_lpm, 1 / _LPM_PER_M3H, 4), "heat_quality": view.quality,
        "heat_quality_index": scaled(view.quality_index, 1, 2),
    })


def _economics(view: HeatView, facts: HeatFacts, energy_wh: float) -> dict[str, Any]:
    euro = facts.currency == "EUR"
    price, revenue = scaled(view.price_per_mwh, 1, 4), scaled(view.revenue_today, 1, 2)
    return present({
        "heat_price_eur_per_mwh": price if euro else None, "revenue_today_eur": revenue if euro else None,
        "carbon_offset_tons_co2": scaled(view.carbon_today_kg, 1e-3, 4),
        "currency": facts.currency if price is not None else None, "heat_price_per_mwh": price,
        "revenue_today": revenue, "heat_today_mwh": scaled(energy_wh, 1e-6, 6),
    })


def _availability(offer: Offered) -> dict[str, Any]:
    return {
        "availability_id": offer.id, "start_time": iso_utc(offer.begin_utc_s), "end_time": iso_utc(offer.end_utc_s),
        "available_heat_mw": mw(offer.heat_w), "delivered_mwh": scaled(offer.delivered_wh, 1e-6, 6),
        "status": offer.status,
    }
