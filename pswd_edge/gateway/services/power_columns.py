"""Which columns of the ring are the site's load, its circuits and the quality of its grid connection."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.image.reader import Rows
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site

_PHASES = ("l1", "l2", "l3")


class PowerQuality(NamedTuple):
    """At the grid connection; None where it is not measured.

    `voltage_v`, `current_a`: means of the phases as the meter measures them. `stability_percent`: 100 less the largest
    deviation of a phase from the nominal voltage; only where the site file names one.
    """

    frequency_hz: float | None
    thd_percent: float | None
    power_factor: float | None
    voltage_v: float | None
    current_a: float | None
    stability_percent: float | None


FIRST_CIRCUIT = 2 + len(PowerQuality._fields)


class GridPoints(NamedTuple):
    """Point indices at the grid connection; None where there is no such point, () where there are no phases."""

    frequency: int | None
    thd: int | None
    factor: int | None
    active: int
    reactive: int | None
    voltages: tuple[int, ...]
    currents: tuple[int, ...]


class Columns(NamedTuple):
    """Ring columns; `load` and `grid_and_batteries` are None where one of their points has no trend."""

    load: tuple[int, ...] | None
    grid_and_batteries: tuple[int, ...] | None
    circuits: tuple[int, ...]
    circuit_ids: tuple[str, ...]
    quality: GridPoints
    nominal_v: float | None

    @property
    def width(self) -> int:
        """Columns of `values`."""
        return FIRST_CIRCUIT + len(self.circuits)


def grid_points(site: Site) -> GridPoints:
    """The points of the meter that measures the grid's power."""
    grid = site.control.grid_power.point
    meter = site.devices[site.points[grid].device].id

    def phases(word: str, unit: str) -> tuple[int, ...]:
        found = [site.find(meter, f"{word}_{phase}_{unit}") for phase in _PHASES]
        return tuple(point for point in found if point is not None)

    return GridPoints(site.control.frequency, site.find(meter, "thd_percent"), site.find(meter, "power_factor"), grid,
                      site.find(meter, "reactive_power_var"), phases("voltage", "v"), phases("current", "a"))


def find_columns(site: Site) -> Columns:
    """The columns of this site's ring."""
    place = {point: column for column, point in enumerate(site.trend_points)}
    control, points = site.control, grid_points(site)
    circuits = [(c.id, place[c.meter]) for c in site.circuits if c.meter is not None and c.meter in place]

    def one(point: int | None) -> int | None:
        return None if point is None else place.get(point)

    def all_of(wanted: Sequence[int]) -> tuple[int, ...] | None:
        return tuple(place[p] for p in wanted) if wanted and all(p in place for p in wanted) else None

    quality = GridPoints(one(points.frequency), one(points.thd), one(points.factor), place.get(points.active, -1),
                         one(points.reactive), all_of(points.voltages) or (), all_of(points.currents) or ())
    return Columns(
        all_of([meter.point for meter in control.load_meters]),
        all_of([points.active, *(battery.power.point for battery in control.batteries)]),
        tuple(column for _, column in circuits), tuple(circuit for circuit, _ in circuits),
        quality, site.grid.nominal_voltage_v,
    )


def values(rows: Rows, columns: Columns) -> NDArray[np.float64]:
    """Load, grid, quality (as `PowerQuality`) and circuits of each row, (n, columns.width); NaN where BAD.

    A sum or mean with a BAD term is NaN.
    """
    value = np.where(rows.quality == Quality.BAD, np.nan, rows.value)
    found = np.full((len(value), columns.width), np.nan)
    if columns.load is not None:
        found[:, 0] = value[:, columns.load].sum(axis=1)
    if columns.grid_and_batteries is not None and (unknown := np.isnan(found[:, 0])).any():
        found[unknown, 0] = value[np.ix_(unknown, columns.grid_and_batteries)].sum(axis=1)
    if columns.quality.active >= 0:
        found[:, 1] = value[:, columns.quality.active]
    _quality(value, columns, found[:, 2:FIRST_CIRCUIT])
    found[:, FIRST_CIRCUIT:] = value[:, columns.circuits]
    return found


def _quality(value: NDArray[np.float64], columns: Columns, into: NDArray[np.float64]) -> None:
    points = columns.quality
    for place, column in enumerate((points.frequency, points.thd, points.factor)):
        if column is not None:
            into[:, place] = value[:, column]
    if points.factor is None and points.reactive is not None and points.active >= 0:
        into[:, 2] = power_factor(value[:, points.active], value[:, points.reactive])
    if points.voltages:
        into[:, 3] = value[:, points.voltages].mean(axis=1)
        if columns.nominal_v:
            into[:, 5] = stability_percent(value[:, points.voltages], columns.nominal_v)
    if points.currents:
        into[:, 4] = value[:, points.currents].mean(axis=1)


def power_factor(active_w: NDArray[np.float64], reactive_var: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 to 1; NaN where nothing flows."""
    apparent_va = np.hypot(active_w, reactive_var)
    return np.asarray(np.divide(np.abs(active_w), apparent_va, out=np.full(len(apparent_va), np.nan),
                                where=apparent_va > 0))


def stability_percent(phases_v: NDArray[np.float64], nominal_v: float) -> NDArray[np.float64]:
    """100 less the largest deviation of the phases (n, p) from nominal; at least 0."""
    return np.asarray(np.maximum(0.0, 100 - 100 * np.abs(phases_v / nominal_v - 1).max(axis=1)))
