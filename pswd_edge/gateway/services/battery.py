"""The site's batteries as one, and each."""

from typing import Literal, NamedTuple

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError, control_unavailable
from pswd_edge.gateway.services.whole import whole_sum
from pswd_edge.model.control import BatteryControl
from pswd_edge.model.report import BatteryReport, Report

BatteryStatus = Literal["charging", "discharging", "standby", "maintenance", "fault"]
_STANDBY_SHARE = 0.005       # of the rating: below it a battery neither charges nor discharges
_SERVICE_STATES = frozenset({"maintenance", "service", "local", "manual"})


class BatteryUnit(NamedTuple):
    """One battery; None: not known. `power_w` discharge positive."""

    id: str
    status: BatteryStatus | None
    soc_percent: float | None
    power_w: float | None
    temperature_c: float | None


class BatteryView(NamedTuple):
    """All batteries together; None: not known.

    `soc_percent` is weighted by capacity over the batteries whose SoC is known; `power_w` is known where every
    battery's is; the available powers are those of the usable batteries; `temperature_c` is the hottest;
    `runtime_s` is what the usable energy lasts at the present discharge.
    """

    id: str
    status: BatteryStatus | None
    soc_percent: float | None
    power_w: float | None
    charge_available_w: float
    discharge_available_w: float
    runtime_s: float | None
    temperature_c: float | None
    units: tuple[BatteryUnit, ...]


class BatteryService:
    """Live battery facts."""

    def __init__(self, live: LiveImage) -> None:
        self._live = live

    def read(self) -> BatteryView:
        """The batteries now; 404 on a site without any, 503 where control is not alive."""
        report, specs = self._live.report(), self._live.site.control.batteries
        if not specs:
            raise RefusalError(404, "NO_BATTERY", "this site has no battery")
        if report is None:
            raise control_unavailable()
        reported = {battery.id: battery for battery in report.batteries}
        usable = [battery for battery in report.batteries if battery.usable]
        units = tuple(self._unit(spec, reported.get(spec.id)) for spec in specs)
        power_w = whole_sum([unit.power_w for unit in units])
        return BatteryView(
            "+".join(unit.id for unit in units),
            _joint_status(units, power_w, sum(max(s.charge_rating_w, s.discharge_rating_w) for s in specs)),
            _mean_soc(specs, units),
            power_w,
            sum(battery.charge_available_w for battery in usable),
            sum(battery.discharge_available_w for battery in usable),
            _runtime_s(report, power_w),
            max((unit.temperature_c for unit in units if unit.temperature_c is not None), default=None),
            units,
        )

    def _unit(self, spec: BatteryControl, reported: BatteryReport | None) -> BatteryUnit:
        live = self._live
        power_w, state = live.value(spec.power.point), live.value(spec.state)
        name = None
        if spec.state is not None and state is not None:
            name = live.site.points[spec.state].labels.get(int(state))
        usable = reported is not None and reported.usable
        if not usable:
            status: BatteryStatus | None = "maintenance" if name in _SERVICE_STATES else "fault"
        else:
            status = _direction(power_w, max(spec.charge_rating_w, spec.discharge_rating_w))
        return BatteryUnit(spec.id, status, live.value(spec.soc.point), power_w, live.value(spec.temperature))


def _direction(power_w: float | None, rating_w: float) -> BatteryStatus | None:
    if power_w is None:
        return None
    if abs(power_w) <= _STANDBY_SHARE * rating_w:
        return "standby"
    return "discharging" if power_w > 0 else "charging"


def _joint_status(units: tuple[BatteryUnit, ...], power_w: float | None, rating_w: float) -> BatteryStatus | None:
    """A fault or maintenance of all is the status of all; while one works, its direction is."""
    out = [unit.status for unit in units if unit.status in ("maintenance", "fault")]
    if len(out) == len(units):
        return "fault" if "fault" in out else "maintenance"
    if power_w is None:
        power_w = whole_sum([unit.power_w for unit in units if unit.status not in ("maintenance", "fault")])
    return _direction(power_w, rating_w)


def _mean_soc(specs: tuple[BatteryControl, ...], units: tuple[BatteryUnit, ...]) -> float | None:
    known = [(spec.capacity_wh, unit.soc_percent) for spec, unit in zip(specs, units, strict=True)
             if unit.soc_percent is not None]
    capacity_wh = sum(capacity for capacity, _ in known)
    return sum(capacity * soc for capacity, soc in known) / capacity_wh if capacity_wh else None


def _runtime_s(report: Report, power_w: float | None) -> float | None:
    if power_w is None or power_w <= 0 or report.energy_wh is None:
        return None
    return 3600 * max(0.0, report.energy_wh - report.energy_min_wh) / power_w
