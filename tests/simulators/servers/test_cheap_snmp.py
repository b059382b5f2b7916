"""The agents of the SNMP benchmark, and the site that it polls."""

import asyncio
from pathlib import Path

from gufo.snmp.aio import SnmpSession

from pswd_edge.bench.snmp import snmp_site
from pswd_edge.field.drivers.snmp import SnmpDriver
from pswd_edge.field.siteplan import plan_site
from simulators.servers.cheap_snmp import CheapAgent, oid_of, request_id


async def agent(oids):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: CheapAgent(oids), local_addr=("127.0.0.1", 0))
    return transport, transport.get_extra_info("sockname")[1]


async def test_its_answers_are_those_of_an_agent():
    """A client that decodes must find what it asked for, and the first object must change with each answer."""
    transport, port = await agent(60)
    session = SnmpSession("127.0.0.1", port, community="bench", timeout=1.0)

    found = [await session.get_many([oid_of(n) for n in range(60)]) for _ in range(2)]

    assert [answer[oid_of(0)] for answer in found] == [1, 2]
    assert [found[1][oid_of(n)] for n in range(1, 60)] == [100 * n for n in range(1, 60)]
    transport.close()


async def test_the_benchmark_reads_what_the_agents_have():
    """A benchmark of answers that nobody decodes would measure nothing."""
    transport, port = await agent(20)
    site = snmp_site(1, 20, port, 100, Path("/nowhere"))
    driver = SnmpDriver(dict(site.connections[0].settings))
    (request,) = plan_site(site, {0: driver})
    await driver.open()

    values = await driver.read(request, 1.0)

    assert [v.value for v in values] == [1.0, *(100.0 * n for n in range(1, 20))]
    await driver.close()
    transport.close()


def test_only_a_get_is_answered():
    """It must not answer itself, nor noise."""
    for datagram in (b"", b"\x30", b"\x30\x05\x02\x01\x01\x04\x00", bytes(40), b"\x30\x84" + b"\xff" * 9):
        assert request_id(datagram) is None
