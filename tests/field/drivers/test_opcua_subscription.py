"""OPC UA subscriptions: as good as a read, or a read."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from asyncua import ua

from pswd_edge.errors import RefusedError, SilentError, UnreachableError
from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.drivers.opcua import OpcUaDriver
from pswd_edge.field.drivers.opcua_feed import ATTEMPTS_MAX, OUTSTANDING
from pswd_edge.model.quality import Quality, Reason
from simulators.servers.cheap_opcua import READ
from tests.field.drivers.opcua_script import (
    CREATE_ITEMS,
    CREATE_SUBSCRIPTION,
    DELETE_SUBSCRIPTIONS,
    PUBLISH,
    Script,
    double,
    nodes_of,
    scripted,
)
from tests.field.drivers.opcua_site import NAMESPACE, OpcUaSite
from tests.field.drivers.pointmaker import ANY_WRITE, DEVICE, opcua_point
from tests.field.drivers.tcp_relay import TcpRelay
from tests.field.fieldmaker import open_files, until

KEEP_ALIVE_S = 0.5


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with scripted() as running:
        running.interval_ms = 100.0  # so that silence takes half a second to be seen
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpcUaSite]:
    running = OpcUaSite(tmp_path_factory.mktemp("opcua"))
    yield running
    running.stop()


def request_of(driver: OpcUaDriver, nodes: Sequence[str], period_ms: int = 1000, **more: object) -> ReadRequest:
    (request,) = driver.plan(DEVICE, [opcua_point(node, period_ms=period_ms, **more) for node in nodes])
    return request


async def subscribed(script: Script, driver: OpcUaDriver, request: ReadRequest) -> None:
    """Open, and read until the subscription is made and a publish request waits at the server."""
    await driver.open()
    await driver.read(request, 1.0)
    await until(lambda: len(script.waiting) >= OUTSTANDING and bool(script.items), 2.0)
    await asyncio.sleep(0.01)


async def heard(driver: OpcUaDriver) -> None:
    """What the server has just sent is taken."""
    del driver
    await asyncio.sleep(0.02)


def reads(script: Script) -> int:
    return script.count(READ)


async def test_a_subscribed_value_costs_no_read(script: Script) -> None:
    """That is what a subscription is for; the value must be the notified one, in the order of the points."""
    driver = script.driver()
    request = request_of(driver, nodes_of(2))
    await subscribed(script, driver, request)
    first, second = script.handles()
    script.tell({second: double(2.0), first: double(1.0)})
    await heard(driver)
    before = reads(script)

    values = await driver.read(request, 1.0)

    assert [v.value for v in values] == [1.0, 2.0]
    assert reads(script) == before
    await driver.close()


async def test_an_unchanged_value_is_current_while_keep_alives_come(script: Script) -> None:
    """A value that does not change is no stale value, as long as the server says that it is there."""
    script.interval_ms = 300.0  # a busy machine may sleep longer than it is told
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    script.tell({script.handles()[0]: double(7.0)})
    before = reads(script)
    for _ in range(12):
        await asyncio.sleep(0.15)
        script.tell({})
        await heard(driver)
        (value,) = await driver.read(request, 1.0)
        assert value.value == 7.0

    assert reads(script) == before
    await driver.close()


async def test_without_keep_alives_the_server_is_asked_and_its_silence_is_silence(script: Script) -> None:
    """The last notified value must not be shown for ever by a server that has died behind an open connection."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    script.tell({script.handles()[0]: double(7.0)})
    await heard(driver)
    assert [v.value for v in await driver.read(request, 1.0)] == [7.0]
    script.mute_from = "all"
    await asyncio.sleep(KEEP_ALIVE_S + 0.1)

    with pytest.raises(SilentError, match=r"no answer in 0\.5 s"):
        await driver.read(request, 0.05)  # what the poller has learnt from reads that took no time

    await driver.close()


