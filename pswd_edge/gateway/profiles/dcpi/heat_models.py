"""What DCPI clients ask of municipal heat, and what it says about it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pswd_edge.gateway.message import Answer, Message, Moment, Percent, Power, Time
from pswd_edge.gateway.profiles.dcpi.fields import Id

Connection = Literal["active", "standby", "offline"]
_WINDOW_MAX_S = 7 * 86_400.0


class HeatDelivery(Answer):
    """What flows now."""

    current_output_mw: float | None = None
    supply_temperature_c: float | None = None
    return_temperature_c: float | None = None
    flow_rate_m3h: float | None = None
    heat_quality: Literal["high_temperature_grade", "district_heating_grade", "low_temperature_grade",
                          "below_grade"] | None = None
    heat_quality_index: Annotated[float, Field(ge=0, le=10)] | None = None


class MunicipalDemand(Answer):
    """What the heat network asks for, as it says itself."""

    current_request_mw: float | None = None
    peak_demand_forecast_mw: float | None = None
    seasonal_profile: str | None = None


class EconomicMetrics(Answer):
    """The fields named after the euro where the site's currency is the euro; beyond the contract, in any currency."""

    heat_price_eur_per_mwh: float | None = None
    carbon_offset_tons_co2: float | None = None
    revenue_today_eur: float | None = None
    currency: str | None = None
    heat_price_per_mwh: float | None = None
    revenue_today: float | None = None
    heat_today_mwh: float


class Availability(Answer):
    """Beyond the contract: an offer that is not over, and what was delivered within its time so far."""

    availability_id: str
    start_time: Time
    end_time: Time
    available_heat_mw: float
    delivered_mwh: float
    status: Literal["acknowledged", "pending"]


class MunicipalHeatStatus(Answer):
    """State of heat delivery."""

    municipal_partner: str | None = None
    connection_status: Connection
    heat_delivery: HeatDelivery
    municipal_demand: MunicipalDemand | None = None
    economic_metrics: EconomicMetrics
    availability: list[Availability] | None = None
    timestamp: Time


class Window(Message):
    """When heat is available: a week at most."""

    start_time: Moment
    end_time: Moment

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < self.end_time - self.start_time <= _WINDOW_MAX_S:
            raise ValueError("end_time after start_time, by seven days at most")
        return self


class HeatProfile(Message):
    """How much, and how warm."""

    available_heat_mw: Power
    supply_temperature_c: Annotated[float, Field(ge=0, le=200)] | None = None
    maximum_flow_rate_m3h: Annotated[float, Field(ge=0, le=1e9)] | None = None
    reliability_percent: Percent | None = None


class HeatCoordination(Message):
    """What the heat depends on."""

    workload_dependent: bool | None = None
    affected_workloads: Annotated[list[Id], Field(max_length=100)] = Field(default_factory=list)
    flexibility_mw: Power | None = None


class HeatAvailability(Message):
    """POST /heat/municipal/availability."""

    availability_window: Window
    heat_profile: HeatProfile
    coordination: HeatCoordination = HeatCoordination()

    @model_validator(mode="after")
    def _flexible_within(self) -> Self:
        flexible_mw, heat_mw = self.coordination.flexibility_mw, self.heat_profile.available_heat_mw
        if flexible_mw is not None and flexible_mw > heat_mw:
            raise ValueError(f"coordination.flexibility_mw of at most available_heat_mw, {heat_mw:g}")
        return self


class AvailabilityWindow(Answer):
    """When the heat is available."""

    start_time: Time
    end_time: Time


class HeatAvailabilityAnswer(Answer):
    """What the heat network said to an offer; `deliverable_heat_mw` is what the exchangers can give at most."""

    availability_id: str
    status: Literal["acknowledged", "pending", "rejected"]
    message: str | None = None
    available_heat_mw: float
    deliverable_heat_mw: float | None = None
    availability_window: AvailabilityWindow
    timestamp: Time
