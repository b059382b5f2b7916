"""Who may read and write over OPC UA, who we are to the server, and what anybody on the wire can see."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from pswd_edge.errors import DeviceError, RefusedError
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua import OpcUaDriver
from pswd_edge.field.drivers.opcua_config import OpcUaConfig
from simulators.servers.cheap_opcua import ACTIVATE, NONE
from tests.field.drivers.certificates import make_certificate
from tests.field.drivers.opcua_script import Script, scripted
from tests.field.drivers.opcua_site import NAMESPACE, OpcUaSite
from tests.field.drivers.pointmaker import ANY_WRITE, DEVICE, opcua_point
from tests.field.drivers.tcp_relay import TcpRelay

SETPOINT = opcua_point(f"nsu={NAMESPACE};s=power_setpoint", write=ANY_WRITE)
PASSWORD = {"username": "engineer", "password": "correct horse"}


@pytest.fixture(scope="module")
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


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with scripted() as running:
        yield running


def driver_at(port: int, **settings: object) -> OpcUaDriver:
    return OpcUaDriver({"url": f"opc.tcp://127.0.0.1:{port}/test", "timeout_s": 3.0, **settings})


async def read_power(driver: OpcUaDriver) -> Value:
    (request,) = driver.plan(DEVICE, [opcua_point(f"nsu={NAMESPACE};s=power")])
    (value,) = await driver.read(request, 2.0)
    return value


@pytest.mark.parametrize("mode", ["sign", "sign_and_encrypt"])
@pytest.mark.parametrize("policy", ["basic256sha256", "aes128sha256rsaoaep", "aes256sha256rsapss"])
async def test_every_policy_and_mode_reads_and_writes(site: OpcUaSite, policy: str, mode: str) -> None:
    """With the server's certificate pinned and a password, which no mode shows to the wire."""
    driver = driver_at(site.port, security_policy=policy, security_mode=mode, **PASSWORD, **site.client_files())
    await driver.open()

    await driver.write(DEVICE, SETPOINT, 321.0, 2.0)

    assert (await read_power(driver)).value == 12.5
    assert site.value("power_setpoint") == 321.0
    assert site.users.seen[-1] == "password"
    await driver.close()


@pytest.mark.parametrize("policy", ["none", "basic256sha256"])
async def test_a_user_may_be_known_by_certificate(site: OpcUaSite, policy: str) -> None:
    """No password to keep, change or steal; the token is signed with a key that never leaves us."""
    channel = {} if policy == "none" else {"security_policy": policy, **site.client_files()}
    driver = driver_at(site.port, **channel, **site.user_files("engineer"))
    await driver.open()

    assert (await read_power(driver)).value == 12.5
    assert site.users.seen[-1] == "certificate"
    await driver.close()


async def test_a_stranger_s_certificate_is_refused_not_unreachable(site: OpcUaSite) -> None:
    """Retrying helps nobody: the operator must let the certificate in, or take it out."""
    driver = driver_at(site.port, **site.user_files("stranger"))

    with pytest.raises(RefusedError, match="BadUserAccessDenied"):
        await driver.open()


async def test_a_password_without_a_channel_is_encrypted_for_the_pinned_server(
    site: OpcUaSite, relay: TcpRelay
) -> None:
    """Security policy none, but the server names a policy for the user's token: the password stays secret."""
    driver = driver_at(relay.port, **PASSWORD, server_certificate=site.client_files()["server_certificate"])
    await driver.open()

    assert (await read_power(driver)).value == 12.5
    assert b"correct horse" not in relay.seen
    assert b"engineer" in relay.seen  # the relay does see what is not encrypted
    await driver.close()


async def test_a_password_is_not_sent_to_a_server_with_another_certificate(site: OpcUaSite) -> None:
    """An impostor could decrypt what was encrypted for it."""
    before = len(site.users.seen)
    driver = driver_at(site.port, **PASSWORD, server_certificate=site.user_files("stranger")["user_certificate"])

    with pytest.raises(RefusedError, match=r"another certificate than .*; no user was sent"):
        await driver.open()

    assert len(site.users.seen) == before


