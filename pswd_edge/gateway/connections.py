"""The connections that are open: how many there may be, of one address and of all, and why some were cut."""

import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import structlog

from pswd_edge.clock import Clock

_QUIET_S = 10.0
_LOG = structlog.get_logger("pswd_edge.security")


class Bounds(NamedTuple):
    """Connections at once, of all clients of the gateway and of one address (IPv6: one /64)."""

    total: int = 600
    of_address: int = 300


class Connections:
    """Counts every connection of every listener, from accept on: one in its TLS handshake is one too."""

    def __init__(self, bounds: Bounds, clock: Clock, on_refused: Callable[[str, str, int], object]) -> None:
        """`on_refused` is told the address, a code and an HTTP status (0: no answer) of all that is turned away."""
        self._bounds, self._clock, self._on_refused = bounds, clock, on_refused
        self._open: Counter[str] = Counter()
        self._quiet_until_s = float("-inf")

    @property
    def open(self) -> int:
        """How many there are."""
        return self._open.total()

    def enter(self, address: str) -> "Entry | None":
        """Count one more; None where it is one too many, and then it is not counted."""
        owner = owner_of(address)
        if self.open >= self._bounds.total or self._open[owner] >= self._bounds.of_address:
            self.cut(address, "TOO_MANY_CONNECTIONS")
            return None
        self._open[owner] += 1
        return Entry(self, address)

    def leave(self, address: str) -> None:
        """One that entered is gone."""
        owner = owner_of(address)
        self._open[owner] -= 1
        if self._open[owner] <= 0:
            del self._open[owner]

    def note(self, address: str, code: str, status: int) -> None:
        """Something of this connection was no request."""
        self._on_refused(address, code, status)

    def cut(self, address: str, code: str) -> None:
        """A connection ends because of `code`. Logged once in ten seconds, told each time."""
        self.note(address, code, 0)
        now_s = self._clock.monotonic_s()
        if now_s >= self._quiet_until_s:
            self._quiet_until_s = now_s + _QUIET_S
            _LOG.warning("connection cut", remote=address, code=code, open=self.open)


class Entry:
    """One connection that is counted, until it leaves."""

    def __init__(self, connections: Connections, address: str) -> None:
        self._connections, self.address = connections, address
        self._left = False

    def leave(self) -> None:
        """It is gone; said twice, it counts once."""
        if not self._left:
            self._left = True
            self._connections.leave(self.address)

    def note(self, code: str, status: int) -> None:
        """Something that came was no request, and was answered with `status`."""
        self._connections.note(self.address, code, status)

    def cut(self, code: str) -> None:
        """It will be closed from this side because of `code`."""
        self._connections.cut(self.address, code)


def owner_of(address: str) -> str:
    """Whom an address counts for: itself, of IPv6 its /64, since one host may use all of that."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
