"""SNMP traps and informs, sent by net-snmp to the real receiver on loopback."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from pswd_edge.field import traps
from pswd_edge.field.drivers import snmp_notify
from pswd_edge.field.drivers.snmp_header import peek
from pswd_edge.field.field import Field
from pswd_edge.field.trap_port import TrapPort
from pswd_edge.field.trap_words import words_of
from pswd_edge.model.site import TrapSpec
from tests.field.fieldmaker import Told, far_points, field_of, raw_device, running, small_site, until
from tests.field.trapmaker import (
    ON_BATTERY,
    SNMPINFORM,
    SNMPTRAP,
    V2C,
    V3,
    Heard,
    caught,
    listening,
    send,
    trap_site,
    v2c,
    v3,
)

needs_snmptrap = pytest.mark.skipif(not SNMPTRAP or not SNMPINFORM, reason="net-snmp's snmptrap is not installed")
pytestmark = needs_snmptrap


async def test_trap_is_an_event_with_name_and_words_and_hurries_its_device(tmp_path: Path) -> None:
    """At night somebody reads it: device, address, what it says, and the number to look up."""
    async with listening(trap_site(V3)) as heard:
        await send(SNMPTRAP, heard.port, v3(), tmp_path)
        await heard.settled(1)

        assert heard.told.events == [(
            "warning", "snmp_trap", "pdu-1",
            "pdu-1 (127.0.0.1): on battery (1.3.6.1.2.1.33.2.1); its slower points are read now")]
        assert heard.hurried == ["pdu-1"]
        assert heard.dropped == {}


@pytest.mark.parametrize(("settings", "how"), [(V3, v3()), (V2C, v2c())], ids=["v3", "v2c"])
async def test_inform_is_acknowledged(settings: dict[str, Any], how: list[str], tmp_path: Path) -> None:
    """Else its sender repeats it; with v3 it first asks for our engine id and clock."""
    async with listening(trap_site(settings, v2c=True)) as heard:
        status = await send(SNMPINFORM, heard.port, how, tmp_path)

        assert status == 0
        assert len(heard.texts) == 1
        assert heard.dropped == {}


async def test_inform_after_our_restart_is_acknowledged(tmp_path: Path) -> None:
    """Our engine id is the same and our boots have grown: a device keeps both, and must get through again."""
    ids = []
    for _ in range(2):
        async with listening(trap_site(V3)) as heard:
            assert await send(SNMPINFORM, heard.port, v3(), tmp_path) == 0
            ids.append(heard.receiver._engine._own_id)
    assert ids[0] == ids[1]


async def test_v2c_traps_are_taken_only_where_configured(tmp_path: Path) -> None:
    """A community in clear proves nothing: whoever sees one can send thousands."""
    async with listening(trap_site(V2C)) as heard:
        await send(SNMPTRAP, heard.port, v2c(), tmp_path)
        await heard.settled(1)
        assert (heard.texts, heard.dropped) == ([], {"credentials": 1})
    async with listening(trap_site(V2C, v2c=True)) as heard:
        await send(SNMPTRAP, heard.port, v2c("public"), tmp_path)
        await send(SNMPTRAP, heard.port, v2c(), tmp_path)
        await heard.settled(2)
        assert len(heard.texts) == 1
        assert heard.dropped == {"credentials": 1}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (v3(level="noAuthNoPriv"), "credentials"),
        (v3(level="authNoPriv"), "credentials"),
        (v3(auth="another-secret"), "not authentic"),
        (v3(priv="another-secret"), "not opened"),
        (v3(user="stranger"), "credentials"),
        (v2c(), "credentials"),
        (["-v1", "-c", "facility"], "unreadable"),
    ],
)
async def test_trap_that_is_not_proven_at_its_users_level_is_dropped(
    how: list[str], reason: str, tmp_path: Path
) -> None:
    """pysnmp lets a user with keys send in clear: a stranger who knows the name would make events and extra reads."""
    async with listening(trap_site(V3)) as heard:
        if "-v1" in how:
            send_raw(heard.port, bytes.fromhex("302602010004067075626c6963a41906032b0601400407000001020100020100430100"
                                               "3000"))
        else:
            await send(SNMPTRAP, heard.port, how, tmp_path)
        await heard.settled(1)

        assert (heard.texts, heard.hurried) == ([], [])
        assert heard.dropped == {reason: 1}


async def test_clear_message_that_asks_for_our_clock_brings_no_event(tmp_path: Path) -> None:
    """The first messages of an inform need no key; one that carries a trap in clear must not get through so."""
    async with listening(trap_site(V3)) as heard:
        found = await caught(v3(level="noAuthNoPriv"), tmp_path)
        header = peek(found)
        assert header is not None
        time_at = found.index(b"\x04\x04pswd")  # user; boots and time stand before it
        engine_at = found.index(bytes.fromhex("04088000000001020304")) + 10
        blank = found[:engine_at] + zeroed(found[engine_at:time_at]) + found[time_at:]
        assert peek(blank) == header._replace(unsynchronized=True)

        send_raw(heard.port, blank)
        await heard.settled(1)

        assert (heard.texts, heard.hurried) == ([], [])
        assert heard.dropped == {"credentials": 1}


def zeroed(integers: bytes) -> bytes:
    """BER integers with their lengths kept and their values 0."""
    made, at = bytearray(integers), 0
    while at < len(made):
        size = made[at + 1]
        made[at + 2 : at + 2 + size] = bytes(size)
        at += 2 + size
    return bytes(made)


def send_raw(port: int, *datagrams: bytes, source: str = "127.0.0.1") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind((source, 0))
        for datagram in datagrams:
            here.sendto(datagram, ("127.0.0.1", port))


async def test_stranger_is_not_listened_to(tmp_path: Path) -> None:
    """Even with the right keys: only addresses of connections send."""
    async with listening(trap_site({**V3, "host": "127.0.0.9"})) as heard:
        await send(SNMPTRAP, heard.port, v3(), tmp_path)
        await heard.settled(1)

        assert (heard.texts, heard.dropped) == ([], {"stranger": 1})


async def test_same_trap_again_is_one_event_but_hurries_again(tmp_path: Path) -> None:
    """A device that repeats itself must not push the other 1,023 events out of the ring."""
    async with listening(trap_site(V3)) as heard:
        for _ in range(3):
            await send(SNMPTRAP, heard.port, v3(), tmp_path)
        await send(SNMPTRAP, heard.port, v3(), tmp_path, "1.3.6.1.2.1.33.2.4")
        await until(lambda: len(heard.hurried) == 4, 5.0)

        assert len(heard.texts) == 2
        assert heard.told.events[1][0] == "info"
        assert heard.hurried == ["pdu-1"] * 4
        assert heard.dropped == {"repeated": 2}


async def test_flood_from_a_device_is_bounded_and_the_loop_stays_free(tmp_path: Path) -> None:
    """20,000 traps in a burst: a few are opened, the rest is dropped and counted, and another device is still heard."""
    trap = await caught(v3(), tmp_path)
    async with listening(trap_site(V3, {**V3, "host": "127.0.0.2"})) as heard:
        spent_s = time.process_time()
        for _ in range(20):
            await asyncio.to_thread(send_raw, heard.port, *[trap] * 1000)
        await asyncio.sleep(1.0)
        send_raw(heard.port, trap)  # the kernel tells what it has dropped with the next that it lets through
        await until(lambda: heard.dropped.get("too many", 0) > 15_000, 10.0)
        longest_s = await longest_pause(0.5)
        assert heard.receiver.opened < 50
        assert len(heard.receiver._waiting) <= traps.WAITING_MAX
        assert longest_s < 0.25  # generous: one trap takes about 1 ms
        assert time.process_time() - spent_s < 5.0

        send_raw(heard.port, trap, source="127.0.0.2")
        await until(lambda: "pdu-2" in heard.hurried, 10.0)


async def longest_pause(seconds: float) -> float:
    """How long the loop was away at most."""
    worst_s, end_s = 0.0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        begun_s = time.monotonic()
        await asyncio.sleep(0.001)
        worst_s = max(worst_s, time.monotonic() - begun_s)
    return worst_s


async def test_what_was_dropped_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator must learn that somebody knocks, without an event for each knock."""
    monkeypatch.setattr(traps, "TICK_S", 0.05)
    monkeypatch.setattr(traps, "SUMMARY_S", 0.2)
    async with listening(trap_site({**V3, "host": "127.0.0.9"})) as heard:
        send_raw(heard.port, *[b"noise"] * 7)
        await until(lambda: bool(heard.told.events), 5.0)
        await asyncio.sleep(0.5)

        assert [e[:3] for e in heard.told.events] == [("warning", "traps_dropped", "site")]
        assert heard.told.events[0][3].endswith(": 7 stranger")


