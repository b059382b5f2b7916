"""The driver against libmodbus' server, which nobody here wrote: TCP, RTU on a serial line, RTU over TCP.

Needs gcc and libmodbus-dev (Debian); without them these tests are skipped.
"""

import asyncio
import os
import pty
import shutil
import socket
import subprocess
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pswd_edge.errors import RefusedError
from pswd_edge.field.decoder import Decoder
from pswd_edge.field.drivers.codec import FORMATS
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.drivers.plan import WORDS
from pswd_edge.model.point import Point
from tests.field.drivers.modbus_lines import opened
from tests.field.fieldmaker import modbus_device, modbus_point

DEVICE = modbus_device(unit=3)
ORDERS = [("big", "big"), ("big", "little"), ("little", "big"), ("little", "little")]
VALUES = {"float16": -2.5, "float32": 100.25, "float64": 1e-300, "int16": -3.0, "int32": -100_000.0,
          "int64": -(2.0**40), "bcd16": 9876.0, "bcd32": 12_345_678.0}
SOURCE = Path(__file__).parent / "libmodbus_server.c"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server, compiled."""
    if shutil.which("gcc") is None or not Path("/usr/include/modbus/modbus.h").exists():
        pytest.skip("gcc or libmodbus-dev is not installed: apt-get install gcc libc6-dev libmodbus-dev")
    made = tmp_path_factory.mktemp("libmodbus") / "server"
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", made, SOURCE, "-lmodbus"], check=True, timeout=60)
    return made


@contextmanager
def running(program: Path, *words: str) -> Iterator[None]:
    """The server from its being ready to its standard input's end."""
    with subprocess.Popen([program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


class Terminal:
    """A pseudo terminal; both ends are held, so that none hangs up. `end` opens as a serial port."""

    def __init__(self) -> None:
        self.ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self.ours, False)
        self.end = os.ttyname(self._theirs)

    def read(self) -> bytes:
        with suppress(BlockingIOError):
            return os.read(self.ours, 4096)
        return b""

    def close(self) -> None:
        os.close(self.ours)
        os.close(self._theirs)


@asynccontextmanager
async def tcp(program: Path) -> AsyncIterator[dict[str, Any]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(program, "tcp", str(port)):
        yield {"host": "127.0.0.1", "port": port}


@asynccontextmanager
async def serial(program: Path) -> AsyncIterator[dict[str, Any]]:
    """Two terminals, and a wire between them."""
    loop, near, far = asyncio.get_running_loop(), Terminal(), Terminal()
    for one, other in ((near, far), (far, near)):
        loop.add_reader(one.ours, lambda one=one, other=other: os.write(other.ours, one.read()))
    try:
        with running(program, "rtu", far.end):
            yield {"transport": "serial", "device": near.end, "baud": 115200, "parity": "none"}
    finally:
        for terminal in (near, far):
            loop.remove_reader(terminal.ours)
            terminal.close()


@asynccontextmanager
async def rtu_over_tcp(program: Path) -> AsyncIterator[dict[str, Any]]:
    """A terminal behind a transparent converter: bytes in, bytes out."""
    loop, far = asyncio.get_running_loop(), Terminal()
    writers: list[asyncio.StreamWriter] = []

    async def convert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            while chunk := await reader.read(4096):
                os.write(far.ours, chunk)
        writer.close()

    loop.add_reader(far.ours, lambda: writers[-1].write(far.read()))
    converter = await asyncio.start_server(convert, "127.0.0.1", 0)
    try:
        with running(program, "rtu", far.end):
            port = converter.sockets[0].getsockname()[1]
            yield {"transport": "rtu_over_tcp", "host": "127.0.0.1", "port": port}
    finally:
        converter.close()
        loop.remove_reader(far.ours)
        await asyncio.sleep(0.01)
        far.close()


ROADS = {"tcp": tcp, "serial": serial, "rtu_over_tcp": rtu_over_tcp}
every_road = pytest.mark.parametrize("road", ROADS)


async def value(driver: ModbusDriver, point: Point) -> float:
    """Read and decoded as the field does it."""
    (request,) = driver.plan(DEVICE, [point])
    answer = await driver.read(request, 2.0)
    return float(Decoder([request], [0], np.frombuffer(answer, np.uint8)).decode()[0])


def number_points() -> list[Point]:
    """Every type in every order, by each function that can write it."""
    points, register = [], 0
    for type_ in (t for t in FORMATS if t != "bit"):
        functions = (0, 6, 16, 23) if WORDS[type_] == 1 else (0, 16, 23)
        for word_order, byte_order in ORDERS:
            for function in functions:
                points.append(modbus_point(register, type_, word_order=word_order, byte_order=byte_order,
                                           write_function=function))
                register += WORDS[type_]
    return points


@every_road
async def test_libmodbus_takes_and_shows_every_type(road: str, program: Path) -> None:
    """Eleven types, four orders, functions 6, 16 and 23: what is written is in its memory, and is read back."""
    async with ROADS[road](program) as settings, opened(settings) as driver:
        points = number_points()
        assert len(points) == 4 * (4 * 4 + 3 * 7)
        for point in points:
            await driver.write(DEVICE, point, VALUES.get(point.address.type, 42.0), 2.0)
        for point in points:
            assert await value(driver, point) == VALUES.get(point.address.type, 42.0), point.address
        whole = [modbus_point(r, index=r) for r in range(125)]
        (request,) = driver.plan(DEVICE, whole)
        assert len(await driver.read(request, 2.0)) == 250


@every_road
async def test_libmodbus_takes_and_shows_coils_bits_and_inputs(road: str, program: Path) -> None:
    """Functions 1, 2, 4, 5 and 15."""
    async with ROADS[road](program) as settings, opened(settings) as driver:
        for register, function in ((7, 0), (8, 5), (9, 15)):
            point = modbus_point(register, "bit", kind="coil", write_function=function)
            for state in (1.0, 0.0, 1.0):
                await driver.write(DEVICE, point, state, 2.0)
                assert await value(driver, point) == state
        assert await value(driver, modbus_point(30, "int16", kind="input")) == -15672.0
        assert await value(driver, modbus_point(42, "bit", kind="discrete")) == 1.0
        await driver.write(DEVICE, modbus_point(300, "uint16"), 1.0 * 0x0204, 2.0)
        bits = [await value(driver, modbus_point(300, "bit", bit=b)) for b in (1, 2, 9)]
        assert bits == [0.0, 1.0, 1.0]
        assert await value(driver, modbus_point(300, "uint16", bits=(8, 11))) == 2.0


@every_road
async def test_libmodbus_refuses_what_it_does_not_have(road: str, program: Path) -> None:
    """And the connection goes on."""
    async with ROADS[road](program) as settings, opened(settings) as driver:
        with pytest.raises(RefusedError, match="illegal address"):
            await value(driver, modbus_point(60_000))
        with pytest.raises(RefusedError, match="illegal address"):
            await driver.write(DEVICE, modbus_point(60_000), 1.0, 2.0)
        assert await value(driver, modbus_point(1999)) == 0.0