async def test_a_password_is_not_sent_where_the_server_wants_it_plain(script: Script, tmp_path: Path) -> None:
    """A server that names no policy for the token would get the password for all to read."""
    make_certificate(tmp_path, "server", "urn:test:server")
    script.user_policy = NONE
    plain = {"username": "engineer", "password": "correct horse", "allow_plain_password": True}
    driver = script.driver(**plain)
    await driver.open()  # it may, where the operator says so
    await driver.close()
    assert b"correct horse" in script.received
    script.received, activated = b"", script.count(ACTIVATE)

    pinned = {"allow_plain_password": False, "server_certificate": str(tmp_path / "server.der")}
    driver = script.driver(**plain | pinned)
    with pytest.raises(RefusedError, match="no user was sent"):
        await driver.open()

    assert b"correct horse" not in script.received
    assert script.count(ACTIVATE) == activated


async def test_an_expired_certificate_is_named_in_the_error(site: OpcUaSite) -> None:
    """The server only says that it will not have us; the operator must read which file ran out, and when."""
    driver = driver_at(site.port, security_policy="basic256sha256", **site.other_client("expired"))

    with pytest.raises(DeviceError, match=r"BadCertificateTimeInvalid \(.*expired\.der expired on 20\d\d-.* UTC\)"):
        await driver.open()


async def test_an_expired_certificate_is_named_where_the_server_only_hangs_up(tmp_path: Path) -> None:
    """Many servers close the connection without a word."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    make_certificate(tmp_path, "expired", "urn:pswd-edge:client", days=-1.0)
    certificate, key = str(tmp_path / "expired.der"), str(tmp_path / "expired.pem")
    driver = driver_at(server.sockets[0].getsockname()[1], security_policy="basic256sha256", certificate=certificate,
                       private_key=key, server_certificate=certificate)

    with pytest.raises(DeviceError, match=r"expired\.der expired on"):
        await driver.open()

    server.close()


@pytest.mark.parametrize(
    ("content", "text"), [(b"rubbish", "got no private key"), (b"-----BEGIN X-----\n", "got no private key")]
)
async def test_a_key_that_is_none_is_told_by_its_name(
    site: OpcUaSite, tmp_path: Path, content: bytes, text: str
) -> None:
    """A wrong file must not read like a wrong password."""
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    files = site.client_files() | {"private_key": str(path)}

    with pytest.raises(RefusedError, match=text) as caught:
        await driver_at(site.port, security_policy="basic256sha256", **files).open()

    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (PASSWORD, "can be read on the wire"),
        ({"user_certificate": "u.der"}, "got one, expected both or neither"),
        ({"user_certificate": "u.der", "user_private_key": "u.pem", "username": "x"}, "a session has one user"),
        ({"server_certificate": "s.der"}, "protects nothing"),
        ({"security_policy": "basic256sha256", "certificate": "c.der", "private_key": "c.pem"}, "server_certificate"),
    ],
)
def test_settings_that_protect_nothing_are_a_mistake(settings: dict[str, object], text: str) -> None:
    """`check` finds them, not an intruder."""
    with pytest.raises(ValidationError, match=text):
        OpcUaConfig.model_validate({"url": "opc.tcp://127.0.0.1:4840", **settings})


def test_a_password_may_be_plain_where_the_operator_says_so() -> None:
    """On a network of its own, to a device that can do no better."""
    settings = {"url": "opc.tcp://127.0.0.1:4840", **PASSWORD, "allow_plain_password": True}
    assert OpcUaConfig.model_validate(settings).password == "correct horse"


def test_a_password_is_not_shown() -> None:
    """Settings are logged and shown by tools."""
    settings = {"url": "opc.tcp://127.0.0.1:4840", **PASSWORD, "allow_plain_password": True}
    assert "correct horse" not in repr(OpcUaConfig.model_validate(settings))


async def test_a_secured_session_is_subscribed_and_renewed(site: OpcUaSite) -> None:
    """Notifications on a channel whose keys change: no answer may be lost between the old keys and the new."""
    driver = driver_at(site.port, security_policy="basic256sha256", **site.client_files())
    (request,) = driver.plan(DEVICE, [opcua_point(f"nsu={NAMESPACE};s=power", period_ms=1000)])
    await driver.open()
    session = driver._session
    assert session is not None
    for n in range(12):
        if n % 3 == 2:
            session.renew_at_s = 1e-9
        (value,) = await driver.read(request, 2.0)
        assert value.value == 12.5
        await asyncio.sleep(0.2)

    reads = site.reads
    await driver.read(request, 2.0)
    assert site.reads == reads
    await driver.close()
