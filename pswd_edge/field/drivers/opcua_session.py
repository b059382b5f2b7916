"""One OPC UA session: the client, the namespaces of the server and the requests that were prepared for them."""

import asyncio
import logging

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaStatusCodeError

from pswd_edge.errors import (
    ConfigError,
    DecodeError,
    DeviceError,
    RefusedError,
    SilentError,
    UnreachableError,
    WriteError,
)
from pswd_edge.field.drivers.opcua_value import NodeName, parse_node

# Whatever goes wrong reaches the caller as one exception; asyncua would tell it a second time, with tracebacks.
# An operator who wants its lines sets the level of this logger before the driver is loaded.
_library_log = logging.getLogger("asyncua")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL + 1)

_RENEW_AT = 0.75  # of the channel's life: OPC 10000-4, 5.5.2.1
_SESSION_GONE = frozenset({
    "BadConnectionClosed", "BadConnectionRejected", "BadSecureChannelClosed", "BadSecureChannelIdInvalid",
    "BadSecureChannelTokenUnknown", "BadServerHalted", "BadServerNotConnected", "BadSessionClosed",
    "BadSessionIdInvalid", "BadSessionNotActivated", "BadShutdown", "BadTcpSecureChannelUnknown",
})  # fmt: skip


class NodeBatch:
    """The nodes of one Read request; compared by identity, so that finding its prepared form costs nothing."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: tuple[NodeName, ...]) -> None:
        self.nodes = nodes


class Session:
    """One activated session: the client, the server's namespaces and what was prepared for them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.namespaces: list[str] = []
        self.batches: dict[NodeBatch, ua.ReadParameters] = {}
        self.written: dict[str, ua.NodeId] = {}
        self.renew_at_s = 0.0
        self.answers = True

    async def resolve(self, name: NodeName) -> ua.NodeId:
        """The node's id in this session; reads the namespaces anew where one is missing (server still starting)."""
        if name.uri is None:
            return ua.NodeId(name.identifier, ua.Int16(name.namespace))
        if name.uri not in self.namespaces:
            self.namespaces = await self.client.get_namespace_array()
        if name.uri not in self.namespaces:
            raise RefusedError(
                f"namespace {name.uri!r}: not on the server, which has {', '.join(self.namespaces)}", "BadNotFound"
            )
        return ua.NodeId(name.identifier, ua.Int16(self.namespaces.index(name.uri)))

    async def find(self, node: str) -> ua.NodeId:
        """The id of a node by its text, looked up once a session. Raises WriteError for a text that is no node."""
        found = self.written.get(node)
        if found is None:
            try:
                name = parse_node(node)
            except ConfigError as error:
                raise WriteError(f"{error}; not written") from error
            found = self.written[node] = await self.resolve(name)
        return found

    async def prepare(self, batch: NodeBatch) -> ua.ReadParameters:
        """The Read request of a batch, made once a session: a restarted server may number its namespaces anew."""
        prepared = self.batches.get(batch)
        if prepared is None:
            ids = [await self.resolve(name) for name in batch.nodes]
            prepared = ua.ReadParameters(
                TimestampsToReturn=ua.TimestampsToReturn.Source,
                NodesToRead=[ua.ReadValueId(NodeId=i, AttributeId=AttributeIds.Value) for i in ids],
            )
            self.batches[batch] = prepared
        return prepared

    async def renew_when_due(self) -> None:
        """Renew the secure channel between two requests; a renewal that fails ends the session.

        Monotonic loop time: the life of a channel is the protocol's, not the poller's.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s < self.renew_at_s:
            return
        if self.renew_at_s:
            try:
                await self.client.open_secure_channel(renew=True)
            except Exception as exc:  # asyncua raises whatever its parser met
                raise UnreachableError(f"secure channel not renewed ({exc!r}); connecting anew") from exc
        self.renew_at_s = now_s + self.client.secure_channel_timeout / 1000 * _RENEW_AT

    def abort(self) -> None:
        """Drop the socket without a word; the rest is garbage then."""
        protocol = self.client.uaclient.protocol
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abort()


def translated(exc: Exception, what: str) -> DeviceError:
    """What asyncua raised, as one of our errors; `what` names the exchange."""
    if isinstance(exc, DeviceError):
        return exc
    if isinstance(exc, UaStatusCodeError):
        name = ua.status_codes.get_name_and_doc(exc.code)[0]
        if name in _SESSION_GONE:
            return UnreachableError(f"{what}: {name}; connecting anew")
        if name == "BadTimeout":
            return SilentError(f"{what}: the server gave up ({name})")
        return RefusedError(f"{what}: the server answered {name}", name)
    if isinstance(exc, OSError):
        return UnreachableError(f"{what}: {exc}")
    return DecodeError(f"{what}: the answer makes no sense ({exc!r})")
