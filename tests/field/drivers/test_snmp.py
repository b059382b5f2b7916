"""The SNMP driver against net-snmp's agent and a misbehaving one, on loopback."""

import asyncio
import gc
import math
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from pswd_edge.errors import (
    ConfigError,
    DecodeError,
    DeviceError,
    RefusedError,
    SilentError,
    UnreachableError,
    WriteError,
)
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.snmp import SnmpDriver, value_of
from pswd_edge.field.drivers.snmp_config import SnmpConfig
from pswd_edge.model.quality import Quality, Reason
from tests.field.drivers.pointmaker import ANY_WRITE, DEVICE, snmp_point
from tests.field.drivers.snmp_agents import (
    AUTH_SECRET,
    COMMAND,
    COMMUNITY,
    DECIMAL,
    LOCKED,
    NUMBER,
    PAIRS,
    PRIV_SECRET,
    SNMPD,
    TEXT,
    TREE,
    UP_TIME,
    USER,
    OddAgent,
    Snmpd,
    free_udp_port,
)
from tests.field.drivers.udp_relay import UdpCounter

needs_snmpd = pytest.mark.skipif(not SNMPD, reason="net-snmp's snmpd is not installed on this machine")
NOWHERE = f"{TREE}.99.0"
OUTLET = snmp_point(COMMAND, write=ANY_WRITE)


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


def v2c_driver(port: int, **more: object) -> SnmpDriver:
    return SnmpDriver({"host": "127.0.0.1", "port": port, "version": "2c", "community_secret": COMMUNITY, **more})


def v3_driver(port: int, **more: object) -> SnmpDriver:
    secrets = {"username": USER, "auth_secret": AUTH_SECRET, "priv_secret": PRIV_SECRET}
    return SnmpDriver({"host": "127.0.0.1", "port": port, "version": "3", **secrets, **more})


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def get(driver: SnmpDriver, *oids: str, timeout_s: float = 1.0) -> list[Value]:
    (request,) = driver.plan(DEVICE, [snmp_point(oid) for oid in oids])
    return list(await driver.read(request, timeout_s))


@needs_snmpd
@pytest.mark.parametrize("make", [v2c_driver, v3_driver])
async def test_get_tells_numbers_from_text_and_absence(snmpd: Snmpd, make: type[SnmpDriver]) -> None:
    """An object that the agent lacks spoils its own point, and text never passes for a number."""
    driver = make(snmpd.port)  # type: ignore[arg-type]
    await driver.open()

    number, decimal, text, absent = await get(driver, NUMBER, f".{DECIMAL}", TEXT, NOWHERE)

    await driver.close()
    assert number == Value(42.0)
    assert decimal == Value(21.5)
    assert (text.quality, text.reason) == (Quality.BAD, Reason.UNDECODABLE)
    assert (absent.quality, absent.reason) == (Quality.BAD, Reason.DEVICE)
    assert math.isnan(text.value)
    assert math.isnan(absent.value)


@needs_snmpd
async def test_set_is_acknowledged_and_reads_back(snmpd: Snmpd) -> None:
    """This is how an outlet is switched: scaled to raw, sent once, seen by the next GET."""
    driver = v3_driver(snmpd.port)
    await driver.open()

    await driver.write(DEVICE, snmp_point(COMMAND, scale=10.0, write=ANY_WRITE), -70.0, 1.0)

    assert (await get(driver, COMMAND))[0].value == -7.0
    await driver.write(DEVICE, OUTLET, 2.0, 1.0)
    assert (await get(driver, COMMAND))[0].value == 2.0
    await driver.close()


@needs_snmpd
async def test_set_does_not_stall_the_loop(snmpd: Snmpd) -> None:
    """Engine, keys and the agent's clock are ready after `open`; made at the first SET they took 47 ms."""
    driver = v3_driver(snmpd.port)
    await driver.open()
    begun = time.process_time()

    await driver.write(DEVICE, OUTLET, 1.0, 1.0)

    assert time.process_time() - begun < 0.025
    await driver.close()


@needs_snmpd
async def test_opening_again_does_not_stall_the_loop(snmpd: Snmpd) -> None:
    """gufo_snmp hashes megabytes at each opening: 34 ms with SHA-512, times fifty PDUs behind one switch."""
    driver = v3_driver(snmpd.port, username="strong", auth_protocol="sha512", priv_protocol="aes256", read_only=True)
    await driver.open()
    spent_s = []
    for _ in range(5):
        begun = time.process_time()
        await driver.open()
        spent_s.append(time.process_time() - begun)

    assert min(spent_s) < 0.01
    await driver.close()


