"""The OPC UA driver against a real asyncua server on loopback."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from asyncua import ua
from pydantic import ValidationError

from pswd_edge.errors import ConfigError, DeviceError, RefusedError, SilentError, UnreachableError, WriteError
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua import OpcUaConfig, OpcUaDriver
from pswd_edge.field.drivers.opcua_answer import judged
from pswd_edge.field.drivers.opcua_value import BrowsePath, NodeName, parse_node
from pswd_edge.model.quality import Quality, Reason
from tests.field.drivers.opcua_site import NAMESPACE, STAMP, OpcUaSite
from tests.field.drivers.pointmaker import ANY_WRITE, DEVICE, opcua_point
from tests.field.drivers.tcp_relay import TcpRelay

POWER = f"nsu={NAMESPACE};s=power"
SETPOINT = opcua_point(f"nsu={NAMESPACE};s=power_setpoint", scale=1000.0, write=ANY_WRITE)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpcUaSite]:
    running = OpcUaSite(tmp_path_factory.mktemp("opcua"))
    yield running
    running.stop()


@pytest.fixture
async def relay(site: OpcUaSite) -> AsyncIterator[TcpRelay]:
    running = TcpRelay(site.port)
    await running.start()
    yield running
    await running.stop()


def driver_at(port: int, **settings: object) -> OpcUaDriver:
    return OpcUaDriver({"url": f"opc.tcp://127.0.0.1:{port}/test", "timeout_s": 2.0, **settings})


@pytest.fixture
async def driver(site: OpcUaSite) -> AsyncIterator[OpcUaDriver]:
    opened = driver_at(site.port)
    await opened.open()
    yield opened
    await opened.close()


async def read_nodes(driver: OpcUaDriver, *nodes: str, timeout_s: float = 2.0) -> list[Value]:
    (request,) = driver.plan(DEVICE, [opcua_point(node) for node in nodes])
    return list(await driver.read(request, timeout_s))


def own_tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def test_values_of_every_kind_come_back_in_one_read(driver: OpcUaDriver) -> None:
    """Numbers pass unscaled, a boolean is 0 or 1, and what is no number must never look like one."""
    names = ("power", "count", "running", "name", "cells")

    values = await read_nodes(driver, *(f"nsu={NAMESPACE};s={name}" for name in names))

    assert [v.value for v in values[:3]] == [12.5, 7.0, 1.0]
    assert [v.reason for v in values] == [Reason.NONE] * 3 + [Reason.UNDECODABLE] * 2
    assert math.isnan(values[3].value)


async def test_quality_is_the_severity_of_the_status(site: OpcUaSite, driver: OpcUaDriver) -> None:
    """A device that doubts its own sensor must be doubted, and its time stamp kept."""
    uncertain = ua.StatusCode(ua.StatusCodes.UncertainSensorNotAccurate)
    site.put("count", ua.DataValue(ua.Variant(7, ua.VariantType.UInt16), uncertain, STAMP))
    bad = ua.StatusCode(ua.StatusCodes.BadSensorFailure)
    site.put("power", ua.DataValue(ua.Variant(99.0, ua.VariantType.Double), bad, STAMP))

    bad_value, uncertain_value = await read_nodes(driver, POWER, f"nsu={NAMESPACE};s=count")

    site.put("power", ua.DataValue(ua.Variant(12.5, ua.VariantType.Double), SourceTimestamp=STAMP))
    site.put("count", ua.DataValue(ua.Variant(7, ua.VariantType.UInt16)))
    assert uncertain_value == Value(7.0, Quality.UNCERTAIN, Reason.DEVICE, STAMP.timestamp())
    assert (bad_value.quality, bad_value.reason) == (Quality.BAD, Reason.DEVICE)
    assert math.isnan(bad_value.value)


async def test_unknown_node_spoils_no_other_point(driver: OpcUaDriver) -> None:
    """One wrong row of a map must not blind the battery."""
    known, unknown = await read_nodes(driver, POWER, f"nsu={NAMESPACE};s=nowhere")

    assert known.quality is Quality.GOOD
    assert (unknown.quality, unknown.reason) == (Quality.BAD, Reason.DEVICE)


async def test_unknown_namespace_is_refused_by_name(driver: OpcUaDriver) -> None:
    """The operator must read which URI is missing; the session itself is fine."""
    with pytest.raises(RefusedError, match="namespace 'urn:elsewhere': not on the server"):
        await read_nodes(driver, "nsu=urn:elsewhere;s=power")

    assert (await read_nodes(driver, POWER))[0].quality is Quality.GOOD


async def test_namespaces_are_resolved_anew_at_every_open(site: OpcUaSite, driver: OpcUaDriver) -> None:
    """A restarted server may number its namespaces otherwise: the twin's -1 must never pass for our power."""
    (request,) = driver.plan(DEVICE, [opcua_point(POWER)])
    before = (await driver.read(request, 2.0))[0].value

    site.swap_namespaces()
    try:
        await driver.open()
        after = (await driver.read(request, 2.0))[0].value
    finally:
        site.swap_namespaces()

    assert (before, after) == (12.5, -1.0)


