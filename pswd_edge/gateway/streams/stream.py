"""A stream: its clients in the order in which they came, and the last messages where latecomers need them."""

from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from pswd_edge.gateway.streams.client import StreamClient
from pswd_edge.gateway.streams.frame import text_frame

Maker = Callable[[float], dict[str, Any] | None]


class Stream:
    """Messages of one kind. `make` builds one from a row's UTC time; None where the messages come as events.

    `sequence` is the number of the last message. `kept` messages are remembered with `keep`'s answer for them.
    """

    def __init__(self, name: str, make: Maker | None = None, *, keep: int = 0) -> None:
        self.name, self.make = name, make
        self.sequence = 0
        self.clients: dict[StreamClient, None] = {}      # in order: each client is served at the same place of the row
        self.messages_made = 0
        self._kept: deque[tuple[float, bytes]] = deque(maxlen=keep)

    def join(self, client: StreamClient, now_utc_s: float) -> None:
        """From now on it gets every message; first those that are kept and still hold."""
        for until_utc_s, frame in self._kept:
            if until_utc_s > now_utc_s:
                client.write(frame)
        self.clients[client] = None

    def leave(self, client: StreamClient) -> None:
        """Nothing more is sent to it."""
        self.clients.pop(client, None)

    def send(self, content: dict[str, Any], *, step: int = 1, until_utc_s: float | None = None) -> None:
        """Number, encode and frame a message once, and write it to every client.

        Args:
            content: the message, ready for JSON.
            step: how far its number is from the last one: over 1 where messages between were never made.
            until_utc_s: who joins before gets it too; None for nobody.
        """
        self.sequence += step
        frame = text_frame(orjson.dumps({**content, "sequence": self.sequence}))
        self.messages_made += 1
        if until_utc_s is not None:
            self._kept.append((until_utc_s, frame))
        for client in self.clients:
            client.write(frame)