async def test_keys_are_made_for_few_engines_and_for_none_of_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine id costs keys in pysnmp's tables, and nothing to invent; cards that were replaced pile up as well."""
    monkeypatch.setattr(traps, "OPEN_EVERY_S", 0.0)
    monkeypatch.setattr(snmp_notify, "_ENGINES_MAX", 4)
    trap = await caught(v3(), tmp_path)
    ids = [b"\x80" + n.to_bytes(7, "big") for n in range(30)]
    async with listening(trap_site(V3)) as heard:
        send_raw(heard.port, *[trap.replace(bytes.fromhex("8000000001020304"), found) for found in ids])
        await heard.settled(30)
        assert heard.dropped == {"not authentic": 30}
        assert len(heard.receiver._engine._known) == 0

        for found in ids[:6]:
            await send(SNMPTRAP, heard.port, v3(), tmp_path, engine=found.hex())
        await until(lambda: len(heard.hurried) == 6, 10.0)
        assert len(heard.receiver._engine._known) == 4


async def test_trap_without_a_digest_is_not_authentic(tmp_path: Path) -> None:
    """lextudio/pysnmp issue 249: a message that says it is signed, with an empty signature, once passed pysnmp."""
    trap = await caught(v3(level="authNoPriv"), tmp_path)
    header = peek(trap)
    assert header is not None
    start, end = header.proof
    assert len(trap) > 140  # its outer lengths have two octets each: 30 81 xx
    outer = trap.index(b"\x04\x08\x80") - 2  # SEQUENCE inside the security parameters
    lengths = {2: trap[2], outer + 1: trap[outer + 1], outer - 1: trap[outer - 1]}
    made = bytearray(trap)
    for place, size in lengths.items():
        made[place] = size - (end - start)
    made[start - 1] = 0
    del made[start:end]
    found = peek(bytes(made))
    assert found is not None
    assert found.proof == (start, start)
    user = {**V3, "priv_secret": None}
    async with listening(trap_site(user)) as heard:
        send_raw(heard.port, bytes(made))
        await heard.settled(1)
        assert (heard.texts, heard.dropped) == ([], {"not authentic": 1})

        send_raw(heard.port, trap)
        await until(lambda: heard.hurried == ["pdu-1"], 5.0)


