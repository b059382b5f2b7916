"""The door on real Unix sockets: what comes in is typed and bounded, and one bad peer is nobody else's trouble."""

import asyncio
import os
import socket
import stat
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from pswd_edge import door as door_module
from pswd_edge.door import FRAME_BYTES_MAX, DoorClient, DoorServer, Peer
from pswd_edge.errors import DoorError
from pswd_edge.model.command import (
    Accepted,
    Announce,
    Clamped,
    ControlWorkload,
    Failed,
    Level,
    Mode,
    Outcome,
    PrepareCooling,
    Rejected,
    Request,
    SetBatteryTarget,
    SetMode,
    SetPoint,
)
from pswd_edge.model.look import (
    ERROR_MAX,
    POINTS_MAX,
    Exchange,
    FreshReading,
    Look,
    Looked,
    ReadPoints,
    ReadRaw,
)
from pswd_edge.model.point import ModbusAddress, OpcUaAddress
from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState

ENVELOPE = {"id": "r-1", "origin": "api:alice", "role": "infrastructure_manager", "issued_utc_s": 1.78e9, "ttl_s": 60.0}
JOB = Announcement("wl-1", "ai_training", 30e6, 10e6, 1e6, 3600, 25e6, 22.5, None, True, False, 60, "high", 1.0, 2.0)
REQUESTS = [
    SetMode(**ENVELOPE, mode=Mode.MANUAL),
    SetPoint(**ENVELOPE, point="rack-1.power_cap_w", value=1e6),
    SetPoint(**ENVELOPE, point="rack-1.power_cap_w", value=None),
    PrepareCooling(**ENVELOPE, cooler="cdu-1", heat_w=1e6),
    SetBatteryTarget(**ENVELOPE, power_w=-5e6, ramp_w_per_s=1e5),
    Announce(**ENVELOPE, workload=JOB),
    ControlWorkload(**ENVELOPE, workload_id="wl-1", action="pause", target_w=None, pause_s=60),
]
OUTCOMES = [
    Accepted(id="r-1", cycle=7, workload=Workload(JOB, WorkloadState.THROTTLED, 1e6, (0, 1), (5e5, 5e5), ("why",), 1.0,
                                                  Headroom(1.0, 2.0, 3.0), 1e6, 0.0, None, 9.0)),
    Clamped(id="r-1", value=2.0, limit="ramp", eta_s=12.5, expires_utc_s=3.0),
    Rejected(id="r-1", code="not_found", reason="no such point"),
    Failed(id="r-1", code="ledger"),
]


async def accept(request: Request, peer: Peer) -> Outcome:
    return Accepted(id=request.id, reason=f"{peer.authority.name}")


@asynccontextmanager
async def opened(path: Path, handler: Callable[[Request, Peer], Awaitable[Outcome]] = accept,
                 authority: Level = Level.API, **more: object):
    server = DoorServer(path, authority, handler, **more)
    await server.open()
    try:
        yield server
    finally:
        await server.close()
        await until(lambda: not server._open)


