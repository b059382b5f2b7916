"""Health: a part is healthy when its data are fresh and its last write was applied, never because it is configured."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.performance import Performance, PerformanceMeter
from pswd_edge.gateway.services.dispatch import Dispatch
from pswd_edge.gateway.services.planner import PlannerService
from pswd_edge.model.command import Mode
from pswd_edge.model.device import Device
from pswd_edge.model.report import NOT_APPLIED, AlarmReport, Report

Status = Literal["healthy", "degraded", "critical", "offline"]
_ORDER: tuple[Status, ...] = ("healthy", "degraded", "critical", "offline")

# What a device must deliver to count as answering; where its map has none of them, any value will do.
_VITAL = {
    "meter": ("active_power_w",), "battery": ("soc_percent", "power_w"),
    "cdu": ("supply_temperature_c", "flow_lpm"), "chiller": ("leaving_temperature_c",),
    "heat_exchanger": ("heat_w",), "load_controller": ("active_power_w",),
    "pdu": ("active_power_w",), "ups": ("battery_charge_percent",),
}
_PARTS = {
    "workload_interface": ("load_controller",),
    "power_management": ("meter", "pdu", "ups"),
    "thermal_management": ("cdu", "chiller", "heat_exchanger"),
    "battery_systems": ("battery",),
}


class HealthView(NamedTuple):
    """`parts` has only what the site has; `reasons` says what is wrong, for people."""

    overall: Status
    parts: dict[str, Status]
    reasons: tuple[str, ...]
    performance: Performance


class HealthService:
    """Judges by the image and by the last command."""

    def __init__(self, live: LiveImage, dispatch: Dispatch, meter: PerformanceMeter,
                 planner: PlannerService) -> None:
        self._live, self._planner = live, planner
        self._dispatch = dispatch
        self._meter = meter
        self._troubles: list[Callable[[], str]] = []

    def watch(self, trouble: Callable[[], str]) -> None:
        """One more reason: `trouble` is asked each time, and says "" where there is none."""
        self._troubles.append(trouble)

    def read(self) -> HealthView:
        """The health now. Never refused: this answer is what explains why others are."""
        report = self._live.report()
        reasons: list[str] = []
        parts = {name: self._part(name, kinds, report, reasons) for name, kinds in _PARTS.items()
                 if name == "workload_interface" or self._live.site.devices_of(*kinds)}
        parts["grid_integration"] = self._grid(report, reasons)
        overall = self._overall(report, parts, reasons)
        return HealthView(overall, parts, tuple(reasons), self._meter.read())

    def _part(self, name: str, kinds: tuple[str, ...], report: Report | None, reasons: list[str]) -> Status:
        if report is None:
            return "offline"
        devices = self._live.site.devices_of(*kinds)
        silent = [device for device in devices if not self._answers(device)]
        reasons += [f"{device.id}: no fresh values" for device in silent]
        wrong = self._not_applied(devices, report)
        reasons += wrong
        status: Status = "degraded" if silent or wrong else "healthy"
        if devices and len(silent) == len(devices):
            status = "offline"
        elif 2 * len(silent) > len(devices):
            status = "critical"
        if name == "workload_interface" and self._dispatch.door_failed:
            reasons.append("door: control did not answer the last command")
            status = _worst([status, "critical"])
        return status

    def _grid(self, report: Report | None, reasons: list[str]) -> Status:
        """By the meter at the grid connection alone: without it control acts on substitutes."""
        if report is None:
            return "offline"
        if self._live.value(self._live.site.control.grid_power.point) is None:
            reasons.append("grid meter: no fresh value")
            return "critical"
        return "healthy"

    def _overall(self, report: Report | None, parts: dict[str, Status], reasons: list[str]) -> Status:
        if report is None:
            reasons.append("control: no completed cycle within the last second")
            return "offline"
        found = [min(status, "critical", key=_ORDER.index) for status in parts.values()]
        if report.mode == Mode.SAFE:
            reasons.append(f"mode SAFE: {report.mode_reason}")
            found.append("critical")
        elif report.mode == Mode.OBSERVE:
            reasons.append(f"mode OBSERVE: {report.mode_reason}")
            found.append("degraded")
        if report.shadow:
            reasons.append("shadow: control decides and writes nothing")
            found.append("degraded")
        if report.degraded:
            reasons += report.degraded
            found.append("degraded")
        planner = self._planner.read()
        if planner.state in ("late", "failed"):
            reasons.append(f"planner {planner.state}: {planner.reason}; the law goes on without it")
            found.append("degraded")
        troubles = [text for trouble in self._troubles if (text := trouble())]
        reasons += troubles
        found += ["degraded"] * bool(troubles)
        found += _alarmed(report.alarms, reasons)
        return _worst(found)

    def _answers(self, device: Device) -> bool:
        site, live = self._live.site, self._live
        vital = [point for signal in _VITAL.get(device.kind, ()) if (point := site.find(device.id, signal)) is not None]
        if vital:
            return all(live.value(point) is not None for point in vital)
        points = range(device.first_point, device.first_point + device.point_count)
        return any(live.value(point) is not None for point in points)

    def _not_applied(self, devices: tuple[Device, ...], report: Report) -> list[str]:
        site = self._live.site
        own = {device.index for device in devices}
        return [f"{site.points[s.point].id}: last write {s.state}" for s in report.setpoints
                if s.state in NOT_APPLIED and site.points[s.point].device in own]


def _alarmed(alarms: tuple[AlarmReport, ...], reasons: list[str]) -> Iterator[Status]:
    """Critical ones that are on are critical, others degrade; shelved ones are named and do not count."""
    for alarm in alarms:
        if alarm.shelved_until_utc_s is not None:
            reasons.append(f"{alarm.code}: shelved until {iso_utc(alarm.shelved_until_utc_s)}: {alarm.message}")
            continue
        over = "" if alarm.active else "over, not acknowledged: "
        reasons.append(f"{alarm.code}: {over}{alarm.message}")
        yield "critical" if alarm.active and alarm.severity == "critical" else "degraded"


def _worst(statuses: Iterable[Status]) -> Status:
    return max(statuses, key=_ORDER.index, default="healthy")
