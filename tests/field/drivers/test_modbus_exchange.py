"""The Modbus driver over real sockets: what it reads and writes, and what it believes of a device that misbehaves."""

import asyncio
import math
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError, UnreachableError, WriteError
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.model.point import Point
from tests.field.fieldmaker import ANY, HEAD, RawDevice, frame, modbus_device, modbus_point, opened, raw_device

DEVICE = modbus_device(unit=3)
FAST_S = 0.06


@pytest.fixture
async def device() -> AsyncIterator[RawDevice]:
    async with raw_device() as made:
        yield made


@pytest.fixture
async def driver(device: RawDevice) -> AsyncIterator[ModbusDriver]:
    async with opened(device.port) as made:
        yield made


async def read(
    driver: ModbusDriver, register: int = 5, type_: str = "uint16", timeout_s: float = 1.0, **more: Any
) -> bytes:
    (request,) = driver.plan(DEVICE, [modbus_point(register, type_, **more)])
    return await driver.read(request, timeout_s)


@pytest.mark.parametrize(("kind", "function"), [("coil", 1), ("discrete", 2), ("holding", 3), ("input", 4)])
async def test_each_kind_is_read_with_its_own_function(
    device: RawDevice, driver: ModbusDriver, kind: str, function: int
) -> None:
    """Function, start and count as Modbus V1.1b3 writes them."""
    bits = kind in ("coil", "discrete")
    answer = await read(driver, 258, "bit" if bits else "uint16", kind=kind)
    assert device.asked == [(3, bytes([function, 1, 2, 0, 1]))]
    assert answer == (b"\xff" if bits else b"\x01\x02")


@pytest.mark.parametrize(("point", "value", "pdu"), [
    (modbus_point(7, "uint16", scale=0.1), 12.3, "060007007b"),
    (modbus_point(7, "int16"), -2.0, "060007fffe"),
    (modbus_point(7, "float32"), 100.0, "10000700020442c80000"),
    (modbus_point(7, "int32", word_order="little"), -100000.0, "100007000204" + "7960fffe"),
    (modbus_point(7, "bit", kind="coil"), 1.0, "050007ff00"),
    (modbus_point(7, "bit", kind="coil"), 0.0, "0500070000"),
])
async def test_each_type_is_written_with_its_own_function(
    device: RawDevice, driver: ModbusDriver, point: Point, value: float, pdu: str
) -> None:
    """Words of one value leave in one request: a device must never see half of a set-point."""
    await driver.write(DEVICE, point, value, 1.0)
    assert device.asked == [(3, bytes.fromhex(pdu))]


@pytest.mark.parametrize(("point", "value"), [
    (modbus_point(7, "bit", kind="coil"), math.nan), (modbus_point(7, "bit", kind="coil"), 0.5),
    (modbus_point(7, "bit", kind="coil"), math.inf), (modbus_point(7, "bit", bit=3), 1.0),
    (modbus_point(7, "uint16", kind="input"), 1.0), (modbus_point(7, "bit", kind="discrete"), 1.0),
    (modbus_point(7, "uint16"), 70000.0), (modbus_point(7, "float32"), math.nan),
])
async def test_what_cannot_be_written_sends_nothing(
    device: RawDevice, driver: ModbusDriver, point: Point, value: float
) -> None:
    """A NaN is true in Python: it must not switch a breaker on."""
    with pytest.raises(WriteError, match="nothing was written"):
        await driver.write(DEVICE, point, value, 1.0)
    assert device.asked == []


async def test_an_exception_is_a_refusal_with_its_code(device: RawDevice, driver: ModbusDriver) -> None:
    """An illegal address must not look like a dead cable."""
    device.misbehave = lambda t, u, pdu: [frame(t, u, bytes([pdu[0] | 0x80, 2]))]
    with pytest.raises(RefusedError, match=r"exception code 2 \(illegal address\)") as caught:
        await read(driver)
    assert caught.value.code == 2
    device.misbehave = lambda t, u, pdu: [frame(t, u, bytes([pdu[0] | 0x80, 99]))]
    with pytest.raises(RefusedError, match=r"99 .not in the standard"):
        await driver.write(DEVICE, modbus_point(1), 1.0, 1.0)


