"""What the site's power is for, now."""

from typing import NamedTuple

from pswd_edge.gateway.live import LiveImage, PerSite
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.whole import whole_sum
from pswd_edge.model.site import Site

_SLACK = 0.01       # of the total: meters are read one after the other, so parts may exceed the whole by a hair


class Breakdown(NamedTuple):
    """W; None where it is not known. `rest_w` is neither compute nor cooling: conversion, light, what has no meter."""

    total_w: float | None
    compute_w: float | None
    cooling_w: float | None
    rest_w: float | None


class _Points(NamedTuple):
    compute: tuple[int | None, ...]
    cooling: tuple[int | None, ...]


class BreakdownService:
    """Live parts of the load."""

    def __init__(self, live: LiveImage, power: PowerService) -> None:
        self._live = live
        self._power = power
        self._points = PerSite(live, _find_points)

    def read(self) -> Breakdown:
        """Now; the rest only where all else is known, and never below 0."""
        points = self._points.get()[1]
        total_w, compute_w, cooling_w = self._power.total_w(), self._sum(points.compute), self._sum(points.cooling)
        rest_w = None
        if total_w is not None and compute_w is not None and cooling_w is not None:
            left_w = total_w - compute_w - cooling_w
            rest_w = max(0.0, left_w) if left_w >= -_SLACK * abs(total_w) else None
        return Breakdown(total_w, compute_w, cooling_w, rest_w)

    def _sum(self, points: tuple[int | None, ...]) -> float | None:
        return whole_sum(self._live.value(point) for point in points)


def _find_points(site: Site) -> _Points:
    """The meters of circuits that feed nothing else; without such, the racks' and the chillers' own."""
    fed = {use: tuple(c.meter for c in site.circuits if c.feeds == use) for use in ("compute", "cooling")}
    racks = tuple(rack.power for rack in site.control.load_controllers)
    chillers = tuple(site.find(device.id, "active_power_w") for device in site.devices_of("chiller"))
    return _Points(fed["compute"] or racks, fed["cooling"] or chillers)
