"""Thermal form to `ThermalSpec`. Everything here is called only for a site without mistakes."""

import math
from collections.abc import Mapping, Sequence

from pswd_edge.config.thermal_form import (
    CoolerForm,
    HeatExportForm,
    InterlockForm,
    LeadForm,
    StepForm,
    ThermalForm,
)
from pswd_edge.model.point import Point
from pswd_edge.model.thermal import CapStep, Cooler, HeatExport, Interlock, Lead, Measure, ThermalSpec

LEADS = ("supply_temperature_setpoint_c", "flow_setpoint_lpm", "leaving_temperature_setpoint_c",
         "demand_limit_percent")
HOT = ("return_temperature_c", "entering_temperature_c")  # what comes back to a CDU, to a chiller
HOT_MAX_AGE_S = 5.0


def leads_of(form: CoolerForm) -> dict[str, LeadForm]:
    """The set-points that a cooler is led by, by signal."""
    return {signal: found for signal in LEADS if isinstance(found := getattr(form, signal), LeadForm)}


def compile_thermal(
    form: ThermalForm | None, points: Mapping[str, Point], controllers: Sequence[str], tiers: Sequence[str]
) -> ThermalSpec | None:
    """The thermal specification; `controllers` and `tiers` are ids in their order."""
    if form is None:
        return None
    return ThermalSpec(
        coolers=tuple(_cooler(id_, c, points, controllers) for id_, c in form.coolers.items()),
        interlocks=tuple(_interlock(i, points, controllers, tiers) for i in form.interlocks),
        exports=tuple(_export(id_, e, points) for id_, e in form.heat_export.items()),
        lead_s=form.lead_s, hold_s=form.hold_s, ease_s=form.ease_s)


def _lead(form: LeadForm, point: Point) -> Lead:
    return Lead(point.index, form.normal, form.ready, form.limits[0], form.limits[1], form.rate_per_min / 60)


def _cooler(id_: str, form: CoolerForm, points: Mapping[str, Point], controllers: Sequence[str]) -> Cooler:
    hot = next((points[f"{id_}.{s}"] for s in HOT if f"{id_}.{s}" in points), None)
    watched = hot is not None and form.return_goal_c is not None
    return Cooler(
        id=id_, serves=tuple(controllers.index(c) for c in form.serves), heat_share=form.heat_share,
        rating_w=form.rating_w,
        leads=tuple(_lead(lead, points[f"{id_}.{signal}"]) for signal, lead in leads_of(form).items()),
        hot=Measure(hot.index, HOT_MAX_AGE_S) if hot is not None and watched else None,
        goal_c=math.nan if form.return_goal_c is None else form.return_goal_c, band_c=form.return_band_c)


def _step(form: StepForm, tiers: Sequence[str]) -> CapStep:
    return CapStep(form.cap_percent / 100, tuple(tiers.index(t) for t in form.sheds))


def _interlock(
    form: InterlockForm, points: Mapping[str, Point], controllers: Sequence[str], tiers: Sequence[str]
) -> Interlock:
    return Interlock(
        id=form.id, temperature=Measure(points[form.temperature].index, form.max_age_ms / 1000),
        limit_c=form.limit_c, trip_c=form.trip_c, reset_c=form.reset_c,
        caps=tuple(controllers.index(c) for c in form.caps), steps=tuple(_step(s, tiers) for s in form.steps),
        confirm_s=form.confirm_s, step_s=form.step_s, release_after_s=form.release_after_s,
        when_lost=form.when_lost, lost_after_s=form.lost_after_s)


def _export(id_: str, form: HeatExportForm, points: Mapping[str, Point]) -> HeatExport:
    (low_c, high_c), (least, most) = form.supply_c, form.flow_lpm
    setpoint, flow = points[f"{id_}.supply_temperature_setpoint_c"], points[f"{id_}.flow_setpoint_lpm"]
    enable, age_s = points.get(f"{id_}.enable"), form.max_age_ms / 1000
    return HeatExport(
        id=id_, supply=Measure(points[f"{id_}.supply_temperature_c"].index, age_s),
        heat=Measure(points[f"{id_}.heat_w"].index, age_s),
        setpoint=Lead(setpoint.index, form.goal_c, form.goal_c, low_c, high_c, form.supply_rate_c_per_min / 60),
        flow=Lead(flow.index, least, most, least, most, form.flow_rate_lpm_per_min / 60),
        goal_c=form.goal_c, low_c=low_c, high_c=high_c, fall_c=form.fall_c,
        enable=enable.index if enable is not None and enable.write is not None else None,
        off_after_s=form.off_after_s, retry_s=form.retry_s)
