"""SNMP SET through pysnmp, on raw object ids: no MIB is looked up after `open`."""

import asyncio
import math
from typing import Any, NamedTuple

from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.carrier.asyncio.dispatch import AsyncioDispatcher
from pysnmp.entity import config as lcd
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413.cmdgen import CommandGenerator, GetCommandGenerator, SetCommandGenerator
from pysnmp.error import PySnmpError
from pysnmp.proto import rfc1902
from pysnmp.proto.errind import ErrorIndication

from pswd_edge.errors import DeviceError, RefusedError, SilentError, UnreachableError, WriteError
from pswd_edge.field.drivers.snmp_config import SnmpConfig
from pswd_edge.model.point import Point, SnmpAddress

_PROBE = "1.3.6.1.2.1.1.3.0"  # sysUpTime: what it answers does not matter
_TYPES: dict[str, tuple[type[Any], int, int]] = {
    "Integer32": (rfc1902.Integer32, -(2**31), 2**31 - 1),
    "Unsigned32": (rfc1902.Unsigned32, 0, 2**32 - 1),
    "Gauge32": (rfc1902.Gauge32, 0, 2**32 - 1),
    "TimeTicks": (rfc1902.TimeTicks, 0, 2**32 - 1),
}
AUTH = {
    "sha": lcd.USM_AUTH_HMAC96_SHA,
    "sha224": lcd.USM_AUTH_HMAC128_SHA224,
    "sha256": lcd.USM_AUTH_HMAC192_SHA256,
    "sha384": lcd.USM_AUTH_HMAC256_SHA384,
    "sha512": lcd.USM_AUTH_HMAC384_SHA512,
}
PRIV = {
    "aes128": lcd.USM_PRIV_CFB128_AES,
    "aes192": lcd.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "aes256": lcd.USM_PRIV_CFB256_AES_BLUMENTHAL,
}
_TICK_S = 5.0  # pysnmp's own 0.1 s cost 2 ms of CPU a second for each agent; our deadlines do not need its clock
_TARGET, _PARAMETERS = "agent", "authpriv"
# SNMPv2-PDU error-status: RFC 3416, 3
_STATUS = (
    "noError", "tooBig", "noSuchName", "badValue", "readOnly", "genErr", "noAccess", "wrongType", "wrongLength",
    "wrongEncoding", "wrongValue", "noCreation", "inconsistentValue", "resourceUnavailable", "commitFailed",
    "undoFailed", "authorizationError", "notWritable", "inconsistentName",
)  # fmt: skip


class Answer(NamedTuple):
    """What came of a request: an indication of pysnmp's where it never got through, else the PDU's status."""

    indication: ErrorIndication | None
    status: int


def type_mistake(address: SnmpAddress) -> str | None:
    """What is wrong with a type that no number can be written to, or None."""
    if address.type in _TYPES:
        return None
    return f"{address.oid}: got type {address.type!r}: expected one of {', '.join(_TYPES)}"


def smi_value(point: Point, address: SnmpAddress, value: float) -> Any:
    """`value` (the point's SI unit) as the SMI type of the address. Raises WriteError where it does not fit."""
    mistake = type_mistake(address)
    if mistake is not None:
        raise WriteError(f"{point.id}: {mistake}; not written")
    kind, low, high = _TYPES[address.type]
    raw = (value - point.offset) / point.scale
    if not math.isfinite(raw) or not low <= round(raw) <= high:
        raise WriteError(
            f"{point.id}: got {value:g} {point.unit}, raw {raw:g}: "
            f"expected {low} to {high} for {address.type}; not written"
        )
    return kind(round(raw))


