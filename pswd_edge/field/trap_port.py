"""A UDP port that strangers may flood: read in small portions, the rest is the kernel's to drop, and counted."""

import asyncio
import socket
from collections.abc import Callable

from pswd_edge.field.drivers.snmp_header import MESSAGE_MAX
from pswd_edge.field.drivers.snmp_notify import Address

PORTION, PORTION_EVERY_S = 50, 0.1  # a flood costs at most 500 looks in a second, about 10 ms
BUFFER_BYTES = 65_536
_SO_RXQ_OVFL = 40             # Linux: how many datagrams the kernel has dropped so far


class TrapPort:
    """Hands each datagram to `received`, and to `lost` how many the kernel has dropped before it."""

    def __init__(self, host: str, port: int, received: Callable[[bytes, Address], None], lost: Callable[[int], None],
                 ) -> None:
        """Listen at once. Raises OSError."""
        self._received, self._lost = received, lost
        self._lost_in_all = 0
        self._resting: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]
        self._watch()

    def _watch(self) -> None:
        self._resting = None
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        for _ in range(PORTION):
            try:
                datagram, ancillary, _, address = self._socket.recvmsg(MESSAGE_MAX + 1, 32)
            except OSError:
                return
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL):
                    self._note_lost(int.from_bytes(content[:4], "little"))
            self._received(datagram, (str(address[0]), int(address[1])))
        self._loop.remove_reader(self._socket.fileno())
        self._resting = self._loop.call_later(PORTION_EVERY_S, self._watch)

    def _note_lost(self, in_all: int) -> None:
        if in_all > self._lost_in_all:
            self._lost(in_all - self._lost_in_all)
            self._lost_in_all = in_all

    def send(self, message: bytes, address: Address) -> bool:
        """Whether it went out."""
        try:
            self._socket.sendto(message, address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Stop listening."""
        if self._resting is None:
            self._loop.remove_reader(self._socket.fileno())
        else:
            self._resting.cancel()
        self._socket.close()
