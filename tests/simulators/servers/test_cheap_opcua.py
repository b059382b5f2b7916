"""The OPC UA server of the benchmark, read by asyncua's client below our driver."""

import asyncio

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from pswd_edge.field.drivers.opcua import OpcUaDriver
from simulators.servers.cheap_opcua import URI, CheapLink


async def test_it_counts_its_answers_and_knows_its_own_nodes_only():
    """A client that decodes must see a value that changes; an unknown node must not look like a number."""
    server = await asyncio.get_running_loop().create_server(lambda: CheapLink(3), "127.0.0.1", 0)
    driver = OpcUaDriver({"url": f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    await driver.open()
    assert driver._session is not None
    assert driver._session.namespaces[1] == URI
    client = driver._session.client.uaclient

    def asked(*numbers: int) -> ua.ReadParameters:
        nodes = [ua.NodeId(ua.Int32(n), ua.Int16(1)) for n in numbers]
        return ua.ReadParameters(NodesToRead=[ua.ReadValueId(n, AttributeIds.Value) for n in nodes])

    first, second = [[v.Value.Value for v in await client.read(asked(1, 3))] for _ in range(2)]
    known, unknown = await client.read(asked(1, 4))

    assert first[0] == first[1]
    assert second == [first[0] + 1] * 2
    assert known.StatusCode is None or known.StatusCode.is_good()
    assert unknown.StatusCode.name == "BadNodeIdUnknown"
    await driver.close()
    server.close()
