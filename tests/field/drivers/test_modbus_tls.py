"""Modbus/TCP Security: who the device is must be certain before a set-point goes to it."""

import asyncio
import datetime as dt
import ssl
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTlsServer

from pswd_edge.errors import UnreachableError
from pswd_edge.field.drivers import modbus_dial
from pswd_edge.field.drivers.modbus import ModbusDriver
from simulators.faults import Faults
from simulators.servers.face import Face
from simulators.servers.modbus import ModbusServer
from simulators.servers.registers import RegisterSpace
from tests.field.drivers.modbus_lines import Authority, Pair, Plant, authority, opened, server_context
from tests.field.fieldmaker import modbus_device, modbus_point

DEVICE = modbus_device(unit=3)


@asynccontextmanager
async def secured(folder: Path, pair: Pair, client_ca: bytes | None = None,
                  context: ssl.SSLContext | None = None) -> AsyncIterator[dict[str, Any]]:
    """A unit with register 1 = 5 behind this certificate; yields settings that trust the test's authority."""
    device, points = modbus_device(unit=3), [modbus_point(1, signal="p")]
    face = Face(device, points, Plant({"p": 5.0}), Faults(["dev0", "line"]))
    server = ModbusServer("line", {3: RegisterSpace(face)}, face.all_faults,
                          tls=context or server_context(folder, pair, client_ca))
    await server.start()
    (folder / "ca.pem").write_bytes(authority().pem)
    try:
        yield {"transport": "tls", "host": "127.0.0.1", "port": server.port, "ca": str(folder / "ca.pem")}
    finally:
        await server.stop()


async def read_1(driver: ModbusDriver) -> bytes:
    (request,) = driver.plan(DEVICE, [modbus_point(1)])
    return await driver.read(request, 1.0)


@pytest.mark.parametrize("name", ["127.0.0.1", "bess-1.site.example"])
async def test_a_device_with_a_right_certificate_is_read(name: str, tmp_path: Path) -> None:
    """By its address, or by a name of its own."""
    async with secured(tmp_path, authority().sign(name)) as settings:
        more = {} if name == settings["host"] else {"server_name": name}
        async with opened(settings | more) as driver:
            assert await read_1(driver) == b"\0\5"


async def refusal_of(settings: dict[str, Any]) -> str:
    driver = ModbusDriver(settings)
    with pytest.raises(UnreachableError) as caught:
        await driver.open()
    return str(caught.value)


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    """Any device of the vendor has a certificate of the vendor's: the name tells this one."""
    async with secured(tmp_path, authority().sign("bess-2.site.example")) as settings:
        assert "the device's certificate: " in await refusal_of(settings)
        assert "bess-1.site.example" in await refusal_of(settings | {"server_name": "bess-1.site.example"})


async def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    """Who can answer on the network can make a certificate."""
    async with secured(tmp_path, Authority("somebody else").sign("127.0.0.1")) as settings:
        assert "the device's certificate: unable to get local issuer certificate" in await refusal_of(settings)


async def test_a_certificate_that_is_over_is_refused(tmp_path: Path) -> None:
    """A stolen key is good for as long as its certificate."""
    pair = authority().sign("127.0.0.1", age=dt.timedelta(days=3))
    async with secured(tmp_path, pair) as settings:
        assert "certificate has expired" in await refusal_of(settings)


