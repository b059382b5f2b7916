"""OPC UA over opc.tcp: one session a server, a batch Read or a subscription per device and rate class, no task."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from asyncua.client.client import Client
from pydantic import BaseModel

from pswd_edge.errors import ConfigError, DeviceError, RefusedError, SilentError, UnreachableError, WriteError
from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.drivers.deadline import deadline, heed_cancellation
from pswd_edge.field.drivers.opcua_config import OpcUaConfig
from pswd_edge.field.drivers.opcua_security import NO_CREDENTIALS, Credentials, activate, load_credentials, secure
from pswd_edge.field.drivers.opcua_session import NodeBatch, Session, name_of_code, new_client, translated
from pswd_edge.field.drivers.opcua_value import NodeName, data_value, parse_node, type_mistake
from pswd_edge.model.device import Device
from pswd_edge.model.point import OpcUaAddress, Point

_CLOSE_TIMEOUT_S = 1.0
_SUBSCRIBED_TIMEOUT_S = 0.5    # at least: notified values take no time, so that the poller's time-out fits no read
_NOT_GOOD = 0x4000_0000        # status codes from here on are uncertain or bad
_SLOW_MS = 1000               # from this period on a class is subscribed with `subscribe: slow`


class OpcUaDriver:
    """One OPC UA server through one session. Owns no task: what must be renewed is renewed between two requests."""

    Config: ClassVar[type[BaseModel]] = OpcUaConfig

    def __init__(self, settings: dict[str, Any]) -> None:
        self._config = OpcUaConfig.model_validate(settings)
        self._session: Session | None = None

    def plan(self, device: Device, points: Sequence[Point]) -> list[ReadRequest]:
        """As few Read requests as `max_nodes` allows. Raises ConfigError for a node or type that cannot be."""
        problems: list[str] = []
        named = [(point, _name_of(point, problems)) for point in points]
        if problems:
            raise ConfigError(problems)
        step = self._config.max_nodes
        return [self._request(device, named[i : i + step]) for i in range(0, len(named), step)]

    def _request(self, device: Device, named: list[tuple[Point, NodeName]]) -> ReadRequest:
        points = tuple(point for point, _ in named)
        period_ms = points[0].period_ms
        subscribed = {"none": False, "slow": period_ms >= _SLOW_MS, "all": True}[self._config.subscribe]
        nodes, deadbands = tuple(name for _, name in named), tuple(_raw_deadband(point) for point in points)
        batch = NodeBatch(device.id, nodes, deadbands, period_ms, subscribed=subscribed)
        return ReadRequest(device, points, period_ms, batch, len(points), f"{len(points)} nodes from {points[0].id}")

    async def open(self) -> None:
        """Connect with a new client: asyncua's cannot be used again after a failure."""
        await self.close()
        config = self._config
        session = Session(self._new_client(), config.max_nodes, config.timeout_s)
        expired = ""
        try:
            async with deadline(config.timeout_s):
                found = await asyncio.to_thread(load_credentials, config) if config.has_files else NO_CREDENTIALS
                expired = f" ({found.expired})" if found.expired else ""
                await self._connect(session, found)
        except TimeoutError as exc:
            session.abort()
            raise UnreachableError(f"{config.url}: no session in {config.timeout_s:g} s{expired}") from exc
        except Exception as exc:  # asyncua raises whatever its parser met
            session.abort()
            raise _with_note(translated(exc, f"{config.url}: session"), expired) from exc
        except BaseException:
            session.abort()
            raise
        self._session = session

    def _new_client(self) -> Client:
        client = new_client(self._config.url, self._config.timeout_s)
        client.description = "pswd-edge"
        client.application_uri = self._config.application_uri
        client.session_timeout = int(self._config.session_timeout_s * 1000)
        return client

    async def _connect(self, session: Session, found: Credentials) -> None:
        """The steps of `Client.connect` without its supervisor, watchdog and renewal tasks."""
        client = session.client
        secure(client, self._config, found)
        await client.connect_socket()
        heed_cancellation()
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        await activate(client, self._config, found)
        await session.renew_when_due()
        await session.learn()

    async def read(self, request: ReadRequest, timeout_s: float) -> Sequence[Value]:
        """One value per point, whatever the server says of each: as it last reported, or as it is read now."""
        session = self._opened()
        if request.payload.subscribed:
            timeout_s = max(timeout_s, _SUBSCRIBED_TIMEOUT_S)
        try:
            async with deadline(timeout_s):
                await session.renew_when_due()
                return await session.values(request.payload)
        except Exception as exc:  # asyncua raises whatever its parser met
            raise self._failed(session, exc, f"read {request.text}", timeout_s) from exc

    async def write(self, device: Device, point: Point, value: float, timeout_s: float) -> None:
        """One Write of one node; Good from the server is the acknowledgement."""
        session = self._opened()
        if not isinstance(point.address, OpcUaAddress):
            raise WriteError(f"{point.id}: got a {type(point.address).__name__}: expected an OPC UA address")
        content = data_value(point, point.address, value)
        what = f"{device.id}: write {point.id} = {value:g} {point.unit}"
        try:
            async with deadline(timeout_s):
                await session.renew_when_due()
                code = await session.write(device.id, point.address.node, content)
        except Exception as exc:  # asyncua raises whatever its parser met
            raise self._failed(session, exc, what, timeout_s) from exc
        if code >= _NOT_GOOD:
            name = name_of_code(code)
            raise RefusedError(f"{what}: the server answered {name}; not written", name)

    async def close(self) -> None:
        """Say goodbye where the server still answers (at most a second), then drop the socket."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            if session.answers:
                with suppress(Exception):  # whatever happens now, the socket goes
                    async with deadline(_CLOSE_TIMEOUT_S):
                        await session.client.close_session()
                        await session.client.close_secure_channel()
        finally:
            session.abort()
        await asyncio.sleep(0)  # the transport closes its socket in the next iteration

    def _opened(self) -> Session:
        if self._session is None:
            raise UnreachableError(f"{self._config.url}: no session; open it first")
        return self._session

    def _failed(self, session: Session, exc: Exception, what: str, timeout_s: float) -> DeviceError:
        if isinstance(exc, TimeoutError):
            session.answers = False
            return SilentError(f"{what}: no answer in {timeout_s:g} s")
        error = translated(exc, what)
        session.answers = session.answers and not isinstance(error, UnreachableError)
        return error


def _name_of(point: Point, problems: list[str]) -> NodeName:
    """The node of a point; what is wrong with its address is added to `problems`."""
    address = point.address
    if not isinstance(address, OpcUaAddress):
        problems.append(f"{point.id}: got a {type(address).__name__}: expected an OPC UA address")
        return NodeName(None, 0, 0)
    mistake = type_mistake(address) if point.write is not None else None
    if mistake is not None:
        problems.append(f"{point.id}: {mistake}")
    try:
        return parse_node(address.node)
    except ConfigError as error:
        problems += [f"{point.id}: {problem}" for problem in error.problems]
        return NodeName(None, 0, 0)


def _raw_deadband(point: Point) -> float:
    address = point.address
    return address.deadband / abs(point.scale) if isinstance(address, OpcUaAddress) else 0.0


def _with_note(error: DeviceError, note: str) -> DeviceError:
    """The same error with more to say."""
    if not note:
        return error
    if isinstance(error, RefusedError):
        return RefusedError(f"{error}{note}", error.code)
    return type(error)(f"{error}{note}")
