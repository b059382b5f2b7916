"""asyncua's server with faulty answers, and with client writes that reach the plant.

Answers are spoiled above the secure channel, so that a lost answer leaves no gap in the sequence numbers: a real
server that is slow or mute numbers only what it sends. asyncua has no public place for this; what is overridden
here is `Server.start`, `BinaryServer._make_protocol` and `UaProcessor.send_response` of asyncua 2.1.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace, AttributeService
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.server import Server
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from simulators.faults import DeviceFaults, Faults

Take = Callable[[float], None]
_NOISE = bytes(range(64))


def status(code: int) -> ua.StatusCode:
    """A status code by its number."""
    return ua.StatusCode(ua.UInt32(code))


class AnonymousUsers(UserManager):
    """Everybody may come in, nobody is an administrator: read-only nodes stay so."""

    def get_user(
        self,
        iserver: InternalServer,  # noqa: ARG002 - asyncua's signature
        username: str | None = None,  # noqa: ARG002
        password: str | None = None,  # noqa: ARG002
        certificate: Any = None,  # noqa: ARG002
    ) -> User:
        """Who it is: not asked."""
        return User(role=UserRole.User)


class PlantAttributes(AttributeService):
    """Writes to a set-point node are taken by the plant first; a value that it refuses is not stored."""

    def __init__(self, space: AddressSpace, takers: dict[ua.NodeId, Take]) -> None:
        super().__init__(space)
        self._nodes = space
        self._takers = takers

    async def write(self, params: ua.WriteParameters, user: User = User(role=UserRole.Admin)) -> list[ua.StatusCode]:  # noqa: B008 - asyncua's signature
        """One status a node: BadTypeMismatch, BadOutOfRange, BadUserAccessDenied or Good."""
        results = []
        for item in params.NodesToWrite:
            take = self._takers.get(item.NodeId)
            if take is None or item.AttributeId != AttributeIds.Value or user.role is UserRole.Admin:
                results += await super().write(ua.WriteParameters(NodesToWrite=[item]), user)
            else:
                results.append(await self._write_setpoint(item, take))
        return results

    async def _write_setpoint(self, item: ua.WriteValue, take: Take) -> ua.StatusCode:
        value = item.Value.Value
        present = self._nodes.read_attribute_value(item.NodeId, AttributeIds.DataType).Value
        number = present.Value.Identifier if present is not None else None
        if value is None or value.VariantType.value != number or not isinstance(value.Value, int | float):
            return status(StatusCodes.BadTypeMismatch)
        try:
            take(float(value.Value))
        except ValueError:
            return status(StatusCodes.BadOutOfRange)
        return await self._nodes.write_attribute_value(item.NodeId, item.AttributeId, item.Value)


class FaultyProcessor(UaProcessor):
    """Sends each answer as the faults say."""

    def __init__(self, parent: OPCUAProtocol, faults: Faults, states: list[DeviceFaults]) -> None:
        super().__init__(parent.iserver, parent.transport, parent.limits)
        self._faults = faults
        self._states = states
        self._kept: tuple[Any, Any, Any] | None = None

    def send_response(
        self, requesthandle: Any, seqhdr: Any, response: Any, msgtype: bytes = ua.MessageType.SecureMessage
    ) -> None:
        """Send, delay, lose or spoil an answer."""
        state = next((s for s in self._states if s.disturbed), None)
        if state is None:
            super().send_response(requesthandle, seqhdr, response, msgtype)  # type: ignore[no-untyped-call]
            return
        if state.offline or self._faults.lose(state):
            return
        if state.garbage == "frame":
            self._transport.write(_NOISE)
            return
        if state.garbage and msgtype == ua.MessageType.SecureMessage:
            spoiled = self._spoil(requesthandle, seqhdr, response, state.garbage)
            if spoiled is None:
                return
            requesthandle, seqhdr, response = spoiled
        asyncio.get_running_loop().call_later(state.delay, self._send_late, requesthandle, seqhdr, response, msgtype)

    def _send_late(self, requesthandle: Any, seqhdr: Any, response: Any, msgtype: bytes) -> None:
        if not self._transport.is_closing():
            super().send_response(requesthandle, seqhdr, response, msgtype)  # type: ignore[no-untyped-call]

    def _spoil(self, handle: Any, seqhdr: Any, response: Any, garbage: str) -> tuple[Any, Any, Any] | None:
        """What leaves now instead; see `faults.GARBAGE`."""
        if garbage == "transaction":
            strange = ua.SequenceHeader(seqhdr.SequenceNumber, seqhdr.RequestId + 1_000_000)
            return handle, strange, response
        kept, self._kept = self._kept, (handle, seqhdr, response)
        if kept is None or garbage == "late":
            return kept
        return handle, seqhdr, kept[2]


class FaultyServer(Server):
    """A server whose answers pass a FaultyProcessor; `states` are the faults that hold for the endpoint."""

    def __init__(self, faults: Faults, states: list[DeviceFaults], takers: dict[ua.NodeId, Take]) -> None:
        super().__init__(user_manager=AnonymousUsers())
        self._faults = faults
        self._states = states
        self._links: _FaultyBinaryServer | None = None
        self.iserver.attribute_service = PlantAttributes(self.iserver.aspace, takers)

    async def start(self) -> None:
        """Listen, with our own protocol."""
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = self._links = _FaultyBinaryServer(self.iserver, host or "127.0.0.1", port or 0, self.limits)
        self._links.adopt(self._faults, self._states)
        self._links.set_policies(self._policies)
        await self._links.start()

    @property
    def real_port(self) -> int:
        """The port that it listens on, after `start`."""
        return self._links.port if self._links is not None else 0

    def hang_up(self) -> None:
        """Close the port and reset every connection."""
        if self._links is not None:
            self._links.hang_up()

    async def listen_again(self) -> None:
        """Open the port again after `hang_up`."""
        if self._links is not None:
            await self._links.listen_again()


class _FaultyBinaryServer(BinaryServer):
    def adopt(self, faults: Faults, states: list[DeviceFaults]) -> None:
        self._faults = faults
        self._states = states

    def _make_protocol(self) -> OPCUAProtocol:
        link = _FaultyLink(self.iserver, self._policies, self.clients, self.closing_tasks, self.limits)
        link.adopt(self._faults, self._states)
        return link

    def hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        for client in tuple(self.clients):
            if client.transport is not None:
                client.transport.abort()

    async def listen_again(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make_protocol, self.hostname, self.port)


class _FaultyLink(OPCUAProtocol):
    def adopt(self, faults: Faults, states: list[DeviceFaults]) -> None:
        self._faults = faults
        self._states = states

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = FaultyProcessor(self, self._faults, self._states)
            self.processor.set_policies(self.policies)  # type: ignore[no-untyped-call]
