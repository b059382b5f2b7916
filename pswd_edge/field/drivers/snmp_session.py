"""gufo_snmp's session on a socket of our own, so that each answer is looked at before gufo_snmp sees it."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from gufo.snmp import SnmpDecodeError, SnmpError
from gufo.snmp.aio import SnmpSession

SPOILT_MAX = 64               # in one exchange; then it is given up
LONGEST = 4096                # bytes: gufo_snmp's buffer, and it cuts off what is longer
_WHOLE = 65_535
_T = TypeVar("_T")


class TooLongError(SnmpError):
    """An answer that gufo_snmp cannot take; asked for less, the agent answers shorter."""


class Session(SnmpSession):
    """gufo_snmp 0.13 ends an exchange at the first datagram that it cannot read, panics at some (a panic is no
    Exception, and would end the task), takes v3 answers without looking at their digest, and cannot be closed.

    So its descriptor is made one end of a pair of local sockets; at the other end we pass on what holds. `spoilt`
    counts what does not, in this exchange. The private methods that this replaces are held by tests and by the locked
    version.
    """  # noqa: D205

    def __init__(self, address: tuple[str, int], holds: Callable[[bytes], bool] | None = None, **more: Any) -> None:
        """`holds` tells whether an answer is the agent's own; None: as v2c has no proof. `more` is gufo_snmp's own."""
        super().__init__(*address, **more)
        self.spoilt = 0
        self.holds = holds
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._udp.connect(address)
        self._near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        os.dup2(far.fileno(), self._fd, inheritable=False)
        far.close()

    def close(self) -> None:
        """Close the port; gufo_snmp's end of the pair goes with the last reference to this object."""
        self._udp.close()
        self._near.close()
        self.holds = None  # it knows this object: in a circle, gufo_snmp's descriptor would wait for the collector

    async def _send(self, sender: Callable[[], None]) -> None:
        self.spoilt = 0
        sender()
        try:
            self._udp.send(self._near.recv(_WHOLE))
        except BlockingIOError:
            return  # no room: lost, as any datagram may be

    async def _recv(self, receiver: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        while True:
            datagram = await loop.sock_recv(self._udp, _WHOLE)
            if self.holds is not None and not self.holds(datagram):
                self._spoil("an answer that is not the agent's own")
                continue
            if len(datagram) > LONGEST:
                raise TooLongError(f"an answer of {len(datagram)} bytes, over {LONGEST}")
            self._near.send(datagram)
            try:
                return receiver()
            except BlockingIOError:
                continue  # the answer to another request
            except SnmpDecodeError as error:
                self._spoil(str(error))
            except BaseException as error:
                if type(error).__name__ != "PanicException":
                    raise
                self._spoil(str(error))

    def _spoil(self, why: str) -> None:
        self.spoilt += 1
        if self.spoilt > SPOILT_MAX:
            raise SnmpDecodeError(why)