@needs_snmpd
@pytest.mark.parametrize(("auth", "priv"), PAIRS)
async def test_every_pair_of_protocols_reads_and_writes(snmpd: Snmpd, auth: str, priv: str) -> None:
    """Two libraries and we ourselves must derive the same keys as the agent, also where a key must be made longer."""
    driver = v3_driver(snmpd.port, username=f"{auth}-{priv}", auth_protocol=auth, priv_protocol=priv)
    await driver.open()
    value = float(1 + PAIRS.index((auth, priv)))

    await driver.write(DEVICE, OUTLET, value, 1.0)

    assert (await get(driver, COMMAND))[0].value == value
    await driver.close()


@needs_snmpd
async def test_refused_set_names_the_status(snmpd: Snmpd) -> None:
    """notWritable is for the operator; it must not be retried as a lost packet."""
    driver = v3_driver(snmpd.port)
    await driver.open()

    with pytest.raises(RefusedError, match="not written") as caught:
        await driver.write(DEVICE, snmp_point(LOCKED, write=ANY_WRITE), 5.0, 1.0)

    await driver.close()
    assert caught.value.code in ("notWritable", "noAccess", "readOnly")


@needs_snmpd
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"version": "2c", "community_secret": COMMUNITY}, "SNMP v2c is read-only here: use v3 authPriv"),
        ({"username": "looker", "auth_protocol": "sha", "auth_secret": AUTH_SECRET}, "without privacy is read-only"),
        ({"username": USER, "auth_secret": AUTH_SECRET, "priv_secret": PRIV_SECRET, "read_only": True}, "is read_only"),
    ],
)
async def test_connection_without_authpriv_reads_but_never_writes(
    snmpd: Snmpd, settings: dict[str, object], reason: str
) -> None:
    """A community string in clear must not be able to switch an outlet, even where the agent would let it."""
    driver = SnmpDriver({"host": "127.0.0.1", "port": snmpd.port, **settings})
    await driver.open()

    with pytest.raises(WriteError, match=reason):
        await driver.write(DEVICE, OUTLET, 9.0, 1.0)

    await get(driver, UP_TIME)
    await driver.close()


@pytest.mark.parametrize("value", [2.0**31, -(2.0**31) - 1, math.nan, math.inf])
async def test_value_that_does_not_fit_is_never_sent(odd: OddAgent, value: float) -> None:
    """A wrapped integer is another command."""
    driver = v3_driver(odd.port)

    with pytest.raises(WriteError, match="not written"):
        await driver.write(DEVICE, OUTLET, value, 1.0)

    assert odd.asked == 0