async def test_a_subscription_that_fell_silent_alone_is_made_anew(script: Script) -> None:
    """The reads go on meanwhile; the old subscription is taken away from the server."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    script.tell({script.handles()[0]: double(-99.0)})
    await asyncio.sleep(KEEP_ALIVE_S + 0.1)

    (value,) = await driver.read(request, 1.0)

    assert value.quality is Quality.GOOD
    assert value.value != -99.0
    await until(lambda: script.count(CREATE_SUBSCRIPTION) == 2, 1.0)
    assert script.count(DELETE_SUBSCRIPTIONS) == 1
    await driver.close()


async def test_a_server_whose_subscriptions_keep_dying_is_read(script: Script) -> None:
    """Making them anew for ever would be load without use."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await driver.open()
    for _ in range(ATTEMPTS_MAX + 2):
        await driver.read(request, 1.0)
        await asyncio.sleep(KEEP_ALIVE_S + 0.1)

    assert (await driver.read(request, 1.0))[0].quality is Quality.GOOD
    assert script.count(CREATE_SUBSCRIPTION) == ATTEMPTS_MAX
    await driver.close()


async def test_a_value_never_notified_is_bad_and_not_zero(script: Script) -> None:
    """A server that took the item and never says what it is knows nothing of it."""
    driver = script.driver()
    request = request_of(driver, nodes_of(2))
    await subscribed(script, driver, request)
    script.tell({script.handles()[0]: double(1.0)})
    await asyncio.sleep(0.25)
    script.tell({})
    await asyncio.sleep(0.25)

    told, never = await driver.read(request, 1.0)

    assert told.value == 1.0
    assert (never.quality, never.reason) == (Quality.BAD, Reason.NEVER_READ)
    assert math.isnan(never.value)
    await driver.close()


async def test_until_the_first_notification_the_server_is_read(script: Script) -> None:
    """Between subscribing and the first notification a value must not go BAD for a moment."""
    driver = script.driver()
    script.interval_ms = None
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)

    (value,) = await driver.read(request, 1.0)

    assert value.quality is Quality.GOOD
    await driver.close()


async def test_an_item_that_the_server_refuses_is_bad_alone(script: Script) -> None:
    """One wrong row of a map must not cost the others their subscription."""
    driver = script.driver()
    request = request_of(driver, [*nodes_of(1), "nsu=urn:pswd-edge:cheap;s=nowhere"])
    await subscribed(script, driver, request)
    script.tell({script.handles()[0]: double(1.0)})
    await heard(driver)
    before = reads(script)

    known, unknown = await driver.read(request, 1.0)

    assert known.value == 1.0
    assert (unknown.quality, unknown.reason) == (Quality.BAD, Reason.DEVICE)
    assert reads(script) == before
    await driver.close()


async def test_a_lost_notification_is_made_up_for_by_a_read(script: Script) -> None:
    """A hole in the sequence numbers means that some value here is old, and nobody knows which."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    handle = script.handles()[0]
    script.tell({handle: double(-1.0)})
    await heard(driver)
    before = reads(script)
    script.tell({}, number=3)  # a keep-alive that announces 3: 2 was lost
    await heard(driver)

    (value,) = await driver.read(request, 1.0)
    await asyncio.sleep(0.37)  # until what was sampled by then has been published
    (sure,) = await driver.read(request, 1.0)
    (again,) = await driver.read(request, 1.0)

    assert value.value > 0
    assert again.value == sure.value > value.value
    assert reads(script) == before + 2
    await driver.close()


async def test_after_a_write_the_device_is_read_until_older_samples_are_through(script: Script) -> None:
    """A read-back must not be compared with what was sampled before the write, however late that is published."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    handle = script.handles()[0]
    script.tell({handle: double(-1.0)})
    await heard(driver)
    assert (await driver.read(request, 1.0))[0].value == -1.0

    with pytest.raises(RefusedError):  # this server takes no write; it might have, for all that we know
        await driver.write(DEVICE, opcua_point(nodes_of(1)[0], write=ANY_WRITE), 5.0, 1.0)
    script.tell({handle: double(-1.0)})  # sampled before, published after
    await heard(driver)

    assert (await driver.read(request, 1.0))[0].value > 0
    await asyncio.sleep(0.37)
    assert (await driver.read(request, 1.0))[0].value > 0
    before = reads(script)
    assert (await driver.read(request, 1.0))[0].value > 0
    assert reads(script) == before
    await driver.close()


