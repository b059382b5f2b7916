"""A UDP relay between a driver and an agent: it counts requests, and can hold, repeat and spoil what passes."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

Bend = Callable[[bytes], list[bytes]]


class UdpCounter(asyncio.DatagramProtocol):
    """Relays one client on `port` to an agent on loopback; `bend` makes the answers that are sent of each answer."""

    def __init__(self, agent_port: int, bend: Bend = lambda answer: [answer]) -> None:
        self.requests = 0
        self.port = 0
        self.bend = bend
        self._agent_port = agent_port
        self._client: Any = None
        self._near: Any = None
        self._far: Any = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._far, _ = await loop.create_datagram_endpoint(
            lambda: _Far(self), remote_addr=("127.0.0.1", self._agent_port)
        )
        self._near, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._near.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._near.close()
        self._far.close()
        await asyncio.sleep(0)

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.requests += 1
        self._client = address
        self._far.sendto(data)

    def answer(self, data: bytes) -> None:
        for made in self.bend(data):
            self._near.sendto(made, self._client)


class _Far(asyncio.DatagramProtocol):
    def __init__(self, relay: UdpCounter) -> None:
        self._relay = relay

    def datagram_received(self, data: bytes, _address: Any) -> None:
        self._relay.answer(data)
