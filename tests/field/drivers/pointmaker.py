"""Points and devices for driver tests: only what the test is about is spelled out."""

from typing import Any

from pswd_edge.model.device import Device
from pswd_edge.model.point import OpcUaAddress, Point, SnmpAddress, WriteRule

DEVICE = Device(index=0, id="dev-1", kind="battery", connection=0, unit=0, map="test", first_point=0, point_count=1)
ANY_WRITE = WriteRule(minimum=-1e9, maximum=1e9)


def opcua_point(node: str, variant_type: str = "Double", deadband: float = 0.0, **more: Any) -> Point:
    """A point at an OPC UA node."""
    return _point(OpcUaAddress(node=node, type=variant_type, deadband=deadband), **more)


def snmp_point(oid: str, smi_type: str = "Integer32", **more: Any) -> Point:
    """A point at an SNMP object."""
    return _point(SnmpAddress(oid=oid, type=smi_type), **more)


def _point(address: Any, **more: Any) -> Point:
    return Point(index=0, id="dev-1.value", device=0, signal="value", unit="W", address=address, **more)
