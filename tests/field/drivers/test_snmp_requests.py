"""How many exchanges a read takes: columns are walked, and an agent that cannot answer all at once is learnt once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from pswd_edge.errors import RefusedError, SilentError
from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.drivers.snmp import SnmpDriver
from pswd_edge.field.drivers.snmp_parts import LESSONS_MAX
from pswd_edge.model.quality import Quality, Reason
from tests.field.drivers.pointmaker import DEVICE, snmp_point
from tests.field.drivers.snmp_agents import (
    AUTH_SECRET,
    COLUMN,
    COMMUNITY,
    NUMBER,
    PRIV_SECRET,
    SNMPD,
    TREE,
    USER,
    OddAgent,
    Snmpd,
)
from tests.field.drivers.udp_relay import UdpCounter

needs_snmpd = pytest.mark.skipif(not SNMPD, reason="net-snmp's snmpd is not installed on this machine")
FAR = [f"{TREE}.{i}.0" for i in range(100, 124)]


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    agent = Snmpd(tmp_path_factory.mktemp("snmpd"))
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture
async def odd() -> AsyncIterator[OddAgent]:
    agent = await OddAgent().start()
    yield agent
    agent.stop()


@pytest.fixture
async def driver(odd: OddAgent) -> AsyncIterator[SnmpDriver]:
    made = v2c(odd.port)
    await made.open()
    yield made
    await made.close()


def v2c(port: int) -> SnmpDriver:
    return SnmpDriver({"host": "127.0.0.1", "port": port, "version": "2c", "community_secret": COMMUNITY})


def v3(port: int) -> SnmpDriver:
    secrets = {"username": USER, "auth_secret": AUTH_SECRET, "priv_secret": PRIV_SECRET, "read_only": True}
    return SnmpDriver({"host": "127.0.0.1", "port": port, **secrets})


def requests(driver: SnmpDriver, *oids: str) -> list[ReadRequest]:
    return driver.plan(DEVICE, [snmp_point(oid) for oid in oids])


async def read(driver: SnmpDriver, *oids: str) -> list[Value]:
    (request,) = requests(driver, *oids)
    return list(await driver.read(request, 2.0))


def test_scalars_are_cut_at_max_oids() -> None:
    """Agents answer tooBig where the reply would not fit one datagram."""
    points = [snmp_point(f"{TREE}.{i}.0", period_ms=5000) for i in range(50)]

    made = v2c(161).plan(DEVICE, points)

    assert [r.size for r in made] == [24, 24, 2]
    assert [p for r in made for p in r.points] == points
    assert v2c(161).plan(DEVICE, []) == []


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (range(1, 25), [24]),                # one GET is enough
        (range(1, 49), [48]),                # one GETBULK instead of two GETs
        (range(40, 70), [24, 6]),            # a walk from row 0 would bring as much for nothing
        (range(1, 200), [24] * 8 + [7]),     # more than an agent puts into one answer
        (range(1, 100_000, 3000), [24, 10]), # no table of outlets
    ],
)
def test_long_columns_are_walked_where_that_is_one_exchange(rows: range, sizes: list[int]) -> None:
    """GETBULK pays only where it is fewer exchanges; a person who writes a map need not know of it."""
    made = requests(v2c(161), *(f"{TREE}.50.1.3.{row}" for row in rows))

    assert [r.size for r in made] == sizes


@needs_snmpd
@pytest.mark.parametrize("make", [v2c, v3])
async def test_forty_eight_outlets_come_in_one_exchange(snmpd: Snmpd, make: type[SnmpDriver]) -> None:
    """A 48-way PDU: two GETs become one GETBULK, and a row that the agent lacks is BAD, not its neighbour's value."""
    async with UdpCounter(snmpd.port) as relay:
        driver = make(relay.port)  # type: ignore[arg-type]
        await driver.open()
        before = relay.requests

        values = await read(driver, *(f"{COLUMN}.{row}" for row in range(1, 49)))

        assert relay.requests - before == 1
        assert [v.value for n, v in enumerate(values, 1) if n != 7] == [float(n) for n in range(1, 49) if n != 7]
        assert values[6].reason is Reason.DEVICE
        await driver.close()


