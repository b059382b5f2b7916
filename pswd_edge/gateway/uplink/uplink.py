"""Collects what the image shows, keeps a session with the broker, sends. Never stops for lack of a broker.

A new generation of the image is followed within a second; a new site shows from the next message on.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

import structlog

from pswd_edge.clock import Clock, SystemClock
from pswd_edge.errors import ImageError, TornReadError
from pswd_edge.gateway.uplink.messages import Composer, alarm_standing
from pswd_edge.gateway.uplink.outbox import Outbox
from pswd_edge.gateway.uplink.session import BrokerError, Session
from pswd_edge.image import ImageReader
from pswd_edge.model.site import Uplink as Settings

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
_BACKOFF_LEAST_S = 0.05
_SETTLED_S = 5.0        # a session that lived so long was a real one: the next failure starts with short pauses
_LOOK_S = 0.2           # how soon an event leaves
_STATUS_S = 10.0
_ANSWER_S = 20.0        # an acknowledgement that takes longer will not come
_GOODBYE_S = 1.0
_NO_BROKER = "no broker; messages wait in the queue, next attempts within 30 s"


def backoff_s(attempt: int, draw: Callable[[float, float], float]) -> float:
    """Pause before attempt 1, 2, …: full jitter under a doubling bound, so that a fleet does not return at once."""
    bound = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempt - 1, 16))
    return max(_BACKOFF_LEAST_S, draw(0.0, bound))


class Uplink:
    """The site's MQTT uplink. `run` works until it is cancelled; the counters may be read at any time."""

    def __init__(self, settings: Settings, image: ImageReader, password: str | None,
                 clock: Clock | None = None) -> None:
        self._settings, self._image, self._password = settings, image, password
        self._clock: Clock = clock or SystemClock()
        self._composer = Composer(image, settings.topic_prefix, self._clock)
        self._outbox = Outbox(settings.queue_messages)
        self._session: Session | None = None
        self._said: set[str] = set()
        self._event = 0
        self._site_hash = image.site_hash
        self._telemetry_at_s = self._status_at_s = float("-inf")
        self._welcomed_at_s = float("inf")
        self._shown = ""
        self._alarms: tuple[object, ...] | None = None    # those of the last list; None: it was never sent
        self.torn = 0
        self._log = structlog.get_logger("uplink").bind(broker=f"{settings.host}:{settings.port}")

    @property
    def published(self) -> int:
        """Messages sent at least once."""
        return self._outbox.published

    @property
    def acknowledged(self) -> int:
        """Messages that the broker has taken."""
        return self._outbox.acknowledged

    @property
    def dropped(self) -> int:
        """Messages given up because the queue was full, and those that the broker refused for good."""
        return self._outbox.dropped + self._outbox.refused

    @property
    def queued(self) -> int:
        """Messages that the broker has not acknowledged yet, sent or not."""
        return len(self._outbox)

    @property
    def connected(self) -> bool:
        """Whether the broker has welcomed us and the connection stands."""
        return self._session is not None

    async def run(self) -> None:
        """Collect and send until cancelled, then say goodbye to the broker, for a second at most."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._collect_forever(), name="uplink-collect")
            tasks.create_task(self._connect_forever(), name="uplink-connect")

    async def _collect_forever(self) -> None:
        tick_s = min(_LOOK_S, self._settings.period_ms / 1000)
        next_s = self._clock.monotonic_s()
        while True:
            try:
                self.collect()
            except TornReadError:    # the writer was faster than every retry; the next look is 0.2 s away
                self.torn += 1
            except ImageError as error:    # half of a reload; the next look finds it whole
                self._say_once(str(error), "no process image; nothing new to send until it is back")
            next_s = max(next_s + tick_s, self._clock.monotonic_s())
            await asyncio.sleep(next_s - self._clock.monotonic_s())

    def collect(self) -> None:
        """Queue what is new or due by the clock, and send what may be sent."""
        now_s = self._clock.monotonic_s()
        self._image.follow()
        self._collect_events()
        if now_s - self._telemetry_at_s >= self._settings.period_ms / 1000 - 0.001:
            late = now_s - self._telemetry_at_s > 2 * self._settings.period_ms / 1000
            self._telemetry_at_s = now_s if late else self._telemetry_at_s + self._settings.period_ms / 1000
            self._outbox.put(self._composer.telemetry())
        if now_s - self._status_at_s >= _STATUS_S or self._standing() != self._shown:
            self._put_status("online", "")
        self._collect_alarms()
        self._check_answers(now_s)
        self._send()

    def _check_answers(self, now_s: float) -> None:
        if self._session is not None and self._outbox.oldest_wait_s(now_s) > _ANSWER_S:
            self._session.close(f"no acknowledgement in {_ANSWER_S:g} s")

    def _collect_events(self) -> None:
        if self._image.site_hash != self._site_hash:    # another site's events are counted from 1 again
            self._site_hash, self._event = self._image.site_hash, 0
        for event in self._image.events(self._event):
            self._outbox.put(self._composer.event(event))
            self._event = event.number

    def _collect_alarms(self) -> None:
        """The list, when it has changed. An image that has no report yet says nothing of alarms."""
        report = self._image.report()
        if report is not None and (standing := alarm_standing(report)) != self._alarms:
            self._alarms = standing
            self._outbox.put(self._composer.alarms())

    def _standing(self) -> str:
        """What makes a status message due at once when it changes."""
        report = self._image.report()
        return f"{self._composer.control_state()} {report.mode if report is not None else ''} {self.connected}"

    def _put_status(self, state: str, reason: str) -> None:
        self._status_at_s, self._shown = self._clock.monotonic_s(), self._standing()
        counters = {"published": self.published, "acknowledged": self.acknowledged, "queued": self.queued,
                    "dropped": self.dropped}
        self._outbox.put(self._composer.status(state, reason, counters))

    def _send(self) -> None:
        session = self._session
        if session is None:
            return
        while self._outbox.underway < session.underway_max and (message := self._outbox.head()) is not None:
            number = session.send(message)
            if number is None:
                return    # the connection is gone; `ended` is about to say so
            self._outbox.sent(number, self._clock.monotonic_s())

    def _answered(self, number: int, taken: bool) -> None:
        if not taken and "refused" not in self._said:
            self._said.add("refused")
            self._log.warning("the broker refuses messages; they are counted and dropped, "
                              "check its access list for our topics", prefix=self._settings.topic_prefix)
        self._outbox.answered(number, taken=taken)
        self._send()

    async def _connect_forever(self) -> None:
        attempt = 0
        while True:
            self._welcomed_at_s = float("inf")
            try:
                await self._hold_session()
            except BrokerError as error:
                self._say_once(str(error))
            settled = self._clock.monotonic_s() - self._welcomed_at_s > _SETTLED_S
            attempt = 1 if settled else attempt + 1
            await asyncio.sleep(backoff_s(attempt, random.uniform))

    async def _hold_session(self) -> None:
        """One session, from connecting to its end; raises BrokerError with the reason of either."""
        session = Session(self._settings, self._password, self._composer.will(), self._answered)
        await session.open()
        self._log.info("connected to the broker", version=self._settings.version, queued=self.queued)
        self._said.clear()
        self._welcomed_at_s, self._session = self._clock.monotonic_s(), session
        self._alarms = None    # a broker that was restarted may have lost what it retained
        try:
            self._put_status("online", "")
            self._send()
            raise BrokerError(await asyncio.shield(session.ended))
        except asyncio.CancelledError:
            await self._say_goodbye(session)
            raise
        finally:
            self._session = None
            session.close()
            self._outbox.rewind()

    def _say_once(self, reason: str, what: str = _NO_BROKER) -> None:
        if reason not in self._said:
            self._said.add(reason)
            self._log.warning(what, reason=reason, queued=self.queued, queue_messages=self._settings.queue_messages)

    async def _say_goodbye(self, session: Session) -> None:
        """Empty the queue, leave a retained "offline" and disconnect; where a second is too short, the will speaks."""
        with contextlib.suppress(ImageError, TimeoutError):
            self._put_status("offline", "stopped")
            self._send()
            async with asyncio.timeout(_GOODBYE_S):
                while self.queued and not session.ended.done():  # noqa: ASYNC110  once, at the very end
                    await asyncio.sleep(0.01)
                await session.leave(_GOODBYE_S)
