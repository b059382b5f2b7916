"""What waits to be sent and what is on its way: bounded, in order, nothing forgotten without being counted."""

from collections import deque
from dataclasses import dataclass

BYTES_MAX = 64 * 1024 * 1024    # a day without a broker must not take the gateway's memory, however wide the site


@dataclass(slots=True)
class Message:
    """One message; `sent_s` is the monotonic time of its last sending, None before the first."""

    topic: str
    payload: bytes
    retain: bool = False
    sent_s: float | None = None


class Outbox:
    """A queue in memory for at most `messages_max` messages and `bytes_max` bytes, those on their way included.

    `published` counts messages sent at least once, `resent` repetitions, `acknowledged` those that the broker has
    taken, `refused` those that it answered with a failure, `dropped` those given up because the queue was full.
    """

    def __init__(self, messages_max: int, bytes_max: int = BYTES_MAX) -> None:
        self._messages_max, self._bytes_max = messages_max, bytes_max
        self._waiting: deque[Message] = deque()
        self._underway: dict[int, Message] = {}
        self._bytes = 0
        self.published = self.resent = self.acknowledged = self.refused = self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._underway)

    @property
    def underway(self) -> int:
        """How many are sent and not yet acknowledged."""
        return len(self._underway)

    def put(self, message: Message) -> None:
        """Append; where that is too much, the oldest that are not on their way are dropped."""
        self._waiting.append(message)
        self._bytes += len(message.payload)
        while self._waiting and (len(self) > self._messages_max or self._bytes > self._bytes_max):
            self._bytes -= len(self._waiting.popleft().payload)
            self.dropped += 1

    def head(self) -> Message | None:
        """The message that is sent next, or None; it stays until `sent`."""
        return self._waiting[0] if self._waiting else None

    def sent(self, number: int, now_s: float) -> None:
        """The head left with this packet identifier."""
        message = self._waiting.popleft()
        if message.sent_s is None:
            self.published += 1
        else:
            self.resent += 1
        message.sent_s = now_s
        self._underway[number] = message

    def answered(self, number: int, *, taken: bool) -> None:
        """The broker acknowledged the packet, or refused it for good; unknown identifiers are ignored."""
        message = self._underway.pop(number, None)
        if message is None:
            return
        self._bytes -= len(message.payload)
        if taken:
            self.acknowledged += 1
        else:
            self.refused += 1

    def rewind(self) -> None:
        """The connection is gone: what was on its way waits again, ahead of the rest and in its old order."""
        self._waiting.extendleft(reversed(self._underway.values()))
        self._underway.clear()

    def oldest_wait_s(self, now_s: float) -> float:
        """Seconds for which the oldest message on its way has been waiting for its acknowledgement; 0.0 for none."""
        oldest = next(iter(self._underway.values()), None)
        return 0.0 if oldest is None or oldest.sent_s is None else now_s - oldest.sent_s