async def until(true: Callable[[], bool], within_s: float = 3.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110  # what is waited for belongs to the server, which tells nobody
            await asyncio.sleep(0.002)


@asynccontextmanager
async def asking(path: Path):
    client = DoorClient(path)
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def raw(path: Path):
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield reader, writer
    finally:
        writer.close()


async def closed(reader: asyncio.StreamReader, within_s: float = 2.0) -> bool:
    """Whether the server hangs up; with unread bytes in its socket the kernel says so by a reset."""
    try:
        async with asyncio.timeout(within_s):
            return await reader.read(1) == b""
    except ConnectionResetError:
        return True


def mode_order(request_id: str = "r-1") -> SetMode:
    return SetMode(**{**ENVELOPE, "id": request_id}, mode=Mode.SAFE)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
async def test_every_request_arrives_as_it_was_sent(tmp_path: Path, request_: Request) -> None:
    """Types, None and all: the handler judges what the client meant."""
    seen: list[Request] = []

    async def keep(request: Request, peer: Peer) -> Outcome:
        seen.append(request)
        return Accepted(id=request.id)

    async with opened(tmp_path / "d", keep), asking(tmp_path / "d") as client:
        assert await client.ask(request_) == Accepted(id="r-1")
    assert seen == [request_]


READING = FreshReading("a.b", None, "BAD", "REFUSED", None, "holding 1+2", "0001", 1.5, "why")


@pytest.mark.parametrize("look", [
    ReadPoints(**ENVELOPE, points=("pcc.active_power_w",)),
    ReadRaw(**ENVELOPE, device="pcc", address=ModbusAddress(3059, "uint16", "input"), count=6),
    ReadRaw(**ENVELOPE, device="bess", address=OpcUaAddress("nsu=urn:x;s=y")),
], ids=["points", "registers", "node"])
async def test_a_look_and_what_was_found_arrive_whole(tmp_path: Path, look: Look) -> None:
    """None stays None: a value that is not there must not arrive as a number."""
    found = Looked(id="r-1", readings=(READING,), exchanges=(Exchange("holding 1+2", 0.5, 1, "00010002"),))
    seen: list[Look] = []

    async def answer(request: Look, peer: Peer) -> Looked:
        seen.append(request)
        return found

    async with opened(tmp_path / "d", answer), asking(tmp_path / "d") as client:
        assert await client.look(look) == found
    assert seen == [look]


async def test_the_largest_look_fits_a_frame(tmp_path: Path) -> None:
    """64 points with long names, each with a long error."""
    name, error = "d" * 60 + "." + "s" * 60, "e" * ERROR_MAX
    long = FreshReading(name, None, "BAD", "UNREACHABLE", 1.78e9, "holding 40000+125", "ff" * 8, 1.5, error)

    async def answer(request: Look, peer: Peer) -> Looked:
        return Looked(id="r-1", readings=(long,) * POINTS_MAX)

    async with opened(tmp_path / "d", answer), asking(tmp_path / "d") as client:
        found = await client.look(ReadPoints(**ENVELOPE, points=("x",)))
    assert len(found.readings) == POINTS_MAX


async def test_an_answer_of_another_kind_is_no_outcome(tmp_path: Path) -> None:
    """What was found is no decision, and a decision is nothing that was found."""
    async def mixed(request: Request | Look, peer: Peer) -> Outcome | Looked:
        return Looked(id="r-1") if isinstance(request, SetMode) else Accepted(id="r-1")

    async with opened(tmp_path / "d", mixed), asking(tmp_path / "d") as client:
        with pytest.raises(DoorError):
            await client.ask(mode_order())
        with pytest.raises(DoorError):
            await client.look(ReadPoints(**ENVELOPE, points=("x",)))


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda o: type(o).__name__)
async def test_every_outcome_arrives_as_it_was_given(tmp_path: Path, outcome: Outcome) -> None:
    """A clamp that arrives as an acceptance would be believed."""
    async def answer(request: Request, peer: Peer) -> Outcome:
        return outcome

    async with opened(tmp_path / "d", answer), asking(tmp_path / "d") as client:
        assert await client.ask(mode_order()) == outcome


async def test_many_at_once_each_get_their_own_answer(tmp_path: Path) -> None:
    """One connection, answers in order: nobody gets his neighbour's."""
    async def slowly(request: Request, peer: Peer) -> Outcome:
        await asyncio.sleep(0.001 * (int(request.id) % 3))
        return Accepted(id=request.id)

    async with opened(tmp_path / "d", slowly), asking(tmp_path / "d") as client:
        answers = await asyncio.gather(*(client.ask(mode_order(str(i))) for i in range(40)))
    assert [a.id for a in answers] == [str(i) for i in range(40)]