@pytest.mark.parametrize("pdu", [
    "04020005", "030200", "03040005", "0302000500", "03", "8402", "83", "830200", "ff",
])
async def test_an_answer_of_another_shape_makes_no_value(device: RawDevice, driver: ModbusDriver, pdu: str) -> None:
    """Other function, other length, the exception to something else, a mere byte: all under the right id."""
    device.misbehave = lambda t, u, _: [frame(t, u, bytes.fromhex(pdu))]
    with pytest.raises(DecodeError, match=r"read holding 5\+1: got"):
        await read(driver)
    device.misbehave = lambda *_: None
    assert await read(driver) == b"\0\5"  # and the connection goes on


@pytest.mark.parametrize("pdu", ["0600070008", "060007", "1000070001", "06"])
async def test_a_write_whose_echo_differs_did_not_happen(device: RawDevice, driver: ModbusDriver, pdu: str) -> None:
    """The device confirmed something else than what it was told."""
    device.misbehave = lambda t, u, _: [frame(t, u, bytes.fromhex(pdu))]
    with pytest.raises(DecodeError, match=r"write dev0.p0: got"):
        await driver.write(DEVICE, modbus_point(7), 9.0, 1.0)


async def test_an_answer_of_another_unit_is_not_ours(device: RawDevice, driver: ModbusDriver) -> None:
    """A gateway that mixes up its units gives the neighbour's watts."""
    device.misbehave = lambda t, u, pdu: [frame(t, u + 1, device.right(pdu))]
    with pytest.raises(DecodeError, match="got an answer of unit 4: expected unit 3"):
        await read(driver)


async def test_answers_in_pieces_and_in_one_lump(device: RawDevice, driver: ModbusDriver) -> None:
    """TCP keeps no borders: byte by byte, and with an older duplicate before it in one segment."""
    def pieces(t: int, u: int, pdu: bytes) -> list[bytes]:
        whole = frame(t, u, device.right(pdu))
        for i, byte in enumerate(whole):
            asyncio.get_running_loop().call_later(0.001 * i, lambda b=byte: device._pieces.write(bytes([b])))  # type: ignore[attr-defined]
        return []

    device._pieces = next(iter(device.transports))  # type: ignore[attr-defined]
    device.misbehave = pieces
    assert await read(driver, 9) == b"\0\x09"
    device.misbehave = lambda t, u, pdu: [
        frame(t - 1, u, b"\x03\x02\xde\xad") + frame(t, u, device.right(pdu)) + frame(t, u, b"\x03\x02\xde\xad")]
    assert await read(driver, 10) == b"\0\x0a"
    device.misbehave = lambda *_: None
    assert await read(driver, 11) == b"\0\x0b"


async def test_a_late_answer_is_never_taken_for_the_next(device: RawDevice, driver: ModbusDriver) -> None:
    """Off by one for ever is the peers' worst bug: every value is right, and belongs to another register."""
    device.delay_s = 1.5 * FAST_S
    with pytest.raises(SilentError):
        await read(driver, 1, timeout_s=FAST_S)
    assert await read(driver, 2, timeout_s=1.0) == b"\0\2"
    assert driver.late == 1
    device.delay_s = 0.0
    assert [await read(driver, n) for n in (3, 4)] == [b"\0\3", b"\0\4"]


