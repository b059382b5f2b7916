"""WebSocket clients of a benchmark: bytes off the socket, every frame checked, each arrival timed.

`python -m pswd_edge.bench.stream_clients` reads a plan (JSON) from its standard input, says "connected", and at the end
prints what it saw as JSON. It is a process of its own, so that its work does not delay the gateway's loop.
"""

import asyncio
import base64
import json
import os
import resource
import ssl
import sys
import time
from array import array
from typing import Any, NamedTuple, cast

import orjson
import uvloop

_CONNECT_S = 20.0
_NICENESS = 15      # as the gateway: the field and control go first
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A


class Plan(NamedTuple):
    """`targets` has host, port, path, headers and TLS files for each client; the last `stalled` of them do not read."""

    targets: list[dict[str, Any]]
    stalled: int
    seconds: float
    period_ms: float


class Client(asyncio.Protocol):
    """One connection: handshake, then frames. A stalled one reads nothing after the handshake."""

    def __init__(self, target: dict[str, Any], *, stalled: bool) -> None:
        self._target, self.stalled = target, stalled
        self._buffer = bytearray()
        self.ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.arrived_s = array("d")
        self.sequences = array("q")
        self.closed_s: float | None = None
        self.close_code: int | None = None
        self.errors = 0
        self.bytes = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        target = self._target
        lines = [f"GET {target['path']} HTTP/1.1", f"Host: {target['host']}:{target['port']}", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
                 *(f"{name}: {value}" for name, value in target.get("headers", {}).items())]
        self._transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        """Time the arrival first, then look at what came."""
        now_s = time.perf_counter()
        self.bytes += len(data)
        self._buffer += data
        if not self.ready.done() and not self._take_answer():
            return
        while self._take_frame(now_s):
            pass

    def _take_answer(self) -> bool:
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        status = int(head.split(b" ", 2)[1])
        self._buffer = bytearray(rest)
        self.ready.set_result(status)
        if self.stalled and self._transport is not None:
            self._transport.pause_reading()
        return status == 101

    def _take_frame(self, now_s: float) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        first, size, at = buffer[0], buffer[1], 2
        if size == 126:
            size, at = int.from_bytes(buffer[2:4], "big"), 4
        if size > 126 and at == 2:
            size, at = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < at + size:
            return False
        payload = bytes(buffer[at : at + size])
        del buffer[: at + size]
        self._take(first, payload, now_s)
        return True

    def _take(self, first: int, payload: bytes, now_s: float) -> None:
        if first == _TEXT:
            try:
                self.sequences.append(orjson.loads(payload)["sequence"])
                self.arrived_s.append(now_s)
            except (orjson.JSONDecodeError, KeyError):
                self.errors += 1
        elif first == _PING and self._transport is not None:
            self._transport.write(bytes((_PONG, 0x80 | len(payload), 0, 0, 0, 0)) + payload)     # mask of zeros
        elif first == _CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        else:
            self.errors += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Cut, or the end."""
        self.closed_s = time.perf_counter()
        if not self.ready.done():
            self.ready.set_result(0)
        del exc

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


async def run(plan: Plan) -> dict[str, Any]:
    """Connect all, listen, and sum up."""
    contexts: dict[str, ssl.SSLContext | None] = {}
    clients = []
    for number, target in enumerate(plan.targets):
        context = contexts.setdefault(json.dumps(target.get("tls")), _tls(target.get("tls")))
        client = Client(target, stalled=number >= len(plan.targets) - plan.stalled)
        await asyncio.get_running_loop().create_connection(
            lambda client=client: client, target["host"], target["port"], ssl=context,
            server_hostname="localhost" if context else None)
        clients.append(client)
    statuses = await asyncio.wait_for(asyncio.gather(*(c.ready for c in clients)), _CONNECT_S)
    print("connected", flush=True)
    began_s, cpu_s = time.perf_counter(), _cpu_s()
    await asyncio.sleep(plan.seconds)
    found = summary(clients, statuses, began_s, plan)
    found["client_cpu_percent"] = round(100 * (_cpu_s() - cpu_s) / plan.seconds, 1)
    for client in clients:
        client.close()
    return found


def summary(clients: list[Client], statuses: list[int], began_s: float, plan: Plan) -> dict[str, Any]:
    """Jitter in ms over all live clients: how far each time between two arrivals is from the period."""
    live = [c for c, status in zip(clients, statuses, strict=True) if status == 101 and not c.stalled]
    refused = [status for status in statuses if status != 101]
    jitter_ms = sorted(
        abs((b - a) * 1e3 - plan.period_ms) for c in live
        for a, b in zip(c.arrived_s, c.arrived_s[1:], strict=False) if a >= began_s)
    steps = [b - a for c in live for a, b in zip(c.sequences, c.sequences[1:], strict=False)]
    return {
        "live": len(live), "stalled": sum(c.stalled for c in clients), "refused": len(refused),
        "refused_statuses": sorted(set(refused)), "messages": sum(len(c.sequences) for c in live),
        "messages_fewest": min((len(c.sequences) for c in live), default=0),
        "messages_most": max((len(c.sequences) for c in live), default=0),
        "message_bytes": round(sum(c.bytes for c in live) / max(1, sum(len(c.sequences) for c in live))),
        **{f"jitter_{name}_ms": _at(jitter_ms, share)
           for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))},
        "missing": sum(step - 1 for step in steps if step > 1), "doubled": sum(1 for step in steps if step < 1),
        "errors": sum(c.errors for c in live), "live_cut": sum(c.closed_s is not None for c in live),
        "stalled_cut": sum(c.closed_s is not None for c in clients if c.stalled),
    }


def _at(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) if ordered else None


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _tls(files: dict[str, str] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=files["ca"])
    context.check_hostname = False      # the benchmark's own site on loopback, by its own authority
    if "certificate" in files:
        context.load_cert_chain(files["certificate"], files["key"])
    return context


if __name__ == "__main__":
    os.nice(_NICENESS)
    given = json.loads(sys.stdin.readline())
    print(json.dumps(uvloop.run(run(Plan(**given)))), flush=True)
