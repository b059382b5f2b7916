"""A site of two trend points and one other, and a writer that publishes what a test wants to be seen."""

from pathlib import Path

import msgspec
import numpy as np
from gateway_campus import make_report

from pswd_edge.clock import Clock, SystemClock
from pswd_edge.image import ImageWriter
from pswd_edge.model.control import ControlSpec, Input
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.event import Event
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.site import Site

CONTROL = ControlSpec(
    period_ms=100, input_deadline_percent=60, start_mode="observe", auto_after_s=5.0, grid_power=Input(0),
    load_meters=(), frequency=None, ramp_limit_w_per_min=1e7, ramp_up_w_per_s=1e5, ramp_down_w_per_s=1e5,
    import_limit_w=1e8, load_floor_w=0.0, load_ceiling_w=1e8, load_maximum_w=1e8, delay_s=0.2, filter_hz=0.15,
    frozen_after=0, batteries=(), tiers=(), load_controllers=(), cooling_rating_w=1e8)


def small_site(site_id: str = "north") -> Site:
    """One meter with power and frequency in the trend, and energy outside it."""
    points = tuple(
        Point(i, f"pcc.{signal}", 0, signal, unit, ModbusAddress(i, "float32"), trend=trend)
        for i, (signal, unit, trend) in enumerate(
            [("active_power_w", "W", True), ("frequency_hz", "Hz", True), ("energy_import_wh", "Wh", False)]))
    device = Device(0, "pcc", "meter", 0, 1, "some-meter", 0, 3)
    return Site(site_id, "campus", "North", (Connection(0, "pcc", "modbus", {}),), (device,), points, (), CONTROL)


class SmallImage:
    """What control would write. Every point is good and fresh until a test says otherwise."""

    def __init__(self, folder: Path, clock: Clock | None = None, site: Site | None = None) -> None:
        self.folder, self.clock, self.site = folder, clock or SystemClock(), site or small_site()
        self.writer = ImageWriter(folder, self.site)
        self._number = self._event = 0
        self.publish([70e6, 50.01, 1.0])

    def publish(self, value: list[float], quality: list[Quality] | None = None,
                reason: list[Reason] | None = None) -> None:
        self._number += 1
        now_s = self.clock.monotonic_s()
        self.writer.publish_latest(
            self._number, np.array(value), np.full(3, np.nan), np.full(3, now_s),
            np.array(quality or [Quality.GOOD] * 3, np.uint8), np.array(reason or [Reason.NONE] * 3, np.uint8))
        self.writer.beat(now_s)

    def report(self, **changes: object) -> None:
        self.writer.publish_report(self._number, msgspec.msgpack.encode(make_report(1, self.clock, **changes)))

    def event(self, text: str) -> None:
        self._event += 1
        event = Event(self._event, self.clock.utc_s(), "info", "test", "pcc", text)
        self.writer.publish_event(self._event, msgspec.msgpack.encode(event))
