"""Who may listen to a stream, and what becomes of those who lag, fall silent or talk too much."""

import asyncio
import base64
import json
import socket as sockets
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from stream_house import ALL, GRID, POWER, THERMAL, StreamHouse, stream_house

from pswd_edge.gateway.profiles.dcpi import streams
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.streams import client as stream_client
from pswd_edge.gateway.streams import hub

GOING_AWAY, UNSUPPORTED, POLICY, TOO_BIG = 1001, 1003, 1008, 1009


@pytest.fixture
async def house(tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StreamHouse]:
    async with stream_house(tmp_path, state_dir, monkeypatch) as house:
        yield house


class Raw:
    """A client that does only what it is told: no pong, no reading of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, house: StreamHouse, path: str = POWER, *, receive_bytes: int = 0) -> "Raw":
        plain = sockets.socket()
        if receive_bytes:
            plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_bytes)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", house.port))
        raw = cls(*await asyncio.open_connection(sock=plain, limit=1024))
        raw.writer.write((f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\n"
                          f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n").encode())
        head = await raw.reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head
        house.to_close.append(raw.writer)
        await house.settle()
        return raw

    async def frame(self) -> tuple[int, bytes]:
        first, size = await asyncio.wait_for(self.reader.readexactly(2), 2.0)
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        return first & 0x0F, await self.reader.readexactly(size)

    def send(self, opcode: int, payload: bytes = b"") -> None:
        """Masked, as a client must."""
        self.writer.write(bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload)

    async def ended(self) -> bool:
        try:
            async with asyncio.timeout(2.0):
                while await self.reader.read(65536):
                    pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


# --- who may ----------------------------------------------------------------------------------------------------------


async def refused(house: StreamHouse, path: str = POWER, **more: object) -> tuple[int, dict]:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(), **more.pop("headers", {})}
    async with house.client.get(house.url + path, headers=headers, **more) as answer:
        return answer.status, (await answer.json())["error"]


async def test_client_that_is_not_known_gets_no_stream(house: StreamHouse) -> None:
    """The handshake is refused before anything is upgraded."""
    house.client_id = None
    assert (await refused(house))[0] == 401
    assert house.hub.seats_taken == 0


@pytest.mark.parametrize(("path", "operation"), [
    (POWER, Operation.POWER_READ), (THERMAL, Operation.THERMAL_READ), (GRID, Operation.GRID_READ)])
async def test_each_stream_needs_its_own_scope(house: StreamHouse, path: str, operation: Operation) -> None:
    """Who may read everything else may not read this one."""
    house.allowed = ALL - {operation}
    status, error = await refused(house, path)
    assert (status, error["code"]) == (403, "AUTHORIZATION_DENIED")


@pytest.mark.parametrize("query", ["token=abc", "access_token=abc", "x"])
async def test_query_is_refused(house: StreamHouse, query: str) -> None:
    """URLs end in logs and histories: no token may be in one."""
    assert (await refused(house, f"{POWER}?{query}"))[0] in (400, 401)


async def test_plain_request_is_told_to_upgrade(house: StreamHouse) -> None:
    """A GET of a stream's address is no mistake of the server."""
    async with house.client.get(house.url + POWER) as answer:
        assert answer.status == 426
        assert answer.headers["Upgrade"] == "websocket"
        assert (await answer.json())["error"]["code"] == "UPGRADE_REQUIRED"


async def test_no_stream_while_control_does_not_live(house: StreamHouse) -> None:
    """Nothing is measured: the client is told so at once, and when to come again."""
    house.control.clock.advance(5.0)
    status, error = await refused(house)
    assert (status, error["code"]) == (503, "SYSTEM_MAINTENANCE")