async def test_a_device_whose_every_answer_is_late_gets_a_new_connection(
    device: RawDevice, driver: ModbusDriver
) -> None:
    """Three in a row: the stream is out of step, and nothing on it is believed any more."""
    device.delay_s = 1.5 * FAST_S
    errors: list[DeviceError] = []
    for register in range(6):
        with pytest.raises(DeviceError) as caught:
            await read(driver, register, timeout_s=FAST_S)
        errors.append(caught.value)
    assert [type(e) for e in errors[:3]] == [SilentError] * 3
    assert any(isinstance(e, UnreachableError) and "3 answers in a row" in str(e) for e in errors)

    device.delay_s = 0.0
    await driver.open()
    assert await read(driver, 8) == b"\0\x08"


@pytest.mark.parametrize("garbage", ["0001000a0003030302", "000100000001030302", "0001000000ff030302", "ff" * 300])
async def test_a_header_that_is_none_ends_the_connection(
    device: RawDevice, driver: ModbusDriver, garbage: str
) -> None:
    """There is no way to find the next answer behind it."""
    device.misbehave = lambda *_: [bytes.fromhex(garbage)]
    with pytest.raises(UnreachableError, match=r"expected protocol 0, length 2..254; the connection is made anew"):
        await read(driver)
    with pytest.raises(UnreachableError, match="not connected"):
        await read(driver)


@pytest.mark.parametrize("how", ["reset", "finished"])
async def test_a_connection_that_ends_while_we_wait_is_told_at_once(
    device: RawDevice, driver: ModbusDriver, how: str
) -> None:
    """Not after the time-out: the reset is there. A half-open peer that only finished sending counts as gone too."""
    def end(*_: Any) -> list[bytes]:
        for transport in tuple(device.transports):
            transport.abort() if how == "reset" else transport.write_eof()
        return []

    device.misbehave = end
    started_s = time.monotonic()
    with pytest.raises(UnreachableError, match="connection closed by the device"):
        await read(driver, timeout_s=5.0)
    assert time.monotonic() - started_s < 1.0


async def test_nobody_there_is_unreachable() -> None:
    """A refused connection is retried with back-off, not reported as a mistake."""
    async with raw_device() as gone:
        port = gone.port
    driver = ModbusDriver({"host": "127.0.0.1", "port": port})
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}: "):
        await driver.open()
    with pytest.raises(UnreachableError, match="not connected"):
        await read(driver)
    await driver.close()


async def test_a_short_time_out_is_kept_though_an_older_longer_one_runs(
    device: RawDevice, driver: ModbusDriver
) -> None:
    """The timer is shared: set for 5 s by the first request, it must still end the second after 60 ms."""
    await read(driver, timeout_s=5.0)
    device.muted.add(3)
    started_s = time.monotonic()
    with pytest.raises(SilentError):
        await read(driver, timeout_s=FAST_S)
    assert FAST_S <= time.monotonic() - started_s < 0.5


