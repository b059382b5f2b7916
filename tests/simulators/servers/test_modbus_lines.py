"""The simulated RTU, serial and TLS units, with pymodbus' own clients: they must be what real units are."""

import asyncio
import os
import ssl

import pytest
from fake_plant import ANY, face_of, modbus, space_of
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, AsyncModbusTlsClient
from pymodbus.framer import FramerType

from pswd_edge.model.device import Connection
from simulators.servers.build import build_servers
from simulators.servers.modbus import ModbusServer
from simulators.servers.modbus_rtu import rtu_frame
from simulators.servers.modbus_serial import SerialServer
from tests.field.drivers.modbus_lines import authority, server_context

POINTS = [
    modbus("p", 0), modbus("set", 2, "uint16", write=ANY), modbus("set2", 3, "uint16", write=ANY),
    modbus("coil", 5, "bit", kind="coil", write=ANY), modbus("coil2", 6, "bit", kind="coil", write=ANY),
]
SHOWN = {"p": 100.0, "set": 1.0, "set2": 2.0, "coil": 0.0, "coil2": 1.0}
READ_0 = rtu_frame(1, bytes.fromhex("0300000002"))
ANSWER_0 = rtu_frame(1, bytes.fromhex("030442c80000"))


async def every_function(client, plant):
    """Reads, writes, and what is refused."""
    assert await client.connect()
    try:
        assert (await client.read_holding_registers(0, count=4)).registers == [0x42C8, 0, 1, 2]
        assert (await client.read_coils(5, count=2)).bits[:2] == [False, True]
        assert not (await client.write_coils(5, [True, False])).isError()
        assert not (await client.write_coil(5, False)).isError()
        assert not (await client.write_register(2, 77)).isError()
        assert not (await client.write_registers(2, [78, 79])).isError()
        answer = await client.readwrite_registers(read_address=2, read_count=2, write_address=3, values=[80])
        assert answer.registers == [78, 80]
        assert (await client.read_holding_registers(1000, count=1)).exception_code == 2
    finally:
        client.close()
    assert [v for _, signal, v in plant.written if signal.startswith("set")] == [77.0, 78.0, 79.0, 80.0]
    assert [v for _, signal, v in plant.written if signal.startswith("coil")] == [1.0, 0.0, 0.0]


async def test_pymodbus_speaks_rtu_over_tcp_to_it():
    """Functions 15 and 23 included."""
    space, plant = space_of(POINTS, dict(SHOWN))
    server = ModbusServer("line", {1: space}, space.face.all_faults, rtu=True)
    await server.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=server.port, framer=FramerType.RTU, timeout=1, retries=0)
    await every_function(client, plant)
    await server.stop()


async def test_pymodbus_speaks_to_its_serial_line(tmp_path):
    """Through a pseudo terminal, found by a link as names in /dev/serial/by-id are."""
    space, plant = space_of(POINTS, dict(SHOWN))
    server = SerialServer("line", {1: space}, space.face.all_faults, device=tmp_path / "usb-if00")
    await server.start()
    client = AsyncModbusSerialClient(str(tmp_path / "usb-if00"), framer=FramerType.RTU, baudrate=115200, timeout=1,
                                     retries=0)
    await every_function(client, plant)
    await server.stop()
    assert not (tmp_path / "usb-if00").is_symlink()


async def test_pymodbus_speaks_tls_to_it(tmp_path):
    """With the certificate checked."""
    space, plant = space_of(POINTS, dict(SHOWN))
    server = ModbusServer("line", {1: space}, space.face.all_faults,
                          tls=server_context(tmp_path, authority().sign("127.0.0.1")))
    await server.start()
    context = ssl.create_default_context(cadata=authority().pem.decode())
    client = AsyncModbusTlsClient("127.0.0.1", port=server.port, sslctx=context, timeout=1, retries=0)
    await every_function(client, plant)
    await server.stop()


async def _raw(server):
    return await asyncio.open_connection("127.0.0.1", server.port)


