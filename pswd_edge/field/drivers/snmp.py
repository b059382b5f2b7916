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
from pswd_edge.field.drivers.snmp_plan import plan_requests
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
        """GETs of at most `max_oids` objects, GETBULK for longer columns. Raises ConfigError for what cannot be."""
        problems = [problem for point in points if (problem := _mistake(point)) is not None]
        if problems:
            raise ConfigError(problems)
        return plan_requests(device, points, self._config.max_oids)

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
        """One exchange, or as many as this agent needs; an object that it lacks spoils its own point only."""
        found = await self._reader.ask(request.payload, timeout_s, request.text)
        return [value_of(found.get(oid)) for oid in request.payload.oids]

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


def value_of(raw: ValueType | Reason) -> Value:
    """One object as a `Value`, unscaled; None (the agent has no such object) and a `Reason` are BAD.

    Agents without a type for fractions send decimals as text; any other text is no number.
    """
    if type(raw) is int:
        return Value(float(raw))
    if raw is None:
        return _ABSENT
    if isinstance(raw, Reason):
        return Value(math.nan, Quality.BAD, raw)
    return _number(raw)


def _number(raw: ValueType) -> Value:
    if not isinstance(raw, int | float | bytes):  # an object id or an IP address: "1.3" is no decimal
        return _NO_NUMBER
    try:
        number = float(raw)
    except ValueError:
        return _NO_NUMBER
    return Value(number) if math.isfinite(number) else Value(math.nan, Quality.BAD, Reason.NOT_A_NUMBER)


def _mistake(point: Point) -> str | None:
    address = point.address
    if not isinstance(address, SnmpAddress):
        return f"{point.id}: got a {type(address).__name__}: expected an SNMP address"
    if not _OID.fullmatch(address.oid):
        return f"{point.id}: got oid {address.oid!r}: expected numbers and dots, as 1.3.6.1.2.1.1.3.0"
    mistake = type_mistake(address) if point.write is not None else None
    return None if mistake is None else f"{point.id}: {mistake}"
