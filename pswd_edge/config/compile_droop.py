"""Droop form to `DroopSpec`, and what it keeps of the batteries. Called for droop without mistakes only."""

from collections.abc import Mapping

from pswd_edge.config.control_form import BatteryForm, ControlForm
from pswd_edge.model.control import DroopSpec


def compile_droop(form: ControlForm, nominal_hz: float) -> DroopSpec | None:
    """The specification; a droop of 5 % gives the batteries' whole discharge rating at 5 % less frequency."""
    droop = form.droop
    if droop is None:
        return None
    rating_w = sum(b.discharge_w for b in form.batteries.values())
    return DroopSpec(
        nominal_hz=nominal_hz, w_per_hz=rating_w / (droop.droop_percent / 100 * nominal_hz),
        power_max_w=droop.power_max_w, reserve_s=droop.reserve_s, deadband_hz=droop.deadband_hz,
        ramp_exempt=droop.ramp_exempt, max_age_ms=droop.max_age_ms)


def kept_w(form: ControlForm) -> float:
    """The power that no load may use, W; 0 without droop, or where it has no reserve."""
    return form.droop.power_max_w if form.droop is not None and form.droop.ramp_exempt else 0.0


def kept_wh(form: ControlForm) -> float:
    """The energy that is kept at the lower end of the window, Wh; the less efficient battery counts."""
    if form.droop is None:
        return 0.0
    efficiency = min((b.efficiency[1] for b in form.batteries.values()), default=1.0)
    return kept_w(form) * form.droop.reserve_s / 3600 / efficiency


def kept_free_wh(form: ControlForm) -> float:
    """The energy that is kept free at the upper end of the window, Wh."""
    if form.droop is None:
        return 0.0
    efficiency = max((b.efficiency[0] for b in form.batteries.values()), default=1.0)
    return kept_w(form) * form.droop.reserve_s / 3600 * efficiency


def window_wh(batteries: Mapping[str, BatteryForm]) -> float:
    """What all hold between the ends of their windows, Wh."""
    return sum(b.capacity_wh * (b.soc_percent[1] - b.soc_percent[0]) / 100 for b in batteries.values())
