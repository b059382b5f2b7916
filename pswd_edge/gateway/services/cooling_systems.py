"""Each cooling system by itself: a CDU or a chiller, what it carries, and whether it is well."""

from typing import Literal, NamedTuple

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import control_unavailable
from pswd_edge.model.device import Device
from pswd_edge.model.report import NOT_APPLIED, Report
from pswd_edge.model.site import Site
from pswd_edge.model.thermal import Cooler

SystemKind = Literal["single_phase", "two_phase", "chiller"]
SystemStatus = Literal["operational", "degraded", "fault", "offline"]
KINDS = ("cdu", "chiller")
_WRONG = frozenset({"alarm", "fault", "error", "tripped", "failure"})
_SERVED_MIN_W = 1000.0        # less heat than this says nothing about how much of it is carried
_VITAL = {"cdu": ("supply_temperature_c", "flow_lpm"), "chiller": ("leaving_temperature_c",)}


class CoolingSystem(NamedTuple):
    """One system; None: not known, or there is no such thing.

    `supply_c` goes to the load, `return_c` comes back. `efficiency_percent` is the heat that it carries, of the heat
    that the racks it serves make for it.
    """

    id: str
    kind: SystemKind
    status: SystemStatus
    reasons: tuple[str, ...]
    supply_c: float | None
    return_c: float | None
    flow_lpm: float | None
    pressure_bar: float | None
    heat_w: float | None
    efficiency_percent: float | None
    vapor_percent: float | None
    condensation_c: float | None


class CoolingSystems:
    """Reads the image."""

    def __init__(self, live: LiveImage) -> None:
        self._live = live

    def read(self) -> list[CoolingSystem]:
        """All, in the order of the site; 503 where control is not alive."""
        report = self._live.report()
        if report is None:
            raise control_unavailable()
        return [self._system(device, report) for device in self._live.site.devices_of(*KINDS)]

    def efficiency_percent(self) -> float | None:
        """Of all CDUs whose heat and racks are measured: what they carry, of what their racks make for them."""
        pairs = [pair for device in self._live.site.devices_of("cdu") if (pair := self._carried(device.id)) is not None]
        made_w = sum(made for _, made in pairs)
        return _share(sum(carried for carried, _ in pairs), made_w) if pairs else None

    def _system(self, device: Device, report: Report) -> CoolingSystem:
        live, chiller = self._live, device.kind == "chiller"
        status, reasons = self._status(device, report)
        pair = self._carried(device.id)
        return CoolingSystem(
            device.id, kind_of(live.site, device), status, reasons,
            live.signal(device.id, "leaving_temperature_c" if chiller else "supply_temperature_c"),
            live.signal(device.id, "entering_temperature_c" if chiller else "return_temperature_c"),
            live.signal(device.id, "flow_lpm"), live.signal(device.id, "pressure_bar"),
            live.signal(device.id, "heat_w"), None if pair is None else _share(*pair),
            live.signal(device.id, "vapor_quality_percent"), live.signal(device.id, "condensation_temperature_c"))

    def _status(self, device: Device, report: Report) -> tuple[SystemStatus, tuple[str, ...]]:
        """By what is fresh, what the device says of itself, and whether it does what it is told."""
        site, live = self._live.site, self._live
        own = [site.points[i] for i in range(device.first_point, device.first_point + device.point_count)]
        silent = [p.id for p in own if p.readable and p.signal in _VITAL[device.kind] and live.value(p.index) is None]
        if all(live.value(p.index) is None for p in own if p.readable):
            return "offline", (f"{device.id}: no fresh values",)
        wrong = [f"{p.id}: {word}" for p in own if (word := self._says(p.index, p.signal)) in _WRONG or word == "leak"]
        if wrong:
            return "fault", tuple(wrong)
        lost = [f"{point}: no fresh value" for point in silent]
        lost += [f"{site.points[s.point].id}: last write {s.state}" for s in report.setpoints
                 if s.state in NOT_APPLIED and site.points[s.point].device == device.index]
        return ("degraded" if lost else "operational"), tuple(lost)

    def _says(self, point: int, signal: str) -> str:
        """What a state or a leak says; empty where it says nothing."""
        value = self._live.value(point)
        if value is None:
            return ""
        if signal == "leak":
            return "leak" if value else ""
        return self._live.site.points[point].labels.get(int(value), "") if signal == "state" else ""

    def _carried(self, device: str) -> tuple[float, float] | None:
        """The heat that a system carries, and what the racks that it serves make for it, W; None: not known."""
        cooler, heat_w = self._cooler(device), self._live.signal(device, "heat_w")
        controllers = self._live.site.control.load_controllers
        powers = [self._live.value(controllers[i].power) for i in (cooler.serves if cooler else ())]
        known = [p for p in powers if p is not None]
        if cooler is None or heat_w is None or not known or len(known) < len(powers):
            return None
        made_w = cooler.heat_share * sum(known)
        return (heat_w, made_w) if made_w >= _SERVED_MIN_W else None

    def _cooler(self, device: str) -> Cooler | None:
        thermal = self._live.site.control.thermal
        return next((c for c in (thermal.coolers if thermal else ()) if c.id == device), None)


def kind_of(site: Site, device: Device) -> SystemKind:
    """A CDU that shows how much of its coolant is vapour works with two phases."""
    if device.kind == "chiller":
        return "chiller"
    return "single_phase" if site.find(device.id, "vapor_quality_percent") is None else "two_phase"


def _share(carried_w: float, made_w: float) -> float | None:
    return None if made_w <= 0 else min(100.0, max(0.0, 100.0 * carried_w / made_w))
