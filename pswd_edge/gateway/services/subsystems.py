"""How each part of the site does, in figures that are measured: for those who ask for more than a colour."""

from collections.abc import Callable
from typing import NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.services.cooling_systems import CoolingSystems
from pswd_edge.gateway.services.delivery import Delivery
from pswd_edge.gateway.services.grid_events import GridEvents
from pswd_edge.gateway.services.market import GridConditions
from pswd_edge.gateway.services.polled import Polled
from pswd_edge.gateway.services.security import SecurityService
from pswd_edge.model.report import Report

_COOLING = ("cdu", "chiller", "heat_exchanger")
_LOAD_MIN_W = 1000.0      # a balance of less says nothing about its meters


class Subsystems(NamedTuple):
    """None: not known.

    `control_ms`: the age of the inputs when control decides, and the deciding, both at their 99th percentile.
    `balance_percent`: how far the grid's meter agrees with the load's meters less the batteries, of the load.
    `cooling_efficiency_percent`: heat that the cooling carries, of what its racks make for it.
    `sensors_percent`: readable points of the cooling that have a fresh, good value. `operator_utc_s`: when the grid
    operator last answered. `forecast_percent`: 100 less the mean error of the 15-minute forecasts.
    `certificate_ends_utc_s`: the end of the listeners' own certificate. `intrusions`: refused attempts since start.
    """

    control_ms: float | None
    balance_percent: float | None
    cooling_efficiency_percent: float | None
    sensors_percent: float | None
    operator_utc_s: float | None
    forecast_percent: float | None
    certificate_ends_utc_s: float | None
    intrusions: int | None


class Figures(NamedTuple):
    """Where the figures of other services come from; each gives None where it is not known."""

    cooling_efficiency_percent: Callable[[], float | None]
    operator_utc_s: Callable[[], float | None]
    forecast_percent: Callable[[], float | None]
    certificate_ends_utc_s: Callable[[], float | None]
    intrusions: Callable[[], int | None]


def figures_of(
    cooling: CoolingSystems, delivery: Delivery, events: GridEvents, conditions: Polled[GridConditions],
    security: SecurityService, clock: Clock,
) -> Figures:
    """The figures from those who have them."""

    def operator_utc_s() -> float | None:
        polled = None if conditions.age_s is None else clock.utc_s() - conditions.age_s
        known = (delivery.contact("grid").answered_utc_s, events.heard_utc_s, polled)
        return max((found for found in known if found is not None), default=None)

    return Figures(
        cooling_efficiency_percent=cooling.efficiency_percent, operator_utc_s=operator_utc_s,
        forecast_percent=lambda: None, certificate_ends_utc_s=security.certificate_ends_utc_s,
        intrusions=lambda: security.intrusions.attempts)


class SubsystemService:
    """Reads the image, and asks those who know the rest."""

    def __init__(self, live: LiveImage, figures: Figures) -> None:
        self._live, self._figures = live, figures

    def read(self) -> Subsystems:
        """The figures now. Never refused: without control those that come from it are None."""
        report, figures = self._live.report(), self._figures
        return Subsystems(
            _control_ms(report), self._balance_percent(),
            None if report is None else figures.cooling_efficiency_percent(), self._sensors_percent(),
            figures.operator_utc_s(), figures.forecast_percent(), figures.certificate_ends_utc_s(),
            figures.intrusions())

    def _balance_percent(self) -> float | None:
        """By the meters themselves, all of them: control's own load may stand in for one that is lost."""
        spec = self._live.site.control
        grid_w = self._live.value(spec.grid_power.point)
        loads = [self._live.value(meter.point) for meter in spec.load_meters]
        batteries = [self._live.value(battery.power.point) for battery in spec.batteries]
        known = [value for value in (*loads, *batteries) if value is not None]
        if grid_w is None or not loads or len(known) < len(loads) + len(batteries):
            return None
        load_w = sum(known[:len(loads)])
        if load_w < _LOAD_MIN_W:
            return None
        return max(0.0, 100 * (1 - abs(grid_w - (load_w - sum(known[len(loads):]))) / load_w))

    def _sensors_percent(self) -> float | None:
        live, site = self._live, self._live.site
        points = [point for device in site.devices_of(*_COOLING)
                  for point in site.points[device.first_point:device.first_point + device.point_count]
                  if point.readable]
        if not points or not live.alive:
            return None
        return 100 * sum(live.value(point.index) is not None for point in points) / len(points)


def _control_ms(report: Report | None) -> float | None:
    return None if report is None else report.input_age_p99_ms + report.rules_p99_ms
