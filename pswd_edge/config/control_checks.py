"""What the control part of a site must fulfil: every point that it needs exists and can do what is asked of it."""

from collections.abc import Mapping

from pswd_edge.config.circuits import hangs_somewhere
from pswd_edge.config.compile_control import DEFAULT_REVERT_S, tier_power_point, tier_setpoint_signal
from pswd_edge.config.control_form import (
    AbsorberForm,
    BatteryForm,
    ControlForm,
    EffectForm,
    InputForm,
    TierForm,
    UpsForm,
)
from pswd_edge.config.droop_checks import check_droop
from pswd_edge.config.limits import check_limits
from pswd_edge.config.map_form import MapFile, RowForm
from pswd_edge.config.mistakes import number
from pswd_edge.config.place import Place
from pswd_edge.config.points import every_of, period_ms, si_factor
from pswd_edge.config.site_form import SiteFile
from pswd_edge.config.thermal_checks import check_thermal
from pswd_edge.model.unit import UNITS

MINIMUM_REVERT_S = 12.0
BATTERY_SIGNALS = ("soc_percent", "power_w", "power_setpoint_w")
CONTROLLER_SIGNALS = ("power_cap_w", "active_power_w")


class _Points:
    """The points that the site will have, before it is compiled; a device of an unread map is not judged."""

    def __init__(self, form: SiteFile, maps: Mapping[str, MapFile]) -> None:
        self._form, self._maps = form, maps
        self._rows = {
            id_: {row.key: row for row in maps[device.map].rows}
            for id_, device in form.devices.items() if device.map in maps
        }

    def row(self, device: str, signal: str) -> RowForm | None:
        """The row of a point, or None."""
        return self._rows.get(device, {}).get(signal)

    def unit(self, device: str, signal: str) -> str:
        """The SI unit of a point; empty where it is not known."""
        row = self.row(device, signal)
        if row is not None and row.percent_of is not None:
            return "W"
        return UNITS[row.unit].si if row is not None and row.unit in UNITS else ""

    def every_ms(self, device: str, row: RowForm) -> int:
        """How often a point will be read."""
        at_most, map_name = self._form.devices[device].every, self._form.devices[device].map
        cycle_ms = self._form.control.period_ms
        return max(period_ms(at_most, cycle_ms), period_ms(every_of(self._maps[map_name], row), cycle_ms))

    def factor(self, device: str, row: RowForm | None) -> float:
        """What turns the row's unit into the point's, as `si_factor`."""
        found = self._form.devices.get(device)
        return 1.0 if row is None or found is None else si_factor(row, found.rating_w)

    def need(self, device: str, signal: str, place: Place, keys: tuple[str | int, ...]) -> RowForm | None:
        """The row of a point; its absence is a mistake at `keys`."""
        if device not in self._form.devices:
            place.complain(keys, repr(device), "a device, one of " + ", ".join(self._form.devices))
            return None
        row = self.row(device, signal)
        if row is None and device in self._rows:
            map_name = self._form.devices[device].map
            place.complain(keys, f"no point {device}.{signal}", f"a device whose map has {signal} (this is {map_name})")
        return row


def check_control(form: SiteFile, maps: Mapping[str, MapFile], place: Place) -> None:
    """Note what is missing or cannot be in `control`."""
    control = form.control
    here = place.at("control")
    points = _Points(form, maps)
    _check_input(control.grid_power, "W", points, here.at("grid_power"))
    _check_meters(control.load_meters, points, here.at("load_meters"))
    for index, group in enumerate(control.load_substitutes):
        _check_meters(group, points, here.at("load_substitutes", index))
    _check_meters(control.grid_meters, points, here.at("grid_meters"))
    if control.grid_power.point in [m.point for m in control.grid_meters]:
        here.complain(("grid_meters",), f"{control.grid_power.point}, which is grid_power", "further meters than that")
    if control.frequency:
        _check_point(control.frequency, "Hz", points, here, ("frequency",))
    for id_, battery in control.batteries.items():
        _check_battery(id_, battery, points, here.at("batteries", id_))
    for id_, controller in control.load_controllers.items():
        rows = [points.need(id_, signal, here, ("load_controllers", id_)) for signal in CONTROLLER_SIGNALS]
        cap = rows[0].write if rows[0] is not None else None
        if cap is not None and controller.rating_w > cap.max:
            found, able = number(controller.rating_w), number(cap.max)
            here.complain(("load_controllers", id_, "rating_w"), found, f"{able}, which the map lets write, at most")
    for index, tier in enumerate(control.tiers):
        _check_tier(tier, control, points, here.at("tiers", index))
        if tier.id and tier.id in [t.id for t in control.tiers[:index]]:
            here.complain(("tiers", index, "id"), f"{tier.id!r} again", "an id of its own")
    for id_, circuit in form.circuits.items() if hangs_somewhere(control) else ():
        row = points.row(circuit.meter or "", "active_power_w")
        _check_age(circuit.max_age_ms, circuit.meter or "", row, points, place.at("circuits", id_, "max_age_ms"))
    _check_absorbers(control, points, here.at("absorbers"))
    _check_observed(control, points, here)
    _check_supervision(control, here)
    check_thermal(control, points, here.at("thermal"))
    check_droop(control, points, here.at("droop"))
    check_limits(control, here)