MALFORMED = [
    b"", b"\xc1", b"not msgpack at all", msgspec.msgpack.encode(None), msgspec.msgpack.encode({"type": "Nonsense"}),
    msgspec.msgpack.encode({"type": "SetMode", "id": 7}), msgspec.msgpack.encode({**ENVELOPE, "type": "SetMode"}),
    msgspec.msgpack.encode({**ENVELOPE, "type": "SetMode", "mode": "WILD"}),
    msgspec.msgpack.encode({**ENVELOPE, "type": "SetBatteryTarget", "power_w": "5"}),
    msgspec.msgpack.encode(REQUESTS[3]) + b"\x00", msgspec.msgpack.encode(REQUESTS[3])[:-3],
    msgspec.msgpack.encode({"type": "x" * 60_000}),
]


@pytest.mark.parametrize("payload", MALFORMED, ids=range(len(MALFORMED)))
async def test_a_frame_that_is_no_request_is_refused_and_the_next_one_heard(tmp_path: Path, payload: bytes) -> None:
    """A gateway of another release: it is told, and stays connected. The handler never sees it."""
    async with opened(tmp_path / "d"), raw(tmp_path / "d") as (reader, writer):
        for frame in (payload, msgspec.msgpack.encode(mode_order())):
            writer.write(struct.pack("<I", len(frame)) + frame)
        answers = [msgspec.msgpack.decode(await door_module._read_frame(reader, 2.0), type=Outcome) for _ in range(2)]
    assert isinstance(answers[0], Rejected)
    assert answers[0].code == "malformed"
    assert len(answers[0].reason) < 1000
    assert answers[1] == Accepted(id="r-1", reason="API")


async def test_a_frame_that_is_too_large_ends_its_connection_only(tmp_path: Path) -> None:
    """4 GB are not waited for."""
    async with opened(tmp_path / "d"), asking(tmp_path / "d") as client, raw(tmp_path / "d") as (reader, writer):
        await client.ask(mode_order())
        writer.write(struct.pack("<I", FRAME_BYTES_MAX + 1) + b"x" * 100)
        assert await closed(reader)
        assert await client.ask(mode_order()) == Accepted(id="r-1", reason="API")


async def test_the_largest_frame_is_heard(tmp_path: Path) -> None:
    """The bound itself is allowed."""
    async with opened(tmp_path / "d"), raw(tmp_path / "d") as (reader, writer):
        writer.write(struct.pack("<I", FRAME_BYTES_MAX) + b"\xc1" * FRAME_BYTES_MAX)
        assert msgspec.msgpack.decode(await door_module._read_frame(reader, 2.0), type=Outcome).code == "malformed"


@pytest.mark.parametrize("part", [b"\x10", b"\x10\x00\x00\x00", b"\x10\x00\x00\x00half"])
async def test_half_a_frame_troubles_nobody_and_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    """64 of them would otherwise lock the door for good."""
    monkeypatch.setattr(door_module, "_FRAME_S", 0.1)
    async with opened(tmp_path / "d") as server, asking(tmp_path / "d") as client:
        async with raw(tmp_path / "d") as (reader, writer):
            writer.write(part)
            assert await client.ask(mode_order()) == Accepted(id="r-1", reason="API")
            assert await closed(reader)
        await asyncio.sleep(0.15)      # idle between two frames is no half frame
        assert len(server._open) == 1
        assert await client.ask(mode_order("r-2")) == Accepted(id="r-2", reason="API")


async def test_a_peer_that_leaves_in_the_middle_troubles_nobody(tmp_path: Path) -> None:
    """It asked, and died before the answer."""
    async with opened(tmp_path / "d") as server, asking(tmp_path / "d") as client:
        for frame in (b"\x00", struct.pack("<I", 50) + b"x", b""):
            async with raw(tmp_path / "d") as (_, writer):
                writer.write(frame)
                await writer.drain()
        assert await client.ask(mode_order()) == Accepted(id="r-1", reason="API")
        assert len(server._open) == 1


