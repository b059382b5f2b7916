"""What the thermal part of a site must fulfil: points that exist and can be led, limits that are in order."""

import math
from collections.abc import Iterable
from typing import Protocol

from pswd_edge.config.compile_thermal import HOT, leads_of
from pswd_edge.config.control_form import ControlForm
from pswd_edge.config.map_form import RowForm
from pswd_edge.config.mistakes import number
from pswd_edge.config.place import Place
from pswd_edge.config.thermal_form import CoolerForm, HeatExportForm, InterlockForm, LeadForm

EXPORT_SIGNALS = ("supply_temperature_c", "heat_w")
EXPORT_LED = ("supply_temperature_setpoint_c", "flow_setpoint_lpm")


class SitePoints(Protocol):
    """The points that the site will have."""

    def row(self, device: str, signal: str) -> RowForm | None:
        """The row of a point, or None."""
        ...

    def unit(self, device: str, signal: str) -> str:
        """The SI unit of a point; empty where it is not known."""
        ...

    def need(self, device: str, signal: str, place: Place, keys: tuple[str | int, ...]) -> RowForm | None:
        """The row of a point; its absence is a mistake at `keys`."""
        ...


def check_thermal(control: ControlForm, points: SitePoints, place: Place) -> None:
    """Note what is missing or cannot be in `control.thermal`."""
    form = control.thermal
    if form is None:
        return
    for id_, cooler in form.coolers.items():
        _check_cooler(id_, cooler, control, points, place.at("coolers", id_))
    for index, lock in enumerate(form.interlocks):
        here = place.at("interlocks", index)
        _check_interlock(lock, control, points, here)
        if lock.id and lock.id in [i.id for i in form.interlocks[:index]]:
            here.complain(("id",), f"{lock.id!r} again", "an id of its own")
    for id_, export in form.heat_export.items():
        twice = [s for s in EXPORT_LED if id_ in form.coolers and s in leads_of(form.coolers[id_])]
        if twice:
            place.complain(("heat_export", id_), f"{id_}.{twice[0]}, which coolers.{id_} leads too",
                           "one of them to lead it")
        _check_export(id_, export, points, place.at("heat_export", id_))


def thermal_warnings(form: ControlForm) -> list[tuple[tuple[str | int, ...], str]]:
    """Set-points that cannot be ready in the time that announcements give them."""
    if form.thermal is None:
        return []
    found: list[tuple[tuple[str | int, ...], str]] = []
    for id_, cooler in form.thermal.coolers.items():
        for signal, lead in leads_of(cooler).items():
            needs_s = abs(lead.ready - lead.normal) / lead.rate_per_min * 60
            if needs_s > form.thermal.lead_s:
                found.append((("control", "thermal", "coolers", id_, signal), (
                    f"control.thermal.coolers.{id_}.{signal}: from normal to ready takes {needs_s:.0f} s, longer than "
                    f"lead_s, {number(form.thermal.lead_s)}: heat that is announced will find it on its way")))
    return found


def _known(names: Iterable[str], known: Iterable[str], what: str, place: Place, key: str) -> None:
    able = list(known)
    for index, name in enumerate(names):
        if name and name not in able:
            place.complain((key, index), repr(name), f"one of {what}: {', '.join(able)}")


def _led(device: str, signal: str, low: float, high: float, points: SitePoints, place: Place,
         keys: tuple[str | int, ...]) -> None:
    """A point that is led must be writable, over the whole range that the site declares."""
    row = points.need(device, signal, place, keys)
    if row is None:
        return
    if row.write is None:
        place.complain(keys, f"{device}.{signal}, which can only be read", f"a {signal} that can be written")
    elif low < row.write.min or high > row.write.max:
        able = f"within {number(row.write.min)}..{number(row.write.max)}, which the map lets write"
        place.complain(keys, f"{number(low)}..{number(high)}", able)


def _check_cooler(id_: str, form: CoolerForm, control: ControlForm, points: SitePoints, place: Place) -> None:
    _known(form.serves, control.load_controllers, "load_controllers", place, "serves")
    leads = leads_of(form)
    if not leads:
        place.complain((), "no set-point to lead", "at least one, as supply_temperature_setpoint_c")
    for signal, lead in leads.items():
        _led(id_, signal, lead.limits[0], lead.limits[1], points, place, (signal,))
        _check_lead(lead, place.at(signal))
    if form.return_goal_c is not None and all(points.row(id_, s) is None for s in HOT):
        place.complain(("return_goal_c",), f"no point {id_}.{HOT[0]}", "a device that shows what comes back")


def _check_lead(lead: LeadForm, place: Place) -> None:
    low, high = lead.limits
    for key, value in (("normal", lead.normal), ("ready", lead.ready)):
        if value < low or value > high:
            place.complain((key,), number(value), f"within limits, {number(low)}..{number(high)}")


def _check_interlock(form: InterlockForm, control: ControlForm, points: SitePoints, place: Place) -> None:
    device, _, signal = form.temperature.partition(".")
    if form.temperature:
        row = points.need(device, signal, place, ("temperature",))
        unit = points.unit(device, signal)
        if row is not None and unit and unit != "degC":
            place.complain(("temperature",), f"{form.temperature} in {unit}", "a point in degC")
    _known(form.caps, control.load_controllers, "load_controllers", place, "caps")
    if form.reset_c >= form.limit_c:
        place.complain(("reset_c",), number(form.reset_c), f"less than limit_c, {number(form.limit_c)}")
    if form.trip_c <= form.limit_c:
        place.complain(("trip_c",), number(form.trip_c), f"more than limit_c, {number(form.limit_c)}")
    before = math.inf
    for index, step in enumerate(form.steps):
        _known(step.sheds, [t.id for t in control.tiers], "tiers", place.at("steps", index), "sheds")
        if step.cap_percent >= before:
            place.complain(("steps", index, "cap_percent"), number(step.cap_percent),
                           f"less than the step before, {number(before)}")
        before = step.cap_percent


def _check_export(id_: str, form: HeatExportForm, points: SitePoints, place: Place) -> None:
    for signal in EXPORT_SIGNALS:
        points.need(id_, signal, place, ())
    for signal, (low, high) in zip(EXPORT_LED, (form.supply_c, form.flow_lpm), strict=True):
        _led(id_, signal, low, high, points, place, ())
    if form.goal_c < form.supply_c[0] or form.goal_c > form.supply_c[1]:
        place.complain(("goal_c",), number(form.goal_c),
                       f"within supply_c, {number(form.supply_c[0])}..{number(form.supply_c[1])}")
