"""A plant with nothing behind it, and points made by hand: tests of servers need no physics and no maps."""

from collections.abc import Sequence
from contextlib import asynccontextmanager

from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress, OpcUaAddress, Point, SnmpAddress, WriteRule
from simulators.faults import Faults
from simulators.servers.face import Face
from simulators.servers.modbus import ModbusServer
from simulators.servers.registers import RegisterSpace


class FakePlant:
    """Shows what the test puts into `shown`, keeps what is written; refuses values over `largest`."""

    def __init__(self, **shown: dict[str, float]) -> None:
        self.shown = shown
        self.written: list[tuple[str, str, float]] = []
        self.largest = 1e9
        self.time_s = 0.0

    def signals(self, device_id: str) -> dict[str, float]:
        return self.shown[device_id]

    def write(self, device_id: str, signal: str, value: float) -> None:
        if abs(value) > self.largest:
            raise ValueError("too large")
        self.written.append((device_id, signal, value))
        self.shown[device_id][signal] = value


ANY = WriteRule(-1e9, 1e9)


def modbus(signal: str, register: int, type_: str = "float32", *, unit: str = "W", **more) -> Point:
    """A point; keywords of ModbusAddress and Point alike."""
    address_keys = {k: more.pop(k) for k in tuple(more) if k in ModbusAddress.__struct_fields__}
    return Point(0, f"dut.{signal}", 0, signal, unit, ModbusAddress(register, type_, **address_keys), **more)


def opcua(signal: str, node: str, type_: str = "Double", **more) -> Point:
    return Point(0, f"dut.{signal}", 0, signal, "W", OpcUaAddress(f"nsu=urn:test:dut;s={node}", type_), **more)


def snmp(signal: str, oid: str, type_: str = "Integer32", **more) -> Point:
    return Point(0, f"dut.{signal}", 0, signal, "1", SnmpAddress(oid, type_), **more)


def device(kind: str = "meter", id_: str = "dut", unit: int = 1, map_: str = "by-hand") -> Device:
    return Device(0, id_, kind, 0, unit, map_, 0, 0)


def face_of(
    points: Sequence[Point], shown: dict[str, float], kind: str = "meter", map_: str = "by-hand"
) -> tuple[Face, FakePlant, Faults]:
    plant = FakePlant(dut=shown)
    faults = Faults(["dut", "line"])
    return Face(device(kind, map_=map_), points, plant, faults), plant, faults


def space_of(points: Sequence[Point], shown: dict[str, float], **more) -> tuple[RegisterSpace, FakePlant]:
    face, plant, _ = face_of(points, shown, **more)
    return RegisterSpace(face), plant


@asynccontextmanager
async def serving(*spaces: RegisterSpace, line: str = "line", **more):
    """A Modbus server with these units, on a free port."""
    faults = spaces[0].face.all_faults
    server = ModbusServer(line, {s.face.device.unit: s for s in spaces}, faults, **more)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