def _check_supervision(control: ControlForm, place: Place) -> None:
    names = [s.origin or s.level for s in control.supervision]
    for index, supervisor in enumerate(control.supervision):
        if (supervisor.origin is None) == (supervisor.level is None):
            found = "neither origin nor level" if supervisor.level is None else "origin and level"
            place.complain(("supervision", index), found, "one of them")
        elif names[index] in names[:index]:
            place.complain(("supervision", index), f"{names[index]} again", "it once")


def _check_observed(control: ControlForm, points: _Points, place: Place) -> None:
    """What is only looked at: UPSs, and the meters that show what writes do."""
    for id_, ups in control.ups.items():
        _check_ups(id_, ups, points, place.at("ups", id_))
    for id_, effect in control.effects.items():
        _check_effect(id_, effect, points, place.at("effects", id_))
def _check_meters(meters: tuple[InputForm, ...], points: _Points, place: Place) -> None:
    for index, meter in enumerate(meters):
        _check_input(meter, "W", points, place.at(index))
        if meter.point and meter.point in [m.point for m in meters[:index]]:
            place.complain((index,), f"{meter.point} again", "it once, or its power counts twice")


def _check_absorbers(control: ControlForm, points: _Points, place: Place) -> None:
    for index, absorber in enumerate(control.absorbers):
        _check_absorber(absorber, points, place.at(index))
        if absorber.id and absorber.id in [a.id for a in control.absorbers[:index]]:
            place.complain((index, "id"), f"{absorber.id!r} again", "an id of its own")


def _check_absorber(form: AbsorberForm, points: _Points, place: Place) -> None:
    """Its set-point takes 0 to its maximum, in W, and its meter can be read."""
    _check_point(form.power, "W", points, place, ("power",))
    device, _, signal = form.setpoint.partition(".")
    row = points.need(device, signal, place, ("setpoint",)) if form.setpoint else None
    if row is None:
        return
    if row.write is None:
        place.complain(("setpoint",), f"{form.setpoint}, which can only be read", "a point that can be written")
        return
    unit = points.unit(device, signal)
    if unit and unit != "W":
        place.complain(("setpoint",), f"{form.setpoint} in {unit}", "a point in W")
        return
    most_w, least_w = (limit * points.factor(device, row) for limit in (row.write.max, row.write.min))
    if form.maximum_w > most_w:
        place.complain(("maximum_w",), number(form.maximum_w), f"{number(most_w)}, which the map lets write, at most")
    if least_w > 0:
        place.complain(("setpoint",), f"{form.setpoint}, which takes {number(least_w)} at least", "one that takes 0")


def _check_effect(id_: str, effect: EffectForm, points: _Points, place: Place) -> None:
    device, _, signal = id_.partition(".")
    row = points.need(device, signal, place, ())
    if row is not None and row.write is None:
        place.complain((), f"{id_}, which can only be read", "a point that can be written")
    meter, _, shown = effect.point.partition(".")
    row = points.need(meter, shown, place, ("point",)) if effect.point else None
    if row is not None and not row.readable:
        place.complain(("point",), f"{effect.point}, which can only be written", "a point that can be read")


def _check_point(
    point: str, unit: str, points: _Points, place: Place, keys: tuple[str | int, ...]
) -> RowForm | None:
    if not point:
        return None
    device, _, signal = point.partition(".")
    row = points.need(device, signal, place, keys)
    found = points.unit(device, signal)
    if row is not None and found and found != unit:
        place.complain(keys, f"{point} in {found}", f"a point in {unit}")
    if row is not None and not row.readable:
        place.complain(keys, f"{point}, which can only be written", "a point that can be read")
    return row


def _check_input(form: InputForm, unit: str, points: _Points, place: Place) -> None:
    row = _check_point(form.point, unit, points, place, ())
    _check_age(form.max_age_ms, form.point.partition(".")[0], row, points, place.at("max_age_ms"))


def _check_age(max_age_ms: int, device: str, row: RowForm | None, points: _Points, place: Place) -> None:
    """An input that is read more rarely than it may be old would be bad most of the time."""
    if row is None:
        return
    every_ms = points.every_ms(device, row)
    if max_age_ms < 2 * every_ms:
        place.complain((), f"{max_age_ms} ms for a point read every {every_ms} ms", f"{2 * every_ms} ms or more")


