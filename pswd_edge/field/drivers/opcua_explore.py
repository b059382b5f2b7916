"""A bare OPC UA client for finding out what is there: endpoints, a bounded browse, and what a node says of itself."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaError

from pswd_edge.errors import DeviceError, RefusedError, SilentError, UnreachableError
from pswd_edge.field.drivers.opcua_value import parse_node
from pswd_edge.field.drivers.said import printable

_NUMBERS = frozenset({"Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float",
                      "Double"})
_CLOSE_S = 1.0
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)  # what goes wrong is told once, by us


class Offer(NamedTuple):
    """One endpoint of a server: where, how secured, and what may log in."""

    url: str
    policy: str
    mode: str
    tokens: tuple[str, ...]


class Variable(NamedTuple):
    """A variable that holds a number: its node in the form of device maps, type, unit and access."""

    node: str
    name: str
    type: str
    value: float | bool | None
    unit: str
    access: str
    source_time: str
    status: str


async def offers(url: str, timeout_s: float) -> list[Offer]:
    """What the server offers, by GetEndpoints: needs no credentials. Raises DeviceError."""
    client = Client(url, timeout=timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            found = await client.connect_and_get_server_endpoints()
    except Exception as error:  # noqa: BLE001  # asyncua raises whatever its parser met
        raise _translated(error, url, timeout_s) from None
    finally:
        with suppress(Exception):
            client.disconnect_socket()
    return [Offer(printable((e.EndpointUrl or "").encode()), (e.SecurityPolicyUri or "").rpartition("#")[2],
                  e.SecurityMode.name, tuple(t.TokenType.name for t in e.UserIdentityTokens or ())) for e in found]


@asynccontextmanager
async def session(url: str, username: str | None, password: str | None, timeout_s: float) -> AsyncIterator[Client]:
    """A session without security policy: anonymous, or as the given user. Raises DeviceError."""
    client = Client(url, timeout=timeout_s)
    client.description = "pswd-edge"
    if username is not None:
        client.set_user(username)
        client.set_password(password or "")
    try:
        async with asyncio.timeout(timeout_s):
            await client.connect()
    except Exception as error:  # noqa: BLE001  # as above
        with suppress(Exception):
            client.disconnect_socket()
        raise _translated(error, url, timeout_s) from None
    try:
        yield client
    finally:
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await client.disconnect()


def _translated(error: Exception, url: str, timeout_s: float) -> DeviceError:
    if isinstance(error, TimeoutError):
        return SilentError(f"{url}: no answer in {timeout_s:g} s")
    if isinstance(error, OSError):
        return UnreachableError(f"{url}: {error.strerror or error}")
    return RefusedError(f"{url}: {str(error) or type(error).__name__}", type(error).__name__)


async def describe(client: Client, node: str) -> Variable:
    """One node, by its text in a device map. Raises DeviceError where the server does not know it."""
    name = parse_node(node)
    namespaces = await client.get_namespace_array()
    if name.uri is not None and name.uri not in namespaces:
        raise RefusedError(f"{node}: no such namespace; the server has {', '.join(namespaces)}", "BadNotFound")
    index = name.namespace if name.uri is None else namespaces.index(name.uri)
    found = await _variable(client.get_node(ua.NodeId(name.identifier, ua.Int16(index))), namespaces)
    if found is None:
        raise RefusedError(f"{node}: the server has no such variable", "BadNodeIdUnknown")
    return found


async def browse(client: Client, most: int, turn: Callable[[], Awaitable[None]]) -> AsyncIterator[Variable]:
    """Variables below Objects that hold numbers, breadth first, without the server's own; looks at `most` nodes.

    `turn` is awaited before each node is asked.
    """
    namespaces = await client.get_namespace_array()
    waiting, seen = [client.nodes.objects], {client.nodes.server.nodeid}
    while waiting and len(seen) < most:
        await turn()
        for child in await waiting.pop(0).get_children():
            if child.nodeid in seen or len(seen) >= most:
                continue
            seen.add(child.nodeid)
            waiting.append(child)
            await turn()
            found = await _variable(child, namespaces)
            if found is not None and found.type in _NUMBERS and child.nodeid.NamespaceIndex != 0:
                yield found


async def _variable(node: Any, namespaces: list[str]) -> Variable | None:
    attributes = await node.read_attributes(
        [AttributeIds.NodeClass, AttributeIds.BrowseName, AttributeIds.Value, AttributeIds.UserAccessLevel])
    if attributes[0].Value.Value != ua.NodeClass.Variable:
        return None
    answer, access = attributes[2], attributes[3].Value.Value if attributes[3].Value else 0
    content = answer.Value.Value if answer.Value is not None else None
    return Variable(
        _node_text(node.nodeid, namespaces), printable(str(attributes[1].Value.Value.Name).encode("ascii", "replace")),
        answer.Value.VariantType.name if answer.Value is not None else "",
        content if isinstance(content, int | float) else None, await _unit(node),
        "read, write" if access & 2 else "read" if access & 1 else "none",
        "" if answer.SourceTimestamp is None else answer.SourceTimestamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        answer.StatusCode.name if answer.StatusCode is not None else "Good")


async def _unit(node: Any) -> str:
    """The display name of EngineeringUnits, or nothing."""
    try:
        found = await node.get_child(["0:EngineeringUnits"])
        unit = await found.read_value()
    except UaError:
        return ""
    return printable(str(getattr(unit.DisplayName, "Text", "") or "").encode("ascii", "replace"))


def _node_text(node: Any, namespaces: list[str]) -> str:
    kind = {ua.NodeIdType.String: "s", ua.NodeIdType.Guid: "g", ua.NodeIdType.ByteString: "b"}.get(node.NodeIdType, "i")
    uri = namespaces[node.NamespaceIndex] if node.NamespaceIndex < len(namespaces) else ""
    return f"nsu={uri};{kind}={node.Identifier}" if node.NamespaceIndex else f"{kind}={node.Identifier}"
