"""The OPC UA driver against a server that shares no line with asyncua: node-opcua, started on a free loopback port.

`make test` installs it (npm ci in tests/interop/node_opcua); where that could not be, these tests are skipped.
"""

import asyncio
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pswd_edge.errors import RefusedError, UnreachableError
from pswd_edge.field.drivers.base import ReadRequest, Value
from pswd_edge.field.drivers.opcua import OpcUaDriver
from pswd_edge.model.quality import Quality, Reason
from tests.field.drivers.certificates import make_certificate
from tests.field.drivers.pointmaker import ANY_WRITE, DEVICE, opcua_point

HERE = Path(__file__).parent / "node_opcua"
BESS, TWIN = "urn:test:bess", "urn:test:twin"
SETPOINT = opcua_point(f"nsu={BESS};s=setpoint", write=ANY_WRITE)
STAMP_S = 1_772_366_400.25

NODE_MAJOR = 20  # a library of node-opcua's wants it


def node_version() -> int:
    """Major version of node; 0 where there is none."""
    if shutil.which("node") is None:
        return 0
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    return int(said.removeprefix("v").partition(".")[0] or 0)


if node_version() < NODE_MAJOR:
    pytest.skip(f"node {NODE_MAJOR} or newer is not installed (found {node_version()})", allow_module_level=True)
if not (HERE / "node_modules").is_dir():
    pytest.skip(f"node-opcua is not installed: npm ci in {HERE.name}, as `make test` does", allow_module_level=True)


class NodeServer:
    """The server process; its port stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, uri in (("server", "urn:test:server"), ("client", "urn:pswd-edge:client")):
            make_certificate(folder, name, uri)
        der = (folder / "server.der").read_bytes()
        pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        (folder / "server.crt").write_bytes(pem)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None

    def start(self, namespaces: Sequence[str] = (BESS, TWIN)) -> None:
        settings = {"port": self.port, "folder": str(self.folder), "certificate": str(self.folder / "server.crt"),
                    "privateKey": str(self.folder / "server.pem"), "namespaces": list(namespaces)}
        words = ["node", str(HERE / "server.js"), json.dumps(settings)]
        process = self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        said: list[str] = []
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        for line in process.stdout:
            said.append(line)
            if line.strip() == "ready":
                break
        watchdog.cancel()
        assert said[-1:] == ["ready\n"], "".join(said)
        threading.Thread(target=process.stdout.read, daemon=True).start()  # so that it never waits for us to read

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        if process.stdout is not None:
            process.stdout.close()

    def files(self) -> dict[str, str]:
        return {"certificate": str(self.folder / "client.der"), "private_key": str(self.folder / "client.pem"),
                "server_certificate": str(self.folder / "server.der")}

    def driver(self, **settings: object) -> OpcUaDriver:
        return OpcUaDriver({"url": f"opc.tcp://127.0.0.1:{self.port}/interop", "timeout_s": 8.0, **settings})


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeServer]:
    server = NodeServer(tmp_path_factory.mktemp("node-opcua"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def driver(node: NodeServer) -> AsyncIterator[OpcUaDriver]:
    opened = node.driver()
    await opened.open()
    yield opened
    await opened.close()


def request_of(driver: OpcUaDriver, *names: str, period_ms: int = 100) -> ReadRequest:
    (request,) = driver.plan(DEVICE, [opcua_point(f"nsu={BESS};s={name}", period_ms=period_ms) for name in names])
    return request


async def until_read(driver: OpcUaDriver, request: ReadRequest, value: float) -> Sequence[Value]:
    end_s = time.monotonic() + 10.0
    while time.monotonic() < end_s:
        found = await driver.read(request, 2.0)
        if found[0].value == value:
            return found
        await asyncio.sleep(0.1)
    raise TimeoutError(f"{value} did not come")


async def test_a_batch_is_read_within_the_server_s_limits(driver: OpcUaDriver) -> None:
    """It refuses more than three nodes at once, and says so; values, quality and time stamps arrive."""
    request = request_of(driver, "power", "count", "stopped", "echo", "nowhere")

    power, count, stopped, echo, nowhere = await driver.read(request, 2.0)

    assert (power.value, power.quality, power.source_utc_s) == (12.5, Quality.GOOD, STAMP_S)
    assert (count.value, echo.quality) == (7.0, Quality.GOOD)
    assert (stopped.quality, stopped.reason, stopped.source_utc_s) == (Quality.BAD, Reason.DEVICE, STAMP_S)
    assert (nowhere.quality, nowhere.reason) == (Quality.BAD, Reason.DEVICE)


async def test_a_node_is_found_by_its_path(driver: OpcUaDriver) -> None:
    """Two folders of the same name stand below Objects: the namespace tells them apart."""
    points = [opcua_point(f"p={{{uri}}}plant/power") for uri in (BESS, TWIN, "http://opcfoundation.org/UA/")]
    (request,) = driver.plan(DEVICE, points)

    ours, twins, nowhere = await driver.read(request, 2.0)

    assert (ours.value, twins.value, nowhere.quality) == (12.5, -1.0, Quality.BAD)


async def test_a_write_arrives(driver: OpcUaDriver) -> None:
    """And one to a node that is only read is refused with the standard's word."""
    await driver.write(DEVICE, SETPOINT, -42.0, 2.0)

    assert (await driver.read(request_of(driver, "echo"), 2.0))[0].value == -42.0
    with pytest.raises(RefusedError, match=r"the server answered Bad(NotWritable|UserAccessDenied)"):
        await driver.write(DEVICE, opcua_point(f"nsu={BESS};s=power", write=ANY_WRITE), 1.0, 2.0)


