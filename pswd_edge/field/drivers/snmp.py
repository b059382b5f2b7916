"""SNMP v2c and v3: reads through gufo_snmp, which costs a sixteenth of pysnmp's time; SET through pysnmp."""

import asyncio
import math
import re
import socket
from collections.abc import Sequence
from typing import Any, ClassVar

from gufo.snmp.typing import ValueType
from pydantic import BaseModel

from pswd_edge.errors import ConfigError, SilentError, UnreachableError, WriteError
from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.drivers.deadline import deadline
from pswd_edge.field.drivers.snmp_config import SnmpConfig
from pswd_edge.field.drivers.snmp_read import SnmpReader
from pswd_edge.field.drivers.snmp_write import SnmpWriter, smi_value, type_mistake
from pswd_edge.model.device import Device
from pswd_edge.model.point import Point, SnmpAddress
from pswd_edge.model.quality import Quality, Reason

_OID = re.compile(r"\.?[0-2](\.\d{1,10})+")
_ABSENT = Value(math.nan, Quality.BAD, Reason.DEVICE)
_NO_NUMBER = Value(math.nan, Quality.BAD, Reason.UNDECODABLE)


class SnmpDriver:
    """One SNMP agent. Each request is sent once; UDP loses some, and the poller asks again."""

    Config: ClassVar[type[BaseModel]] = SnmpConfig

    def __init__(self, settings: dict[str, Any]) -> None:
        self._config = SnmpConfig.model_validate(settings)
        self._reader = SnmpReader(self._config)
        self._writer = SnmpWriter(self._config) if self._config.writes else None
        self._where = f"{self._config.host}:{self._config.port}"

    def plan(self, device: Device, points: Sequence[Point]) -> list[ReadRequest]:
        """GETs of at most `max_oids` objects. Raises ConfigError for an object id or type that cannot be."""
        problems = [problem for point in points if (problem := _mistake(point)) is not None]
        if problems:
            raise ConfigError(problems)
        step = self._config.max_oids
        return [_request(device, tuple(points[i : i + step])) for i in range(0, len(points), step)]

    async def open(self) -> None:
        """Make the sockets; with v3 find the agent's engine and prove the user's secrets (RefusedError if wrong)."""
        await self.close()
        try:
            async with deadline(self._config.timeout_s):
                address = await self._resolve()
                await self._reader.open(address)
                if self._writer is not None:
                    await self._writer.open(address, self._reader.engine_id)
        except (TimeoutError, SilentError) as exc:
            # agents do not answer what they cannot decrypt
            hint = ", but it told its engine id: check priv_protocol and priv_secret" if self._reader.engine_id else ""
            await self.close()
            raise UnreachableError(f"{self._where}: no answer in {self._config.timeout_s:g} s{hint}") from exc
        except BaseException:
            await self.close()
            raise

    async def _resolve(self) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._config.host, self._config.port, type=socket.SOCK_DGRAM)
        except OSError as exc:
            raise UnreachableError(f"{self._where}: {exc}") from exc
        host, port = found[0][4][:2]
        return str(host), int(port)

    async def read(self, request: ReadRequest, timeout_s: float) -> Sequence[Value]:
        """One GET; an object that the agent does not have spoils its own point only."""
        found = await self._reader.get(request.payload, timeout_s, f"read {request.text}")
        return [value_of(found.get(oid)) for oid in request.payload]

    async def write(self, device: Device, point: Point, value: float, timeout_s: float) -> None:
        """One SET, sent once; noError from the agent is the acknowledgement."""
        if not isinstance(point.address, SnmpAddress):
            raise WriteError(f"{point.id}: got a {type(point.address).__name__}: expected an SNMP address")
        if self._writer is None:
            raise WriteError(f"{point.id}: {self._config.why_read_only}; not written")
        content = smi_value(point, point.address, value)
        what = f"{device.id}: write {point.id} = {value:g} {point.unit}"
        try:
            async with deadline(timeout_s):
                await self._writer.set(point.address.oid.removeprefix("."), content, what)
        except TimeoutError as exc:
            raise SilentError(f"{what}: no answer in {timeout_s:g} s") from exc

    async def close(self) -> None:
        """Close both sockets."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()


def value_of(raw: ValueType) -> Value:
    """One object as a `Value`, unscaled; None (the agent has no such object) is BAD.

    Agents without a type for fractions send decimals as text; any other text is no number.
    """
    if raw is None:
        return _ABSENT
    try:
        number = float(raw)
    except ValueError:
        return _NO_NUMBER
    if not math.isfinite(number):
        return Value(math.nan, Quality.BAD, Reason.NOT_A_NUMBER)
    return Value(number)


def _mistake(point: Point) -> str | None:
    address = point.address
    if not isinstance(address, SnmpAddress):
        return f"{point.id}: got a {type(address).__name__}: expected an SNMP address"
    if not _OID.fullmatch(address.oid):
        return f"{point.id}: got oid {address.oid!r}: expected numbers and dots, as 1.3.6.1.2.1.1.3.0"
    mistake = type_mistake(address) if point.write is not None else None
    return None if mistake is None else f"{point.id}: {mistake}"


def _request(device: Device, points: tuple[Point, ...]) -> ReadRequest:
    oids = tuple(p.address.oid.removeprefix(".") for p in points if isinstance(p.address, SnmpAddress))
    return ReadRequest(device, points, points[0].period_ms, oids, len(oids), f"{len(oids)} oids from {oids[0]}")