async def test_frames_in_pieces_with_noise_between_and_for_others():
    """A line has more on it than our requests; a broken request is not answered, nor one to another unit."""
    space, _ = space_of([modbus("p", 0)], {"p": 100.0})
    server = ModbusServer("line", {1: space}, space.face.all_faults, rtu=True)
    await server.start()
    reader, writer = await _raw(server)
    for byte in READ_0:
        writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    assert await asyncio.wait_for(reader.readexactly(9), 1) == ANSWER_0
    writer.write(READ_0[:-1] + b"\xff")
    writer.write(rtu_frame(9, READ_0[1:-2]))
    await asyncio.sleep(0.02)
    writer.write(READ_0 + READ_0)
    assert await asyncio.wait_for(reader.readexactly(18), 1) == 2 * ANSWER_0
    writer.write(rtu_frame(1, b"\x2b\x0e\x01\x00"))
    assert await asyncio.wait_for(reader.readexactly(5), 1) == rtu_frame(1, b"\xab\x01")
    writer.close()
    await server.stop()


@pytest.mark.parametrize(("garbage", "answers"), [
    ("frame", [ANSWER_0[:-1] + bytes((ANSWER_0[-1] ^ 0x55,))] * 2),
    ("transaction", [rtu_frame(2, ANSWER_0[1:-2])] * 2),
    ("late", [b"", ANSWER_0]), ("late_same_id", [b"", ANSWER_0]),
])
async def test_garbage_on_rtu_is_what_the_table_of_faults_says(garbage, answers):
    """A wrong CRC, another unit's answer, answers one behind."""
    space, _ = space_of([modbus("p", 0)], {"p": 100.0})
    space.face.all_faults.set("dut", "garbage", garbage)
    server = ModbusServer("line", {1: space}, space.face.all_faults, rtu=True)
    await server.start()
    reader, writer = await _raw(server)
    for expected in answers:
        writer.write(READ_0)
        await asyncio.sleep(0.03)
        assert await asyncio.wait_for(reader.readexactly(len(expected)), 1) == expected
    writer.close()
    await server.stop()


async def test_a_terminal_is_made_only_where_nothing_stands(tmp_path):
    """A mistyped path must not replace a file."""
    space, _ = space_of([modbus("p", 0)], {"p": 100.0})
    (tmp_path / "notes").write_text("mine")
    server = SerialServer("line", {1: space}, space.face.all_faults, device=tmp_path / "notes")
    with pytest.raises(ValueError, match="is no link: expected nothing there"):
        await server.start()
    assert (tmp_path / "notes").read_text() == "mine"


async def test_a_terminal_goes_with_its_adapter_and_comes_back(tmp_path):
    """The client meets an end of file, as with an adapter that is pulled."""
    space, _ = space_of([modbus("p", 0)], {"p": 100.0})
    server = SerialServer("line", {1: space}, space.face.all_faults, device=tmp_path / "usb")
    await server.start()
    end = os.open(tmp_path / "usb", os.O_RDWR | os.O_NOCTTY)
    space.face.all_faults.set("line", "disconnect", True)
    await server.follow()
    with pytest.raises(OSError, match="nput/output"):
        os.write(end, b"x")
    os.close(end)
    assert not (tmp_path / "usb").exists()
    space.face.all_faults.set("line", "disconnect", None)
    await server.follow()
    assert (tmp_path / "usb").exists()
    await server.stop()


def test_a_site_gets_the_server_that_its_transport_needs(tmp_path):
    """By the connection's own keys."""
    face, _, faults = face_of([modbus("p", 0)], {"p": 1.0})
    kinds = {}
    context = server_context(tmp_path, authority().sign("127.0.0.1"))
    for transport, more in (("tcp", {}), ("rtu_over_tcp", {}), ("serial", {"device": "x"}), ("tls", {})):
        settings = {"transport": transport, "host": "127.0.0.1", "port": 1} | more
        connection = Connection(0, "line", "modbus", settings)
        site = type("S", (), {"connections": [connection], "devices": [face.device], "points": [face.points],
                              "control": type("C", (), {"batteries": (), "load_controllers": ()})})
        made = build_servers(site, {"dut": face}, faults, str, {}, {"line": context})["line"]
        kinds[transport] = (type(made).__name__, getattr(made, "_rtu", None), getattr(made, "_tls", None) is context)
        if transport == "tls":
            with pytest.raises(ValueError, match="transport tls without a server's certificate; nothing started"):
                build_servers(site, {"dut": face}, faults, str, {})
    assert kinds == {"tcp": ("ModbusServer", False, False), "rtu_over_tcp": ("ModbusServer", True, False),
                     "serial": ("SerialServer", None, False), "tls": ("ModbusServer", False, True)}
