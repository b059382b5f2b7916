"""The cheapest SNMP v2c agents there can be, to measure clients with: `python -m simulators.servers.cheap_snmp`.

One process, many UDP ports, an agent each. The answer to a GET of `--oids` objects is built once; each request gets it
with its own request id and a counter in the first object. Whatever else comes is not answered.
"""

import argparse
import asyncio
import struct
from collections.abc import Sequence
from typing import Any

import uvloop

TREE = (1, 3, 6, 1, 4, 1, 20408, 9)
_INTEGER, _OCTETS, _OID, _SEQUENCE, _GET, _ANSWER, _GAUGE = 0x02, 0x04, 0x06, 0x30, 0xA0, 0xA2, 0x42


def oid_of(number: int) -> str:
    """The object that has this number in every agent, dotted."""
    return ".".join(map(str, (*TREE, number + 1, 0)))


def tlv(tag: int, content: bytes) -> bytes:
    """BER with the shortest length."""
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    head = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 128 + len(head))) + head + content


def _oid(numbers: Sequence[int]) -> bytes:
    found = bytearray((40 * numbers[0] + numbers[1],))
    for number in numbers[2:]:
        digits = [number & 127]
        while number := number >> 7:
            digits.append(128 | (number & 127))
        found += bytes(reversed(digits))
    return tlv(_OID, bytes(found))


def request_id(datagram: bytes) -> bytes | None:
    """The four bytes of a GET's request id, or None for anything else; where the lengths are what clients send."""
    try:
        at = 2 + (datagram[1] & 127) * (datagram[1] > 127)  # into the message
        at += 2 + datagram[at + 1]                          # past the version
        at += 2 + datagram[at + 1]                          # past the community
        if datagram[0] != _SEQUENCE or datagram[at] != _GET:
            return None
        at += 2 + (datagram[at + 1] & 127) * (datagram[at + 1] > 127)
        size = datagram[at + 1]
        number = int.from_bytes(datagram[at + 2 : at + 2 + size], "big", signed=True)
        return number.to_bytes(4, "big", signed=True)
    except (IndexError, OverflowError):
        return None


class CheapAgent(asyncio.DatagramProtocol):
    """One agent of `oids` Gauge32 objects; the first counts its answers, the others are their number times 100."""

    def __init__(self, oids: int, community: bytes = b"bench") -> None:
        values = [(n, struct.pack(">I", 100 * n)) for n in range(oids)]
        pairs = b"".join(
            tlv(_SEQUENCE, _oid((*TREE, n + 1, 0)) + tlv(_GAUGE, b"\0" + value)) for n, value in values
        )
        body = bytes((_INTEGER, 4)) + b"IDID" + b"\x02\x01\x00\x02\x01\x00" + tlv(_SEQUENCE, pairs)
        whole = tlv(_SEQUENCE, b"\x02\x01\x01" + tlv(_OCTETS, community) + tlv(_ANSWER, body))
        self._head, _, rest = whole.partition(b"IDID")
        at = rest.index(bytes((_GAUGE, 5, 0))) + 3
        self._between, self._tail = rest[:at], rest[at + 4 :]
        self._count = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer a GET."""
        found = request_id(data)
        if found is not None:
            self._count += 1
            count = struct.pack(">I", self._count & 0xFFFFFFFF)
            self._transport.sendto(self._head + found + self._between + count + self._tail, addr)


async def serve(port: int, agents: int, oids: int) -> None:
    """Listen on loopback, on `agents` ports from `port` on, until cancelled; prints one line when it does."""
    loop = asyncio.get_running_loop()
    for number in range(agents):
        await loop.create_datagram_endpoint(lambda: CheapAgent(oids), local_addr=("127.0.0.1", port + number))
    print(f"ready port={port} agents={agents}", flush=True)  # noqa: T201 - its parent waits for it
    await asyncio.Event().wait()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="cheapest possible SNMP v2c agents")
    parser.add_argument("--port", type=int, default=16200)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--oids", type=int, default=20, choices=range(1, 61), metavar="1..60")
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.agents, options.oids))


if __name__ == "__main__":
    main()