async def test_seats_are_limited_for_each_client_and_in_all(
    house: StreamHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One client must not take all seats, and all together not the gateway; a seat that is left is free again."""
    monkeypatch.setattr(hub, "PRINCIPAL_MAX", 2)
    monkeypatch.setattr(hub, "TOTAL_MAX", 3)
    own = [await house.open() for _ in range(2)]
    assert (await refused(house))[0] == 429
    house.client_id = "other"
    other = await house.open()
    assert (await refused(house))[0] == 503
    assert house.hub.counts.refused == 2
    await own[0].close()
    await house.settle()
    house.client_id = "scheduler"
    again = await house.open()
    assert not again.closed
    assert not other.closed


async def test_refused_handshake_takes_no_seat(house: StreamHouse) -> None:
    """Otherwise failed attempts would lock a client out."""
    for _ in range(3):
        assert (await refused(house, headers={"Sec-WebSocket-Key": "short"}))[0] in (400, 426)
    assert house.hub.seats_taken == 0


# --- who stays --------------------------------------------------------------------------------------------------------


async def test_client_that_does_not_read_is_cut_and_the_others_are_unharmed(
    house: StreamHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages must not fill the gateway's memory, nor delay anybody; two seconds are enough to know."""
    monkeypatch.setattr(stream_client, "FULL_BYTES", 1 << 30)
    monkeypatch.setattr(streams, "power_message", lambda *_: {"timestamp": "", "filling": "x" * 20_000})
    stalled = await Raw.open(house, receive_bytes=4096)
    live = [await house.open() for _ in range(3)]
    for _ in range(12):
        await house.rows(5)
        for socket in live:
            numbers = [json.loads(await socket.receive_str(timeout=2.0))["sequence"] for _ in range(5)]
            assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert house.hub.counts.slow == 1
    assert house.hub.seats_taken == 3
    assert await stalled.ended()


async def test_client_that_is_behind_for_less_than_two_seconds_stays(
    house: StreamHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short stall of a network is no reason: it gets every message, late."""
    monkeypatch.setattr(streams, "power_message", lambda *_: {"timestamp": "", "filling": "x" * 20_000})
    slow = await Raw.open(house, receive_bytes=4096)
    await house.rows(18)
    for number in range(1, 19):
        opcode, payload = await slow.frame()
        assert (opcode, json.loads(payload)["sequence"]) == (1, number)
    await house.rows(20)
    assert house.hub.counts.slow == 0


async def test_client_far_behind_is_cut_at_the_next_look(house: StreamHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded whatever the time."""
    monkeypatch.setattr(stream_client, "FULL_BYTES", 60_000)
    monkeypatch.setattr(streams, "power_message", lambda *_: {"timestamp": "", "filling": "x" * 20_000})
    await Raw.open(house, receive_bytes=4096)
    await house.rows(20)
    assert house.hub.counts.slow == 1


async def test_client_without_a_sign_of_life_is_cut_within_30_s(house: StreamHouse) -> None:
    """A cable that was pulled says nothing; its seat must not stay taken."""
    silent, live = await Raw.open(house, THERMAL), await Raw.open(house, THERMAL)
    for second in range(29):
        house.control.clock.advance(0.9)
        await house.rows(1)
        if second % 5 == 0:
            live.send(0xA)
            await house.settle()
    assert (house.hub.counts.silent, house.hub.seats_taken) == (1, 1)
    assert await silent.ended()


async def test_client_whose_certificate_is_revoked_is_cut_within_10_s(house: StreamHouse) -> None:
    """A stream lasts for weeks: it must end when its next handshake would be refused."""
    revoked = await Raw.open(house)
    house.allowed = frozenset()
    for _ in range(12):
        house.control.clock.advance(0.9)
        await house.rows(1)
    assert (house.hub.counts.dismissed, house.hub.seats_taken) == (1, 0)
    assert await revoked.ended()


async def test_client_that_answers_pings_stays(house: StreamHouse) -> None:
    """It never says anything else: pongs are its signs of life."""
    raw = await Raw.open(house, THERMAL)
    for _ in range(35):
        house.control.clock.advance(0.9)
        await house.rows(1)
        opcode, payload = await raw.frame()
        if opcode == 9:
            raw.send(0xA, payload)
            await house.settle()
    assert (house.hub.counts.silent, house.hub.seats_taken) == (0, 1)


async def test_streams_ping_also_while_control_is_silent(house: StreamHouse) -> None:
    """Who listens must be able to tell a dead gateway from a stopped control."""
    raw = await Raw.open(house)
    house.control.clock.advance(11.0)
    opcode, _ = await raw.frame()
    assert opcode == 9


async def test_clients_ping_is_answered_with_its_own_bytes(house: StreamHouse) -> None:
    """RFC 6455, 5.5.3."""
    raw = await Raw.open(house)
    raw.send(9, b"hello")
    assert await raw.frame() == (10, b"hello")


@pytest.mark.parametrize(("content", "code"), [("hello", UNSUPPORTED), ("x" * 5000, TOO_BIG)])
async def test_message_of_a_client_ends_its_connection(house: StreamHouse, content: str, code: int) -> None:
    """A stream takes none: whatever is sent is a mistake or an attack."""
    socket = await house.open()
    await socket.send_str(content)
    assert (await socket.receive(timeout=2.0)).type is aiohttp.WSMsgType.CLOSE
    assert socket.close_code == code
    await house.settle()
    assert house.hub.seats_taken == 0


async def test_flood_of_pings_ends_the_connection(house: StreamHouse) -> None:
    """Each costs an answer."""
    raw = await Raw.open(house)
    for _ in range(stream_client.PINGS_MAX + 1):
        raw.send(9)
    for _ in range(stream_client.PINGS_MAX):
        assert (await raw.frame())[0] == 10
    opcode, payload = await raw.frame()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (8, POLICY)


async def test_gateway_that_stops_says_so(tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1001: the client knows that it should come again, and no message follows."""
    async with stream_house(tmp_path, state_dir, monkeypatch) as house:
        socket = await house.open()
        closing = asyncio.create_task(house.hub.close())
        assert (await socket.receive(timeout=2.0)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == GOING_AWAY
        await closing
        assert (await refused(house))[0] == 503


async def test_client_that_vanishes_leaves_its_seat(house: StreamHouse) -> None:
    """A reset connection is noticed at once."""
    raw = await Raw.open(house)
    raw.writer.transport.abort()
    await house.rows(3)
    assert (house.hub.seats_taken, len(house.stream("power").clients)) == (0, 0)