@needs_snmpd
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"auth_secret": "not-the-secret"}, f"refused user '{USER}': check username, auth_protocol and auth_secret"),
        ({"auth_protocol": "sha"}, "check username, auth_protocol and auth_secret"),
        ({"username": "stranger"}, "refused user 'stranger'"),
        ({"priv_secret": "not-the-secret"}, "check priv_protocol and priv_secret"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
async def test_wrong_credentials_say_what_to_check(
    snmpd: Snmpd, wrong: dict[str, str], text: str, read_only: bool
) -> None:
    """Four different mistakes must not all read 'no answer'."""
    driver = v3_driver(snmpd.port, timeout_s=0.4, read_only=read_only, **wrong)

    with pytest.raises(DeviceError, match=text):
        await driver.open()

    await driver.close()


async def test_silent_agent_is_silent_within_the_deadline(odd: OddAgent) -> None:
    """A black hole costs the deadline of the call, whatever the libraries' own time-outs are."""
    odd.delay_s = None
    driver = v2c_driver(odd.port, timeout_s=5.0)
    await driver.open()
    begun = time.monotonic()

    with pytest.raises(SilentError, match=r"no answer in 0\.1 s"):
        await get(driver, NUMBER, timeout_s=0.1)

    assert time.monotonic() - begun < 0.2
    assert odd.asked == 1
    await driver.close()


async def test_silent_agent_cannot_hold_v3_open(odd: OddAgent) -> None:
    """Discovery of the engine is an exchange too."""
    odd.delay_s = None
    begun = time.monotonic()

    with pytest.raises(UnreachableError, match=r"no answer in 0\.2 s$"):
        await v3_driver(odd.port, timeout_s=0.2).open()

    assert time.monotonic() - begun < 0.4


async def test_late_answer_is_not_taken_for_the_next(odd: OddAgent) -> None:
    """Else every later value would be one poll old, for ever."""
    driver = v2c_driver(odd.port)
    await driver.open()
    odd.delay_s, odd.number = 0.1, 1
    with pytest.raises(SilentError):
        await get(driver, NUMBER, timeout_s=0.05)

    odd.delay_s, odd.number = 0.15, 2
    (value,) = await get(driver, NUMBER, timeout_s=1.0)

    assert value.value == 2.0
    await driver.close()


@pytest.mark.parametrize("status", [1, 5, 16])
async def test_error_status_of_the_whole_answer_is_refused(odd: OddAgent, status: int) -> None:
    """tooBig, genErr, authorizationError: the agent answered, so it must not look silent, nor its values good."""
    odd.status = status
    driver = v2c_driver(odd.port)
    await driver.open()

    with pytest.raises(RefusedError):
        await get(driver, NUMBER)

    await driver.close()


async def test_rubbish_spoils_one_read_only(odd: OddAgent) -> None:
    """A broken packet is no reason to lose the agent."""
    driver = v2c_driver(odd.port)
    await driver.open()
    odd.rubbish = b"\x30\x82\xff\xff rubbish"

    with pytest.raises((DecodeError, SilentError)):
        await get(driver, NUMBER, timeout_s=0.2)

    odd.rubbish = None
    assert (await get(driver, NUMBER))[0].value == 1.0
    await driver.close()


@needs_snmpd
@pytest.mark.parametrize("make", [v2c_driver, v3_driver])
async def test_answer_behind_broken_datagrams_is_found(snmpd: Snmpd, make: type[SnmpDriver]) -> None:
    """gufo_snmp panics on a message that is cut off, and a panic passes `except Exception`: it would end the poller."""
    async with UdpCounter(snmpd.port) as relay:
        driver = make(relay.port)  # type: ignore[arg-type]
        await driver.open()
        relay.bend = lambda answer: [answer[:size] for size in range(1, len(answer), 5)] + [b"junk", answer]

        assert (await get(driver, NUMBER))[0] == Value(42.0)
        assert (await get(driver, DECIMAL))[0] == Value(21.5)

        relay.bend = lambda answer: [answer[:-1]]
        with pytest.raises(DecodeError, match="1 answers that make no sense"):
            await get(driver, NUMBER, timeout_s=0.2)
        relay.bend = lambda answer: [answer[:-1]] * 200
        with pytest.raises(DecodeError):
            await get(driver, NUMBER, timeout_s=0.5)
        relay.bend = lambda answer: [answer]
        await driver.open()
        assert (await get(driver, NUMBER))[0] == Value(42.0)
        await driver.close()


@needs_snmpd
@pytest.mark.parametrize(
    "user",
    [
        {},
        {"username": "strong", "auth_protocol": "sha512", "priv_protocol": "aes256"},
        {"username": "looker", "auth_protocol": "sha", "priv_secret": None},
    ],
    ids=["sha256-aes128", "sha512-aes256", "sha-no-privacy"],
)
async def test_v3_answer_that_was_changed_on_the_way_is_not_taken(snmpd: Snmpd, user: dict[str, object]) -> None:
    """gufo_snmp 0.13 takes it: a bit flipped in the encrypted value was another value, called good."""
    async with UdpCounter(snmpd.port) as relay:
        driver = v3_driver(relay.port, read_only=True, **user)
        await driver.open()
        for place in (-1, -20, 40, 70):
            relay.bend = lambda answer, at=place: [bit_flipped(answer, at)]  # type: ignore[misc]
            with pytest.raises((DecodeError, SilentError)):
                await get(driver, NUMBER, timeout_s=0.1)

        relay.bend = lambda answer: [bit_flipped(answer, -1), answer]
        assert (await get(driver, NUMBER))[0] == Value(42.0)
        await driver.close()


def bit_flipped(message: bytes, place: int) -> bytes:
    made = bytearray(message)
    made[place] ^= 16
    return bytes(made)


@needs_snmpd
async def test_v3_answer_in_clear_is_not_taken(snmpd: Snmpd) -> None:
    """Whoever can answer faster than the agent could else say what he likes, knowing no secret."""
    async with UdpCounter(snmpd.port) as relay:
        driver = v3_driver(relay.port, read_only=True)
        await driver.open()
        clear = v3_driver(snmpd.port, read_only=True, username="looker", auth_protocol="sha", priv_secret=None)
        heard: list[bytes] = []
        async with UdpCounter(snmpd.port, lambda answer: [heard.append(answer) or answer]) as other:  # type: ignore[func-returns-value,list-item]
            clear._config = clear._config.model_copy(update={"port": other.port})
            await clear.open()
            await get(clear, NUMBER)
        relay.bend = lambda _: [heard[-1], heard[-1].replace(b"looker", b"pswd##")]

        with pytest.raises(DecodeError, match="make no sense"):
            await get(driver, NUMBER, timeout_s=0.2)

        await clear.close()
        await driver.close()


@needs_snmpd
async def test_replayed_v3_answer_is_not_taken_for_the_next(snmpd: Snmpd) -> None:
    """Its digest is right: only the request id tells that it is old."""
    async with UdpCounter(snmpd.port) as relay:
        driver = v3_driver(relay.port)
        await driver.open()
        old: list[bytes] = []
        relay.bend = lambda answer: [*old, old.append(answer) or answer]  # type: ignore[func-returns-value,list-item]
        for number in range(1, 6):
            await driver.write(DEVICE, OUTLET, float(number), 1.0)
            assert (await get(driver, COMMAND))[0].value == number
        await driver.close()


async def test_answer_longer_than_gufo_snmp_takes_is_asked_in_parts(odd: OddAgent) -> None:
    """Its buffer has 4,096 bytes: what is longer would be cut off in the middle of a value."""
    odd.text = b"x" * 400
    driver = v2c_driver(odd.port)
    await driver.open()
    names = [f"{TREE}.{n}.0" for n in range(200, 216)]

    for _ in range(3):
        values = await get(driver, *names)

    assert {value.reason for value in values} == {Reason.UNDECODABLE}
    odd.text = None
    assert {value.value for value in await get(driver, *names)} == {1.0}
    await driver.close()


@needs_snmpd
async def test_restarted_agent_works_again_after_reopen(snmpd: Snmpd) -> None:
    """A new boot count makes v3 messages out of date: reading and writing must find back."""
    driver = v3_driver(snmpd.port, timeout_s=1.0)
    await driver.open()
    snmpd.stop()
    begun = time.monotonic()
    with pytest.raises((SilentError, UnreachableError)):
        await get(driver, NUMBER, timeout_s=0.2)
    with pytest.raises((SilentError, UnreachableError)):
        await driver.write(DEVICE, OUTLET, 1.0, 0.2)
    assert time.monotonic() - begun < 0.6

    snmpd.start()
    await driver.open()

    assert (await get(driver, NUMBER))[0].value == 42.0
    await driver.write(DEVICE, OUTLET, 4.0, 1.0)
    assert (await get(driver, COMMAND))[0].value == 4.0
    await driver.close()


@needs_snmpd
async def test_unseen_restart_of_the_agent_ends_the_session(snmpd: Snmpd) -> None:
    """A v3 agent refuses the clock of its former life: that is no wrong password, and a new session heals it."""
    driver = v3_driver(snmpd.port)
    await driver.open()
    snmpd.stop()
    snmpd.start()

    with pytest.raises(UnreachableError, match="connecting anew"):
        await get(driver, NUMBER)
    await driver.open()

    assert (await get(driver, NUMBER))[0].value == 42.0
    await driver.close()


@needs_snmpd
async def test_write_survives_an_unseen_restart(snmpd: Snmpd) -> None:
    """The command that sheds load must not be the one that learns of the reboot by failing."""
    driver = v3_driver(snmpd.port)
    await driver.open()
    snmpd.stop()
    snmpd.start()

    await driver.write(DEVICE, OUTLET, 5.0, 1.0)

    await driver.open()
    assert (await get(driver, COMMAND))[0].value == 5.0
    await driver.close()


@needs_snmpd
async def test_replaced_agent_works_after_reopen(tmp_path: Path) -> None:
    """A new network card has another engine id, and is silent to the old one: the third silence ends the session."""
    agent = Snmpd(tmp_path)
    agent.start()
    driver = v3_driver(agent.port)
    await driver.open()
    before = driver._reader.engine_id
    agent.stop()
    agent.forget()
    agent.start()

    for _ in range(2):
        with pytest.raises(SilentError):
            await get(driver, NUMBER, timeout_s=0.05)
    with pytest.raises(UnreachableError, match="3 times in a row; connecting anew"):
        await get(driver, NUMBER, timeout_s=0.05)
    await driver.open()
    await driver.write(DEVICE, OUTLET, 8.0, 1.0)

    assert driver._reader.engine_id != before
    assert (await get(driver, COMMAND))[0].value == 8.0
    await driver.close()
    agent.stop()


async def test_nobody_at_the_port_is_unreachable() -> None:
    """The machine is there and says that no agent listens: waiting for the time-out would be waste."""
    driver = v2c_driver(free_udp_port())
    await driver.open()
    begun = time.monotonic()

    with pytest.raises(UnreachableError, match="nobody listens there"):
        await get(driver, NUMBER, timeout_s=1.0)

    assert time.monotonic() - begun < 0.5
    await driver.close()


@needs_snmpd
async def test_fifty_opens_and_closes_leave_no_descriptor_and_no_task(snmpd: Snmpd) -> None:
    """Leaks on reconnect show only after weeks of service."""
    driver = v3_driver(snmpd.port)
    await driver.open()
    await driver.close()
    await asyncio.sleep(0)
    before = descriptors()

    for _ in range(50):
        await driver.open()
        await driver.close()

    await asyncio.sleep(0)
    assert descriptors() <= before
    assert asyncio.all_tasks() == {asyncio.current_task()}


@needs_snmpd
async def test_cancelled_open_leaves_nothing_behind(snmpd: Snmpd) -> None:
    """The caller's time-out may strike in discovery, in the thread or at the first exchange."""
    driver = v3_driver(snmpd.port)
    await driver.open()
    await driver.close()
    await asyncio.sleep(0)
    before = descriptors()

    for delay_s in (0.0, 0.001, 0.004, 0.02, 0.06):
        attempt = asyncio.create_task(driver.open())
        await asyncio.sleep(delay_s)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        await driver.close()
    del attempt
    async with asyncio.timeout(5.0):  # the thread of a cancelled attempt ends by itself, later on a busy machine
        while descriptors() > before:  # it tells nobody
            await asyncio.sleep(0.02)
            gc.collect()  # an error and its frames may hold each other

    assert asyncio.all_tasks() == {asyncio.current_task()}
    await driver.open()
    await driver.write(DEVICE, OUTLET, 6.0, 1.0)
    await driver.close()


async def test_name_that_does_not_resolve_is_unreachable() -> None:
    """A typo in a host name is a device that is not there."""
    driver = SnmpDriver({"host": "no such host", "version": "2c", "community_secret": "x"})

    with pytest.raises(UnreachableError, match="no such host"):
        await driver.open()


async def test_closed_driver_says_so() -> None:
    """Reading before opening is a mistake of the caller with a clear name."""
    driver = v2c_driver(1)

    with pytest.raises(UnreachableError, match="not open"):
        await get(driver, NUMBER)

    await driver.close()


def test_plan_tells_every_mistake_at_once() -> None:
    """An engineer fixes a map in one round."""
    points = [snmp_point("sysUpTime.0"), snmp_point("1.3..6"), snmp_point(COMMAND, "OctetString", write=ANY_WRITE)]

    with pytest.raises(ConfigError) as caught:
        v2c_driver(161).plan(DEVICE, points)

    assert len(caught.value.problems) == 3


def test_not_a_number_is_bad() -> None:
    """Agents send what their sensor library prints: 'nan' is a text that parses."""
    for raw in (math.nan, b"nan", b"inf"):
        assert value_of(raw).reason is Reason.NOT_A_NUMBER


def test_object_id_and_ip_address_are_no_decimals() -> None:
    """gufo_snmp tells both as text: the object id 1.3 is not 1.3 W."""
    assert value_of("1.3").reason is Reason.UNDECODABLE
    assert value_of(b"1.3").value == 1.3


@pytest.mark.parametrize(
    "settings",
    [
        {"version": "2c"},
        {"version": "3"},
        {"version": "1", "community_secret": "x"},
        {"version": "2c", "community_secret": "x", "username": "y"},
        {"version": "3", "username": "x", "priv_secret": "y"},
        {"version": "3", "username": "x", "auth_protocol": "md5"},
        {"version": "3", "username": "x", "communty_secret": "y"},
        {"version": "3", "username": "x", "engine_id": "xyz"},
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    """Above all there is no default community: 'public' is a default password."""
    with pytest.raises(ValidationError):
        SnmpConfig.model_validate({"host": "127.0.0.1", **settings})