async def test_a_peer_that_asks_and_never_reads_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers fill the socket; control keeps neither them nor the place."""
    monkeypatch.setattr(door_module, "_FRAME_S", 0.2)

    async def at_length(request: Request, peer: Peer) -> Outcome:
        return Accepted(id=request.id, reason="x" * 50_000)

    frame = msgspec.msgpack.encode(mode_order())
    async with opened(tmp_path / "d", at_length) as server:
        deaf = socket.socket(socket.AF_UNIX)
        deaf.connect(str(tmp_path / "d"))
        deaf.sendall((struct.pack("<I", len(frame)) + frame) * 60)
        await until(lambda: len(server._open) == 1)
        await until(lambda: not server._open)
        deaf.close()


async def test_a_handler_that_fails_is_told_and_the_next_one_answered(tmp_path: Path) -> None:
    """A defect that one request meets must not look like a dead control process."""
    async def fail_once(request: Request, peer: Peer) -> Outcome:
        if request.id == "bad":
            raise ZeroDivisionError
        return Accepted(id=request.id)

    async with opened(tmp_path / "d", fail_once), asking(tmp_path / "d") as client:
        answer = await client.ask(mode_order("bad"))
        assert isinstance(answer, Failed)
        assert (answer.id, answer.code) == ("bad", "internal")
        assert await client.ask(mode_order()) == Accepted(id="r-1")


async def test_the_kernel_says_who_asks(tmp_path: Path) -> None:
    """Process and uid come from SO_PEERCRED, not from the request."""
    seen: list[Peer] = []

    async def keep(request: Request, peer: Peer) -> Outcome:
        seen.append(peer)
        return Accepted(id=request.id)

    async with opened(tmp_path / "d", keep), asking(tmp_path / "d") as client:
        await client.ask(mode_order())
    assert seen == [Peer(os.getpid(), os.getuid(), os.getgid(), Level.API)]


async def test_only_the_uids_that_are_named_are_heard(tmp_path: Path) -> None:
    """A process of another user that reached the file is hung up on before it is read."""
    async with opened(tmp_path / "d", uids=frozenset({os.getuid() + 1})), asking(tmp_path / "d") as client:
        with pytest.raises(DoorError):
            await client.ask(mode_order())
    async with opened(tmp_path / "d", uids=frozenset({os.getuid()})), asking(tmp_path / "d") as client:
        assert await client.ask(mode_order()) == Accepted(id="r-1", reason="API")


async def test_the_socket_gives_the_authority(tmp_path: Path) -> None:
    """The same request through the other file is the operator's; its file is for its owner alone."""
    async with opened(tmp_path / "api"), opened(tmp_path / "op", authority=Level.OPERATOR, mode=0o600):
        async with asking(tmp_path / "api") as api, asking(tmp_path / "op") as operator:
            assert (await api.ask(mode_order())).reason == "API"
            assert (await operator.ask(mode_order())).reason == "OPERATOR"
        assert stat.S_IMODE((tmp_path / "api").stat().st_mode) == 0o660
        assert stat.S_IMODE((tmp_path / "op").stat().st_mode) == 0o600


async def test_after_a_time_out_the_next_one_is_not_given_the_late_answer(tmp_path: Path) -> None:
    """Two commands, one answer too late: taken for the other's it would confirm what was refused."""
    release = asyncio.Event()

    async def first_waits(request: Request, peer: Peer) -> Outcome:
        if request.id == "late":
            await release.wait()
        return Accepted(id=request.id)

    async with opened(tmp_path / "d", first_waits), asking(tmp_path / "d") as client:
        with pytest.raises(DoorError, match=r"no answer from control \(TimeoutError\)"):
            await client.ask(mode_order("late"), timeout_s=0.05)
        release.set()
        assert (await client.ask(mode_order("next"))).id == "next"


