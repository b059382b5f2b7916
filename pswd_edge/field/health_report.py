"""Health of connections and devices for the image, once a second."""

import math
from collections.abc import Sequence

import numpy as np

from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.poller import Poller
from pswd_edge.field.table import Table
from pswd_edge.field.texts import reported_texts
from pswd_edge.model.quality import Quality
from pswd_edge.model.report import DeviceReport, FieldReport
from pswd_edge.model.site import Site


class HealthReport:
    """What of a plan a report needs, worked out once."""

    def __init__(self, site: Site, requests: Sequence[ReadRequest]) -> None:
        self._devices = len(site.devices)
        self._readable = np.array([p.index for p in site.points if p.readable], np.intp)
        self._device_of = np.array([p.device for p in site.points if p.readable], np.intp)
        self._request_device = np.array([r.device.index for r in requests], np.intp)

    def report(self, table: Table, pollers: Sequence[Poller], now_s: float, utc_s: float) -> FieldReport:
        """Everything, as it is now."""
        table.refresh.look(now_s)
        quality = table.quality[self._readable]
        good, uncertain, bad = (int((quality == q).sum()) for q in Quality)
        devices = self._reports(table, quality != Quality.GOOD, now_s, utc_s)
        return FieldReport(utc_s, tuple(p.report() for p in pollers), good, uncertain, bad,
                           sum(d.points_not_good == 0 for d in devices), devices,
                           reported_texts(table.texts, table.quality))

    def _reports(self, table: Table, wrong: np.ndarray, now_s: float, utc_s: float) -> tuple[DeviceReport, ...]:
        not_good = np.bincount(self._device_of[wrong], minlength=self._devices)
        period_s = np.full(self._devices, np.inf)
        found_s = table.refresh.period_s[: len(self._request_device)]
        np.minimum.at(period_s, self._request_device, np.where(np.isnan(found_s), np.inf, found_s))
        offset_s = self._clock_offsets(table, now_s, utc_s)
        found = zip(not_good.tolist(), (1e3 * period_s).round(1).tolist(), offset_s.round(3).tolist(), strict=True)
        return tuple(
            DeviceReport(d, wrong, period if period < math.inf else None, None if math.isnan(offset) else offset)
            for d, (wrong, period, offset) in enumerate(found))

    def _clock_offsets(self, table: Table, now_s: float, utc_s: float) -> np.ndarray:
        """Each device's clock against ours, s, by the newest of its time stamps; NaN where it sends none."""
        source_s = table.source_utc_s[self._readable]
        received_utc_s = utc_s - (now_s - table.received_s[self._readable])
        newest = np.full(self._devices, -np.inf)
        np.maximum.at(newest, self._device_of, np.where(np.isnan(source_s), -np.inf, source_s - received_utc_s))
        offset: np.ndarray = np.where(np.isfinite(newest), newest, np.nan)
        return offset
