"""How large a value can plausibly become, and the SunSpec scale factors that make it fit its registers."""

import math
from collections.abc import Callable, Iterable

from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.site import Site
from simulators.servers.coding import FORMS

# Where neither map nor site says: hall-sized devices.
_USUAL = {
    "W": 200e6, "var": 200e6, "VA": 200e6, "Wh": 1e12, "V": 50e3, "A": 50e3, "Hz": 100.0, "%": 100.0, "degC": 150.0,
    "s": 1e5, "L/min": 1e5, "bar": 100.0,
}
# Finer steps than these tell nothing.
_FINEST = {"W": 0, "var": 0, "VA": 0, "Wh": 0, "%": -2, "Hz": -3}
_SPARE = 1.25    # an overshoot must not saturate
_EXPONENTS = range(-10, 11)

Limit = Callable[[Point], float]


def site_limit(site: Site) -> Limit:
    """A function that says the largest magnitude of a point (SI), by write rule, site ratings, map or unit."""
    rating_w = {b.device: _SPARE * max(b.charge_rating_w, b.discharge_rating_w) for b in site.control.batteries}
    rating_w |= {c.device: _SPARE * c.rating_w for c in site.control.load_controllers}
    return lambda point: _largest(point, rating_w.get(point.device))


def usual_limit(point: Point) -> float:
    """The largest magnitude of a point of which no site tells anything."""
    return _largest(point, None)


def _largest(point: Point, rating_w: float | None) -> float:
    if point.write is not None:
        return max(abs(point.write.minimum), abs(point.write.maximum))
    if point.unit == "W" and rating_w is not None:
        return rating_w
    bounds = [abs(b) for b in (point.minimum, point.maximum) if math.isfinite(b)]
    return max(bounds) if bounds else _USUAL.get(point.unit, 1000.0)


def choose_exponents(points: Iterable[Point], limit: Limit) -> dict[int, int]:
    """One fixed power of ten for each scale register: the finest with which every point that shares it fits."""
    chosen: dict[int, int] = {}
    for point in points:
        address = point.address
        if isinstance(address, ModbusAddress) and address.scale_register is not None:
            needed = _needed(point, address, limit(point))
            chosen[address.scale_register] = max(needed, chosen.get(address.scale_register, needed))
    return chosen


def _needed(point: Point, address: ModbusAddress, largest: float) -> int:
    high = FORMS[address.type].high if address.bits is None else 2 ** (address.bits[1] - address.bits[0] + 1) - 1
    finest = _FINEST.get(point.unit, -3)
    for exponent in _EXPONENTS:
        raw = (largest - point.offset) / (point.scale * 10.0**exponent)
        if exponent >= finest and abs(raw) < high:
            return exponent
    raise ValueError(f"{point.id}: {largest:g} {point.unit} fits no scale factor of {address.type}; server not started")
