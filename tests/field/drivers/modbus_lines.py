"""A simulated Modbus unit on each transport, and the driver's settings for it."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.model.device import Device
from pswd_edge.model.point import Point
from simulators.faults import Faults
from simulators.servers.face import Face
from simulators.servers.modbus import ModbusServer
from simulators.servers.modbus_serial import SerialServer
from simulators.servers.registers import RegisterSpace

TRANSPORTS = ("tcp", "rtu_over_tcp", "serial", "tls")
RTU = ("rtu_over_tcp", "serial")
LATE_MS = 150                 # long enough for a busy machine to be late, short enough to wait for
_DAY = dt.timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates that are good for a day."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._begin(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        self.pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _begin(self, subject: x509.Name, key: Any, age: dt.timedelta = _DAY / 24) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - age)
                .not_valid_after(now - age + _DAY))

    def sign(self, name: str, age: dt.timedelta = _DAY / 24) -> Pair:
        """For a host name or an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        try:
            known: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            known = x509.DNSName(name)
        made = self._begin(subject, key, age).add_extension(x509.SubjectAlternativeName([known]), False)
        plain = serialization.NoEncryption()
        return Pair(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
                    key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


@cache
def authority(name: str = "test authority") -> Authority:
    """One for each name and test run: keys cost time."""
    return Authority(name)


def server_context(folder: Path, pair: Pair, client_ca: bytes | None = None) -> ssl.SSLContext:
    """The device's side; with `client_ca` it wants a certificate of ours."""
    (folder / "server.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca.decode())
    return context


class Plant:
    """Shows `shown`, keeps what is written."""

    def __init__(self, shown: dict[str, float]) -> None:
        self.shown = shown
        self.written: list[tuple[str, float]] = []
        self.time_s = 0.0

    def signals(self, device_id: str) -> dict[str, float]:
        return self.shown

    def write(self, device_id: str, signal: str, value: float) -> None:
        self.written.append((signal, value))
        self.shown[signal] = value


class Bench(NamedTuple):
    """A running server. `settings` are the driver's; faults are of "dut" (the unit) and "line"."""

    settings: dict[str, Any]
    server: ModbusServer | SerialServer
    plant: Plant
    faults: Faults
    device: Device
    points: tuple[Point, ...]


@asynccontextmanager
async def bench(transport: str, folder: Path, points: Sequence[Point], shown: dict[str, float],
                unit: int = 3) -> AsyncIterator[Bench]:
    """One unit with these points on the transport."""
    plant, faults = Plant(dict(shown)), Faults(["dut", "line"])
    device = Device(0, "dut", "meter", 0, unit, "by-hand", 0, len(points))
    units = {unit: RegisterSpace(Face(device, points, plant, faults))}
    server: ModbusServer | SerialServer
    settings: dict[str, Any] = {"transport": transport}
    if transport == "serial":
        server = SerialServer("line", units, faults, device=folder / "usb-RS485-if00-port0")
        settings |= {"device": str(server.device), "baud": 115200, "late_max_ms": LATE_MS}
    elif transport == "tls":
        server = ModbusServer("line", units, faults, tls=server_context(folder, authority().sign("127.0.0.1")))
        (folder / "ca.pem").write_bytes(authority().pem)
        settings |= {"ca": str(folder / "ca.pem")}
    else:
        server = ModbusServer("line", units, faults, rtu=transport == "rtu_over_tcp")
    if transport == "rtu_over_tcp":
        settings |= {"late_max_ms": LATE_MS}
    await server.start()
    if transport != "serial":
        settings |= {"host": "127.0.0.1", "port": server.port}
    try:
        yield Bench(settings, server, plant, faults, device, tuple(points))
    finally:
        await server.stop()


@asynccontextmanager
async def opened(settings: dict[str, Any]) -> AsyncIterator[ModbusDriver]:
    driver = ModbusDriver(settings)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()
