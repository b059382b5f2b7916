"""OPC UA servers that stop, lie, change or can do little."""

import asyncio
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asyncua import ua

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError, UnreachableError
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua import OpcUaDriver
from pswd_edge.field.drivers.opcua_link import MESSAGE_MAX, OUTSTANDING_MAX
from pswd_edge.model.quality import Quality
from simulators.servers.cheap_opcua import OPEN, READ
from tests.field.drivers.opcua_script import Script, nodes_of, scripted
from tests.field.drivers.pointmaker import DEVICE, opcua_point
from tests.field.fieldmaker import open_files

STAGES = ["all", "hello", "channel", "session", "activation", "read"]


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with scripted() as running:
        yield running


async def read_nodes(driver: OpcUaDriver, count: int, timeout_s: float = 1.0) -> list[Value]:
    (request,) = driver.plan(DEVICE, [opcua_point(node) for node in nodes_of(count)])
    return list(await driver.read(request, timeout_s))


@pytest.mark.parametrize("stage", STAGES)
async def test_a_server_that_stops_while_we_connect_costs_the_time_out(script: Script, stage: str) -> None:
    """At whatever step: the library's own time-outs do not hold in every one of them."""
    driver = script.driver(timeout_s=0.2)
    await driver.open()
    await driver.close()
    files, begun_s = open_files(), time.monotonic()
    script.mute_from = stage

    with pytest.raises(UnreachableError, match=r"no session in 0\.2 s"):
        await driver.open()

    assert time.monotonic() - begun_s < 0.2 + 1.0
    await asyncio.sleep(0.02)
    assert open_files() <= files + 1  # the server's end may close a moment later
    assert asyncio.all_tasks() - {asyncio.current_task()} == set()
    script.mute_from = ""
    await driver.open()
    assert (await read_nodes(driver, 1))[0].quality is Quality.GOOD
    await driver.close()


@pytest.mark.parametrize("stage", STAGES)
async def test_connecting_can_be_cancelled_at_every_step(script: Script, stage: str) -> None:
    """The poller's own deadline may strike first, and must leave nothing behind."""
    script.mute_from = stage
    driver = script.driver(timeout_s=5.0)
    attempt = asyncio.create_task(driver.open())
    await asyncio.sleep(0.08)
    attempt.cancel()

    with pytest.raises(asyncio.CancelledError):
        await attempt

    await asyncio.sleep(0)
    assert asyncio.all_tasks() - {asyncio.current_task()} == set()


async def test_a_server_that_tells_its_limit_gets_smaller_requests(script: Script) -> None:
    """MaxNodesPerRead: a larger request is refused as a whole."""
    script.tells_limits, script.nodes_max = True, 4
    driver = script.driver()
    await driver.open()
    before = script.count(READ)

    values = await read_nodes(driver, 10)

    assert [v.quality for v in values] == [Quality.GOOD] * 10
    assert script.count(READ) - before == 3
    await driver.close()


async def test_a_server_that_hides_its_limit_is_found_out_within_the_read(script: Script) -> None:
    """BadTooManyOperations: half as many at a time, and from then on at once."""
    script.nodes_max = 3
    driver = script.driver()
    (request,) = driver.plan(DEVICE, [opcua_point(node) for node in nodes_of(10)])
    await driver.open()

    first = await driver.read(request, 1.0)
    before = script.count(READ)
    second = await driver.read(request, 1.0)

    assert {v.quality for v in (*first, *second)} == {Quality.GOOD}
    assert script.count(READ) - before == 5  # of two nodes each
    await driver.close()


@pytest.mark.parametrize("code", [ua.StatusCodes.BadSessionIdInvalid, ua.StatusCodes.BadSessionClosed,
                                  ua.StatusCodes.BadSecureChannelIdInvalid])
async def test_a_lost_session_is_made_anew(script: Script, code: int) -> None:
    """The server restarted or cleaned up: that is for the poller, which opens again."""
    driver = script.driver()
    await driver.open()
    script.fault[READ] = code

    with pytest.raises(UnreachableError, match="connecting anew"):
        await read_nodes(driver, 1)

    script.fault.clear()
    await driver.open()
    assert (await read_nodes(driver, 1))[0].quality is Quality.GOOD
    await driver.close()


async def test_the_channel_is_renewed_before_it_ends(script: Script) -> None:
    """A server may grant a short life only; no read may fall into the gap."""
    script.lifetime_ms = 200
    driver = script.driver()
    await driver.open()
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        assert (await read_nodes(driver, 2))[0].quality is Quality.GOOD
        await asyncio.sleep(0.02)

    assert script.count(OPEN) >= 4
    await driver.close()


async def test_a_renewal_without_an_answer_is_seen(script: Script) -> None:
    """It takes the read's time-out, and the next read does not hang either."""
    driver = script.driver()
    await driver.open()
    assert driver._session is not None
    driver._session.renew_at_s = 1e-9
    script.mute_from = "channel"

    for _ in range(2):
        with pytest.raises((SilentError, UnreachableError)):
            await read_nodes(driver, 1, timeout_s=0.1)

    await driver.close()


