"""Events and alarms of control: told once, in order, to the image and to the log."""

from collections.abc import Iterable
from typing import Literal, cast

import msgspec
import structlog

from pswd_edge.clock import Clock
from pswd_edge.image import ImageWriter
from pswd_edge.model.event import Event
from pswd_edge.model.report import AlarmReport

_TEXT_MAX, _NAME_MAX = 400, 80
_log = structlog.get_logger("control")


class Journal:
    """Numbers events and keeps the alarms that are on. Bounded: texts are cut, one event lies in 1,024 bytes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._image: ImageWriter | None = None
        self._waiting: list[Event] = []
        self._number = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._alarms: dict[str, AlarmReport] = {}

    def attach(self, image: ImageWriter) -> None:
        """Publish to this image from now on, what was told before included."""
        self._image = image
        self._number = image.last_event
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self.tell(event.severity, event.code, event.subject, event.text)

    def tell(self, severity: str, code: str, subject: str, text: str) -> None:
        """One event. `severity` is "info", "warning" or "alarm"."""
        self._number += 1
        event = Event(self._number, self._clock.utc_s(), cast("Literal['info', 'warning', 'alarm']", severity),
                      code[:_NAME_MAX], subject[:_NAME_MAX], text[:_TEXT_MAX])
        if self._image is None:
            self._waiting.append(event)
            return
        self._image.publish_event(event.number, self._encode(event)[:1024])
        (_log.info if severity == "info" else _log.warning)(code, subject=subject, text=text)

    def alarms(self, conditions: Iterable[tuple[str, str]]) -> tuple[AlarmReport, ...]:
        """Bring the alarms up to date with the conditions (code, message) that hold now; tells each change once."""
        now = dict(conditions)
        for code, message in now.items():
            if code not in self._alarms:
                self._alarms[code] = AlarmReport(code, message, self._clock.utc_s())
                self.tell("alarm", code, code.partition(":")[2] or "site", message)
        for code in [c for c in self._alarms if c not in now]:
            del self._alarms[code]
            self.tell("info", "cleared", code, f"{code} is over")
        return tuple(self._alarms.values())
