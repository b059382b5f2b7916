"""The Modbus server over real sockets, with pymodbus's own client."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest
from fake_plant import ANY, FakePlant, device, face_of, modbus, serving, space_of
from pymodbus.client import AsyncModbusTcpClient

from simulators.faults import Faults
from simulators.servers.face import Face
from simulators.servers.registers import RegisterSpace

READ_0 = bytes.fromhex("000100000006010300000002")


@asynccontextmanager
async def client_of(server):
    client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=0.5, retries=0, reconnect_delay=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def raw(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()



async def test_pymodbus_reads_and_writes_with_every_function():
    """The client that users have must find nothing odd."""
    points = [
        modbus("p", 0), modbus("set", 2, "uint16", write=ANY), modbus("set2", 3, "uint16", write=ANY),
        modbus("in", 7, "int16", kind="input"), modbus("coil", 5, "bit", kind="coil", write=ANY),
        modbus("coil2", 6, "bit", kind="coil", write=ANY), modbus("di", 9, "bit", kind="discrete"),
    ]
    shown = {"p": 100.0, "set": 1.0, "set2": 2.0, "in": -3.0, "coil": 0.0, "coil2": 1.0, "di": 1.0}
    space, plant = space_of(points, shown)
    async with serving(space) as server, client_of(server) as client:
        assert (await client.read_holding_registers(0, count=4)).registers == [0x42C8, 0, 1, 2]
        assert (await client.read_input_registers(7, count=1)).registers == [0xFFFD]
        assert (await client.read_coils(5, count=2)).bits[:2] == [False, True]
        assert (await client.read_discrete_inputs(9, count=1)).bits[0] is True
        assert not (await client.write_coil(5, True)).isError()
        assert not (await client.write_coils(5, [False, True])).isError()
        assert not (await client.write_register(2, 77)).isError()
        assert not (await client.write_registers(2, [78, 79])).isError()
        answer = await client.readwrite_registers(read_address=2, read_count=2, write_address=3, values=[80])
        assert answer.registers == [78, 80]
        assert (await client.read_holding_registers(1000, count=1)).exception_code == 2
        assert (await client.write_register(0, 1)).exception_code == 2

    sets = [value for _, signal, value in plant.written if signal.startswith("set")]
    assert sets == [77.0, 78.0, 79.0, 80.0]
    assert [v for _, signal, v in plant.written if signal.startswith("coil")] == [1.0, 0.0, 1.0]


async def test_requests_in_pieces_and_in_one_lump_are_answered_in_order():
    """TCP keeps no borders between requests."""
    space, _ = space_of([modbus("p", 0)], {"p": 100.0})
    async with serving(space) as server, raw(server) as (reader, writer):
        for byte in READ_0:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)
        first = await asyncio.wait_for(reader.readexactly(13), 1)
        writer.write(b"\0\2" + READ_0[2:] + b"\0\3" + READ_0[2:] + b"\0\4" + READ_0[2:7])
        rest = await asyncio.wait_for(reader.readexactly(26), 1)

    assert first.hex() == "000100000007010304" + "42c80000"
    assert (rest[:2], rest[13:15]) == (b"\0\2", b"\0\3")


async def test_noise_closes_the_connection_but_not_the_server():
    """There is no way to find the next request in a broken stream."""
    space, _ = space_of([modbus("p", 0)], {"p": 100.0})
    async with serving(space) as server:
        async with raw(server) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await asyncio.wait_for(reader.read(), 1) == b""
        async with client_of(server) as client:
            assert (await client.read_holding_registers(0, count=2)).registers == [0x42C8, 0]


@pytest.mark.parametrize("silent", [False, True])
async def test_an_unknown_unit_is_refused_or_ignored(silent):
    """Gateways answer 0x0B or nothing for a unit that is not there."""
    space, _ = space_of([modbus("p", 0)], {"p": 100.0})
    unknown = "silence" if silent else "exception"
    async with serving(space, unknown_unit=unknown) as server, raw(server) as (reader, writer):
        writer.write(READ_0[:6] + b"\x09" + READ_0[7:])
        writer.write(b"\0\2" + READ_0[2:])
        got = await asyncio.wait_for(reader.readexactly(13 if silent else 22), 1)

    assert got.hex().startswith("00020000" if silent else "00010000000309830b")


async def read_raw(client):
    answer = await client.read_holding_registers(0, count=2)
    return answer.registers


async def test_freeze_keeps_values_and_nothing_else():
    """A frozen meter answers, with what it had."""
    space, plant = space_of([modbus("p", 0), modbus("set", 2, "uint16", write=ANY)], {"p": 100.0, "set": 0.0})
    async with serving(space) as server, client_of(server) as client:
        space.face.all_faults.set("dut", "freeze", True)
        plant.shown["dut"]["p"] = 1.0
        await client.write_register(2, 5)
        space.face.refresh()
        await server.refresh(space.face)
        assert await read_raw(client) == [0x42C8, 0]
        assert (await client.read_holding_registers(2, count=1)).registers == [5]
        space.face.all_faults.set("dut", "freeze", None)
        space.face.refresh()
        await server.refresh(space.face)
        assert await read_raw(client) == [0x3F80, 0]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("nan", [0x7FC0, 0, 0x8000, 7]), ("sentinel", [0xC61C, 0x3C00, 0x8000, 7]),
        ("word_order", [0, 0x42C8, 3, 7]),
    ],
)
async def test_value_faults_spoil_measurements_and_spare_set_points(fault, expected):
    """A broken sensor does not make a device forget what it was told. -9999.0 is C61C3C00."""
    points = [modbus("p", 0, invalid=(-9999.0,)), modbus("q", 2, "int16"), modbus("set", 3, "uint16", write=ANY)]
    space, _ = space_of(points, {"p": 100.0, "q": 3.0, "set": 7.0})
    async with serving(space) as server, client_of(server) as client:
        space.face.all_faults.set("dut", fault, True)
        await server.refresh(space.face)
        assert (await client.read_holding_registers(0, count=4)).registers == expected
        space.face.all_faults.set("dut", fault, None)
        await server.refresh(space.face)
        assert (await client.read_holding_registers(0, count=4)).registers == [0x42C8, 0, 3, 7]


async def test_exception_refuses_everything_with_its_code():
    """Code 4: the device itself is in trouble; a write is not done either."""
    space, plant = space_of([modbus("set", 0, "uint16", write=ANY)], {"set": 0.0})
    async with serving(space) as server, client_of(server) as client:
        space.face.all_faults.set("dut", "exception", 4)
        assert (await client.read_holding_registers(0, count=1)).exception_code == 4
        assert (await client.write_register(0, 1)).exception_code == 4
    assert plant.written == []


async def test_delay_and_drop_make_an_answer_late_and_absent():
    """Late is measurable; dropped with certainty never comes, though the write was done."""
    space, plant = space_of([modbus("p", 0), modbus("set", 2, "uint16", write=ANY)], {"p": 100.0, "set": 0.0})
    faults = space.face.all_faults
    loop = asyncio.get_running_loop()
    async with serving(space) as server, raw(server) as (reader, writer):
        faults.set("dut", "delay", 0.05)
        asked = loop.time()
        writer.write(READ_0)
        await asyncio.wait_for(reader.readexactly(13), 1)
        assert 0.045 <= loop.time() - asked < 0.3
        faults.set("dut", "delay", None)
        faults.set("dut", "drop", 1.0)
        writer.write(bytes.fromhex("000500000006010600020009"))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.05)
    assert plant.written == [("dut", "set", 9.0)]


async def test_garbage_is_what_the_table_of_faults_says():
    """Wrong ids, answers one behind, and frames that are none: each as a client would see it on the wire."""
    space, plant = space_of([modbus("p", 0)], {"p": 100.0})
    faults = space.face.all_faults
    async with serving(space) as server, raw(server) as (reader, writer):
        async def ask(number):
            writer.write(struct.pack(">H", number) + READ_0[2:])
            return await asyncio.wait_for(reader.readexactly(13), 1)

        faults.set("dut", "garbage", "transaction")
        assert (await ask(1))[:2] != b"\0\1"
        faults.set("dut", "garbage", "late")
        writer.write(READ_0)
        await asyncio.sleep(0.02)
        plant.shown["dut"]["p"] = 1.0
        space.face.refresh()
        await server.refresh(space.face)
        late = await ask(2)
        assert (late[:2], late[9:]) == (b"\0\1", bytes.fromhex("42c80000"))
        faults.set("dut", "garbage", "late_same_id")
        stolen = await ask(3)
        assert (stolen[:2], stolen[9:]) == (b"\0\3", bytes.fromhex("3f800000"))
        faults.set("dut", "garbage", "frame")
        broken = await ask(4)
        assert broken[2:4] != b"\0\0"


async def test_disconnect_and_reboot_close_the_port_and_bring_it_back_with_defaults():
    """What a power cycle does: no connection, then set-points as from the factory."""
    now = [100.0]
    plant, faults = FakePlant(dut={"set": 3.0}), Faults(["dut", "line"], clock=lambda: now[0])
    space = RegisterSpace(Face(device(), [modbus("set", 0, "uint16", write=ANY)], plant, faults))
    async with serving(space) as server:
        port = server.port
        async with client_of(server) as client:
            await client.write_register(0, 8)
            faults.set("dut", "reboot", 5.0)
            await server.follow()
            await asyncio.sleep(0.02)
            assert not client.connected
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection("127.0.0.1", port)
        now[0] = 105.0
        faults.tick()
        await server.follow()
        space.face.refresh()
        await server.refresh(space.face)
        assert server.port == port
        async with client_of(server) as client:
            assert (await client.read_holding_registers(0, count=1)).registers == [3]


async def test_a_dead_unit_leaves_its_neighbours_alone():
    """Behind a shared gateway only the gateway itself can take all units away."""
    plant = FakePlant(a={"p": 1.0}, b={"p": 100.0})
    faults = Faults(["a", "b", "line"])
    spaces = [
        RegisterSpace(Face(device(id_=name, unit=unit), [modbus("p", 0)], plant, faults))
        for name, unit in (("a", 1), ("b", 2))
    ]
    async with serving(*spaces) as server, raw(server) as (reader, writer):
        faults.set("a", "disconnect", True)
        await server.follow()
        writer.write(READ_0)
        writer.write(b"\0\2" + READ_0[2:6] + b"\2" + READ_0[7:])
        assert (await asyncio.wait_for(reader.readexactly(13), 1))[:2] == b"\0\2"
        faults.set("line", "disconnect", True)
        await server.follow()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), 1)


def test_an_unknown_fault_is_refused_in_words():
    """A typing error in a test must not pass for a fault that does nothing."""
    _, _, faults = face_of([], {})
    for args in (("nobody", "freeze", True), ("dut", "freez", True), ("dut", "drop", 2), ("dut", "garbage", "soup")):
        with pytest.raises(ValueError, match="nothing was changed"):
            faults.set(*args)