async def test_publish_requests_wait_at_the_server_and_acknowledge(script: Script) -> None:
    """With none waiting the server cannot speak; without acknowledgements it keeps every message."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    for value in (1.0, 2.0, 3.0):
        script.tell({script.handles()[0]: double(value)})
        await heard(driver)
        assert len(script.waiting) == OUTSTANDING

    assert script.acknowledged == [1, 2, 3]
    await driver.close()


async def test_sequence_numbers_wrap_to_one(script: Script) -> None:
    """After 4294967295 messages no read may be wasted."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    assert driver._session is not None
    assert driver._session.feed is not None
    (subscription,) = driver._session.feed._subscriptions.values()
    subscription.next = 0xFFFF_FFFF
    script.tell({script.handles()[0]: double(1.0)}, number=0xFFFF_FFFF)
    await heard(driver)
    script.tell({script.handles()[0]: double(2.0)}, number=1)
    await heard(driver)
    before = reads(script)

    assert (await driver.read(request, 1.0))[0].value == 2.0
    assert reads(script) == before
    await driver.close()


@pytest.mark.parametrize("code", [ua.StatusCodes.BadServiceUnsupported, ua.StatusCodes.BadTooManySubscriptions])
async def test_a_server_without_subscriptions_is_read(script: Script, code: int) -> None:
    """Small controllers have none, or very few."""
    driver = script.driver()
    script.refuse_subscriptions = code
    request = request_of(driver, nodes_of(1))
    await driver.open()
    for _ in range(4):
        assert (await driver.read(request, 1.0))[0].quality is Quality.GOOD
        await heard(driver)

    assert script.count(CREATE_SUBSCRIPTION) == 1
    await driver.close()


@pytest.mark.parametrize(
    ("what", "value"), [("interval_ms", 5000.0), ("keep_alive_count", 100), ("sampling_ms", 9000.0)]
)
async def test_a_server_that_makes_it_too_slow_is_read(script: Script, what: str, value: float) -> None:
    """A server may revise what we ask for; a value older than its class promises must not pass for new."""
    driver = script.driver()
    setattr(script, what, value)
    request = request_of(driver, nodes_of(1))
    await driver.open()
    await driver.read(request, 1.0)
    await heard(driver)
    before = reads(script)
    for _ in range(3):
        await driver.read(request, 1.0)
        await heard(driver)

    assert reads(script) == before + 3
    assert script.count(DELETE_SUBSCRIPTIONS) == 1
    await driver.close()


async def test_deadbands_are_sent_in_raw_units(script: Script) -> None:
    """The map speaks watts, this device kilowatts; a negative scale turns no deadband negative."""
    driver = script.driver()
    point = opcua_point(nodes_of(1)[0], period_ms=1000, scale=-1000.0, deadband=500.0)
    (request,) = driver.plan(DEVICE, [point])
    await subscribed(script, driver, request)

    (item,) = script.items
    parameters = item.RequestedParameters
    assert (parameters.Filter.DeadbandType, parameters.Filter.DeadbandValue) == (1, 0.5)
    assert (parameters.SamplingInterval, parameters.QueueSize, parameters.DiscardOldest) == (1000, 1, True)
    await driver.close()


async def test_an_item_that_takes_no_deadband_is_subscribed_without(script: Script) -> None:
    """The deadband only saves messages: a server that cannot do it must not cost the value."""
    driver = script.driver()
    script.refuse_filters = True
    request = request_of(driver, nodes_of(2), deadband=1.0)
    await subscribed(script, driver, request)
    await until(lambda: script.count(CREATE_ITEMS) == 2, 1.0)
    script.tell({handle: double(5.0) for handle in script.handles()[:2]})
    await heard(driver)

    assert [v.value for v in await driver.read(request, 1.0)] == [5.0, 5.0]
    await driver.close()


