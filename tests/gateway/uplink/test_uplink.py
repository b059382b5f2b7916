"""The uplink against real brokers on loopback: Mosquitto where it is installed, and amqtt."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import orjson
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from small_image import SmallImage, small_site
from watcher import Watcher

from pswd_edge.gateway.uplink import Uplink
from pswd_edge.gateway.uplink.uplink import backoff_s
from pswd_edge.image import ImageReader
from pswd_edge.model.report import AlarmReport
from pswd_edge.model.site import Uplink as Settings
from simulators.broker import Broker, find_mosquitto, free_port

MOSQUITTO = pytest.param("mosquitto", marks=pytest.mark.skipif(
    find_mosquitto() is None, reason="mosquitto is not installed; apt-get install mosquitto"))


def settings(broker: Broker, **changes: object) -> Settings:
    known = {"host": "127.0.0.1", "port": broker.port, "topic_prefix": "pswd/north", "client_id": "north",
             "version": broker.version, "username": broker.username, "period_ms": 50}
    return Settings(**(known | changes))


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "did not come true in time"
        await asyncio.sleep(0.02)


@pytest.fixture
def written(tmp_path: Path) -> SmallImage:
    return SmallImage(tmp_path)


@contextlib.asynccontextmanager
async def running(written: SmallImage, found: Settings, password: str | None) -> AsyncIterator[Uplink]:
    uplink = Uplink(found, ImageReader(written.folder), password)
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
        assert not task.done(), "the uplink gave up"
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def in_first_order(numbers: list) -> list:
    """Without repetitions, which QoS 1 allows, in the order of first arrival."""
    return list(dict.fromkeys(numbers))


@pytest.mark.parametrize("kind", [MOSQUITTO, "amqtt"])
async def test_streams_arrive_numbered_and_acknowledged(written: SmallImage, kind: str) -> None:
    """The thin whole: three streams, in order, with nothing missing."""
    written.event("one")
    async with Broker(kind=kind) as broker:
        with Watcher(broker) as watcher:
            async with running(written, settings(broker), broker.password) as uplink:
                await until(lambda: len(watcher.of("telemetry")) >= 10)
                written.event("two")
                await until(lambda: len(watcher.of("events")) == 2)
                await until(lambda: uplink.queued == 0)
                assert uplink.connected
                assert uplink.acknowledged == uplink.published >= 13
                assert uplink.dropped == 0
            await until(lambda: watcher.of("status")[-1]["state"] == "offline")
    assert [m["seq"] for m in watcher.of("telemetry")] == list(range(1, len(watcher.of("telemetry")) + 1))
    assert [(m["seq"], m["text"]) for m in watcher.of("events")] == [(1, "one"), (2, "two")]
    assert watcher.of("status")[0]["state"] == "online"
    assert watcher.of("status")[-1]["reason"] == "stopped"


@pytest.mark.parametrize("kind", [MOSQUITTO])
async def test_nothing_is_lost_or_reordered_across_a_broker_restart(written: SmallImage, kind: str) -> None:
    """The broker dies in full flow and comes back: what it had not acknowledged comes again, ahead of the rest."""
    async with Broker(kind=kind) as broker:
        with Watcher(broker) as watcher:
            async with running(written, settings(broker, period_ms=10), broker.password) as uplink:
                await until(lambda: uplink.acknowledged > 30)
                await broker.stop()
                await until(lambda: not uplink.connected)
                waiting = uplink.queued
                await until(lambda: uplink.queued > waiting + 20)
                await broker.start()
                await asyncio.to_thread(watcher.wait_until_subscribed_again)
                await until(lambda: uplink.connected and uplink.queued < 3)
                assert uplink.dropped == 0
    numbers = in_first_order([m["seq"] for m in watcher.of("telemetry")])
    assert numbers == sorted(numbers), "in order"
    # The subscriber may lack what the broker took while the subscriber was away: the broker kept nothing on disk.
    assert uplink.acknowledged == uplink.published


class Cable:
    """A relay in front of the broker that a test may cut; the broker itself and its subscribers stay."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0.05)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while found := await reader.read(4096):
                writer.write(found)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@pytest.mark.parametrize("kind", [MOSQUITTO])