@needs_snmpd
async def test_column_with_other_points_beside_it_keeps_the_order_of_points(snmpd: Snmpd) -> None:
    """Values go to points by their place in the request: a walk must not shift those of a GET."""
    driver = v2c(snmpd.port)
    await driver.open()
    made = requests(driver, NUMBER, *(f"{COLUMN}.{row}" for row in range(1, 91)))

    found = {p.address.oid: v for r in made for p, v in zip(r.points, await driver.read(r, 2.0), strict=True)}

    assert found[NUMBER] == Value(42.0)
    assert found[f"{COLUMN}.90"] == Value(90.0)
    assert sum(v.value == float(oid.rpartition(".")[2]) for oid, v in found.items() if oid != NUMBER) == 89
    await driver.close()


@needs_snmpd
async def test_column_that_the_agent_lacks_is_absent_and_learnt(snmpd: Snmpd) -> None:
    """An empty walk is asked by GET once, which tells absence from an error; later reads do not walk again."""
    driver = v2c(snmpd.port)
    await driver.open()

    for _ in range(12):
        values = await read(driver, *(f"{TREE}.77.1.1.{row}" for row in range(1, 30)))

    assert {v.reason for v in values} == {Reason.DEVICE}
    await driver.close()


async def test_too_big_is_halved_once_and_remembered(odd: OddAgent, driver: SnmpDriver) -> None:
    """Agents with small messages answer tooBig for ever: their points must come, and the answer be learnt once."""
    odd.most = 7

    values = await read(driver, *FAR)
    learnt = odd.asked
    again = await read(driver, *FAR)

    assert {v.value for v in values} == {v.value for v in again} == {1.0}
    assert learnt == 7  # 24, 12 + 12, then 6 four times
    assert odd.asked - learnt == 4


async def test_one_sick_object_does_not_spoil_its_neighbours(odd: OddAgent, driver: SnmpDriver) -> None:
    """A broken sensor makes some agents answer genErr to the whole request."""
    odd.sick = {FAR[10]}
    for _ in range(4):
        await read(driver, *FAR)

    values = await read(driver, *FAR)

    assert [v.reason for v in values] == [Reason.REFUSED if n == 10 else Reason.NONE for n in range(24)]


async def test_objects_that_are_all_absent_cost_one_exchange_in_the_long_run(odd: OddAgent, driver: SnmpDriver) -> None:
    """A PDU with fewer outlets than its map: absent, reason DEVICE, and not asked one by one for ever."""
    odd.absent = set(FAR)
    for _ in range(12):
        await read(driver, *FAR)
    before = odd.asked

    values = await read(driver, *FAR)

    assert {v.reason for v in values} == {Reason.DEVICE}
    assert odd.asked - before == 1
    odd.absent = set()
    assert {v.value for v in await read(driver, *FAR)} == {1.0}


async def test_agent_that_refuses_everything_is_asked_once_a_poll(odd: OddAgent, driver: SnmpDriver) -> None:
    """While an agent starts it may answer genErr to all: it must not be hammered, and heal by itself."""
    odd.status = 5
    for _ in range(12):
        before = odd.asked
        with suppress(RefusedError):
            assert {v.quality for v in await read(driver, *FAR)} == {Quality.BAD}
        assert odd.asked - before <= 24 + LESSONS_MAX
    with pytest.raises(RefusedError, match="error status"):
        await read(driver, *FAR)
    assert odd.asked - before == 2

    odd.status = 0

    assert {v.value for v in await read(driver, *FAR)} == {1.0}


async def test_what_was_learnt_is_forgotten_with_the_connection(odd: OddAgent, driver: SnmpDriver) -> None:
    """Another card or firmware may answer more at once."""
    odd.most = 12
    await read(driver, *FAR)
    odd.most = 24

    await driver.open()
    before = odd.asked
    await read(driver, *FAR)

    assert odd.asked - before == 1


async def test_parts_share_one_deadline(odd: OddAgent, driver: SnmpDriver) -> None:
    """A read of four parts must not take four time-outs."""
    odd.most = 6
    await read(driver, *FAR)
    odd.delay_s = None
    begun = asyncio.get_running_loop().time()

    (request,) = requests(driver, *FAR)
    with pytest.raises(SilentError, match=r"no answer in 0\.1 s"):
        await driver.read(request, 0.1)

    assert asyncio.get_running_loop().time() - begun < 0.35