async def test_the_server_s_own_limits_cut_the_requests(script: Script) -> None:
    """MaxNodesPerRead and MaxMonitoredItemsPerCall: a request above them is refused as a whole."""
    driver = script.driver()
    script.tells_limits, script.nodes_max, script.items_max = True, 4, 3
    request = request_of(driver, nodes_of(10))
    await subscribed(script, driver, request)
    await until(lambda: len(script.items) == 10, 1.0)
    script.tell({handle: double(float(handle)) for handle in script.handles()})
    await heard(driver)
    before = reads(script)

    assert [v.value for v in await driver.read(request, 1.0)] == [float(h) for h in script.handles()]
    assert reads(script) == before
    assert script.count(CREATE_ITEMS) == 4
    await driver.close()


async def test_a_status_change_ends_the_subscription(script: Script) -> None:
    """The server tells that it has let the subscription go; the values are read, and it is made anew."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    script.tell({script.handles()[0]: double(-7.0)})
    await heard(driver)
    script.tell({}, status=ua.StatusCodes.BadTimeout)
    await heard(driver)

    (value,) = await driver.read(request, 1.0)

    assert value.value > 0
    await until(lambda: script.count(CREATE_SUBSCRIPTION) == 2, 1.0)
    await driver.close()


async def test_too_many_publish_requests_leave_one_less(script: Script) -> None:
    """A server that keeps one only must not be asked in a circle."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    asked = script.count(PUBLISH)
    script.refuse_publish(ua.StatusCodes.BadTooManyPublishRequests)
    await heard(driver)
    script.tell({script.handles()[0]: double(3.0)})
    await heard(driver)

    assert (await driver.read(request, 1.0))[0].value == 3.0
    assert script.count(PUBLISH) == asked + 1
    await driver.close()


@pytest.mark.parametrize("code", [ua.StatusCodes.BadNoSubscription, ua.StatusCodes.BadSessionNotActivated])
async def test_no_subscription_at_the_server_is_made_anew(script: Script, code: int) -> None:
    """It has forgotten ours, or has trouble that the next read will meet too."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    script.tell({script.handles()[0]: double(-3.0)})
    await heard(driver)
    script.refuse_publish(code)
    await heard(driver)

    assert (await driver.read(request, 1.0))[0].value > 0
    await until(lambda: script.count(CREATE_SUBSCRIPTION) == 2, 1.0)
    await driver.close()


async def test_a_flood_of_notifications_ends_the_subscriptions(script: Script) -> None:
    """A server that answers each publish request at once would keep the loop busy for ever."""
    driver = script.driver()
    script.flood = True
    request = request_of(driver, nodes_of(1))
    await driver.open()
    await driver.read(request, 1.0)
    await asyncio.sleep(0.5)
    asked = script.count(PUBLISH)
    await asyncio.sleep(0.2)

    assert script.count(PUBLISH) == asked < 300
    assert (await driver.read(request, 1.0))[0].quality is Quality.GOOD
    assert script.count(CREATE_SUBSCRIPTION) == 1
    await driver.close()


async def test_a_session_lost_under_a_subscription_is_unreachable(script: Script) -> None:
    """Notified values are no reason to believe in a connection that has been cut."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)
    script.tell({script.handles()[0]: double(1.0)})
    await heard(driver)
    script.cut()
    await asyncio.sleep(0.02)

    with pytest.raises(UnreachableError):
        await driver.read(request, 1.0)

    await driver.close()


@pytest.mark.parametrize(("subscribe", "fast", "slow"), [("none", 0, 0), ("slow", 0, 1), ("all", 1, 1)])
async def test_control_inputs_are_read_unless_all_is_asked_for(
    script: Script, subscribe: str, fast: int, slow: int
) -> None:
    """A read of every cycle sees silence in that cycle; a subscription only after its keep-alive time."""
    for period_ms, expected in ((100, fast), (1000, slow)):
        driver = script.driver(subscribe=subscribe)
        request = request_of(driver, nodes_of(1), period_ms)
        before = script.count(CREATE_SUBSCRIPTION)
        await driver.open()
        await driver.read(request, 1.0)
        await heard(driver)
        assert script.count(CREATE_SUBSCRIPTION) - before == expected
        await driver.close()


