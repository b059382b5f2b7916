"""All that can be worked out before a site is polled: drivers, requests, tables. Slow, and touches nothing that lives.

A plan is made in a thread while an older one runs; `Field.install` then takes a millisecond.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pswd_edge.errors import ConfigError
from pswd_edge.field.drivers.base import Driver, ReadRequest
from pswd_edge.field.group import Group
from pswd_edge.field.health_report import HealthReport
from pswd_edge.field.learnt import Learnt
from pswd_edge.field.schedule import is_critical
from pswd_edge.field.table import Table
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import Point
from pswd_edge.model.site import Site

DriverFactory = Callable[[Connection], Driver]


@dataclass(frozen=True)
class SitePlan:
    """`kept_connections`: new index to old, of those that go on as they are; `kept_points`: old indices, and new."""

    site: Site
    watched: tuple[int, ...]
    drivers: Mapping[int, Driver]
    requests: Sequence[ReadRequest]
    table: Table
    inputs: Group
    rest: Group
    health: HealthReport
    kept_connections: Mapping[int, int]
    kept_points: tuple[NDArray[np.intp], NDArray[np.intp]]


def make_plan(site: Site, make_driver: DriverFactory, watched: Iterable[int], learnt: Learnt,
              old: SitePlan | None = None) -> SitePlan:
    """Plan a site; what `old` has of it, sessions and values, is marked to be kept.

    Raises ConfigError where a driver cannot plan its points, SecretError where a secret cannot be read.
    """
    kept = {} if old is None else _kept_connections(old.site, site)
    drivers = {c.index: old.drivers[kept[c.index]] if old is not None and c.index in kept else make_driver(c)
               for c in site.connections}
    requests = plan_site(site, drivers, learnt)
    table = Table(site.points, requests)
    table.refuse(learnt.refused_points(site))
    inputs_only = set(watched)
    critical = [slot for slot, r in enumerate(requests) if is_critical(r, site.control.period_ms, inputs_only)]
    others = sorted(set(range(len(requests))) - set(critical))
    return SitePlan(
        site, tuple(dict.fromkeys(watched)), drivers, requests, table,
        table.group(critical, inputs_only), table.group(others, inputs_only),
        HealthReport(site, requests), kept, _kept_points(None if old is None else old.site, site, kept))


def _kept_connections(old: Site, new: Site) -> dict[int, int]:
    """Connections of the same id that are the same but for their number."""
    before = {c.id: c for c in old.connections}
    names = [f for f in Connection.__struct_fields__ if f != "index"]
    return {c.index: before[c.id].index for c in new.connections
            if c.id in before and all(getattr(before[c.id], f) == getattr(c, f) for f in names)}


def _kept_points(old: Site | None, new: Site,
                 kept: Mapping[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Points of the same id that are read in the same way, of the same unit on a connection that is kept."""
    pairs = []
    for point in new.points:
        before = None if old is None else old.point_index.get(point.id)
        if old is not None and before is not None and _same_reading(old, old.points[before], new, point, kept):
            pairs.append((before, point.index))
    found = np.array(pairs, np.intp).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _same_reading(old: Site, a: Point, new: Site, b: Point, kept: Mapping[int, int]) -> bool:
    before, after = old.devices[a.device], new.devices[b.device]
    if kept.get(after.connection) != before.connection or before.unit != after.unit:
        return False
    return (a.address, a.scale, a.offset, a.invalid, a.unit) == (b.address, b.scale, b.offset, b.invalid, b.unit)


def plan_site(site: Site, drivers: Mapping[int, Driver], learnt: Learnt | None = None) -> list[ReadRequest]:
    """Every request that a site needs, by device and rate class; without what a device was found to refuse."""
    requests: list[ReadRequest] = []
    for device in site.devices:
        points = [p for p in site.points[device.first_point : device.first_point + device.point_count] if p.readable]
        by_period: dict[int, list[Point]] = {}
        for point in points:
            if learnt is None or not learnt.refuses(device, point):
                by_period.setdefault(point.period_ms, []).append(point)
        for _, found in sorted(by_period.items()):
            requests += _plan(drivers[device.connection], device, found, learnt)
    return requests


def _plan(driver: Driver, device: Device, points: Sequence[Point], learnt: Learnt | None) -> list[ReadRequest]:
    walled = device if learnt is None else learnt.walled(device)
    try:
        return driver.plan(walled, points)
    except ConfigError:
        if walled is device:
            raise
        return driver.plan(device, points)  # a learnt barrier stands inside a point: asked as the map says