async def test_a_cancelled_ask_leaves_nothing_behind(tmp_path: Path) -> None:
    """The HTTP client went away while its command was at the door."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def first_waits(request: Request, peer: Peer) -> Outcome:
        if request.id == "cancelled":
            begun.set()
            await release.wait()
        return Accepted(id=request.id)

    async with opened(tmp_path / "d", first_waits), asking(tmp_path / "d") as client:
        task = asyncio.create_task(client.ask(mode_order("cancelled")))
        await begun.wait()
        waiting = asyncio.create_task(client.ask(mode_order("waiting")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert (await waiting).id == "waiting"
        assert (await client.ask(mode_order("next"))).id == "next"


async def test_waiting_for_a_turn_counts(tmp_path: Path) -> None:
    """Ten clients behind a silent control get their error after the time they gave, not after ten times that."""
    release = asyncio.Event()

    async def silent(request: Request, peer: Peer) -> Outcome:
        await release.wait()
        return Accepted(id=request.id)

    async with opened(tmp_path / "d", silent), asking(tmp_path / "d") as client:
        begun = time.monotonic()
        found = await asyncio.gather(*(client.ask(mode_order(str(i)), timeout_s=0.1) for i in range(10)),
                                     return_exceptions=True)
        took = time.monotonic() - begun
        release.set()
    assert all(isinstance(f, DoorError) for f in found)
    assert took < 0.5


async def test_the_65th_peer_is_turned_away_and_a_place_that_is_left_is_given_again(tmp_path: Path) -> None:
    """Bounded: a leaking client cannot use up control's file descriptors."""
    async with opened(tmp_path / "d") as server:
        held = [await asyncio.open_unix_connection(str(tmp_path / "d")) for _ in range(64)]
        await until(lambda: len(server._open) == 64)
        async with asking(tmp_path / "d") as client:
            with pytest.raises(DoorError):
                await client.ask(mode_order(), timeout_s=1.0)
            assert len(server._open) == 64
            held.pop()[1].close()
            await until(lambda: len(server._open) < 64)
            assert await client.ask(mode_order()) == Accepted(id="r-1", reason="API")
        for _, writer in held:
            writer.close()


async def test_a_closed_server_answers_nobody(tmp_path: Path) -> None:
    """Control stops: its ledger is closed, so a peer that is still connected must not get through to it."""
    async with asking(tmp_path / "d") as client:
        async with opened(tmp_path / "d") as server:
            await client.ask(mode_order())
            await server.close()
            with pytest.raises(DoorError):
                await client.ask(mode_order(), timeout_s=1.0)
        assert not (tmp_path / "d").exists()


async def test_a_client_finds_the_next_server(tmp_path: Path) -> None:
    """Control was restarted between two commands: the second is sent to the new one, without an error first."""
    async with asking(tmp_path / "d") as client:
        async with opened(tmp_path / "d"):
            await client.ask(mode_order())
        await asyncio.sleep(0.01)
        async with opened(tmp_path / "d", authority=Level.OPERATOR):
            assert (await client.ask(mode_order())).reason == "OPERATOR"


async def test_a_server_takes_over_the_file_of_a_dead_one(tmp_path: Path) -> None:
    """After a kill the socket file is there still, and nobody behind it."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "d"))
    left.close()
    async with asking(tmp_path / "d") as client:
        with pytest.raises(DoorError, match="refused"):
            await client.ask(mode_order())
        async with opened(tmp_path / "d"):
            assert (await client.ask(mode_order())).id == "r-1"


async def test_an_answer_that_is_none_is_an_error_and_ends_the_connection(tmp_path: Path) -> None:
    """A control process of another release."""
    over = asyncio.Event()

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(struct.pack("<I", 3) + b"\xc1\xc1\xc1")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    server = await asyncio.start_unix_server(nonsense, str(tmp_path / "d"))
    async with server, asking(tmp_path / "d") as client:
        with pytest.raises(DoorError, match="no answer from control"):
            await client.ask(mode_order())
        assert client._streams is None
        await over.wait()
