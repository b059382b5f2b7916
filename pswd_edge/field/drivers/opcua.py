"""OPC UA over opc.tcp: one session, one batch Read per device and rate class, no background task."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal, Self

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies
from asyncua.ua.attribute_ids import AttributeIds
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pswd_edge.errors import (
    ConfigError,
    DecodeError,
    DeviceError,
    RefusedError,
    SilentError,
    UnreachableError,
    WriteError,
)
from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.drivers.deadline import deadline, heed_cancellation
from pswd_edge.field.drivers.opcua_session import NodeBatch, Session, translated
from pswd_edge.field.drivers.opcua_value import NodeName, data_value, parse_node, type_mistake, value_of
from pswd_edge.model.device import Device
from pswd_edge.model.point import OpcUaAddress, Point

_CLOSE_TIMEOUT_S = 1.0
_POLICIES: dict[str, type[Any]] = {
    "basic256sha256": security_policies.SecurityPolicyBasic256Sha256,
    "aes128sha256rsaoaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "aes256sha256rsapss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}


class OpcUaConfig(BaseModel):
    """Keys of an OPC UA connection. `password` is the secret itself by the time the driver gets it.

    `timeout_s` bounds the opening of a session as a whole, and any one answer. The server forgets the session
    `session_timeout_s` after the last request, so that our crashes do not use up its sessions. With a security
    policy, `certificate` and `private_key` are our files (PEM or DER) and `server_certificate` is the only one
    that we accept; `application_uri` must stand in our certificate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^opc\.tcp://[^/@\s]+(/\S*)?$")
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    security_policy: Literal["none", "basic256sha256", "aes128sha256rsaoaep", "aes256sha256rsapss"] = "none"
    security_mode: Literal["sign", "sign_and_encrypt"] = "sign_and_encrypt"
    certificate: str | None = None
    private_key: str | None = None
    server_certificate: str | None = None
    application_uri: str = "urn:pswd-edge:client"
    timeout_s: float = Field(default=4.0, gt=0, le=60)
    session_timeout_s: float = Field(default=60.0, ge=10, le=3600)
    max_nodes: int = Field(default=500, ge=1, le=10_000)

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        files = (self.certificate, self.private_key, self.server_certificate)
        if self.security_policy != "none" and None in files:
            raise ValueError(f"security_policy {self.security_policy}: "
                             "expected certificate, private_key and server_certificate")
        if self.security_policy == "none" and any(files):
            raise ValueError("certificate files without a security_policy protect nothing: expected a policy")
        if self.password is not None and self.username is None:
            raise ValueError("password without username")
        return self


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
        return [_request(device, named[i : i + step]) for i in range(0, len(named), step)]

    async def open(self) -> None:
        """Connect with a new client: asyncua's cannot be used again after a failure."""
        await self.close()
        session = Session(self._new_client())
        try:
            async with deadline(self._config.timeout_s):
                await self._connect(session)
        except TimeoutError as exc:
            session.abort()
            raise UnreachableError(f"{self._config.url}: no session in {self._config.timeout_s:g} s") from exc
        except Exception as exc:  # asyncua raises whatever its parser met
            session.abort()
            raise translated(exc, f"{self._config.url}: session") from exc
        except BaseException:
            session.abort()
            raise
        self._session = session

    def _new_client(self) -> Client:
        client = Client(self._config.url, timeout=self._config.timeout_s)
        client.description = "pswd-edge"
        client.application_uri = self._config.application_uri
        client.session_timeout = int(self._config.session_timeout_s * 1000)
        if self._config.username is not None:
            client.set_user(self._config.username)
            client.set_password(self._config.password or "")
        return client

    async def _connect(self, session: Session) -> None:
        """The steps of `Client.connect` without its supervisor, watchdog and renewal tasks."""
        client, config = session.client, self._config
        if config.security_policy != "none":
            mode = "Sign" if config.security_mode == "sign" else "SignAndEncrypt"
            await client.set_security(
                _POLICIES[config.security_policy], config.certificate or "", config.private_key or "",
                server_certificate=config.server_certificate, mode=ua.MessageSecurityMode[mode],
            )  # fmt: skip
        await client.connect_socket()
        heed_cancellation()
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        await client.activate_session(username=config.username, password=config.password)
        await session.renew_when_due()
        session.namespaces = await client.get_namespace_array()

    async def read(self, request: ReadRequest, timeout_s: float) -> Sequence[Value]:
        """One Read; one value per point, whatever the server says of each."""
        session = self._opened()
        try:
            async with deadline(timeout_s):
                await session.renew_when_due()
                parameters = await session.prepare(request.payload)
                answers = await session.client.uaclient.read(parameters)
        except Exception as exc:  # asyncua raises whatever its parser met
            raise self._failed(session, exc, f"read {request.text}", timeout_s) from exc
        if len(answers) != len(request.points):
            raise DecodeError(f"read {request.text}: {len(answers)} values, expected {len(request.points)}")
        return [value_of(answer) for answer in answers]

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
                node = await session.find(point.address.node)
                item = ua.WriteValue(NodeId=node, AttributeId=AttributeIds.Value, Value=content)
                codes = await session.client.uaclient.write(ua.WriteParameters(NodesToWrite=[item]))
        except Exception as exc:  # asyncua raises whatever its parser met
            raise self._failed(session, exc, what, timeout_s) from exc
        if len(codes) != 1:
            raise DecodeError(f"{what}: {len(codes)} results, expected 1")
        if not codes[0].is_good():
            raise RefusedError(f"{what}: the server answered {codes[0].name}; not written", codes[0].name)

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


def _request(device: Device, named: list[tuple[Point, NodeName]]) -> ReadRequest:
    points = tuple(point for point, _ in named)
    text = f"{len(points)} nodes from {points[0].id}"
    batch = NodeBatch(tuple(name for _, name in named))
    return ReadRequest(device, points, points[0].period_ms, batch, len(points), text)
