"""OPC UA: one server per endpoint, its nodes from the points of its devices. Anonymous, no security: loopback only."""

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from pswd_edge.model.point import OpcUaAddress, Point
from simulators.faults import Faults
from simulators.servers.coding import Coder
from simulators.servers.face import Face
from simulators.servers.opcua_link import FaultyServer, Take, status

_FLOATS = frozenset({ua.VariantType.Double, ua.VariantType.Float})
_BAD = status(StatusCodes.BadSensorFailure)
_REFUSED = status(StatusCodes.BadDeviceFailure)


class _Node:
    """One point as a node."""

    def __init__(self, face: Face, point: Point, address: OpcUaAddress, node_id: ua.NodeId) -> None:
        self.face = face
        self.point = point
        self.id = node_id
        self.type = ua.VariantType[address.type]
        self.coder = Coder(point, face.device.kind)

    def take(self, raw: float) -> None:
        """Hand a client's value to the plant; raises ValueError where it is refused."""
        self.face.write(self.point, self.coder.value(raw))

    def show(self, stamp: ua.DateTime) -> ua.DataValue | None:
        """The value with its quality, or None where a set-point is unknown to the plant: it stays as written."""
        value = self._value()
        if value is None:
            return None
        if isinstance(value, ua.StatusCode):
            return ua.DataValue(StatusCode=value, SourceTimestamp=stamp)
        return ua.DataValue(self._variant(value), SourceTimestamp=stamp)

    def _value(self) -> float | ua.StatusCode | None:
        faults, point = self.face.faults, self.point
        if faults.exception:
            return _REFUSED
        if point.write is None and faults.nan:
            return math.nan if self.type in _FLOATS else _BAD
        if point.write is None and faults.sentinel:
            return point.invalid[0] if point.invalid else _BAD
        value = self.face.values.get(point.signal)
        if value is None and point.write is not None:
            return None
        return _BAD if value is None or math.isnan(value) else self.coder.raw(value)

    def _variant(self, raw: float) -> ua.Variant:
        if self.type is ua.VariantType.Boolean:
            return ua.Variant(bool(round(raw)), self.type)
        return ua.Variant(raw if self.type in _FLOATS else round(raw), self.type)


class OpcUaServer:
    """The devices of one endpoint URL; `port` replaces the URL's, 0 takes a free one.

    Transport faults of any device hold for the whole endpoint.
    Answers to a fault `exception` are Bad values, whatever its code; `word_order` means nothing here.
    """

    def __init__(
        self, connection_id: str, faces: Sequence[Face], faults: Faults, url: str, port: int | None = None
    ) -> None:
        self._faces = tuple(faces)
        self._link_faults = faults.of(connection_id)
        self._takers: dict[ua.NodeId, Take] = {}
        states = [self._link_faults, *(f.faults for f in faces)]
        self._server = FaultyServer(faults, states, self._takers)
        self._path = urlsplit(url).path
        self._host = urlsplit(url).hostname or "127.0.0.1"
        self.port = (urlsplit(url).port or 0) if port is None else port
        self._nodes: dict[str, list[_Node]] = {}
        self._online = False

    async def start(self) -> None:
        """Build the address space and listen."""
        server = self._server
        await server.init()
        server.set_endpoint(f"opc.tcp://{self._host}:{self.port}{self._path}")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_server_name("simulated campus")
        for face in self._faces:
            self._nodes[face.device.id] = await self._add_nodes(face)
            await self.refresh(face)
        await server.start()
        self.port = server.real_port
        self._online = True

    async def _add_nodes(self, face: Face) -> list[_Node]:
        folder = await self._server.nodes.objects.add_object(
            ua.NodeId.from_string(f"ns=1;s=device.{face.device.id}"), face.device.id
        )
        nodes = []
        for point in face.points:
            if not isinstance(point.address, OpcUaAddress):
                continue
            node = _Node(face, point, point.address, await self._node_id(point.address.node))
            start = False if node.type is ua.VariantType.Boolean else 0.0 if node.type in _FLOATS else 0
            name = point.address.node.rpartition("=")[2]
            variable = await folder.add_variable(node.id, name, start, node.type)
            if point.write is not None:
                await variable.set_writable()
                self._takers[node.id] = node.take
            nodes.append(node)
        return nodes

    async def _node_id(self, text: str) -> ua.NodeId:
        """`nsu=<namespace URI>;s=<id>` or `i=<number>`; the namespace is registered where it is new.

        Raises ValueError for a node that is named by its path.
        """
        if text.startswith("p="):
            raise ValueError(f"node {text!r}: no simulator for a node that is named by its path; nothing started")
        if not text.startswith("nsu="):
            return ua.NodeId.from_string(text)
        uri, _, identifier = text.removeprefix("nsu=").partition(";")
        index = await self._server.register_namespace(uri)
        return ua.NodeId.from_string(f"ns={index};{identifier}")

    async def refresh(self, face: Face) -> None:
        """Write the face's values with one source time stamp."""
        stamp = cast("ua.DateTime", datetime.now(UTC))
        space = self._server.iserver.aspace
        for node in self._nodes[face.device.id]:
            value = node.show(stamp)
            if value is not None:
                await space.write_attribute_value(node.id, AttributeIds.Value, value)

    async def follow(self) -> None:
        """Close or open the port as the faults say."""
        offline = self._link_faults.offline or all(f.faults.offline for f in self._faces)
        if offline and self._online:
            self._online = False
            self._server.hang_up()
        elif not offline and not self._online:
            await self._server.listen_again()
            self._online = True

    async def stop(self) -> None:
        """Close everything."""
        if self.port:
            self._server.hang_up()
            await asyncio.sleep(0)    # connection_lost of the aborted connections
            await self._server.stop()