async def test_a_node_may_be_named_by_its_path_and_is_found_again_after_renumbering(site: OpcUaSite) -> None:
    """Some servers number their nodes anew at every start; a path that leads nowhere is BAD alone."""
    path = f"p={{{NAMESPACE}}}bess/moving"
    driver = driver_at(site.port)
    nodes = (path, f"p={{{NAMESPACE}}}bess/nowhere", POWER)
    (request,) = driver.plan(DEVICE, [opcua_point(node) for node in nodes])
    for number in (2, 3):
        await driver.open()
        moving, nowhere, power = await driver.read(request, 2.0)
        assert (moving.value, power.value) == (3.5, 12.5)
        assert (nowhere.quality, nowhere.reason) == (Quality.BAD, Reason.DEVICE)
        site.renumber("moving", f"moving-{number}")

    assert (await driver.read(request, 2.0))[0].quality is Quality.BAD  # until the session is opened anew
    await driver.open()
    assert (await driver.read(request, 2.0))[0].value == 3.5
    await driver.close()


async def test_a_path_in_an_unknown_namespace_is_refused_by_name(driver: OpcUaDriver) -> None:
    """As with a node id: the operator must read which URI is missing."""
    with pytest.raises(RefusedError, match="namespace 'urn:elsewhere': not on the server"):
        await read_nodes(driver, "p={urn:elsewhere}bess/power")


async def test_a_set_point_may_be_named_by_its_path(site: OpcUaSite, driver: OpcUaDriver) -> None:
    """Writes find the node as reads do."""
    point = opcua_point(f"p={{{NAMESPACE}}}bess/power_setpoint", write=ANY_WRITE)
    await driver.write(DEVICE, point, 7.5, 2.0)

    assert site.value("power_setpoint") == 7.5


async def test_write_is_scaled_back_and_arrives(site: OpcUaSite, driver: OpcUaDriver) -> None:
    """The caller speaks watts; this device takes kilowatts."""
    await driver.write(DEVICE, SETPOINT, -2_500_000.0, 2.0)
    mode = opcua_point(f"nsu={NAMESPACE};s=mode", "Int16", write=ANY_WRITE)
    await driver.write(DEVICE, mode, 3.0, 2.0)

    assert site.value("power_setpoint") == -2500.0
    assert site.value("mode") == 3
    (echo,) = await read_nodes(driver, SETPOINT.address.node)  # type: ignore[union-attr]
    assert echo.value == -2500.0


async def test_refused_write_names_the_status(driver: OpcUaDriver) -> None:
    """An operator can act on BadUserAccessDenied, not on 'write failed'."""
    locked = opcua_point(f"nsu={NAMESPACE};s=read_only", write=ANY_WRITE)

    with pytest.raises(RefusedError, match="the server answered Bad") as caught:
        await driver.write(DEVICE, locked, 5.0, 2.0)

    assert caught.value.code in ("BadNotWritable", "BadUserAccessDenied")


@pytest.mark.parametrize(
    ("variant_type", "value"),
    [("Int16", 40_000.0), ("UInt16", -1.0), ("Boolean", 2.0), ("Float", 1e39), ("Double", math.nan), ("String", 1.0)],
)
async def test_value_that_does_not_fit_its_type_is_never_sent(
    driver: OpcUaDriver, variant_type: str, value: float
) -> None:
    """A wrapped integer is a set-point of the wrong sign."""
    point = opcua_point(f"nsu={NAMESPACE};s=mode", variant_type, write=ANY_WRITE)

    with pytest.raises(WriteError, match="not written"):
        await driver.write(DEVICE, point, value, 2.0)


async def test_lost_server_is_unreachable_and_reopen_works(relay: TcpRelay) -> None:
    """A reset must be seen at once, not after a time-out, and the same driver must come back."""
    driver = driver_at(relay.port)
    await driver.open()
    await relay.stop()
    begun = time.monotonic()

    with pytest.raises(UnreachableError):
        await read_nodes(driver, POWER, timeout_s=1.0)
    with pytest.raises(UnreachableError):
        await driver.open()

    assert time.monotonic() - begun < 1.0
    await relay.start()
    await driver.open()
    assert (await read_nodes(driver, POWER))[0].value == 12.5
    await driver.close()


