"""Events and alarms of control: told once, in order, to the image and to the log."""

from collections import deque
from collections.abc import Iterable
from typing import Literal, cast

import msgspec
import structlog

from pswd_edge.clock import Clock
from pswd_edge.image import ImageWriter
from pswd_edge.image.layout import EVENT_SLOTS
from pswd_edge.model.event import Event
from pswd_edge.model.report import AlarmReport

_TEXT_MAX, _NAME_MAX = 400, 80    # bytes
_log = structlog.get_logger("control")


class Journal:
    """Numbers events and keeps the alarms that are on. Bounded: texts are cut, one event lies in 1,024 bytes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._image: ImageWriter | None = None
        self._waiting: deque[Event] = deque(maxlen=EVENT_SLOTS)
        self._number = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._alarms: dict[str, AlarmReport] = {}

    def attach(self, image: ImageWriter) -> None:
        """Publish to this image from now on; first what was told before, with the time at which it was told."""
        self._image = image
        self._number = image.last_event
        while self._waiting:
            self._publish(image, self._waiting.popleft())

    def tell(self, severity: str, code: str, subject: str, text: str) -> None:
        """One event. `severity` is "info", "warning" or "alarm"."""
        event = Event(0, self._clock.utc_s(), cast("Literal['info', 'warning', 'alarm']", severity),
                      _cut(code, _NAME_MAX), _cut(subject, _NAME_MAX), _cut(text, _TEXT_MAX))
        (_log.info if severity == "info" else _log.warning)(event.code, subject=event.subject, text=event.text)
        if self._image is None:
            self._waiting.append(event)
        else:
            self._publish(self._image, event)

    def _publish(self, image: ImageWriter, event: Event) -> None:
        self._number += 1
        image.publish_event(self._number, self._encode(msgspec.structs.replace(event, number=self._number)))

    def alarms(self, conditions: Iterable[tuple[str, str]]) -> tuple[AlarmReport, ...]:
        """Bring the alarms up to date with the conditions (code, message) that hold now; tells each change once."""
        now = dict(conditions)
        for code, message in now.items():
            if code not in self._alarms:
                self._alarms[code] = AlarmReport(code, message, self._clock.utc_s())
                self.tell("alarm", code, code.partition(":")[2] or "site", message)
            elif self._alarms[code].message != message:
                self._alarms[code] = msgspec.structs.replace(self._alarms[code], message=message)
        for code in [c for c in self._alarms if c not in now]:
            del self._alarms[code]
            self.tell("info", "cleared", code, f"{code} is over")
        return tuple(self._alarms.values())


def _cut(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8, whole characters: what devices say of themselves is of any length and script."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
