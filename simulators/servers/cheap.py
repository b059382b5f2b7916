"""The cheapest Modbus TCP server there can be, to measure clients with: `python -m simulators.servers.cheap --port P`.

Every connection is a device of `--registers` holding registers: a 32-bit counter of its answers, then zeros.
Only the read of all of them from address 0 is answered with registers; everything else gets an exception.

`--latency-ms` delays every answer. SIGUSR1 makes unit `--mute` silent, and heard again; SIGUSR2 closes all connections.
"""

import argparse
import asyncio
import signal
import socket
import struct
from typing import cast

import uvloop

_REQUEST = struct.Struct(">HHHBBHH")
_HEAD = struct.Struct(">HHHBBBI")
_REFUSAL = struct.Struct(">HHHBBB")


class Temper:
    """What all devices do: how late they answer (s), which unit is silent (0: none), and who is connected."""

    def __init__(self, latency_s: float = 0.0, mute: int = 0) -> None:
        self.latency_s = latency_s
        self.silent = 0
        self.links: set[asyncio.Transport] = set()
        self._mute = mute

    def toggle(self) -> None:
        """The unit that may be mute becomes so, or is heard again."""
        self.silent = 0 if self.silent else self._mute

    def cut(self) -> None:
        """Close every connection."""
        for link in tuple(self.links):
            link.abort()


class CheapDevice(asyncio.Protocol):
    """One connection: units 1..`units`, `registers` holding registers each (2..125)."""

    def __init__(self, units: int, registers: int, temper: Temper) -> None:
        self._temper = temper
        self._units = units
        self._registers = registers
        self._rest = bytes(2 * registers - 4)
        self._length = 3 + 2 * registers
        self._count = 0
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._temper.links.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """It went."""
        self._temper.links.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answer whole requests of 12 bytes (all that a read ever is); keep the rest."""
        if self._buffer:
            data = self._buffer + data
        at = 0
        while len(data) - at >= 12:
            transaction, _, length, unit, function, start, count = _REQUEST.unpack_from(data, at)
            if length != 6:
                self._transport.close()
                return
            if function == 3 and start == 0 and count == self._registers and 1 <= unit <= self._units:
                self._count += 1
                head = _HEAD.pack(transaction, 0, self._length, unit, 3, 2 * count, self._count & 0xFFFFFFFF)
                self._answer(unit, head + self._rest)
            else:
                code = 1 if function != 3 else 2 if 1 <= unit <= self._units else 0x0B
                self._transport.write(_REFUSAL.pack(transaction, 0, 3, unit, function | 0x80, code))
            at += 12
        self._buffer = data[at:]

    def _answer(self, unit: int, frame: bytes) -> None:
        temper = self._temper
        if unit == temper.silent:
            return
        if temper.latency_s:
            asyncio.get_running_loop().call_later(temper.latency_s, self._transport.write, frame)
        else:
            self._transport.write(frame)


async def serve(port: int, units: int, registers: int, temper: Temper) -> None:
    """Listen on loopback until cancelled; prints one line when it does."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, temper.toggle)
    loop.add_signal_handler(signal.SIGUSR2, temper.cut)
    server = await loop.create_server(lambda: CheapDevice(units, registers, temper), "127.0.0.1", port, backlog=1024)
    print(f"ready port={server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - its parent waits for it
    async with server:
        await server.serve_forever()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="cheapest possible Modbus TCP server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--units", type=int, default=1)
    parser.add_argument("--registers", type=int, default=100, choices=range(2, 126), metavar="2..125")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--mute", type=int, default=0, metavar="UNIT")
    options = parser.parse_args()
    temper = Temper(options.latency_ms / 1000, options.mute)
    uvloop.run(serve(options.port, options.units, options.registers, temper))


if __name__ == "__main__":
    main()