async def test_silent_server_is_silent_within_the_deadline(relay: TcpRelay) -> None:
    """A black hole costs the deadline and no more, on reading, opening and closing."""
    driver = driver_at(relay.port, timeout_s=0.3)
    await driver.open()
    relay.silent = True
    begun = time.monotonic()

    with pytest.raises(SilentError, match=r"no answer in 0\.1 s"):
        await read_nodes(driver, POWER, timeout_s=0.1)
    read_s = time.monotonic() - begun
    with pytest.raises(UnreachableError, match=r"no session in 0\.3 s"):
        await driver.open()
    open_s = time.monotonic() - begun - read_s

    assert read_s < 0.25
    assert open_s < 0.6
    relay.silent = False
    await driver.open()
    assert (await read_nodes(driver, POWER))[0].value == 12.5
    await driver.close()


async def test_answer_after_the_deadline_is_not_taken_for_the_next(relay: TcpRelay) -> None:
    """Requests are matched by id: a late answer must never be one behind for ever."""
    driver = driver_at(relay.port)
    await driver.open()
    relay.delay_s = 0.1
    with pytest.raises(SilentError):
        await read_nodes(driver, POWER, timeout_s=0.05)

    (count,) = await read_nodes(driver, f"nsu={NAMESPACE};s=count")

    assert count.value == 7.0
    await driver.close()


async def test_close_of_a_silent_session_takes_a_second_at_most(relay: TcpRelay) -> None:
    """Shutdown must not wait for a server that is gone."""
    driver = driver_at(relay.port)
    await driver.open()
    relay.silent = True
    begun = time.monotonic()

    await driver.close()

    assert time.monotonic() - begun < 1.3
    await driver.close()


async def test_cancelled_open_leaves_nothing_behind(relay: TcpRelay) -> None:
    """The caller's time-out may strike at any step of the handshake."""
    before = own_tasks()
    for delay_s in (0.0, 0.001, 0.003, 0.006, 0.01, 0.02):
        driver = driver_at(relay.port)
        attempt = asyncio.create_task(driver.open())
        await asyncio.sleep(delay_s)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        await driver.close()
    async with asyncio.timeout(2.0):
        await relay.until_empty()

    assert own_tasks() - before == set()


async def test_driver_runs_no_task_of_its_own(driver: OpcUaDriver) -> None:
    """A supervisor in the library would read, log and reconnect behind the poller's back."""
    await read_nodes(driver, POWER)

    assert own_tasks() == set()


async def test_channel_is_renewed_between_two_reads(driver: OpcUaDriver) -> None:
    """Without renewal the server drops the session after an hour of service."""
    session = driver._session
    assert session is not None
    connection = session.client.uaclient.protocol._connection  # type: ignore[union-attr]
    token = connection.security_token.TokenId
    session.renew_at_s = 1e-9

    first = await read_nodes(driver, POWER)
    second = await read_nodes(driver, POWER)

    assert first[0].value == second[0].value == 12.5
    assert connection.security_token.TokenId != token
    assert session.renew_at_s > asyncio.get_running_loop().time() + 60


async def test_wrong_password_is_refused_not_unreachable(site: OpcUaSite) -> None:
    """Retrying a wrong password locks accounts: it is for the operator."""
    driver = driver_at(site.port, username="engineer", password="wrong", allow_plain_password=True)

    with pytest.raises(RefusedError, match=r"BadUserAccessDenied|BadIdentityTokenRejected"):
        await driver.open()

    right = driver_at(site.port, username="engineer", password="correct horse", allow_plain_password=True)
    await right.open()
    assert (await read_nodes(right, POWER))[0].value == 12.5
    await right.close()


@pytest.mark.parametrize("policy", ["basic256sha256", "aes256sha256rsapss"])
async def test_secured_session_reads_and_writes(site: OpcUaSite, policy: str) -> None:
    """Signed and encrypted, with the server's certificate pinned; the password travels encrypted."""
    driver = driver_at(
        site.port, security_policy=policy, username="engineer", password="correct horse", **site.client_files()
    )
    await driver.open()

    await driver.write(DEVICE, SETPOINT, 1_000_000.0, 2.0)

    assert (await read_nodes(driver, POWER))[0].value == 12.5
    assert site.value("power_setpoint") == 1000.0
    await driver.close()


async def test_server_with_another_certificate_gets_no_session(site: OpcUaSite) -> None:
    """Pinning is what keeps an impostor from reading the set-points and the password."""
    files = site.client_files()
    files["server_certificate"] = files["certificate"]
    driver = driver_at(site.port, security_policy="basic256sha256", timeout_s=1.0, **files)

    with pytest.raises(DeviceError):
        await driver.open()

    await driver.close()


