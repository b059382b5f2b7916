"""One OPC UA session: the client, what the server is like, and the requests that were prepared for it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.utils import Buffer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.ua_binary import nodeid_from_binary
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
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua_answer import path_nodes, read_texts, read_values, write_codes
from pswd_edge.field.drivers.opcua_feed import Feed
from pswd_edge.field.drivers.opcua_link import Link, LinkClient, Prepared
from pswd_edge.field.drivers.opcua_value import BrowsePath, NodeName, parse_node
from pswd_edge.field.drivers.opcua_watch import Wish
from pswd_edge.model.quality import Quality

# Whatever goes wrong reaches the caller as one exception; asyncua would tell it a second time, with tracebacks.
# An operator who wants its lines sets the level of this logger before the driver is loaded.
_library_log = logging.getLogger("asyncua")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL + 1)

_RENEW_AT = 0.75  # of the channel's life: OPC 10000-4, 5.5.2.1
_OBJECTS, _HIERARCHICAL = ua.NodeId(ua.Int32(85)), ua.NodeId(ua.Int32(33))
_NAMESPACES = ua.NodeId(ua.Int32(2255))
_LIMITS = (ua.NodeId(ua.Int32(11705)), ua.NodeId(ua.Int32(11714)))
"""Server_NamespaceArray; MaxNodesPerRead and MaxMonitoredItemsPerCall of the operation limits (OPC 10000-5, 6.3)."""
_SESSION_GONE = frozenset({
    "BadConnectionClosed", "BadConnectionRejected", "BadSecureChannelClosed", "BadSecureChannelIdInvalid",
    "BadSecureChannelTokenUnknown", "BadServerHalted", "BadServerNotConnected", "BadSessionClosed",
    "BadSessionIdInvalid", "BadSessionNotActivated", "BadShutdown", "BadTcpSecureChannelUnknown",
})  # fmt: skip
_TOO_MUCH = frozenset({
    "BadTooManyOperations", "BadEncodingLimitsExceeded", "BadRequestTooLarge", "BadResponseTooLarge",
    "BadTcpMessageTooLarge",
})  # fmt: skip


class NodeBatch:
    """The nodes of one request, compared by identity so that finding its prepared form costs nothing.

    `deadbands` are in raw units, 0: any change counts. `device` is whose nodes they are.
    """

    __slots__ = ("deadbands", "device", "nodes", "period_ms", "subscribed")

    def __init__(
        self, device: str, nodes: tuple[NodeName, ...], deadbands: tuple[float, ...], period_ms: int, *,
        subscribed: bool,
    ) -> None:  # fmt: skip
        self.device, self.nodes, self.deadbands = device, nodes, deadbands
        self.period_ms, self.subscribed = period_ms, subscribed


class _Part(NamedTuple):
    """One Read request and the number of values that answer it."""

    request: Prepared
    size: int


class Session:
    """One activated session. `nodes_max` is the most that one Read may ask for."""

    def __init__(self, client: Client, nodes_max: int, timeout_s: float) -> None:
        """The server may stop working on a request after `timeout_s`."""
        self.client = client
        self._hint_ms = ua.UInt32(int(timeout_s * 1000))
        self.nodes_max = nodes_max
        self.namespaces: list[str] = []
        self.renew_at_s = 0.0
        self.answers = True
        self.feed: Feed | None = None
        self._batches: dict[NodeBatch, list[_Part]] = {}
        self._written: dict[str, ua.NodeId] = {}
        self._paths: dict[BrowsePath, ua.NodeId] = {}

    @property
    def link(self) -> Link:
        """The connection. Raises ConnectionError where there is none."""
        link = self.client.uaclient.protocol
        if not isinstance(link, Link):
            raise ConnectionError("not connected")
        return link

    @property
    def _token(self) -> ua.NodeId:
        return self.client.uaclient.session.authentication_token

    async def learn(self) -> None:
        """Namespaces and limits of the server, and a feed made for them. A server that tells no limits has none."""
        await self._learn_namespaces()
        try:
            limits = await self._exchange(_Part(self._read_request(_LIMITS), len(_LIMITS)))
        except (UaStatusCodeError, DecodeError):
            limits = []
        told = [int(v.value) if v.quality is Quality.GOOD and v.value >= 1 else self.nodes_max for v in limits]
        read, items = told or (self.nodes_max, self.nodes_max)
        self.nodes_max = min(self.nodes_max, read)
        self.feed = Feed(self.link, self._token, min(self.nodes_max, items), self.client.session_timeout / 1000)

    async def _learn_namespaces(self) -> None:
        handle, answer = self.link.ask(self._read_request([_NAMESPACES]))
        self.namespaces = read_texts(await answer, handle)

    def _read_request(self, nodes: Sequence[ua.NodeId]) -> Prepared:
        request = ua.ReadRequest()
        request.RequestHeader.TimeoutHint = self._hint_ms
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
        request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=n, AttributeId=AttributeIds.Value) for n in nodes]
        return Prepared(request, self._token)

    async def _exchange(self, part: _Part) -> list[Value]:
        handle, answer = self.link.ask(part.request)
        return read_values(await answer, handle, part.size)

    async def values(self, batch: NodeBatch) -> Sequence[Value]:
        """One value a node: as the server last reported, where it does that and is known to be alive, or as read."""
        feed = self.feed if batch.subscribed else None
        told = None if feed is None else feed.values(batch)
        if told is not None:
            return told
        values = await self._read(batch)
        if feed is not None:
            feed.read_instead(batch, values)
            if feed.lacks(batch):
                nodes = [await self._resolve(name) for name in batch.nodes]
                feed.want(Wish(batch, batch.device, nodes, batch.deadbands, batch.period_ms))
        return values

    async def _read(self, batch: NodeBatch) -> list[Value]:
        """In as many requests as the server's limits ask for; smaller ones where they turn out to be too large."""
        while True:
            parts = self._batches.get(batch) or await self._prepare(batch)
            try:
                if len(parts) == 1:
                    return await self._exchange(parts[0])
                return [value for part in parts for value in await self._exchange(part)]
            except UaStatusCodeError as error:
                largest = max(part.size for part in parts)
                if largest == 1 or name_of_code(error.code) not in _TOO_MUCH:
                    raise
                self.nodes_max = largest // 2
                self._batches.clear()

    async def _prepare(self, batch: NodeBatch) -> list[_Part]:
        """The requests of a batch, made once a session: a restarted server may number its namespaces anew."""
        paths = [n.identifier for n in batch.nodes if isinstance(n.identifier, BrowsePath)]
        for start in range(0, len(paths), self.nodes_max):
            await self._follow(paths[start : start + self.nodes_max])
        ids = [await self._resolve(name) for name in batch.nodes]
        groups = [ids[i : i + self.nodes_max] for i in range(0, len(ids), self.nodes_max)]
        made = self._batches[batch] = [_Part(self._read_request(group), len(group)) for group in groups]
        return made

    async def _resolve(self, name: NodeName) -> ua.NodeId:
        """The node's id in this session; reads the namespaces anew where one is missing (server still starting)."""
        if isinstance(name.identifier, BrowsePath):
            if name.identifier not in self._paths:
                await self._follow([name.identifier])
            return self._paths[name.identifier]
        if name.uri is None:
            return ua.NodeId(name.identifier, ua.Int16(name.namespace))
        return ua.NodeId(name.identifier, await self._index_of(name.uri))

    async def _index_of(self, uri: str) -> ua.Int16:
        if uri not in self.namespaces:
            await self._learn_namespaces()
        if uri not in self.namespaces:
            raise RefusedError(
                f"namespace {uri!r}: not on the server, which has {', '.join(self.namespaces)}", "BadNotFound"
            )
        return ua.Int16(self.namespaces.index(uri))

    async def _follow(self, paths: Sequence[BrowsePath]) -> None:
        """Ask which nodes stand there now. A path that leads nowhere becomes the null node, which is BAD alone."""
        request = ua.TranslateBrowsePathsToNodeIdsRequest()
        request.RequestHeader.TimeoutHint = self._hint_ms
        for path in paths:
            names = [ua.QualifiedName(name, await self._index_of(uri)) for uri, name in path.steps]
            steps = [ua.RelativePathElement(_HIERARCHICAL, False, True, name) for name in names]  # type: ignore[arg-type]
            request.Parameters.BrowsePaths.append(ua.BrowsePath(_OBJECTS, ua.RelativePath(steps)))
        handle, answer = self.link.ask(Prepared(request, self._token))
        found = path_nodes(await answer, handle, len(paths))
        nodes = [ua.NodeId() if node is None else nodeid_from_binary(Buffer(node)) for node in found]
        self._paths.update(zip(paths, nodes, strict=True))

    async def write(self, device: str, node: str, content: ua.DataValue) -> int:
        """Write one value; the server's status code. Raises WriteError for a text that is no node.

        What was notified of this device is older than the write: it is read until that is over, for a read-back must
        not be compared with what was before.
        """
        found = self._written.get(node)
        if found is None:
            try:
                name = parse_node(node)
            except ConfigError as error:
                raise WriteError(f"{error}; not written") from error
            found = self._written[node] = await self._resolve(name)
        request = ua.WriteRequest()
        request.RequestHeader.TimeoutHint = self._hint_ms
        request.Parameters.NodesToWrite = [ua.WriteValue(NodeId=found, AttributeId=AttributeIds.Value, Value=content)]
        handle, answer = self.link.ask(Prepared(request, self._token))
        try:
            return write_codes(await answer, handle, 1)[0]
        finally:
            if self.feed is not None:
                self.feed.doubt(device)

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
        if self.feed is not None:
            self.feed.close()
        protocol = self.client.uaclient.protocol
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abort()


def new_client(url: str, timeout_s: float) -> Client:
    """An asyncua client on our `Link`, without any of its tasks."""
    client = Client(url, timeout=timeout_s)
    client.uaclient = LinkClient(timeout_s)
    return client


def translated(exc: Exception, what: str) -> DeviceError:
    """What asyncua raised, as one of our errors; `what` names the exchange."""
    if isinstance(exc, DecodeError):
        return DecodeError(f"{what}: {exc}")
    if isinstance(exc, DeviceError):
        return exc
    if isinstance(exc, UaStatusCodeError):
        return _told(name_of_code(exc.code), what)
    if isinstance(exc, OSError):
        return UnreachableError(f"{what}: {exc}")
    return DecodeError(f"{what}: the answer makes no sense ({exc!r})")


def _told(name: str, what: str) -> DeviceError:
    """What a status code means for the caller."""
    if name in _SESSION_GONE:
        return UnreachableError(f"{what}: {name}; connecting anew")
    if name == "BadTimeout":
        return SilentError(f"{what}: the server gave up ({name})")
    return RefusedError(f"{what}: the server answered {name}", name)


def name_of_code(code: int) -> str:
    """A status code in the standard's words."""
    return str(ua.status_codes.get_name_and_doc(code)[0])
