"""OPC UA and SNMP: who answers, what it offers, and which device maps fit. No credential is guessed."""

import asyncio
import contextlib
from typing import Any

from pswd_edge.commands.pace import Pace
from pswd_edge.commands.scan_found import Find
from pswd_edge.config.map_form import OpcUaMap, SnmpMap
from pswd_edge.config.maps import MAP_FOLDERS, known_maps, load_map
from pswd_edge.errors import ConfigError, DeviceError
from pswd_edge.field.drivers.opcua_explore import browse, offers, session
from pswd_edge.field.drivers.snmp_config import SnmpConfig
from pswd_edge.field.drivers.snmp_explore import Agent

_SYSTEM = {"text": "1.3.6.1.2.1.1.1.0", "object_id": "1.3.6.1.2.1.1.2.0", "name": "1.3.6.1.2.1.1.5.0"}
_FIRST_OBJECTS = 3
_SESSION_S = 4.0


async def listens(host: str, port: int, pace: Pace, timeout_s: float) -> bool:
    """Whether a TCP port is open."""
    await pace.turn()
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def opcua(host: str, port: int, pace: Pace, settings: dict[str, Any], most: int) -> Find | None:
    """A server with what it offers, and its variables where we may log in without a security policy."""
    url = f"opc.tcp://{host}:{port}"
    await pace.turn()
    try:
        found = Find("opcua", host, port, offers=await offers(url, _SESSION_S))
    except DeviceError:
        return None
    tokens = {t for o in found.offers if o.mode == "None_" for t in o.tokens}
    username = settings.get("username")
    if "Anonymous" not in tokens and username is None:
        found.notes.append("no anonymous session without security: its nodes were not looked at")
        return found
    path = next((o.url for o in found.offers if o.mode == "None_"), "").partition("//")[2].partition("/")[2]
    await pace.turn()
    try:
        async with session(f"{url}/{path}", username, settings.get("password"), _SESSION_S) as client:
            found.identity["path"] = f"/{path}" if path else ""
            uris = await client.get_namespace_array()
            found.maps = [n for n in known_maps(MAP_FOLDERS) if any(u in uris for u in namespaces_of(n))]
            async for variable in browse(client, most, pace.turn):
                found.variables.append(variable)
    except DeviceError as error:
        found.notes.append(str(error))
    return found


def namespaces_of(name: str) -> set[str]:
    """The namespaces that a map's nodes are in; none for a map of another protocol."""
    form = _map(name)
    if not isinstance(form, OpcUaMap):
        return set()
    return {row.node[4:].partition(";")[0] for row in form.points if row.node.startswith("nsu=")}


def _map(name: str) -> object:
    try:
        return load_map(name)
    except ConfigError:
        return None


async def snmp(host: str, port: int, pace: Pace, settings: dict[str, Any], timeout_s: float) -> Find | None:
    """An agent that takes the given credentials, with the maps whose first objects it has."""
    agent = Agent(SnmpConfig.model_validate({**settings, "host": host, "port": port, "timeout_s": max(timeout_s, 1.0)}))
    try:
        await pace.turn()
        await agent.open()
        await pace.turn()
        answers = await agent.get(*_SYSTEM.values())
    except DeviceError:
        return None
    found = Find("snmp", host, port, identity={k: a.value for k, a in zip(_SYSTEM, answers, strict=True) if a.value})
    for name in known_maps(MAP_FOLDERS):
        form = _map(name)
        if not isinstance(form, SnmpMap):
            continue
        await pace.turn()
        with contextlib.suppress(DeviceError):
            wanted = [row.oid for row in form.points if row.readable][:_FIRST_OBJECTS]
            if all(a.type == "number" for a in await agent.get(*wanted)):
                found.maps.append(name)
    return found
