"""The thermal part of a site file: what cools, what is too hot, what heat is given away."""

from typing import Annotated

from pydantic import Field

from pswd_edge.config.form import Form, Id, NotNegative, Number, Percent, PointId, Positive, Span, Text
from pswd_edge.model.thermal import WhenLost

Share = Annotated[Number, Field(gt=0, le=1)]


class LeadForm(Form):
    """A set-point that goes ahead of heat; all in the unit of the signal that the key names, the rate per minute."""

    normal: Number
    ready: Number
    limits: Span
    rate_per_min: Positive


class CoolerForm(Form):
    """A CDU or chiller; the set-points that it is led by, each a signal of its device."""

    serves: tuple[Text, ...] = Field(min_length=1)
    heat_share: Share = 1.0
    rating_w: Positive
    supply_temperature_setpoint_c: LeadForm | None = None
    flow_setpoint_lpm: LeadForm | None = None
    leaving_temperature_setpoint_c: LeadForm | None = None
    demand_limit_percent: LeadForm | None = None
    return_goal_c: Number | None = None
    return_band_c: Positive = 4.0


class StepForm(Form):
    """One step of an interlock; `sheds` are ids of tiers."""

    cap_percent: Percent
    sheds: tuple[Text, ...] = ()


class InterlockForm(Form):
    """A temperature and what is done when it is too high."""

    id: Id
    temperature: PointId
    max_age_ms: Positive = 5000
    limit_c: Number
    trip_c: Number
    reset_c: Number
    caps: tuple[Text, ...] = Field(min_length=1)
    steps: tuple[StepForm, ...] = Field(min_length=1)
    confirm_s: NotNegative = 2.0
    step_s: Positive = 30.0
    release_after_s: NotNegative = 120.0
    when_lost: WhenLost = "over"
    lost_after_s: NotNegative = 10.0


class HeatExportForm(Form):
    """A heat exchanger toward a heat network; `supply_c` is the band that it is held in."""

    supply_c: Span = (70.0, 90.0)
    goal_c: Number = 80.0
    flow_lpm: Span
    fall_c: Positive = 20.0
    supply_rate_c_per_min: Positive = 2.0
    flow_rate_lpm_per_min: Positive = 500.0
    max_age_ms: Positive = 5000
    off_after_s: NotNegative = 120.0
    retry_s: Positive = 300.0


class ThermalForm(Form):
    """Thermal coordination."""

    lead_s: NotNegative = 120.0
    hold_s: NotNegative = 900.0
    ease_s: Positive = 300.0
    coolers: dict[Text, CoolerForm] = Field(default_factory=dict)
    interlocks: tuple[InterlockForm, ...] = ()
    heat_export: dict[Text, HeatExportForm] = Field(default_factory=dict)