async def test_a_device_that_speaks_old_tls_only_is_refused(tmp_path: Path) -> None:
    """TLS 1.1 is broken; Modbus/TCP Security wants 1.2 or newer."""
    context = server_context(tmp_path, authority().sign("127.0.0.1"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with secured(tmp_path, authority().sign("127.0.0.1"), context=context) as settings:
        assert "127.0.0.1:" in await refusal_of(settings)


async def test_our_certificate_opens_a_device_that_wants_one(tmp_path: Path) -> None:
    """The key comes as text, as secrets are resolved, and is never written to a disk."""
    ours = authority().sign("edge.site.example")
    (tmp_path / "edge.pem").write_bytes(ours.certificate)
    async with secured(tmp_path, authority().sign("127.0.0.1"), client_ca=authority().pem) as settings:
        with suppress(UnreachableError):    # TLS 1.3 tells a client that it is refused only when it reads
            async with opened(settings) as driver:
                with pytest.raises(UnreachableError):
                    await read_1(driver)
        more = {"certificate": str(tmp_path / "edge.pem"), "private_key": ours.key.decode()}
        async with opened(settings | more) as driver:
            assert await read_1(driver) == b"\0\5"
        assert "PRIVATE" not in repr(ModbusDriver(settings | more)._config)
        by_reference = {"ca": authority().pem.decode(), "certificate": ours.certificate.decode()}
        async with opened(settings | more | by_reference) as driver:
            assert await read_1(driver) == b"\0\5"


@pytest.mark.parametrize(("more", "expected"), [
    ({"ca": "/nowhere/ca.pem"}, "ca /nowhere/ca.pem: [Errno 2] No such file or directory: expected files in PEM"),
    ({"certificate": "/nowhere/edge.pem", "private_key": "x"}, "certificate /nowhere/edge.pem with its private_key"),
])
async def test_files_that_are_not_there_are_named(more: dict[str, str], expected: str, tmp_path: Path) -> None:
    """The connection says what it misses, is tried again, and the rest of the site runs on."""
    async with secured(tmp_path, authority().sign("127.0.0.1")) as settings:
        assert expected in await refusal_of(settings | more)


async def test_a_key_with_a_passphrase_does_not_ask_for_it_at_the_terminal(tmp_path: Path) -> None:
    """OpenSSL's default is to stop the whole process and wait for somebody to type."""
    ours = authority().sign("edge.site.example")
    (tmp_path / "edge.pem").write_bytes(ours.certificate)
    key = serialization.load_pem_private_key(ours.key, None)
    locked = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                               serialization.BestAvailableEncryption(b"secret"))
    async with secured(tmp_path, authority().sign("127.0.0.1")) as settings:
        more = {"certificate": str(tmp_path / "edge.pem"), "private_key": locked.decode()}
        assert "the key without a passphrase" in await refusal_of(settings | more)


async def test_files_are_read_once_and_never_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reconnect storm must not read and parse certificates in the control loop."""
    threads = []
    real = modbus_dial.tls_context
    monkeypatch.setattr(modbus_dial, "tls_context",
                        lambda config: threads.append(threading.current_thread()) or real(config))
    async with secured(tmp_path, authority().sign("127.0.0.1")) as settings:
        driver = ModbusDriver(settings)
        for _ in range(3):
            await driver.open()
            assert await read_1(driver) == b"\0\5"
            await driver.close()
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_a_device_without_tls_is_unreachable(tmp_path: Path) -> None:
    """A gateway on the wrong port answers with no handshake: told, never spoken to in the clear."""
    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\1\0\0\0\5\3\3\2\0\5" * 3)
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    port = server.sockets[0].getsockname()[1]
    settings = {"transport": "tls", "host": "127.0.0.1", "port": port, "ca": str(tmp_path / "ca.pem")}
    assert f"127.0.0.1:{port}: " in await refusal_of(settings)
    server.close()


async def test_pymodbus_own_tls_server_understands_us(tmp_path: Path) -> None:
    """An independent peer, with a client certificate asked for."""
    pair, ours = authority().sign("127.0.0.1"), authority().sign("edge")
    for name, content in (("ca.pem", authority().pem), ("cert.pem", pair.certificate), ("key.pem", pair.key),
                          ("edge.pem", ours.certificate)):
        (tmp_path / name).write_bytes(content)
    block = ModbusSequentialDataBlock(1, [0] * 100)
    context = ModbusServerContext(devices=ModbusDeviceContext(hr=block), single=True)
    server = ModbusTlsServer(context, address=("127.0.0.1", 0),
                             sslctx=server_context(tmp_path, pair, authority().pem))
    await server.listen()
    port = server.transport.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    settings = {"transport": "tls", "host": "127.0.0.1", "port": port, "ca": str(tmp_path / "ca.pem"),
                "certificate": str(tmp_path / "edge.pem"), "private_key": ours.key.decode()}
    try:
        async with opened(settings) as driver:
            await driver.write(DEVICE, modbus_point(1), 77.0, 1.0)
            assert await read_1(driver) == b"\0\x4d"
    finally:
        await server.shutdown()