async def test_a_subscription_follows_a_change_and_stays_alive(node: NodeServer) -> None:
    """Five nodes, two at a time, one of them unknown; after ten quiet intervals the subscription still answers."""
    driver = node.driver()
    await driver.open()
    request = request_of(driver, "echo", "count", "power", "stopped", "nowhere", period_ms=1000)
    await driver.write(DEVICE, SETPOINT, 1.0, 2.0)
    await until_read(driver, request, 1.0)
    await asyncio.sleep(3.0)
    session = driver._session
    assert session is not None
    assert session.feed is not None
    assert session.feed.values(request.payload) is not None, "not subscribed"

    await driver.write(DEVICE, SETPOINT, 2.0, 2.0)
    echo, count, power, stopped, nowhere = await until_read(driver, request, 2.0)
    await asyncio.sleep(5.0)
    await driver.read(request, 2.0)  # the first after the write that is sure

    assert session.feed.values(request.payload) is not None, "no keep-alive came"
    assert (echo.quality, count.value, power.value) == (Quality.GOOD, 7.0, 12.5)
    assert power.source_utc_s == STAMP_S
    assert (stopped.quality, nowhere.quality) == (Quality.BAD, Quality.BAD)
    await driver.close()


@pytest.mark.parametrize("mode", ["sign", "sign_and_encrypt"])
@pytest.mark.parametrize("policy", ["basic256sha256", "aes128sha256rsaoaep", "aes256sha256rsapss"])
async def test_a_secured_session_with_a_password_reads_and_writes(node: NodeServer, policy: str, mode: str) -> None:
    """Keys, padding and signatures are where implementations differ."""
    driver = node.driver(security_policy=policy, security_mode=mode, username="engineer", password="correct horse",
                         **node.files())
    await driver.open()
    assert driver._session is not None
    await driver.write(DEVICE, SETPOINT, 5.0, 2.0)
    driver._session.renew_at_s = 1e-9  # and with renewed keys

    assert (await driver.read(request_of(driver, "power", "count"), 2.0))[0].value == 12.5
    assert (await driver.read(request_of(driver, "echo"), 2.0))[0].value == 5.0
    await driver.close()


async def test_a_wrong_password_is_refused(node: NodeServer) -> None:
    """Not unreachable: retrying locks accounts."""
    driver = node.driver(security_policy="basic256sha256", username="engineer", password="wrong", **node.files())

    with pytest.raises(RefusedError, match=r"BadUserAccessDenied|BadIdentityTokenRejected"):
        await driver.open()


async def test_a_password_without_a_channel_is_encrypted_for_the_server(node: NodeServer) -> None:
    """node-opcua names a policy for the token of its open endpoint."""
    driver = node.driver(username="engineer", password="correct horse",
                         server_certificate=node.files()["server_certificate"])
    await driver.open()

    assert (await driver.read(request_of(driver, "power"), 2.0))[0].value == 12.5
    await driver.close()


async def test_a_restarted_server_may_number_its_namespaces_anew(node: NodeServer) -> None:
    """The twin's -1 must never pass for our power, neither by a read nor by a subscription."""
    driver = node.driver()
    await driver.open()
    fast, slow = request_of(driver, "power"), request_of(driver, "power", period_ms=1000)
    for request in (fast, slow):
        assert (await until_read(driver, request, 12.5))[0].quality is Quality.GOOD
    await asyncio.to_thread(node.stop)
    with pytest.raises(UnreachableError):
        await driver.read(fast, 1.0)

    await asyncio.to_thread(node.start, (TWIN, BESS))
    await driver.open()

    for _ in range(15):
        assert [v.value for r in (fast, slow) for v in await driver.read(r, 2.0)] == [12.5, 12.5]
        await asyncio.sleep(0.1)
    await driver.close()