class SnmpWriter:
    """SETs to one agent. The engine takes 50 ms to make: it is made in a thread, and outlives the socket."""

    def __init__(self, config: SnmpConfig) -> None:
        self._config = config
        self._spare: SnmpEngine | None = None
        self._engine: SnmpEngine | None = None
        self._agent: tuple[tuple[str, int], bytes] | None = None

    async def open(self, address: tuple[str, int], engine_id: bytes) -> None:
        """Make keys and socket, and exchange one GET, so that the agent's clock is known before the first SET.

        Raises RefusedError, UnreachableError; the caller bounds the time.
        """
        engine = await self._engine_for(address, engine_id)
        v6 = ":" in address[0]
        transport = (udp6.Udp6AsyncioTransport if v6 else udp.UdpAsyncioTransport)()
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: transport, local_addr=("::" if v6 else "0.0.0.0", 0)  # noqa: S104 - any source address, client side
        )
        engine.register_transport_dispatcher(AsyncioDispatcher(timeout=_TICK_S))
        lcd.add_transport(engine, udp6.DOMAIN_NAME if v6 else udp.DOMAIN_NAME, transport)
        self._engine = engine
        answer = await self._ask(GetCommandGenerator(), _PROBE, rfc1902.Null(""))
        if answer.indication is not None:
            raise _failed(f"user {self._config.username!r}", answer.indication)

    async def _engine_for(self, address: tuple[str, int], engine_id: bytes) -> SnmpEngine:
        """The engine of the last opening, or a new one: pysnmp does not unlearn the engine id of an agent."""
        spare, self._spare = self._spare, None
        if spare is not None and self._agent == (address, engine_id):
            return spare
        engine = await asyncio.to_thread(_new_engine, self._config, address, engine_id)
        self._agent = (address, engine_id)
        return engine

    async def set(self, oid: str, content: Any, what: str) -> None:
        """One SET, sent once; returns when the agent has answered noError. Raises as `Driver.write`."""
        answer = await self._ask(SetCommandGenerator(), oid, content)
        if answer.indication is not None:
            raise _failed(what, answer.indication)
        if answer.status:
            name = _STATUS[answer.status] if answer.status < len(_STATUS) else f"error-status {answer.status}"
            raise RefusedError(f"{what}: the agent answered {name}; not written", name)

    async def _ask(self, generator: CommandGenerator, oid: str, content: Any) -> Answer:
        if self._engine is None:
            raise UnreachableError("the engine for SET is not open")
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def receive(_engine: Any, _handle: Any, indication: Any, status: Any, _index: Any, _found: Any, _: Any) -> None:
            if not answered.done():
                answered.set_result(Answer(indication, int(status or 0)))

        try:
            generator.send_varbinds(
                self._engine, _TARGET, None, b"", [(rfc1902.ObjectName(oid), content)], receive, None
            )
        except PySnmpError as exc:
            raise UnreachableError(f"{self._config.host}:{self._config.port}: {exc}") from exc
        return await answered

    def close(self) -> None:
        """Close the socket and end the engine's timer; keep the engine."""
        if self._engine is not None:
            self._engine.close_dispatcher()
            self._spare, self._engine = self._engine, None


def _new_engine(config: SnmpConfig, address: tuple[str, int], engine_id: bytes) -> SnmpEngine:
    """An engine that knows the agent and the user's keys for it; no socket. Takes tens of milliseconds."""
    engine = SnmpEngine()
    lcd.add_v3_user(
        engine, config.username, AUTH[config.auth_protocol], config.auth_secret,
        PRIV[config.priv_protocol], config.priv_secret, securityEngineId=rfc1902.OctetString(engine_id),
    )  # fmt: skip
    lcd.add_target_parameters(engine, _PARAMETERS, config.username, "authPriv", 3)
    domain = udp6.DOMAIN_NAME if ":" in address[0] else udp.DOMAIN_NAME
    # in hundredths of a second; no retries: a SET goes out once, and the caller's deadline is shorter than this one
    lcd.add_target_address(engine, _TARGET, domain, address, _PARAMETERS, config.timeout_s * 100, 0)
    return engine


def _failed(what: str, indication: ErrorIndication) -> DeviceError:
    name = type(indication).__name__
    if name == "RequestTimedOut":
        return SilentError(f"{what}: no answer")
    return RefusedError(f"{what}: {indication}", name)
