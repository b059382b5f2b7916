"""Events and alarms of control: told once, in order, to the image and to the log."""

from collections import deque
from collections.abc import Iterable
from typing import Literal, cast

import msgspec
import structlog

from pswd_edge.clock import Clock
from pswd_edge.control.alarm_file import AlarmFile
from pswd_edge.control.alarms import AlarmList, Change, Condition
from pswd_edge.image import ImageWriter
from pswd_edge.image.layout import EVENT_SLOTS
from pswd_edge.model.command import Acknowledge, Shelve
from pswd_edge.model.event import Event
from pswd_edge.model.report import AlarmReport

_TEXT_MAX, _NAME_MAX = 400, 80    # bytes
_log = structlog.get_logger("control")


class Journal:
    """Numbers events and keeps the list of alarms. Bounded: texts are cut, one event lies in 1,024 bytes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._image: ImageWriter | None = None
        self._waiting: deque[Event] = deque(maxlen=EVENT_SLOTS)
        self._number = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._alarms = AlarmList()
        self._file: AlarmFile | None = None
        self._kept = 0            # the revision of the alarms that was written down

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

    # --- alarms -------------------------------------------------------------------------------------------------

    def alarms(self, conditions: Iterable[tuple[str, str] | Condition]) -> tuple[AlarmReport, ...]:
        """Bring the alarms up to date with the conditions that hold now; tells each change once."""
        self._tell_changes(self._alarms.update(conditions, self._clock.monotonic_s(), self._clock.utc_s()))
        return self._alarms.listed

    def order(self, request: Acknowledge | Shelve) -> None:
        """What the desk has accepted."""
        now_s, utc_s = self._clock.monotonic_s(), self._clock.utc_s()
        if isinstance(request, Acknowledge):
            self._tell_changes(self._alarms.acknowledge(request.code, request.origin, now_s, utc_s))
        else:
            self._tell_changes(self._alarms.shelve(request.code, request.seconds, request.origin, now_s, utc_s))

    @property
    def listed(self) -> tuple[AlarmReport, ...]:
        """The alarms as they are now, gravest first."""
        return self._alarms.listed

    @property
    def trouble(self) -> str:
        """Why the alarms cannot be kept over a restart; "" where they can."""
        return "" if self._file is None else self._file.trouble

    def keep_in(self, file: AlarmFile) -> None:
        """Take up the alarms of a former process, and keep them there from now on. Reads the disk: before the loop."""
        self._file = file
        self._alarms.restore(file.read(), self._clock.monotonic_s(), self._clock.utc_s())

    def keep(self) -> None:
        """Have what has changed written down. Call it about once a second; never waits."""
        behind = self._alarms.revision != self._kept or self.trouble
        if self._file is not None and behind and self._file.save(self._alarms.listed):
            self._kept = self._alarms.revision

    def close(self) -> None:
        """Write the rest, and wait for it."""
        if self._file is not None:
            self._file.close(self._alarms.listed)

    def _tell_changes(self, changes: list[Change]) -> None:
        for what, code, text in changes:
            if what == "raised":
                self.tell("alarm", code, code.partition(":")[2] or "site", text)
            elif what == "cleared":
                self.tell("info", "cleared", code, text)
            elif what == "acknowledged":
                self.tell("info", "acknowledged", code, text)
            elif what == "shelved":
                self.tell("warning", "shelved", code, text)
            else:
                self.tell("info", "unshelved", code, text)


def _cut(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8, whole characters: what devices say of themselves is of any length and script."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
