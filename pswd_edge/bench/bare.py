"""The bare loop that polling is measured against: one prebuilt request a connection, one unpack, nothing else.

    python -m pswd_edge.bench.bare HOST PORT CONNECTIONS SECONDS PERIOD_S

All connections poll together at the start of each period. Prints one JSON object: polls_asked, polls_done,
cpu_us_per_poll.
"""

import asyncio
import json
import resource
import struct
import sys
import time
from typing import cast

import uvloop

REGISTERS = 100
_REQUEST = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, REGISTERS)
_ANSWER_BYTES = 9 + 2 * REGISTERS
_WORDS = struct.Struct(f">{REGISTERS}H")


class Bare(asyncio.Protocol):
    """Unpacks and throws away."""

    done = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: connected."""
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came."""
        self.received += data
        while len(self.received) >= _ANSWER_BYTES:
            _WORDS.unpack_from(self.received, 9)
            self.received = self.received[_ANSWER_BYTES:]
            Bare.done += 1


def cpu_s() -> float:
    """CPU time of this process, s."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def poll(host: str, port: int, connections: int, seconds: float, period_s: float) -> dict[str, float]:
    """Poll for `seconds` and say what it cost."""
    loop = asyncio.get_running_loop()
    peers = [(await loop.create_connection(Bare, host, port))[1] for _ in range(connections)]
    start_s, slots, before_s = time.monotonic(), 0, cpu_s()
    while (due_s := start_s + slots * period_s) < start_s + seconds:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        for peer in peers:
            peer.transport.write(_REQUEST)
        slots += 1
    await asyncio.sleep(period_s)
    per_poll = (cpu_s() - before_s) / max(1, Bare.done)
    return {"polls_asked": slots * connections, "polls_done": Bare.done, "cpu_us_per_poll": round(per_poll * 1e6, 2)}


if __name__ == "__main__":
    where, number, count, duration, period = sys.argv[1:]
    print(json.dumps(uvloop.run(poll(where, int(number), int(count), float(duration), float(period)))))
