"""Devices that do not echo transaction ids: answers are matched by their order, and nothing is ever owed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pswd_edge.errors import DecodeError, SilentError, UnreachableError
from pswd_edge.field.drivers.modbus import ModbusDriver
from tests.field.fieldmaker import RawDevice, frame, modbus_device, modbus_point, raw_device

DEVICE = modbus_device(unit=3)
FAST_S = 0.06


@pytest.fixture
async def device() -> AsyncIterator[RawDevice]:
    """Answers everything under id 0, as some firmware does."""
    async with raw_device() as made:
        made.misbehave = lambda t, u, pdu: [frame(0, u, made.right(pdu))]
        yield made


@pytest.fixture
async def driver(device: RawDevice) -> AsyncIterator[ModbusDriver]:
    made = ModbusDriver({"host": "127.0.0.1", "port": device.port, "echoes_transaction": False})
    await made.open()
    yield made
    await made.close()


async def read(driver: ModbusDriver, register: int, timeout_s: float = 1.0) -> bytes:
    (request,) = driver.plan(DEVICE, [modbus_point(register)])
    return await driver.read(request, timeout_s)


async def test_answers_are_matched_by_their_order(device: RawDevice, driver: ModbusDriver) -> None:
    """The usual driver takes none of these, and rightly."""
    assert [await read(driver, n) for n in (1, 2, 3)] == [b"\0\1", b"\0\2", b"\0\3"]
    await driver.write(DEVICE, modbus_point(7), 9.0, 1.0)
    assert device.words[7] == 9
    usual = ModbusDriver({"host": "127.0.0.1", "port": device.port})
    await usual.open()
    with pytest.raises(SilentError):
        await read(usual, 1, FAST_S)
    await usual.close()


async def test_row_11_a_time_out_closes_the_connection(device: RawDevice, driver: ModbusDriver) -> None:
    """The answer would be taken for the next request's: without a connection it can go nowhere."""
    device.delay_s = 2 * FAST_S
    with pytest.raises(SilentError, match="the connection is made anew"):
        await read(driver, 1, FAST_S)
    with pytest.raises(UnreachableError, match="not connected"):
        await read(driver, 2)
    await driver.open()
    assert [await read(driver, n) for n in (2, 3)] == [b"\0\2", b"\0\3"]


async def test_a_cancelled_read_closes_the_connection(device: RawDevice, driver: ModbusDriver) -> None:
    """Its answer is on the way, and nothing on it says whose it is."""
    device.delay_s = FAST_S
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(FAST_S / 3):
            await read(driver, 1)
    with pytest.raises(UnreachableError, match="not connected"):
        await read(driver, 2)


@pytest.mark.parametrize("pdu", ["0302", "030400010002", "04020001", "8402", "0600010001"])
async def test_an_answer_of_another_shape_closes_the_connection(
    device: RawDevice, driver: ModbusDriver, pdu: str
) -> None:
    """It may be the answer to something else; then the right one follows."""
    device.misbehave = lambda t, u, _: [frame(0, u, bytes.fromhex(pdu))]
    with pytest.raises(DecodeError, match="expected 0302 of unit 3; the connection is made anew"):
        await read(driver, 1)
    with pytest.raises(UnreachableError):
        await read(driver, 1)


async def test_an_answer_of_another_unit_closes_the_connection(device: RawDevice, driver: ModbusDriver) -> None:
    """The unit is the one number that such a device does echo."""
    device.misbehave = lambda t, u, pdu: [frame(0, u + 1, device.right(pdu))]
    with pytest.raises(DecodeError, match="of unit 4: expected 0302 of unit 3"):
        await read(driver, 1)


async def test_an_answer_too_many_closes_the_connection(device: RawDevice, driver: ModbusDriver) -> None:
    """From then on every answer would be one behind."""
    device.misbehave = lambda t, u, pdu: [2 * frame(0, u, device.right(pdu))]
    assert await read(driver, 1) == b"\0\1"
    with pytest.raises(UnreachableError):
        await read(driver, 2)


async def test_a_header_that_is_none_closes_the_connection(device: RawDevice, driver: ModbusDriver) -> None:
    """There is no way to find the next answer behind it."""
    device.misbehave = lambda *_: [b"\xff" * 20]
    with pytest.raises(UnreachableError, match=r"expected protocol 0, length 2\.\.254"):
        await read(driver, 1)


async def test_answers_in_pieces_are_put_together(device: RawDevice, driver: ModbusDriver) -> None:
    """TCP keeps no borders."""
    def pieces(t: int, u: int, pdu: bytes) -> list[bytes]:
        (transport,) = device.transports
        for i, byte in enumerate(frame(0, u, device.right(pdu))):
            asyncio.get_running_loop().call_later(0.002 * i, transport.write, bytes([byte]))
        return []

    device.misbehave = pieces
    assert await read(driver, 9) == b"\0\x09"