async def test_port_that_is_taken_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control must come up all the same: traps are an extra."""
    monkeypatch.setattr(traps, "TICK_S", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        heard = Heard(trap_site(V3, port=port))
        await heard.receiver.prepare()
        task = asyncio.create_task(heard.receiver.run())
        await until(lambda: heard.told.codes() == ["traps_closed"], 5.0)
    await until(lambda: heard.told.codes() == ["traps_closed", "traps_open"], 5.0)

    await send(SNMPTRAP, port, v3(), tmp_path)
    await until(lambda: heard.hurried == ["pdu-1"], 5.0)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_defect_of_ours_ends_the_receiver_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra must not take control with it, nor fall silent without a word."""
    monkeypatch.setattr(traps, "words_of", lambda _: 1 / 0)
    async with listening(trap_site(V3)) as heard:
        await send(SNMPTRAP, heard.port, v3(), tmp_path)
        await until(lambda: bool(heard.told.events), 5.0)

        assert heard.told.codes() == ["traps_closed"]
        assert "ZeroDivisionError" in heard.told.events[0][3]
        assert heard.receiver.port is None


async def test_traps_of_a_device_bring_its_slow_points_early(tmp_path: Path) -> None:
    """The point of it all: what is asked every 10 s is asked when the device says that something has happened."""
    async with raw_device() as device:
        site = small_site([device.port], [far_points(3, period_ms=10_000)], [(0, 1)])
        field = field_of(site, Told())
        async with running(field):
            await until(lambda: device.count(1) == 3, 5.0)

            field.hurry("dev0")

            await until(lambda: device.count(1) == 6, 2.0)


async def test_hurry_of_another_or_a_lost_device_reads_nothing() -> None:
    """A trap of one unit is no reason to read its neighbours; what is not connected is read on connecting anyway."""
    async with raw_device() as device:
        site = small_site([device.port], [far_points(2, period_ms=10_000), far_points(2, period_ms=10_000)],
                          [(0, 1), (0, 2)])
        field: Field = field_of(site, Told())
        field.hurry("dev0")
        async with running(field):
            await until(lambda: device.count(1) == device.count(2) == 2, 5.0)
            field.hurry("dev1")
            field.hurry("gone by a reload")
            await until(lambda: device.count(2) == 4, 2.0)
            assert device.count(1) == 2


def test_port_closes_while_it_rests() -> None:
    """No reader may outlive its descriptor: the next socket would get its number."""

    async def flood_and_close() -> None:
        got: list[bytes] = []
        port = TrapPort("127.0.0.1", 0, lambda datagram, _: got.append(datagram), lambda _: None)
        send_raw(port.number, *[b"x"] * 120)
        await until(lambda: len(got) == 50, 5.0)
        port.close()
        await asyncio.sleep(0.2)
        assert len(got) == 50

    asyncio.run(flood_and_close())


def test_words_name_the_maker_where_the_trap_is_not_known() -> None:
    """A number alone sends nobody to the right manual."""
    assert words_of(ON_BATTERY) == f"on battery ({ON_BATTERY})"
    assert words_of("1.3.6.1.4.1.13742.6.0.4") == "Raritan 1.3.6.1.4.1.13742.6.0.4"
    assert words_of("1.3.6.1.4.1.99.1") == "1.3.6.1.4.1.99.1"


def test_spec_is_part_of_the_compiled_site() -> None:
    """The gateway and the control process agree on the site by its hash: the block is in it."""
    assert trap_site(V3, port=10162).snmp_traps == TrapSpec("127.0.0.1", 10162)