async def test_unanswered_requests_are_counted_and_end_the_session(script: Script) -> None:
    """What waits for an answer that never comes must not grow for months."""
    driver = script.driver()
    await driver.open()
    script.mute_from = "read"
    (request,) = driver.plan(DEVICE, [opcua_point(node) for node in nodes_of(1)])
    for _ in range(OUTSTANDING_MAX):
        with pytest.raises(SilentError):
            await driver.read(request, 0.0)

    with pytest.raises(UnreachableError, match=f"{OUTSTANDING_MAX} requests without an answer"):
        await driver.read(request, 0.1)

    await driver.close()


async def test_an_array_of_nothing_does_not_hold_up_the_loop(script: Script) -> None:
    """Two thousand million elements of no size: the library builds that list, and the site stands still."""
    driver = script.driver()
    await driver.open()
    script.read_body = struct.pack("<iBBii", 1, 1, 0x80, 2**31 - 1, -1)
    begun_s = time.monotonic()

    with pytest.raises(DecodeError, match="an array of nothing"):
        await read_nodes(driver, 1)

    assert time.monotonic() - begun_s < 1.0
    await driver.close()


@pytest.mark.parametrize("body", [b"", struct.pack("<i", 2), struct.pack("<i", 2**31 - 1), struct.pack("<iB", 1, 1),
                                  struct.pack("<iBBd", 1, 1, 11, 5.0), struct.pack("<iBBdii", 1, 1, 11, 5.0, -1, 7)])
async def test_an_answer_of_another_shape_makes_no_sense(script: Script, body: bytes) -> None:
    """Too few values, too many, none, cut, without an end, with something behind it."""
    driver = script.driver()
    await driver.open()
    script.read_body = body

    with pytest.raises(DecodeError, match=r"read 1 nodes from dev-1\.value: "):
        await read_nodes(driver, 1)

    script.read_body = None
    assert (await read_nodes(driver, 1))[0].quality is Quality.GOOD  # the session itself is well
    await driver.close()


# --- below the messages ---------------------------------------------------------------------------------------------


class _Greeter(asyncio.Protocol):
    def __init__(self, reply: bytes, ends: list[asyncio.Transport]) -> None:
        self._reply, self._ends = reply, ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ends.append(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._reply)  # type: ignore[attr-defined]


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[OpcUaDriver]:
    """A driver for a server that answers its greeting with this."""
    ends: list[asyncio.Transport] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Greeter(reply, ends), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield OpcUaDriver({"url": f"opc.tcp://127.0.0.1:{port}", "timeout_s": 2.0})
    server.close()
    for end in ends:
        end.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize("size", [0, 7, 65_536, 2**32 - 1])
async def test_a_chunk_of_impossible_size_ends_the_connection(size: int) -> None:
    """Four gigabytes that are announced must not be waited for, nor kept as they come."""
    reply = b"ACKF" + struct.pack("<I", size) + bytes(30_000)
    begun_s = time.monotonic()
    async with answering(reply) as driver:
        with pytest.raises(UnreachableError):
            await driver.open()

    assert time.monotonic() - begun_s < 1.5


async def test_a_message_without_end_is_cut_at_what_we_announced(script: Script) -> None:
    """Chunks that go on for ever, each of them right, would fill the memory."""
    driver = script.driver()
    await driver.open()
    link = driver._session.link  # type: ignore[union-attr]
    token, chunk = script.links[-1].token, bytes(60_000)
    sequence, number = script.links[-1].sequence, 9_999
    tracemalloc.start()
    for n in range(1, 3 * MESSAGE_MAX // len(chunk)):
        link.data_received(struct.pack("<4sIIIII", b"MSGC", 24 + len(chunk), 7, token, sequence + n, number) + chunk)
        if link.transport is None or link.transport.is_closing():
            break
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 * MESSAGE_MAX
    with pytest.raises(UnreachableError):
        await read_nodes(driver, 1)
    await driver.close()


async def test_a_header_with_a_structure_is_not_taken_apart(script: Script) -> None:
    """The library would decode anything in there, of any size, on the loop of the control cycle."""
    nested = struct.pack("<BBHiBi", 1, 0, 811, 9, 1, 2**31 - 1) + bytes(8)
    script.session_head = struct.pack("<BBHqIIBi", 1, 0, 464, 0, 1, 0, 0, -1) + nested
    driver = script.driver()
    begun_s = time.monotonic()

    with pytest.raises(DeviceError):
        await driver.open()

    assert time.monotonic() - begun_s < 0.9


async def test_refusals_carry_the_standard_s_words(script: Script) -> None:
    """BadUserAccessDenied is something that an operator can look up."""
    driver = script.driver()
    await driver.open()
    script.fault[READ] = ua.StatusCodes.BadUserAccessDenied

    with pytest.raises(RefusedError, match="the server answered BadUserAccessDenied") as caught:
        await read_nodes(driver, 1)

    assert caught.value.code == "BadUserAccessDenied"
    await driver.close()