async def test_every_number_arrives_though_the_cable_is_cut_in_full_flow(
        written: SmallImage, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """QoS 1 over a bad line: repetitions are allowed, a hole or a step back is not."""
    monkeypatch.setattr("pswd_edge.gateway.uplink.uplink.backoff_s", lambda *_: 0.1)
    async with Broker(kind=kind) as broker, Cable(broker.port) as cable:
        with Watcher(broker) as watcher:
            async with running(written, settings(broker, port=cable.port, period_ms=2), broker.password) as uplink:
                for cut in range(1, 6):
                    written.event(f"{cut}")
                    await until(lambda goal=40 * cut: uplink.acknowledged > goal and uplink.connected)
                    cable.cut()
                    await until(lambda: not uplink.connected)
                await until(lambda: uplink.connected and uplink.queued < 3)
            await until(lambda: watcher.of("status")[-1]["state"] == "offline" and "seq" in watcher.of("status")[-1])
            assert uplink.dropped == 0
    numbers = in_first_order([m["seq"] for m in watcher.of("telemetry")])
    assert len(numbers) > 200
    assert numbers == list(range(1, len(numbers) + 1))
    assert in_first_order([m["text"] for m in watcher.of("events")]) == ["1", "2", "3", "4", "5"]


async def test_all_that_waits_for_an_absent_broker_arrives_in_order(written: SmallImage) -> None:
    """Absent at start: the uplink waits, then delivers everything within the bound from number 1 on."""
    async with Broker(kind="amqtt") as broker:
        await broker.stop()
        async with running(written, settings(broker), broker.password) as uplink:
            await until(lambda: uplink.queued > 15)
            assert not uplink.connected
            await broker.start()
            with Watcher(broker) as watcher:
                await until(lambda: len(watcher.of("telemetry")) > 25)
    numbers = in_first_order([m["seq"] for m in watcher.of("telemetry")])
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_drops_beyond_the_bound_are_counted_and_show_as_a_hole(written: SmallImage) -> None:
    """A day without a broker costs the oldest messages, never the memory; the numbers tell how many."""
    nowhere = Settings("127.0.0.1", free_port(), "p", "c", period_ms=5, queue_messages=20)
    async with running(written, nowhere, None) as uplink:
        await until(lambda: uplink.dropped >= 10)
        assert uplink.queued == 20
        assert uplink.published == 0


@pytest.mark.parametrize("kind", [MOSQUITTO, "amqtt"])
async def test_wrong_password_is_said_once(written: SmallImage, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log tells the operator what is wrong, and does not fill the disk with it."""
    monkeypatch.setattr("pswd_edge.gateway.uplink.uplink.backoff_s", lambda *_: 0.05)
    async with Broker(kind=kind) as broker:
        with structlog.testing.capture_logs() as log:
            async with running(written, settings(broker), "wrong") as uplink:
                await until(lambda: any(line["log_level"] == "warning" for line in log), 20.0)
                await asyncio.sleep(0.3)        # some more tries, of which nothing is said
                assert not uplink.connected
    said = [line for line in log if line["log_level"] == "warning"]
    assert len(said) == 1, said
    assert said[0]["broker"] == f"127.0.0.1:{broker.port}"
    assert "uthori" in said[0]["reason"] or "password" in said[0]["reason"]
    assert "wrong" not in repr(said)


@pytest.mark.parametrize("kind", [MOSQUITTO, "amqtt"])
async def test_last_will_marks_the_site_offline_when_the_connection_breaks(written: SmallImage, kind: str) -> None:
    """Nobody says goodbye when the gateway's power fails: the broker has to."""
    async with Broker(kind=kind) as broker:
        with Watcher(broker) as watcher:
            async with running(written, settings(broker), broker.password) as uplink:
                await until(lambda: uplink.acknowledged > 3)
                uplink._session._client.socket().shutdown(socket.SHUT_RDWR)
                await until(lambda: any(m["state"] == "offline" for m in watcher.of("status")))
                await until(lambda: watcher.of("status")[-1]["state"] == "online")
    broken = next(m for m in watcher.of("status") if m["state"] == "offline")
    assert broken["reason"] == "connection lost"


async def test_socket_has_no_delay(written: SmallImage) -> None:
    """Nagle's algorithm and delayed acknowledgements together cost 40 ms a message."""
    async with Broker() as broker, running(written, settings(broker), broker.password) as uplink:
        await until(lambda: uplink.connected)
        assert uplink._session._client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_new_site_is_followed_and_its_events_count_from_one(written: SmallImage) -> None:
    """A reload makes a new image: the uplink must not go on showing the old one, nor wait for old event numbers."""
    for text in ("a", "b", "c"):
        written.event(text)
    uplink = Uplink(Settings("127.0.0.1", free_port(), "p", "c"), ImageReader(written.folder), None)
    uplink.collect()
    assert uplink.queued == 5
    new = SmallImage(written.folder, site=small_site("south"))
    new.event("first of the new site")
    uplink.collect()
    assert uplink.queued == 6
    bodies = [orjson.loads(m.payload) for m in uplink._outbox._waiting]
    assert (bodies[-1]["text"], bodies[-1]["site"], bodies[-1]["seq"]) == ("first of the new site", "south", 4)


@pytest.mark.parametrize("kind", [MOSQUITTO])
async def test_a_late_subscriber_finds_the_alarms(written: SmallImage, kind: str) -> None:
    """One message a change; who comes later has the newest list at once; an ended alarm leaves an empty one."""
    async with Broker(kind=kind) as broker, running(written, settings(broker), broker.password) as uplink:
        with Watcher(broker) as early:
            written.report(alarms=(AlarmReport("blind", "no meter", 0.0),))
            await until(lambda: [a["code"] for a in early.of("alarms")[-1:] for a in a["alarms"]] == ["blind"])
            await until(lambda: uplink.queued == 0)
        with Watcher(broker) as late:
            await until(lambda: [m["alarms"][0]["code"] for m in late.of("alarms")] == ["blind"])
            written.report(alarms=())
            await until(lambda: late.of("alarms")[-1]["alarms"] == [])
            assert len(late.of("alarms")) == 2


async def test_event_loop_stays_free_while_the_broker_does_not_answer(written: SmallImage) -> None:
    """A broker that accepts and then is silent must cost the gateway nothing: connecting is done elsewhere."""
    silent = socket.create_server(("127.0.0.1", 0))
    found = Settings("127.0.0.1", silent.getsockname()[1], "p", "c", period_ms=50)
    async with running(written, found, None):
        worst_s = 0.0
        for _ in range(50):
            before_s = time.monotonic()
            await asyncio.sleep(0.01)
            worst_s = max(worst_s, time.monotonic() - before_s)
    silent.close()
    assert worst_s < 0.2


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256()))
    pem, key_file = folder / "broker.pem", folder / "broker.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return pem, key_file


