"""OPC UA node names, and values to be written: from an SI number to the wire. No I/O."""

import base64
import binascii
import math
import re
from typing import Any, NamedTuple
from uuid import UUID

from asyncua import ua

from pswd_edge.errors import ConfigError, WriteError
from pswd_edge.model.point import OpcUaAddress, Point

_INTEGER_RANGES = {
    "SByte": (-(2**7), 2**7 - 1),
    "Byte": (0, 2**8 - 1),
    "Int16": (-(2**15), 2**15 - 1),
    "UInt16": (0, 2**16 - 1),
    "Int32": (-(2**31), 2**31 - 1),
    "UInt32": (0, 2**32 - 1),
    "Int64": (-(2**63), 2**63 - 1),
    "UInt64": (0, 2**64 - 1),
}
_STEP = re.compile(r"(?:\{(?P<uri>[^{}]+)\})?(?P<name>[^/{}]+)")
_FLOAT32_MAX = (2 - 2**-23) * 2.0**127


class BrowsePath(NamedTuple):
    """Where a node stands below the Objects folder: (namespace URI, name) of each step."""

    steps: tuple[tuple[str, str], ...]


class NodeName(NamedTuple):
    """A node as a map names it: by namespace URI, or by index where `uri` is None.

    `identifier` is an int, a str, a UUID, bytes, or a BrowsePath (which names its own namespaces).
    """

    uri: str | None
    namespace: int
    identifier: Any


def parse_node(text: str) -> NodeName:
    """Read `nsu=<uri>;s=<id>`, `ns=2;i=7` or `i=2258`; the kinds of id are i, s, g (GUID) and b (base64).

    `p={<uri>}<name>/<name>` is a path of browse names from the Objects folder, for servers that number their nodes
    anew; a name without a namespace has that of the one before.

    Raises:
        ConfigError: the text is none of these.

    Source: OPC 10000-6, 5.3.1.10 (text form of NodeId and ExpandedNodeId).
    """
    scope, found, rest = text.partition(";") if text.startswith(("nsu=", "ns=")) else ("", ";", text)
    uri = scope[4:] if scope.startswith("nsu=") else None
    try:
        namespace = int(scope[3:]) if scope.startswith("ns=") else 0
        identifier = _parse_identifier(rest)
    except (ValueError, binascii.Error):
        found = ""
    if not found or uri == "":
        expected = "nsu=<namespace URI>;s=<id>, i=<number> or p={<namespace URI>}<name>/<name>"
        message = f"node {text!r}: expected {expected}"
        raise ConfigError([message]) from None
    return NodeName(uri, namespace, identifier)


def _parse_path(text: str) -> BrowsePath:
    """URIs hold slashes, so that a path cannot simply be split."""
    steps: list[tuple[str, str]] = []
    uri = ""
    for found in _STEP.finditer(text):
        uri = found["uri"] or uri
        steps.append((uri, found["name"]))
    if "/".join(found[0] for found in _STEP.finditer(text)) != text or not steps or not steps[0][0]:
        raise ValueError(text)
    return BrowsePath(tuple(steps))


def _parse_identifier(text: str) -> int | str | UUID | bytes | BrowsePath:
    kind, value = text[:2], text[2:]
    if not value:
        raise ValueError(text)
    match kind:
        case "i=":
            return int(value)
        case "s=":
            return value
        case "g=":
            return UUID(value)
        case "p=":
            return _parse_path(value)
        case "b=":
            return base64.b64decode(value, validate=True)
    raise ValueError(text)


def type_mistake(address: OpcUaAddress) -> str | None:
    """What is wrong with a type that no number can be written to, or None."""
    if address.type in _INTEGER_RANGES or address.type in ("Boolean", "Float", "Double"):
        return None
    expected = ", ".join(["Boolean", *_INTEGER_RANGES, "Float", "Double"])
    return f"node {address.node!r}: got type {address.type!r}: expected one of {expected}"


def data_value(point: Point, address: OpcUaAddress, value: float) -> ua.DataValue:
    """`value` (the point's SI unit) as the device wants it: no status and no time stamp, which many servers refuse.

    Raises:
        WriteError: not finite, outside what the type holds, or the type holds no number.
    """
    mistake = type_mistake(address)
    if mistake is not None:
        raise WriteError(f"{point.id}: {mistake}; not written")
    raw = (value - point.offset) / point.scale
    low, high = _range_of(address.type)
    number = raw if address.type in ("Float", "Double") or not math.isfinite(raw) else round(raw)
    if not low <= number <= high:  # also true for NaN
        raise WriteError(
            f"{point.id}: got {value:g} {point.unit}, raw {raw:g}: "
            f"expected {low:g} to {high:g} for {address.type}; not written"
        )
    content = bool(number) if address.type == "Boolean" else number
    return ua.DataValue(ua.Variant(content, ua.VariantType[address.type]), StatusCode=None)


def _range_of(type_name: str) -> tuple[float, float]:
    if type_name in _INTEGER_RANGES:
        return _INTEGER_RANGES[type_name]
    if type_name == "Boolean":
        return (0, 1)
    largest = _FLOAT32_MAX if type_name == "Float" else math.nextafter(math.inf, 0)
    return (-largest, largest)
