"""The JSON of the four streams. Every message has `seq`, which rises by one in its stream; a hole is a loss.

`run` names one run of the gateway, since `seq` begins again with it. Values are SI, times ISO 8601 UTC.
"""

import math
from typing import Any

import numpy as np
import orjson

from pswd_edge.clock import Clock, iso_utc
from pswd_edge.gateway.uplink.outbox import Message
from pswd_edge.image import ImageReader
from pswd_edge.model.event import Event
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.report import AlarmReport, Report

CONTROL_SILENT_S = 2.0    # a control process without a cycle for so long has stopped: its last values are no values
STREAMS = ("telemetry", "status", "events", "alarms")
_RETAINED = frozenset({"status", "alarms"})    # what a new subscriber must know at once
_QUALITY = {int(q): q.name.lower() for q in Quality}
_REASON = {int(r): r.name.lower() for r in Reason}


class Composer:
    """Makes the messages of one run and numbers them."""

    def __init__(self, image: ImageReader, prefix: str, clock: Clock) -> None:
        self._image, self._clock = image, clock
        self._prefix = prefix.rstrip("/")
        self._run = iso_utc(clock.utc_s())
        self._seq = dict.fromkeys(STREAMS, 0)

    def topic(self, stream: str) -> str:
        """The topic of a stream: `<prefix>/<stream>`."""
        return f"{self._prefix}/{stream}"

    def _message(self, stream: str, fields: dict[str, Any]) -> Message:
        self._seq[stream] += 1
        body = {"seq": self._seq[stream], "run": self._run, "site": self._image.site.id} | fields
        return Message(self.topic(stream), orjson.dumps(body), retain=stream in _RETAINED)

    def control_state(self) -> str:
        """"starting" before the first cycle, "running", or "silent" where cycles have stopped."""
        beat_s = self._image.beat_s
        if beat_s == 0.0:
            return "starting"
        return "running" if self._clock.monotonic_s() - beat_s < CONTROL_SILENT_S else "silent"

    def telemetry(self) -> Message:
        """The trend points as they are now. Only good ones carry a value; the others say what is wrong."""
        now_utc_s, now_s = self._clock.utc_s(), self._clock.monotonic_s()
        value, quality, reason, received_s, source_utc_s = self._image.latest()
        if self.control_state() == "silent":
            quality = np.full_like(quality, Quality.BAD)
            reason = np.where(reason == Reason.NONE, Reason.STALE, reason)
        taken_utc_s = np.where(np.isfinite(source_utc_s), source_utc_s, now_utc_s - now_s + received_s)
        site, points = self._image.site, {}
        for i in site.trend_points:
            point = site.points[i]
            points[point.id] = _reading(
                float(value[i]), int(quality[i]), int(reason[i]), float(taken_utc_s[i]), point.unit)
        return self._message("telemetry", {"timestamp": iso_utc(now_utc_s), "points": points})

    def status(self, state: str, reason: str, uplink: dict[str, int]) -> Message:
        """What the site and control are doing; retained. `state` is "online" or "offline"."""
        report, field = self._image.report(), self._image.field_report()
        control: dict[str, Any] = {"state": self.control_state()}
        if report is not None:
            control |= {
                "mode": report.mode, "mode_reason": report.mode_reason, "cycles": report.cycles,
                "cycles_missed": report.cycles_missed, "late_p99_ms": report.late_p99_ms,
                "degraded": report.degraded, "alarms": [a.code for a in report.alarms],
                "shadow": report.shadow,
            }
        fields: dict[str, Any] = {"timestamp": iso_utc(self._clock.utc_s()), "state": state, "reason": reason,
                                  "control": control, "uplink": uplink}
        if field is not None:
            fields["field"] = {"devices": len(self._image.site.devices), "devices_good": field.devices_good,
                               "points_good": field.points_good, "points_uncertain": field.points_uncertain,
                               "points_bad": field.points_bad}
        return self._message("status", fields)

    def will(self) -> Message:
        """What the broker says for us when the connection breaks. It has no number: nobody knows when it is sent."""
        body = {"run": self._run, "site": self._image.site.id, "state": "offline", "reason": "connection lost"}
        return Message(self.topic("status"), orjson.dumps(body), retain=True)

    def event(self, event: Event) -> Message:
        """One event of control. `number` is control's own, for telling repetitions after a restart of the gateway."""
        return self._message("events", {
            "timestamp": iso_utc(event.utc_s), "number": event.number, "severity": event.severity,
            "code": event.code, "subject": event.subject, "text": event.text,
        })

    def alarms(self) -> Message:
        """The whole list of alarms as it is now, gravest first; retained. Their changes are events, too."""
        report = self._image.report()
        return self._message("alarms", {
            "timestamp": iso_utc(self._clock.utc_s()),
            "alarms": [] if report is None else [_alarm(a) for a in report.alarms]})


def alarm_standing(report: Report | None) -> tuple[object, ...]:
    """What makes a list of alarms due at once when it changes: neither a text that counts seconds, nor a flap."""
    return () if report is None else tuple(
        (a.code, a.severity, a.active, a.acknowledged_utc_s, a.shelved_until_utc_s) for a in report.alarms)


def _alarm(alarm: AlarmReport) -> dict[str, Any]:
    """Times that there are none of are left out."""
    times = {"first": alarm.since_utc_s, "last": alarm.last_utc_s, "ended": alarm.ended_utc_s,
             "acknowledged": alarm.acknowledged_utc_s, "shelved_until": alarm.shelved_until_utc_s}
    return {"code": alarm.code, "severity": alarm.severity, "text": alarm.message, "active": alarm.active,
            "latched": alarm.latched, "count": alarm.count, "acknowledged_by": alarm.acknowledged_by,
            "shelved_by": alarm.shelved_by} | {name: iso_utc(t) for name, t in times.items() if t is not None}


def _reading(value: float, quality: int, reason: int, taken_utc_s: float, unit: str) -> dict[str, Any]:
    found: dict[str, Any] = {"quality": _QUALITY[quality], "unit": unit}
    if quality == Quality.GOOD and math.isfinite(value):
        found["value"] = value
    else:
        found["reason"] = _REASON.get(reason, str(reason))
    if math.isfinite(taken_utc_s):
        found["timestamp"] = iso_utc(taken_utc_s)
    return found
