"""Every sensor of cooling, heat delivery and racks: what it shows, how exactly, and whether it can be trusted."""

from typing import Literal, NamedTuple

import numpy as np

from pswd_edge.clock import Clock
from pswd_edge.errors import TornReadError
from pswd_edge.gateway.live import PUBLISH_SLACK_S, LiveImage, PerSite
from pswd_edge.gateway.refusal import RefusalError, control_unavailable, unavailable
from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress, Point, SnmpAddress
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.site import Site

SensorKind = Literal["temperature", "flow_rate", "pressure", "vapor_quality", "pump_speed"]
SensorStatus = Literal["normal", "warning", "fault", "stale"]
KINDS = ("cdu", "chiller", "heat_exchanger", "load_controller")
_BY_UNIT: dict[str, SensorKind] = {"degC": "temperature", "L/min": "flow_rate", "bar": "pressure"}
_BY_SIGNAL: dict[str, SensorKind] = {"vapor_quality_percent": "vapor_quality", "pump_speed_percent": "pump_speed"}
_GONE = frozenset({Reason.NEVER_READ, Reason.STALE, Reason.UNREACHABLE})
_WHOLE = ("int", "uint", "bcd")


class Sensor(NamedTuple):
    """One sensor; °C, L/min, bar or %.

    `value` is None where it cannot be used. `accuracy`: one count of its register, None where it sends floating-point
    numbers. `utc_s`: the source's own time, or when it was received; None: never.
    """

    point: Point
    device: str
    kind: SensorKind
    value: float | None
    accuracy: float | None
    utc_s: float | None
    status: SensorStatus


class SensorService:
    """Reads the newest values, and means from the ring."""

    def __init__(self, live: LiveImage, clock: Clock) -> None:
        self._live, self._clock = live, clock
        self._known = PerSite(live, _find)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._known.get()[1])

    def read(self, device: str | None = None, kind: SensorKind | None = None, over_s: int = 1) -> list[Sensor]:
        """The sensors, in the order of the site.

        Args:
            device: of this one only.
            kind: of this kind only.
            over_s: means over so many seconds, of the points whose past the image keeps; the newest value of others.

        Raises:
            RefusalError: 404 where there is no such device with sensors, 503 where control is not alive.
        """
        if not self._live.alive:
            raise control_unavailable()
        reader, found = self._known.get()
        if device is not None and device not in {d.id for _, d, _ in found}:
            raise RefusalError(404, "SYSTEM_NOT_FOUND", f"system {device}: no such system with sensors on this site")
        found = [f for f in found if device in (None, f[1].id) and kind in (None, f[2])]
        try:
            value, quality, reason, received_s, source_utc_s = reader.latest()
        except TornReadError as error:
            raise unavailable("IMAGE_BUSY", "the values were being written; ask again", retry_after_s=1) from error
        now_s, utc_s = self._clock.monotonic_s(), self._clock.utc_s()
        means = self._means([p for p, _, _ in found], over_s)
        limits = _limits(reader.site)
        sensors = []
        for point, own, sort in found:
            i = point.index
            age_s = now_s - float(received_s[i])
            status = _status(point, Quality(quality[i]), Reason(reason[i]), age_s)
            shown = None if status in ("stale", "fault") else means.get(i, float(value[i]))
            if status == "normal" and shown is not None and shown >= limits.get(i, np.inf):
                status = "warning"
            at = float(source_utc_s[i]) if np.isfinite(source_utc_s[i]) else utc_s - age_s
            sensors.append(Sensor(point, own.id, sort, shown, _accuracy(point), at if np.isfinite(at) else None,
                                  status))
        return sensors

    def _means(self, points: list[Point], over_s: int) -> dict[int, float]:
        """Means of trend points over the last `over_s`, those without a usable row left out."""
        reader, _ = self._known.get()
        trend = reader.site.trend_points
        columns = {p.index: trend.index(p.index) for p in points if p.trend}
        if not columns:
            return {}
        rows = reader.rows(max(1, over_s * 1000 // reader.site.control.period_ms))
        recent = rows.monotonic_s > self._clock.monotonic_s() - over_s - PUBLISH_SLACK_S
        value = np.where(rows.quality == Quality.BAD, np.nan, rows.value)[recent]
        found = {i: value[:, c][np.isfinite(value[:, c])] for i, c in columns.items()}
        return {i: float(v.mean()) for i, v in found.items() if len(v)}


def _find(site: Site) -> list[tuple[Point, Device, SensorKind]]:
    found = []
    for device in site.devices_of(*KINDS):
        for point in site.points[device.first_point : device.first_point + device.point_count]:
            kind = _BY_SIGNAL.get(point.signal) or _BY_UNIT.get(point.unit)
            if kind is not None and point.readable and point.write is None:
                found.append((point, device, kind))
    return found


def _status(point: Point, quality: Quality, reason: Reason, age_s: float) -> SensorStatus:
    if not age_s <= 3 * point.period_ms / 1000 + PUBLISH_SLACK_S:
        return "stale"
    if quality is Quality.BAD:
        return "stale" if reason in _GONE else "fault"
    return "warning" if quality is Quality.UNCERTAIN else "normal"


def _limits(site: Site) -> dict[int, float]:
    """The temperature from which on an interlock acts, by point."""
    thermal = site.control.thermal
    return {i.temperature.point: i.limit_c for i in (thermal.interlocks if thermal else ())}


def _accuracy(point: Point) -> float | None:
    """One count of a whole number; a device may well be less exact, but never more."""
    address = point.address
    whole = isinstance(address, SnmpAddress) or (
        isinstance(address, ModbusAddress) and address.type.startswith(_WHOLE) and address.scale_register is None)
    return abs(point.scale) if whole else None