async def test_many_silent_connections_share_one_timer(device: RawDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer for each request of each device is 1000 a second at 100 devices."""
    device.muted.add(3)
    drivers = [ModbusDriver({"host": "127.0.0.1", "port": device.port}) for _ in range(20)]
    for driver in drivers:
        await driver.open()
    loop, timers = asyncio.get_running_loop(), []
    call_later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda *a, **k: timers.append(a[1]) or call_later(*a, **k))
    times_s = [FAST_S + 0.02 * (n % 3) for n in range(20)]

    async def one(driver: ModbusDriver, timeout_s: float) -> float:
        started_s = time.monotonic()
        with pytest.raises(SilentError):
            await read(driver, timeout_s=timeout_s)
        return time.monotonic() - started_s

    took_s = await asyncio.gather(*(one(d, s) for d, s in zip(drivers, times_s, strict=True)))
    for took, asked in zip(took_s, times_s, strict=True):
        assert asked <= took < asked + 0.2
    assert len([t for t in timers if "_Watch" in getattr(t, "__qualname__", "")]) <= 8
    for driver in drivers:
        await driver.close()


async def test_a_cancelled_read_leaves_the_connection_in_step(device: RawDevice, driver: ModbusDriver) -> None:
    """Its answer comes later, and is nobody's."""
    device.delay_s = FAST_S
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(FAST_S / 3):
            await read(driver, 1)
    assert await read(driver, 2) == b"\0\2"


async def test_a_scale_register_is_read_once_for_a_connection_and_again_after_it(
    device: RawDevice, driver: ModbusDriver
) -> None:
    """The device behind the address may be another one after a reconnect, with another scale: 10 times the power."""
    point = modbus_point(10, "int16", scale_register=20)
    device.words[20] = 0xFFFF                        # 10**-1
    await driver.write(DEVICE, point, 12.0, 1.0)
    await driver.write(DEVICE, point, 13.0, 1.0)
    assert [pdu.hex() for _, pdu in device.asked] == ["0300140001", "06000a0078", "06000a0082"]
    device.words[20] = 1
    await driver.open()
    await driver.write(DEVICE, point, 120.0, 1.0)
    assert device.words[10] == 12


@pytest.mark.parametrize("word", [0x8000, 11, 0xFFF5])
async def test_nothing_is_written_with_a_scale_that_is_none(
    device: RawDevice, driver: ModbusDriver, word: int
) -> None:
    """0x8000: the device has no such set-point."""
    device.words[20] = word
    with pytest.raises(WriteError, match=r"scale register 20: .*nothing was written"):
        await driver.write(DEVICE, modbus_point(10, "int16", scale_register=20), 12.0, 1.0)
    assert 10 not in device.words


@pytest.mark.parametrize("pdu", ["0302", "03", "030400010001"])
async def test_a_garbled_scale_register_is_no_crash(device: RawDevice, driver: ModbusDriver, pdu: str) -> None:
    """It once was one: the poller's task ended, and with it the connection, for ever."""
    device.misbehave = lambda t, u, _: [frame(t, u, bytes.fromhex(pdu))]
    with pytest.raises(DecodeError, match=r"scale register 20: got .*nothing was written"):
        await driver.write(DEVICE, modbus_point(10, "int16", scale_register=20), 12.0, 1.0)


async def test_pymodbus_own_server_understands_us() -> None:
    """An independent peer: our mistakes are not its mistakes. Its blocks begin one below our addresses."""
    inputs, switches = [0] * 200, [False] * 200
    inputs[30:32], switches[40:43] = [0xC2C8, 0], [True, False, True]
    blocks = {"hr": ModbusSequentialDataBlock(1, [0] * 200), "ir": ModbusSequentialDataBlock(1, inputs)}
    bits = {"co": ModbusSequentialDataBlock(1, [False] * 200), "di": ModbusSequentialDataBlock(1, switches)}
    context = ModbusServerContext(devices=ModbusDeviceContext(**blocks, **bits), single=True)
    server = ModbusTcpServer(context, address=("127.0.0.1", 0))
    await server.listen()
    port = server.transport.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        async with opened(port) as driver:
            await driver.write(DEVICE, modbus_point(10, "uint16"), 4242.0, 1.0)
            await driver.write(DEVICE, modbus_point(11, "float32"), -1.5, 1.0)
            await driver.write(DEVICE, modbus_point(5, "bit", kind="coil", write=ANY), 1.0, 1.0)
            assert await read(driver, 10) == struct.pack(">H", 4242)
            assert await read(driver, 11, "float32") == struct.pack(">f", -1.5)
            assert await read(driver, 30, "float32", kind="input") == struct.pack(">f", -100.0)
            assert await read(driver, 5, "bit", kind="coil") == b"\x01"
            assert await read(driver, 42, "bit", kind="discrete") == b"\x01"
            with pytest.raises(RefusedError, match="illegal address"):
                await read(driver, 5000)
    finally:
        await server.shutdown()


def test_a_frame_of_the_tests_is_a_frame() -> None:
    """The judge must know the header: transaction, 0, length with the unit, unit."""
    assert frame(0x0102, 3, b"\x03\x02\0\5").hex() == "010200000005030302" + "0005"
    assert HEAD.size == 7
