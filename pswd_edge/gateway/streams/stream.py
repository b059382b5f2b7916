"""A stream: its clients in the order in which they came, and what those who come later need."""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from pswd_edge.gateway.streams.client import StreamClient
from pswd_edge.gateway.streams.frame import text_frame

Maker = Callable[[float], dict[str, Any] | None]


class Kept(NamedTuple):
    """A message for those who join before `until_utc_s`; `key` tells it from others of its kind."""

    key: str
    until_utc_s: float


class Stream:
    """Messages of one kind. `make` builds one from a row's UTC time; None where the messages come as events.

    `sequence` is the number of the last message; `keep` says how many are kept at most for who comes later.
    """

    def __init__(self, name: str, make: Maker | None = None, *, keep: int = 0) -> None:
        self.name, self.make = name, make
        self.sequence = 0
        self.clients: dict[StreamClient, None] = {}      # in order: each client is served at the same place of the row
        self.messages_made = 0
        self._keep = keep
        self._kept: dict[str, tuple[float, bytes]] = {}

    def join(self, client: StreamClient, now_utc_s: float) -> None:
        """From now on it gets every message; first those that are kept and still hold."""
        for until_utc_s, frame in self._kept.values():
            if until_utc_s > now_utc_s:
                client.write(frame)
        self.clients[client] = None

    def leave(self, client: StreamClient) -> None:
        """Nothing more is sent to it."""
        self.clients.pop(client, None)

    def send(self, content: dict[str, Any], sequence: int, kept: Kept | None = None) -> None:
        """Number, encode and frame a message once, and write it to every client.

        Args:
            content: the message, ready for JSON.
            sequence: its number, above that of the last one; one more, where none between was left out.
            kept: whether who joins later gets it too.
        """
        self.sequence = sequence
        frame = text_frame(orjson.dumps({**content, "sequence": sequence}))
        self.messages_made += 1
        if kept is not None:
            self._kept[kept.key] = (kept.until_utc_s, frame)
            for key in list(self._kept)[: -self._keep]:
                del self._kept[key]
        for client in self.clients:
            client.write(frame)

    def forget(self, key: str) -> None:
        """Who joins from now on does not get what was kept under `key`."""
        self._kept.pop(key, None)