@pytest.mark.parametrize("kind", [MOSQUITTO])
async def test_tls_works_on_the_loop_and_a_stranger_is_refused(written: SmallImage, tmp_path: Path, kind: str) -> None:
    """TLS hides decrypted bytes from the event loop; and a broker that the site's CA does not know gets nothing."""
    certificate, key = self_signed(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    async with Broker(kind=kind, tls=(certificate, key)) as broker:
        trusted = settings(broker, tls_ca=str(certificate), period_ms=5)
        async with running(written, trusted, broker.password) as uplink:
            await until(lambda: uplink.acknowledged > 100)
            await until(lambda: uplink.queued < 5)
        strange = settings(broker, tls_ca=str(self_signed(other)[0]))
        with structlog.testing.capture_logs() as log:
            async with running(written, strange, broker.password) as uplink:
                await until(lambda: any("ertificate" in str(line.get("reason")) for line in log))
                assert not uplink.connected


def test_pauses_are_drawn_under_a_doubling_bound_that_ends_at_thirty_seconds() -> None:
    """After an outage a fleet must not come back in step, and nobody waits for minutes."""
    longest = [backoff_s(attempt, lambda _low, high: high) for attempt in range(1, 12)]
    assert longest[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert max(longest) == 30.0
    assert backoff_s(5, lambda low, _high: low) > 0, "never a busy loop"
