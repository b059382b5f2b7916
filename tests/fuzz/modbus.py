"""Malformed, truncated, late and lost frames against the Modbus driver and its links, in virtual time.

    python -m tests.fuzz.modbus --frames 1000000 --seed 1

so many frames for TCP framing, for RTU (half on a serial line, half over TCP), and for TCP without transaction ids.
Invariants: no error but the driver's own, nothing waits for ever, and what is read is the answer to that very request.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pswd_edge.errors import DeviceError, SilentError, UnreachableError
from pswd_edge.field.drivers import link, modbus_link, rtu_link
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.drivers.modbus_link import ModbusLink
from pswd_edge.field.drivers.ordered_link import OrderedLink
from pswd_edge.field.drivers.rtu_debts import Debts
from pswd_edge.field.drivers.rtu_link import Line, RtuLink
from pswd_edge.model.device import Device as Unit
from pswd_edge.model.point import ModbusAddress, Point, WriteRule
from tests.fuzz.modbus_device import HEAD, Device
from tests.fuzz.virtual_loop import VirtualLoop

FRAMINGS = ("tcp", "rtu", "rtu_over_tcp", "ordered")
LATE_MAX_S = 0.3
SILENT_MAX = 3                # in a row: then the poller connects anew, and so does this
KEPT_BYTES_MAX = 1024
UNITS = (1, 2, 3)


class BrokenInvariantError(AssertionError):
    """What must never be."""


class Figures(NamedTuple):
    """What came of a run: `ended` counts requests by their end."""

    framing: str
    frames: int
    requests: int
    ended: Counter[str]
    late: int
    seconds: float

    def __str__(self) -> str:
        ends = ", ".join(f"{n} {name}" for name, n in sorted(self.ended.items()))
        return (f"{self.framing}: {self.frames} frames, {self.requests} requests ({ends}), {self.late} late answers "
                f"dropped, 0 wrong values, {self.seconds:.1f} s")


class Wire:
    """The transport of one link."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.aborted = False

    def get_extra_info(self, name: str) -> Any:
        return self

    def setsockopt(self, *args: Any) -> None:
        """As a socket."""

    def is_closing(self) -> bool:
        return self.aborted

    def write(self, frame: bytes) -> None:
        if self._device.framing.startswith("rtu"):
            self._device.take(frame[0], frame[1:-2], 0)
        else:
            transaction, _, _, unit = HEAD.unpack_from(frame)
            self._device.take(unit, frame[7:], transaction)

    def abort(self) -> None:
        self.aborted = True