async def test_missing_key_file_is_told_by_its_name(site: OpcUaSite) -> None:
    """A wrong path must not read like a dead server."""
    files = site.client_files() | {"private_key": "/nowhere/key.pem"}
    driver = driver_at(site.port, security_policy="basic256sha256", **files)

    with pytest.raises(DeviceError, match=r"/nowhere/key\.pem"):
        await driver.open()


async def test_server_that_speaks_no_opc_ua_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """A web server at that port answers, but nonsense; and asyncua must not log it with a traceback."""

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    driver = driver_at(server.sockets[0].getsockname()[1])

    with pytest.raises(UnreachableError):
        await driver.open()

    server.close()
    assert caplog.records == []


async def test_fifty_opens_and_closes_leave_no_socket(site: OpcUaSite) -> None:
    """Leaks on reconnect show only after weeks of service."""
    driver = driver_at(site.port)
    await driver.open()
    await driver.close()
    before = established_to(site.port)
    for _ in range(50):
        await driver.open()
        await driver.close()

    assert established_to(site.port) <= before
    assert own_tasks() == set()


def established_to(port: int) -> int:
    """Sockets of this process, ours or the server's, that are connected with the port."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


async def test_closed_driver_says_so() -> None:
    """Reading before opening is a mistake of the caller with a clear name."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        driver = driver_at(unused.getsockname()[1])

        with pytest.raises(UnreachableError, match="no session"):
            await read_nodes(driver, POWER)
        with pytest.raises(UnreachableError):
            await driver.open()
        await driver.close()


def test_plan_cuts_at_max_nodes() -> None:
    """Servers refuse a Read with too many nodes as a whole."""
    driver = OpcUaDriver({"url": "opc.tcp://127.0.0.1:1", "max_nodes": 2})
    points = [opcua_point(f"ns=2;i={i}", period_ms=1000) for i in range(5)]

    requests = driver.plan(DEVICE, points)

    assert [r.size for r in requests] == [2, 2, 1]
    assert [p for r in requests for p in r.points] == points
    assert {r.period_ms for r in requests} == {1000}
    assert driver.plan(DEVICE, []) == []


def test_plan_tells_every_mistake_at_once() -> None:
    """An engineer fixes a map in one round."""
    driver = OpcUaDriver({"url": "opc.tcp://127.0.0.1:1"})
    points = [opcua_point("s"), opcua_point("nsu=;s=x"), opcua_point("i=1", "String", write=ANY_WRITE)]

    with pytest.raises(ConfigError) as caught:
        driver.plan(DEVICE, points)

    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nsu=urn:a:b;s=x;y=1", NodeName("urn:a:b", 0, "x;y=1")),
        ("ns=3;i=12", NodeName(None, 3, 12)),
        ("i=2258", NodeName(None, 0, 2258)),
        ("nsu=http://x/y;b=AQI=", NodeName("http://x/y", 0, b"\x01\x02")),
        ("p={http://x/y/}A/B c/{urn:z}D", NodeName(None, 0, BrowsePath((
            ("http://x/y/", "A"), ("http://x/y/", "B c"), ("urn:z", "D"))))),
    ],
)
def test_node_texts_are_read(text: str, name: NodeName) -> None:
    """String ids may hold semicolons, which a plain split would cut."""
    assert parse_node(text) == name


@pytest.mark.parametrize(
    "text",
    ["", "power", "nsu=urn:a", "ns=x;i=1", "i=x", "s=", "nsu=;s=a", "b=%", "p=A/B", "p={urn:a}", "p={urn:a}A//B",
     "p={}A", "p={urn:a}A/", "p={urn:a"],
)  # fmt: skip
def test_other_texts_are_no_node(text: str) -> None:
    """A typo must be found by `check`, not by the first poll."""
    with pytest.raises(ConfigError, match="expected nsu="):
        parse_node(text)


def test_not_a_number_is_bad() -> None:
    """A NaN that passed for GOOD would poison every sum."""
    for number in (math.nan, math.inf):
        value = judged(number, 0, 0)
        assert (value.quality, value.reason) == (Quality.BAD, Reason.NOT_A_NUMBER)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "http://127.0.0.1:4840"},
        {"url": "opc.tcp://user:secret@127.0.0.1:4840"},
        {"url": "opc.tcp://127.0.0.1:4840", "passwort": "x"},
        {"url": "opc.tcp://127.0.0.1:4840", "password": "x"},
        {"url": "opc.tcp://127.0.0.1:4840", "security_policy": "basic256sha256"},
        {"url": "opc.tcp://127.0.0.1:4840", "certificate": "c.pem"},
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    """Above all a password in the URL, and certificates that protect nothing."""
    with pytest.raises(ValidationError):
        OpcUaConfig.model_validate(settings)
