"""`pswd-edge probe` of an OPC UA node and an SNMP object: value, type, access and what lies beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.field.drivers.opcua_site import NAMESPACE, OpcUaSite
from tests.field.drivers.snmp_agents import COMMUNITY, NUMBER, SNMPD, TEXT, Snmpd
from tests.tools.toolrig import typed

NONE = ("--runtime-dir", "/nonexistent")
needs_snmpd = pytest.mark.skipif(not SNMPD, reason="net-snmp's snmpd is not installed on this machine")


@pytest.fixture(scope="module")
def opcua(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpcUaSite]:
    site = OpcUaSite(tmp_path_factory.mktemp("opcua"))
    yield site
    site.stop()


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    agent = Snmpd(tmp_path_factory.mktemp("snmpd"))
    agent.start()
    yield agent
    agent.stop()


async def test_a_node_tells_its_type_and_access(opcua: OpcUaSite) -> None:
    """The row of a map needs the type, and a write the access."""
    url = f"opc.tcp://127.0.0.1:{opcua.port}/test"
    power = await typed("probe", "opcua", url, f"nsu={NAMESPACE};s=power_setpoint", "--json", *NONE)
    locked = await typed("probe", "opcua", url, f"nsu={NAMESPACE};s=count", "--json", *NONE)

    assert (power.json["value"], power.json["type"], power.json["access"]) == (0.0, "Double", "read, write")
    assert (locked.json["value"], locked.json["type"], locked.json["access"]) == (7.0, "UInt16", "read")
    assert f'node: "nsu={NAMESPACE};s=power_setpoint"' in power.json["row"]


async def test_a_node_that_is_not_there_names_the_namespaces(opcua: OpcUaSite) -> None:
    """The commonest mistake is the namespace."""
    found = await typed("probe", "opcua", f"opc.tcp://127.0.0.1:{opcua.port}/test", "nsu=urn:wrong;s=power", *NONE)

    assert found.status == 1
    assert NAMESPACE in found.out


@needs_snmpd
async def test_an_object_tells_its_type_and_neighbours(snmpd: Snmpd, tmp_path: Path) -> None:
    """A missing instance (.0, a table's index) shows among the neighbours."""
    secret = tmp_path / "community"
    secret.write_text(COMMUNITY)
    secret.chmod(0o600)
    keys = ("--set", "version=2c", "--set", f"community_secret=file:{secret}")
    number = await typed("probe", "snmp", f"127.0.0.1:{snmpd.port}", NUMBER, *keys, "--json", *NONE)
    text = await typed("probe", "snmp", f"127.0.0.1:{snmpd.port}", TEXT, *keys, "--json", *NONE)

    assert (number.json["value"], number.json["type"]) == (42.0, "number")
    assert number.json["neighbours"]
    assert (text.json["value"], text.json["type"], text.json["text"]) == (None, "text", "normal")
    assert COMMUNITY not in number.out + number.err