async def test_subscribing_owns_no_task(script: Script) -> None:
    """Nothing runs that could be leaked or read behind the poller's back."""
    driver = script.driver()
    request = request_of(driver, nodes_of(1))
    await subscribed(script, driver, request)

    assert asyncio.all_tasks() - {asyncio.current_task()} == set()
    await driver.close()


async def test_two_hundred_reconnects_leave_nothing(script: Script) -> None:
    """With a subscription each, and cut as often as closed: leaks show only after weeks of service."""
    driver = script.driver()
    request = request_of(driver, nodes_of(3))
    await subscribed(script, driver, request)
    await driver.close()
    await asyncio.sleep(0.05)
    files = open_files()
    for n in range(220):
        script.waiting.clear()
        await driver.open()
        await driver.read(request, 1.0)
        await until(lambda: len(script.waiting) >= OUTSTANDING, 2.0)
        script.tell({script.handles()[-1]: double(float(n))})
        if n % 2:
            script.cut()
            await asyncio.sleep(0)
        else:
            await driver.close()
    await driver.close()
    await asyncio.sleep(0.05)

    assert open_files() <= files
    assert asyncio.all_tasks() - {asyncio.current_task()} == set()


# --- a real server ----------------------------------------------------------------------------------------------------


async def told(driver: OpcUaDriver, request: ReadRequest, wanted: object, seconds: float = 5.0) -> Sequence[Value]:
    """Read as the poller does until the first value is `wanted`."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        values = await driver.read(request, 2.0)
        if values[0].value == wanted:
            return values
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{wanted} did not come")


async def test_a_change_at_asyncua_s_server_is_notified(site: OpcUaSite) -> None:
    """Another implementation's server: values, quality and time stamps arrive, and hardly a read is made."""
    driver = OpcUaDriver({"url": f"opc.tcp://127.0.0.1:{site.port}/test"})
    request = request_of(driver, [f"nsu={NAMESPACE};s=power", f"nsu={NAMESPACE};s=nowhere"])
    await driver.open()
    await told(driver, request, 12.5)
    await asyncio.sleep(1.2)
    before = site.reads
    stamp = ua.DataValue(ua.Variant(77.0, ua.VariantType.Double), ua.StatusCode(ua.StatusCodes.UncertainInitialValue))
    site.put("power", stamp)
    try:
        power, nowhere = await told(driver, request, 77.0)
    finally:
        site.put("power", ua.DataValue(ua.Variant(12.5, ua.VariantType.Double)))

    assert (power.quality, power.reason) == (Quality.UNCERTAIN, Reason.DEVICE)
    assert (nowhere.quality, nowhere.reason) == (Quality.BAD, Reason.DEVICE)
    assert site.reads == before
    await driver.close()


async def test_silence_of_asyncua_s_server_is_seen(site: OpcUaSite) -> None:
    """Through a relay that swallows everything: within the keep-alive time the value is no longer shown."""
    relay = TcpRelay(site.port)
    await relay.start()
    driver = OpcUaDriver({"url": f"opc.tcp://127.0.0.1:{relay.port}/test"})
    request = request_of(driver, [f"nsu={NAMESPACE};s=power"])
    await driver.open()
    await told(driver, request, 12.5)
    await asyncio.sleep(1.2)
    relay.silent = True
    begun_s = time.monotonic()

    async def read_on() -> None:
        while time.monotonic() - begun_s < 6.0:
            await driver.read(request, 0.2)
            await asyncio.sleep(0.1)

    with pytest.raises(SilentError):
        await read_on()

    assert time.monotonic() - begun_s < 3.0 + 1.0
    relay.silent = False
    await driver.close()
    await relay.stop()