class Fuzz:
    """One driver, one device, one line."""

    def __init__(self, framing: str, seed: int) -> None:
        self.framing = framing
        self.loop = VirtualLoop()
        self.rng = random.Random(f"{framing} {seed}")
        self.device = Device(framing, self.loop, self.rng)
        self.driver = ModbusDriver({"host": "fuzz"})
        self.debts = Debts(LATE_MAX_S)
        self.ended: Counter[str] = Counter()
        self.late = 0
        self.silent = 0
        self.link: Any = None
        self.reads = [request for unit in UNITS for request in self._plan(unit)]
        self.writes = [(_unit(u), p, v) for u in UNITS for p in _writable() for v in (0.0, 1.0)]

    def _plan(self, unit: int) -> list[Any]:
        """Reads of many places, most of a few sizes: answers of one shape are what is mistaken."""
        points, index = [], 0
        for kind in ("holding", "input", "coil", "discrete"):
            for n in range(12):
                for word in range((1, 2, 2, 2, 4, 10)[n % 6]):
                    type_ = "bit" if kind in ("coil", "discrete") else "uint16"
                    points.append(_point(index, ModbusAddress(2000 * n + word, type_, kind)))
                    index += 1
        return self.driver.plan(_unit(unit), points)

    def connect(self) -> None:
        """A new link. On a serial line what was on the way still comes; a new socket has nothing in it."""
        if self.link is not None:
            self.late += self.link.late
            self.link.close()
        if self.framing != "rtu":
            self.device.hang_up()
        if self.framing == "tcp":
            self.link = ModbusLink()
        elif self.framing == "ordered":
            self.link = OrderedLink()
        elif self.framing == "rtu":
            self.link = RtuLink(Line(self.debts, 1e-4, 1.75e-3))
        else:
            self.link = RtuLink(Line(Debts(LATE_MAX_S), can_hang_up=True))
        wire, made = Wire(self.device), self.link
        made.connection_made(wire)
        self.device.hear = lambda data: None if wire.aborted else made.data_received(data)
        self.driver._link = made

    def turn(self) -> None:
        """One request, to its end or a cancellation, and a pause after it."""
        timeout_s = self.rng.choice((0.02, 0.05, 0.05, 0.2))
        self.device.content = b""
        kind, request = self.rng.random(), self.rng.choice(self.reads)
        try:
            if kind < 0.4:
                found = self._finish(self.driver.read(request, timeout_s), timeout_s)
            elif kind < 0.8:
                found = self._read_directly(request, timeout_s)
            else:
                unit, point, value = self.rng.choice(self.writes)
                request, found = None, self._finish(self.driver.write(unit, point, value, timeout_s), timeout_s)
        except DeviceError as error:
            self.ended[type(error).__name__] += 1
            self.silent = self.silent + 1 if isinstance(error, SilentError) else 0
            if isinstance(error, UnreachableError) or self.silent >= SILENT_MAX:
                self.silent = 0
                self.connect()
        else:
            self.silent = 0
            self._judge(request, found)
        self.loop.run_until(self.loop.now_s + self.rng.choice((0.0, 0.0, 0.001, 0.02, 0.1)))

    def _finish(self, work: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        try:
            future = work.send(None)
            if self.rng.random() < 0.02:
                self.loop.run_until(self.loop.now_s + self.rng.uniform(0.0, timeout_s), future.done)
                if not future.done():
                    future.cancel()
                    work.close()
                    return None
            longest_s = _longest_s(timeout_s)
            self.loop.run_until(self.loop.now_s + longest_s, future.done)
            if not future.done():
                raise BrokenInvariantError(f"{self.framing}: nothing came of a request in {longest_s} s")
            work.send(None)
        except StopIteration as done:
            return "done" if done.value is None else done.value
        raise BrokenInvariantError(f"{self.framing}: a second exchange where one was expected")

    def _read_directly(self, request: Any, timeout_s: float) -> bytes:
        """As the poller's chain of callbacks reads."""
        heard: list[Any] = []
        self.driver.sender(request)(timeout_s, self.loop.now_s, heard.append)
        self.loop.run_until(self.loop.now_s + _longest_s(timeout_s), lambda: bool(heard))
        if len(heard) != 1:
            raise BrokenInvariantError(f"{self.framing}: heard {heard} of one request")
        if isinstance(heard[0], DeviceError):
            raise heard[0]
        return self.driver.take(request, heard[0])

    def _judge(self, request: Any, found: Any) -> None:
        if found is None:
            self.ended["cancelled"] += 1
            return
        self.ended["right"] += 1
        if request is None:
            return
        if found != self.device.content[2:]:
            raise BrokenInvariantError(f"{self.framing}: {request.text} of unit {request.device.unit}: got "
                                       f"{found.hex()}: expected {self.device.content[2:].hex()}")

    def run(self, frames: int) -> Figures:
        """Until so many frames were sent to the driver."""
        started_s = time.perf_counter()
        requests = 0
        with virtual(self.loop):
            self.connect()
            while self.device.frames < frames:
                self.turn()
                requests += 1
                if len(self.link._received) > KEPT_BYTES_MAX:
                    raise BrokenInvariantError(f"{self.framing}: {len(self.link._received)} bytes are kept")
            self.connect()
        return Figures(self.framing, self.device.frames, requests, self.ended, self.late,
                       time.perf_counter() - started_s)


@contextmanager
def virtual(loop: VirtualLoop) -> Iterator[None]:
    """Links run on this loop and its clock."""
    modules: tuple[Any, ...] = (link, modbus_link, rtu_link)
    before = [module.time for module in modules]
    for module in modules:
        module.time = loop
    asyncio._set_running_loop(loop)  # type: ignore[arg-type]
    try:
        yield
    finally:
        asyncio._set_running_loop(None)
        for module, real in zip(modules, before, strict=True):
            module.time = real


def _longest_s(timeout_s: float) -> float:
    """The wait for a debt, a fence, the request, and the time on the wire."""
    return 2 * timeout_s + LATE_MAX_S + 0.3


def _unit(number: int) -> Unit:
    return Unit(0, f"unit-{number}", "meter", 0, number, "fuzz", 0, 1)


def _point(index: int, address: ModbusAddress) -> Point:
    return Point(index, f"p{index}", 0, f"p{index}", "1", address, write=WriteRule(0.0, 1e9, read_back=index))


def _writable() -> list[Point]:
    addresses = [
        ModbusAddress(7, "bit", "coil"), ModbusAddress(8, "bit", "coil", write_function=15), ModbusAddress(9, "uint16"),
        ModbusAddress(10, "uint16", write_function=16), ModbusAddress(11, "float32"),
        ModbusAddress(13, "float32", write_function=23), ModbusAddress(15, "uint16", write_function=23),
    ]
    return [_point(n, address) for n, address in enumerate(addresses)]


def fuzz(framing: str, frames: int, seed: int) -> Figures:
    """Raises BrokenInvariantError, or whatever the driver should not have raised."""
    return Fuzz(framing, seed).run(frames)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="fuzz the Modbus driver")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--framing", choices=FRAMINGS, action="append")
    options = parser.parse_args()
    for framing in options.framing or FRAMINGS:
        share = options.frames // 2 if framing.startswith("rtu") and not options.framing else options.frames
        print(fuzz(framing, share, options.seed), flush=True)  # noqa: T201  # a program
    return 0


if __name__ == "__main__":
    sys.exit(main())
