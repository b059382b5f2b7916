"""What every transport's Modbus link does, and what those that are not on the hot path share."""

import asyncio
import time
from typing import Protocol

from pswd_edge.errors import DeviceError, UnreachableError
from pswd_edge.field.drivers.base import Heard


class Link(Protocol):
    """One connection, one request in flight. `late` counts answers that nobody waited for any more."""

    late: int

    @property
    def connected(self) -> bool:
        """Whether requests can be sent."""
        ...

    def ask(self, unit: int, pdu: bytes, timeout_s: float, now_s: float, heard: Heard) -> None:
        """Send a request PDU; `heard` gets the answer's PDU, or SilentError, DecodeError, UnreachableError, once.

        `now_s` is the monotonic time. Never raises; `heard` may be called at once, and may ask anew.
        """
        ...

    def exchange(self, unit: int, pdu: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        """As `ask`, with a future. Raises UnreachableError where there is no connection."""
        ...

    def close(self) -> None:
        """Close at once."""
        ...


class AskingLink(asyncio.Protocol):
    """`exchange` by `ask`; whoever waits is in `_heard`, and hears once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._heard: Heard | None = None
        self._timer: asyncio.Handle | None = None
        self.late = 0

    @property
    def connected(self) -> bool:
        """Whether requests can be sent."""
        return self._transport is not None

    def ask(self, unit: int, pdu: bytes, timeout_s: float, now_s: float, heard: Heard) -> None:
        """Send a request PDU; `heard` gets the answer's PDU, or SilentError, DecodeError, UnreachableError, once."""
        raise NotImplementedError

    def exchange(self, unit: int, pdu: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        """As `ask`, with a future. Raises UnreachableError where there is no connection."""
        if self._transport is None:
            raise UnreachableError("not connected")
        answer: asyncio.Future[bytes] = self._loop.create_future()

        def heard(found: bytes | DeviceError) -> None:
            if answer.done():
                return
            if isinstance(found, bytes):
                answer.set_result(found)
            else:
                answer.set_exception(found)

        answer.add_done_callback(lambda done: self._withdrawn(heard) if done.cancelled() else None)
        self.ask(unit, pdu, timeout_s, time.monotonic(), heard)
        return answer

    def _withdrawn(self, heard: Heard) -> None:
        """Whoever waited with `heard` does no longer: what was not sent yet need not be sent."""

    def _end(self, found: bytes | DeviceError) -> None:
        """Nobody waits any more; `found` is for whoever did."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        heard, self._heard = self._heard, None
        if heard is not None:
            heard(found)