def _check_battery(id_: str, form: BatteryForm, points: _Points, place: Place) -> None:
    rows = [_check_point(form.soc, "%", points, place, ("soc",)) if form.soc and signal == "soc_percent"
            else points.need(id_, signal, place, ()) for signal in BATTERY_SIGNALS]
    bms = form.soc.partition(".")[0] if form.soc else id_
    _check_age(form.max_age_ms, id_, rows[1], points, place.at("max_age_ms"))
    _check_age(form.soc_max_age_ms, bms, rows[0], points, place.at("soc_max_age_ms"))
    if rows[2] is not None and rows[2].write is None:
        place.complain((), f"{id_}.power_setpoint_w without write rule", "one that can be written")
    _check_doubts(id_, form, points, place)
    if rows[2] is not None:
        _check_states(id_, form, points, place)
    write = rows[2].write if rows[2] is not None else None
    if write is None:
        return
    factor = points.factor(id_, rows[2])
    for key, asked, able in (
        ("discharge_w", form.discharge_w, write.max * factor), ("charge_w", form.charge_w, -write.min * factor),
    ):
        if asked > able:
            place.complain((key,), number(asked), f"{number(able)}, which the map lets write, at most")
    if form.revert_s is not None and write.revert_by is None:
        place.complain(("revert_s",), number(form.revert_s), "none, as the map has no revert_by")
    effective = form.revert_s if form.revert_s is not None else DEFAULT_REVERT_S if write.revert_by else write.revert_s
    if (write.revert_by or effective > 0) and effective < MINIMUM_REVERT_S:
        place.complain(
            ("revert_s",), number(effective),
            f"{MINIMUM_REVERT_S:g} or more: a shorter one would make a step of our own restart",
        )


def _check_doubts(id_: str, form: BatteryForm, points: _Points, place: Place) -> None:
    """A second SoC register, and a derating curve with the temperature that it needs."""
    if form.soc_other:
        row = _check_point(form.soc_other, "%", points, place, ("soc_other",))
        _check_age(form.soc_max_age_ms, form.soc_other.partition(".")[0], row, points, place.at("soc_max_age_ms"))
        if form.soc_other == (form.soc or f"{id_}.soc_percent"):
            place.complain(("soc_other",), f"{form.soc_other} again", "another register than the first")
    if form.derating:
        points.need(id_, "temperature_c", place, ("derating",))
    for index in range(1, len(form.derating)):
        before, now = form.derating[index - 1][0], form.derating[index][0]
        if now <= before:
            place.complain(("derating", index), f"{number(now)} after {number(before)}", "rising temperatures")


def _check_ups(id_: str, form: UpsForm, points: _Points, place: Place) -> None:
    row = points.need(id_, "output_source", place, ())
    labels = list(row.labels.values()) if row is not None else []
    for index, name in enumerate(form.on_battery):
        if row is not None and name not in labels:
            place.complain(("on_battery", index), repr(name), "one of " + ", ".join(labels) if labels else "no label")


def _check_states(id_: str, form: BatteryForm, points: _Points, place: Place) -> None:
    state = points.row(id_, "state")
    labels = list(state.labels.values()) if state is not None else []
    for index, name in enumerate(form.available_states):
        if name not in labels:
            expected = "one of " + ", ".join(labels) if labels else f"none, as {id_} has no labels of state"
            place.complain(("available_states", index), repr(name), expected)


def _check_tier(tier: TierForm, control: ControlForm, points: _Points, place: Place) -> None:
    if not tier.device or not tier.action:
        return
    if tier.action == "outlet" and tier.outlet is None:
        place.complain((), "no outlet", "the outlet's number")
        return
    row = points.need(tier.device, tier_setpoint_signal(tier), place, ("device",))
    if row is not None and row.write is None:
        signal = tier_setpoint_signal(tier)
        found = f"{tier.device}.{signal}, which can only be read"
        place.complain(("device",), found, f"a {signal} that can be written")
    keys = ("power",) if tier.power else ("device",)
    _check_point(tier_power_point(tier), "W", points, place, keys)
    if tier.action == "cap":
        controller = control.load_controllers.get(tier.device)
        if controller is None and tier.device:
            place.complain(("device",), repr(tier.device), "one of load_controllers, which gives its rating")
        elif controller is not None and tier.floor_w >= controller.rating_w:
            place.complain(("floor_w",), number(tier.floor_w), f"less than its rating, {number(controller.rating_w)}")
    elif tier.action == "demand_limit" and tier.engaged_percent is None:
        place.complain((), "no engaged_percent", "the limit while it is engaged")
    elif tier.action == "outlet" and row is not None and not {"on", "off"} <= set(row.labels.values()):
        place.complain(("device",), f"{tier.device}, whose map does not name on and off", "labels in outlet_command")
