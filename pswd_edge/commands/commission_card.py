"""What commissioning shows of one actuated point before it is tried: what will be written, within which limits."""

import math
import time
from typing import NamedTuple

from pswd_edge.control.commissioned import led_points
from pswd_edge.image import ImageReader
from pswd_edge.model.control import BatteryControl
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site

_DISCHARGE = "positive discharges, negative charges"


class Card(NamedTuple):
    """One point (of a battery: the set-point, with all that leads it). `shown` is what its read-back shows, or None.

    `power_of_ten` is the value of its scale register where the map reads that too; None: not known here.
    """

    site: Site
    point: Point
    shown: float | None
    power_of_ten: float | None
    battery: BatteryControl | None

    def raw(self, value: float) -> float | None:
        """The raw number that stands on the wire for a value; None where the scale register is not known."""
        address = self.point.address
        raw = (value - self.point.offset) / self.point.scale
        if isinstance(address, ModbusAddress) and address.scale_register is not None:
            return None if self.power_of_ten is None else raw / 10**self.power_of_ten
        return raw

    def action(self, *, operate: bool) -> str:
        """What is tried: set-points are moved, switches and codes only read or selected, unless they are operated."""
        rule = self.point.write
        assert rule is not None, "cards are of actuated points"
        if rule.sbo or self.point.labels or self.point.unit == "1":
            return "operate" if operate else "dry_run"
        return "nudge"

    def plan(self, *, operate: bool) -> str:
        """The same for a person."""
        return {"nudge": "moves it by at most 1 % of its range for a few seconds, and back",
                "dry_run": "reads its state and selects it; nothing is switched",
                "operate": "SWITCHES it and back"}[self.action(operate=operate)]

    def facts(self) -> dict[str, object]:
        """For programs."""
        point, rule = self.point, self.point.write
        assert rule is not None, "cards are of actuated points"
        return {
            "point": point.id, "unit": point.unit, "sign": self.sign, "scale": point.scale, "offset": point.offset,
            "minimum": rule.minimum, "maximum": rule.maximum, "raw_minimum": self.raw(rule.minimum),
            "raw_maximum": self.raw(rule.maximum), "revert_s": rule.revert_s, "shown": self.shown,
            "raw_shown": None if self.shown is None else self.raw(self.shown), "sbo": rule.sbo,
            "labels": {str(k): v for k, v in point.labels.items()}, "action": self.action(operate=False),
            "with": [self.site.points[p].id for p in led_points(self.battery)] if self.battery else []}

    @property
    def sign(self) -> str:
        """What a positive value means."""
        return _DISCHARGE if self.battery is not None else "as the unit says"

    def lines(self) -> list[str]:
        """For people."""
        point, rule = self.point, self.point.write
        assert rule is not None, "cards are of actuated points"
        low, high = self.raw(rule.minimum), self.raw(rule.maximum)
        raw = "depends on the scale register" if low is None or high is None else f"{low:.10g} to {high:.10g}"
        reverts = f"falls back {rule.revert_s:g} s after the last write" if rule.revert_s else "never falls back"
        shown = "cannot be read" if self.shown is None else f"{self.shown:g} {point.unit}{self._raw_shown()}"
        lines = [f"{point.id}  ({point.source})",
                 f"  sign: {self.sign}; unit {point.unit}, scale {point.scale:g} a count",
                 f"  limits {rule.minimum:g} to {rule.maximum:g} {point.unit}, raw {raw}", f"  {reverts}",
                 f"  shows now: {shown}"]
        if point.labels:
            lines.append("  codes: " + ", ".join(f"{k} {v}" for k, v in point.labels.items()))
        if self.battery is not None:
            lines.append("  with: " + ", ".join(self.site.points[p].id for p in led_points(self.battery)))
        return lines

    def _raw_shown(self) -> str:
        raw = None if self.shown is None else self.raw(self.shown)
        return "" if raw is None else f" (raw {raw:.10g})"


def cards_of(image: ImageReader, name: str) -> list[Card]:
    """The cards of a device, or of one point; of a battery's points only the set-point has one."""
    site, found = image.site, []
    led = {p: b for b in site.control.batteries for p in led_points(b)}
    for point in site.points:
        if point.write is None or name not in (point.id, site.devices[point.device].id):
            continue
        battery = led.get(point.index)
        if battery is None or point.index == battery.setpoint:
            found.append(Card(site, point, _shown(image, point.write.read_back), _power_of_ten(image, point), battery))
    return found


def _shown(image: ImageReader, index: int | None) -> float | None:
    if index is None:
        return None
    reading = image.value(index, time.monotonic())[0]
    return reading.value if reading.quality is Quality.GOOD and math.isfinite(reading.value) else None


def _power_of_ten(image: ImageReader, point: Point) -> float | None:
    """The value of a point's scale register, where the map reads it as a point of its own."""
    address = point.address
    if not isinstance(address, ModbusAddress) or address.scale_register is None:
        return None
    place = (address.model, address.occurrence, address.scale_register)
    for other in image.site.points:
        found = other.address
        if other.device == point.device and isinstance(found, ModbusAddress) and (
                (found.model, found.occurrence, found.register) == place):
            return _shown(image, other.index)
    return None
