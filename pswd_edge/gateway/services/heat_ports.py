"""What heat delivery needs of others: a place to keep things, and a way to the heat network."""

import sqlite3
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

_T = TypeVar("_T")
Target = Literal["grid", "heat"]


class Keeps(Protocol):
    """The gateway's store: what `run` returns from is on disk."""

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """`work` as one transaction."""
        ...

    def run_blocking(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """As `run`, before there is a loop."""
        ...


class Replied(Protocol):
    """An answer of the heat network."""

    @property
    def status(self) -> int:
        """Its HTTP status."""
        ...

    @property
    def content(self) -> dict[str, Any]:
        """Its JSON object."""
        ...


class Asks(Protocol):
    """The way to the heat network: one question, one answer."""

    def endpoint(self, target: Target) -> object | None:
        """Where it is reached; None where the site file does not say."""
        ...

    async def ask(self, target: Target, method: str, path: str, *, timeout_s: float) -> Replied:
        """Ask; raises PswdError where there is no answer that can be used."""
        ...


class Told(Protocol):
    """How far a message is."""

    @property
    def status(self) -> Literal["acknowledged", "pending", "rejected"]:
        """The receiver's own word, or that there is none yet."""
        ...

    @property
    def response(self) -> str:
        """What it said, or why it has not."""
        ...


class Tells(Protocol):
    """Messages that are kept until they are answered."""

    async def send(self, target: Target, kind: str, payload: dict[str, Any], origin: str, message_id: str) -> Told:
        """Deliver; the same id again gets what the first one got. Raises RefusalError 503 without a receiver."""
        ...
