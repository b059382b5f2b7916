"""Limits that cannot be (mistakes), and limits that will not hold (warnings)."""

from collections.abc import Mapping

from pswd_edge.config.circuits import unguarded
from pswd_edge.config.compile_control import inner_ramp_w_per_min
from pswd_edge.config.compile_droop import kept_w, kept_wh
from pswd_edge.config.control_form import BatteryForm, ControlForm
from pswd_edge.config.document import Document
from pswd_edge.config.map_form import MapFile
from pswd_edge.config.mistakes import number
from pswd_edge.config.place import Place
from pswd_edge.config.site_form import SiteFile
from pswd_edge.config.thermal_checks import thermal_warnings


def check_limits(form: ControlForm, place: Place) -> None:
    """Note contradictions. Comparisons with NaN, which stands for what could not be read, are False."""
    load = form.load_range
    if load.floor_w >= load.ceiling_w:
        expected = f"less than ceiling_w, {number(load.ceiling_w)}"
        place.complain(("load_range", "floor_w"), number(load.floor_w), expected)
    if load.ceiling_w > load.maximum_w:
        place.complain(
            ("load_range", "ceiling_w"), number(load.ceiling_w), f"maximum_w, {number(load.maximum_w)}, at most"
        )
    if load.floor_w > form.import_limit_w:
        expected = f"the load's floor, {number(load.floor_w)}, at least"
        place.complain(("import_limit_w",), number(form.import_limit_w), expected)
    for id_, battery in form.batteries.items():
        low, high = battery.soc_percent
        if low >= high:
            place.complain(("batteries", id_, "soc_percent"), f"[{number(low)}, {number(high)}]", "[lower, higher]")
    _check_ramps(form, place)


def _check_ramps(form: ControlForm, place: Place) -> None:
    inner = inner_ramp_w_per_min(form)
    both = form.ramp_up_w_per_s is not None and form.ramp_down_w_per_s is not None
    if inner <= 0 and not both and form.load_range.floor_w < form.load_range.ceiling_w:
        place.complain(
            ("ramp_limit_w_per_min",),
            f"{number(form.ramp_limit_w_per_min)}, of which {number(inner)} is left for the reference",
            "more than filter and delay pass on: raise filter_hz, lower delay_s or narrow load_range",
        )
    for key, ramp in (("ramp_up_w_per_s", form.ramp_up_w_per_s), ("ramp_down_w_per_s", form.ramp_down_w_per_s)):
        if ramp is not None and ramp > form.ramp_limit_w_per_min / 60:
            limit = form.ramp_limit_w_per_min / 60
            place.complain((key,), number(ramp), f"ramp_limit_w_per_min / 60, {number(limit)}, at most")


def limit_warnings(form: SiteFile, maps: Mapping[str, MapFile], document: Document) -> list[str]:
    """What the site may be run with, and should not be left at; one sentence each, with file and line."""
    control = form.control
    return [
        f"{document.file}:{document.line(path)}: {text}"
        for path, text in [
            *_power_warnings(control), *_energy_warnings(control), *_ramp_warnings(control),
            *_revert_warnings(form, maps), *thermal_warnings(control), *unguarded(form),
        ]
    ]


Remark = tuple[tuple[str | int, ...], str]


def _power_warnings(form: ControlForm) -> list[Remark]:
    swing_w = form.load_range.ceiling_w - form.load_range.floor_w
    found: list[Remark] = []
    beside = " beside droop" if kept_w(form) else ""
    for verb, total_w in (
        ("discharge", sum(b.discharge_w for b in form.batteries.values())),
        ("charge", sum(b.charge_w for b in form.batteries.values())),
    ):
        left_w = total_w - kept_w(form)
        if left_w < swing_w:
            text = (
                f"control.batteries: together they {verb} {left_w / 1e6:g} MW{beside}, less than the swing of the "
                f"load range, {swing_w / 1e6:g} MW: a full step will break the ramp limit or shed load"
            )
            found.append((("control", "batteries"), text))
    return found


def usable_energy_wh(batteries: Mapping[str, BatteryForm]) -> float:
    """What all can give together, shared by power: the one that is empty first ends it, Wh."""
    if not batteries:
        return 0.0
    power_w = sum(b.discharge_w for b in batteries.values())
    return power_w * min(
        b.capacity_wh * (b.soc_percent[1] - b.soc_percent[0]) / 100 / b.discharge_w for b in batteries.values()
    )


def needed_energy_wh(form: ControlForm) -> float:
    """P2: dL^2 / (2 R_int eta_d), Wh, for any sequence of loads in the range; infinite where there is no ramp."""
    swing_w = form.load_range.ceiling_w - form.load_range.floor_w
    ramps = [r * 3600 for r in (form.ramp_up_w_per_s, form.ramp_down_w_per_s) if r is not None]
    ramp_w_per_h = min(ramps) if len(ramps) == 2 else min([*ramps, inner_ramp_w_per_min(form) * 60])
    efficiency = min((b.efficiency[1] for b in form.batteries.values()), default=1.0)
    return swing_w**2 / (2 * ramp_w_per_h * efficiency) if ramp_w_per_h > 0 else float("inf")


def _energy_warnings(form: ControlForm) -> list[Remark]:
    usable, needed = usable_energy_wh(form.batteries) - kept_wh(form), needed_energy_wh(form)
    beside = " beside droop" if kept_wh(form) else ""
    if not usable < needed < float("inf"):
        return []
    text = (
        f"control.batteries: {usable / 1e6:.2f} MWh are usable{beside}, less than the {needed / 1e6:.2f} MWh that any "
        f"sequence of loads in load_range needs: the ramp limit holds for milder ones only"
    )
    return [(("control", "batteries"), text)]


def _ramp_warnings(form: ControlForm) -> list[Remark]:
    inner = inner_ramp_w_per_min(form)
    found: list[Remark] = []
    for key, ramp in (("ramp_up_w_per_s", form.ramp_up_w_per_s), ("ramp_down_w_per_s", form.ramp_down_w_per_s)):
        if ramp is not None and ramp > inner / 60:
            text = (
                f"control.{key}: {number(ramp)} is above {number(inner / 60)}, the most that keeps the grid within "
                f"its limit through two opposite steps of the whole load range"
            )
            found.append((("control", key), text))
    return found


def _revert_warnings(form: SiteFile, maps: Mapping[str, MapFile]) -> list[Remark]:
    found: list[Remark] = []
    for id_ in form.control.batteries:
        device = form.devices.get(id_)
        device_map = maps.get(device.map) if device else None
        for row in device_map.rows if device_map else ():
            write = row.write if row.key == "power_setpoint_w" else None
            if write is not None and write.revert_by is None and write.revert_s == 0:
                text = (
                    f"control.batteries.{id_}: its map has no revert time: the battery keeps its last set-point "
                    f"when the gateway is gone"
                )
                found.append((("control", "batteries", id_), text))
    return found
