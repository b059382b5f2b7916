"""What a protocol with types says of a value: type, access, neighbours. By a session of its own, beside no other."""

from typing import Any

from pswd_edge.app import resolved_settings
from pswd_edge.errors import DeviceError
from pswd_edge.field.drivers.opcua_explore import describe as describe_variable
from pswd_edge.field.drivers.opcua_explore import session
from pswd_edge.field.drivers.snmp_config import SnmpConfig
from pswd_edge.field.drivers.snmp_explore import Agent
from pswd_edge.model.device import Connection
from pswd_edge.model.point import OpcUaAddress, SnmpAddress

_TIMEOUT_S = 4.0


async def describe(connection: Connection, address: OpcUaAddress | SnmpAddress) -> dict[str, Any]:
    """What there is to say beside the value; a `note` where it could not be asked."""
    if isinstance(address, OpcUaAddress):
        return await _node(connection, address)
    return await _object(connection, address)


async def _node(connection: Connection, address: OpcUaAddress) -> dict[str, Any]:
    """Type, access, unit and time stamps of a node; with a security policy the driver alone is asked."""
    settings = resolved_settings(connection)
    if settings.get("security_policy", "none") != "none":
        return {"note": "with a security policy type and access are not asked"}
    try:
        async with session(settings["url"], settings.get("username"), settings.get("password"), _TIMEOUT_S) as client:
            found = await describe_variable(client, address.node)
    except DeviceError as error:
        return {"note": str(error)}
    return {"type": found.type, "access": found.access, "unit": found.unit, "name": found.name, "status": found.status,
            "row": f'{{id: {found.name}, unit: "{found.unit or 1}", node: "{found.node}", type: {found.type}}}'}


async def _object(connection: Connection, address: SnmpAddress) -> dict[str, Any]:
    """Type of an object, and its neighbours by GETNEXT: a missing `.0` or table index shows there."""
    try:
        agent = Agent(SnmpConfig.model_validate(resolved_settings(connection)))
        await agent.open()
        own = (await agent.get(address.oid))[0]
        around = await agent.neighbours(address.oid)
    except DeviceError as error:
        return {"note": str(error)}
    return {"type": own.type, "text": own.value if own.type == "text" else "", "neighbours": [list(f) for f in around],
            "row": f'{{id: object, unit: "1", oid: {address.oid}}}'}
