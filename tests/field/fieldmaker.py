"""Small sites and a Modbus device that misbehaves exactly as told: only what a test is about is spelled out."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pswd_edge.bench.site import bench_site  # its ControlSpec is the smallest there is
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.field import Field
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import ModbusAddress, Point, WriteRule
from pswd_edge.model.site import Site

HEAD = struct.Struct(">HHHB")
ANY = WriteRule(minimum=-1e9, maximum=1e9)
Frames = Iterable[bytes] | None


def modbus_point(register: int, type_: str = "uint16", *, index: int = 0, device: int = 0, **more: Any) -> Point:
    """Keywords of ModbusAddress and Point alike."""
    own = {k: more.pop(k) for k in tuple(more) if k in ModbusAddress.__struct_fields__}
    more = {"unit": "W", "signal": f"r{register}"} | more
    return Point(index=index, id=f"dev{device}.p{index}", device=device,
                 address=ModbusAddress(register=register, type=type_, **own), **more)


def modbus_device(index: int = 0, unit: int = 1, connection: int = 0, first: int = 0, count: int = 1,
                  **more: Any) -> Device:
    return Device(index, f"dev{index}", "meter", connection, unit, "test", first, count, **more)


def far_points(count: int, period_ms: int = 20, first: int = 0) -> list[Point]:
    """Points so far apart that each is a request."""
    return [modbus_point(first + 200 * n, period_ms=period_ms) for n in range(count)]


def request_of(points: Sequence[Point], **more: Any) -> list[ReadRequest]:
    return ModbusDriver({"host": "127.0.0.1", "port": 1}).plan(modbus_device(**more), points)


def small_site(ports: Sequence[int], points: Sequence[Sequence[Point]], devices: Sequence[tuple[int, int]],
               *, period_ms: int = 20, **connection: Any) -> Site:
    """`points[i]` are those of device i (renumbered here), `devices[i]` its (connection, unit)."""
    base = bench_site(1, 1, period_ms, Path("/nowhere"))
    made, found = [], []
    for d, (own, (link, unit)) in enumerate(zip(points, devices, strict=True)):
        made.append(modbus_device(d, unit, link, len(found), len(own)))
        for p in own:
            number = len(found)
            found.append(_changed(p, index=number, id=f"dev{d}.p{number}", device=d))
    links = tuple(Connection(i, f"c{i}", "modbus", {"host": "127.0.0.1", "port": port}, **connection)
                  for i, port in enumerate(ports))
    return _changed(base, connections=links, devices=tuple(made), points=tuple(found))


def _changed(struct_: Any, **more: Any) -> Any:
    fields = {f: getattr(struct_, f) for f in struct_.__struct_fields__}
    return type(struct_)(**(fields | more))


class RawDevice:
    """A Modbus TCP server. `misbehave(transaction, unit, pdu)` returns the frames to send; None: as is right."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[tuple[int, bytes]] = []
        self.asked_s: list[float] = []
        self.muted: set[int] = set()
        self.delay_s = 0.0
        self.words: dict[int, int] = {}
        self.connections = 0
        self.misbehave: Callable[[int, int, bytes], Frames] = lambda *_: None
        self._server: asyncio.Server | None = None
        self.transports: set[asyncio.Transport] = set()

    async def start(self) -> "RawDevice":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _RawLink(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Reset every connection."""
        for transport in tuple(self.transports):
            transport.abort()

    def count(self, unit: int) -> int:
        return sum(u == unit for u, _ in self.asked)

    def right(self, pdu: bytes) -> bytes:
        """The right answer: registers hold their own address, unless `words` says otherwise; bits are all 1."""
        function = pdu[0]
        start, count = struct.unpack_from(">HH", pdu, 1)
        if function in (1, 2):
            size = (count + 7) // 8
            return bytes([function, size]) + b"\xff" * size
        if function in (3, 4):
            words = [self.words.get(r, r) for r in range(start, start + count)]
            return bytes([function, 2 * count]) + struct.pack(f">{count}H", *words)
        if function == 16:
            for i, word in enumerate(struct.unpack_from(f">{count}H", pdu, 6)):
                self.words[start + i] = word
        elif function == 6:
            self.words[start] = count
        return pdu[:5]


class _RawLink(asyncio.Protocol):
    def __init__(self, device: RawDevice) -> None:
        self._device = device
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._device.transports.add(transport)
        self._device.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._device.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            transaction, _, length, unit = HEAD.unpack_from(self._buffer)
            pdu, self._buffer = self._buffer[7 : 6 + length], self._buffer[6 + length :]
            self._serve(transaction, unit, pdu)

    def _serve(self, transaction: int, unit: int, pdu: bytes) -> None:
        device = self._device
        device.asked.append((unit, pdu))
        device.asked_s.append(asyncio.get_running_loop().time())
        if unit in device.muted:
            return
        frames = device.misbehave(transaction, unit, pdu)
        for made in [frame(transaction, unit, device.right(pdu))] if frames is None else frames:
            if device.delay_s:
                asyncio.get_running_loop().call_later(device.delay_s, self._send, made)
            else:
                self._send(made)

    def _send(self, made: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(made)


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return HEAD.pack(transaction, 0, len(pdu) + 1, unit) + pdu


@asynccontextmanager
async def raw_device() -> AsyncIterator[RawDevice]:
    device = await RawDevice().start()
    try:
        yield device
    finally:
        await device.stop()


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[ModbusDriver]:
    driver = ModbusDriver({"host": "127.0.0.1", "port": port})
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


def open_files() -> int:
    """Descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Told:
    """Events as they are told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []

    def __call__(self, severity: str, code: str, subject: str, text: str) -> None:
        self.events.append((severity, code, subject, text))

    def codes(self, subject: str = "") -> list[str]:
        return [code for _, code, found, _ in self.events if not subject or subject == found]


def field_of(site: Site, told: Told, watched: Sequence[int] = (), actuated: Sequence[int] = ()) -> Field:
    return Field(site, lambda c: ModbusDriver(dict(c.settings)), watched, actuated, told)


@asynccontextmanager
async def running(field: Field) -> AsyncIterator[Field]:
    """Started, and every connection open."""
    field.start()
    try:
        for _ in range(200):
            if all(p.state == "open" for p in field.pollers.values()):
                break
            await asyncio.sleep(0.002)
        yield field
    finally:
        await field.stop()


async def cycles(field: Field, count: int, period_s: float = 0.02, deadline_s: float = 0.012) -> None:
    """As the control cycle calls the field, on absolute deadlines."""
    start_s = time.monotonic()
    for n in range(count):
        await asyncio.sleep(max(0.0, start_s + n * period_s - time.monotonic()))
        field.begin()
        await field.inputs(deadline_s)
        field.latch(n, time.monotonic(), 0.0)
        field.begin_slow(n)
        field.settle_rest(time.monotonic())
    await asyncio.sleep(max(0.0, start_s + count * period_s - time.monotonic()))
    field.settle_rest(time.monotonic())


async def until(true: Callable[[], bool], seconds: float) -> None:
    """Raises TimeoutError where it does not become true."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  # what it looks at has no event
            await asyncio.sleep(0.002)
