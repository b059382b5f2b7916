"""A site of any size with nothing behind it, and values for it."""

import numpy as np

from pswd_edge.image import ImageWriter
from pswd_edge.model.control import ControlSpec, Input
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.site import Site

SPEC = ControlSpec(
    period_ms=100, input_deadline_percent=60, start_mode="observe", auto_after_s=5.0, grid_power=Input(0),
    load_meters=(), frequency=None, ramp_limit_w_per_min=10e6, ramp_up_w_per_s=1e5, ramp_down_w_per_s=1e5,
    import_limit_w=125e6, load_floor_w=20e6, load_ceiling_w=100e6, load_maximum_w=130e6, delay_s=0.25, filter_hz=0.15,
    frozen_after=20, batteries=(), tiers=(), load_controllers=(), cooling_rating_w=140e6)


def site_of(points: int, trend: int = 2, period_ms: int = 100, name: str = "north") -> Site:
    """`period_ms` sets the rows of the ring: 3,600 s of them."""
    from msgspec.structs import replace
    found = tuple(Point(i, f"meter.{i}", 0, "active_power_w", "W", ModbusAddress(i, "int16"), trend=i < trend)
                  for i in range(points))
    return Site(name, "facility", name, (Connection(0, "field", "modbus", {}),),
                (Device(0, "meter", "meter", 0, 1, "none", 0, points),), found, (), replace(SPEC, period_ms=period_ms))


def publish(writer: ImageWriter, number: int, points: int, base: float = 0.0) -> None:
    """Point i is base + i, answered at monotonic 100 + i, GOOD; all of one write can be told by `base`."""
    writer.publish_latest(
        number, base + np.arange(points, dtype=np.float64), np.full(points, 1000.0 + base),
        100.0 + np.arange(points, dtype=np.float64), np.full(points, Quality.GOOD, np.uint8),
        np.full(points, Reason.NONE, np.uint8))


def publish_rows(writer: ImageWriter, points: int, first: int, count: int) -> None:
    """Rows of cycles first, first + 1, …; every value is the cycle's number."""
    for cycle in range(first, first + count):
        writer.publish_row(cycle, float(cycle), 1e9 + cycle, np.full(points, float(cycle)),
                           np.full(points, cycle % 3, np.uint8))
