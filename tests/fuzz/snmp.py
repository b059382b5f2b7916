"""Broken, cut and late SNMP messages over loopback UDP: `python -m tests.fuzz.snmp --frames 1000000 --seed 1`.

Half of them go to the reader as answers of a v2c agent, a tenth as spoilt answers of a real v3 agent (net-snmp), the
rest to the trap receiver. What must hold: no crash, no hang, no error but those of a driver, no good value but the
right one, no event and no early read for what is not signed.
"""

import argparse
import asyncio
import hmac
import json
import os
import random
import resource
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gufo.snmp import Sha256Key

from pswd_edge.errors import DeviceError, SilentError, UnreachableError
from pswd_edge.field import trap_port, traps
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.snmp import SnmpDriver
from pswd_edge.field.drivers.snmp_header import peek
from pswd_edge.model.quality import Quality
from simulators.servers.cheap_snmp import request_id
from tests.field.drivers.pointmaker import DEVICE, snmp_point
from tests.field.drivers.snmp_agents import (
    AUTH_SECRET,
    COLUMN,
    NUMBER,
    SNMPD,
    TREE,
    Snmpd,
)
from tests.field.drivers.udp_relay import UdpCounter
from tests.field.fieldmaker import until
from tests.field.trapmaker import SNMPTRAP, V3, Heard, caught, listening, trap_site, v2c, v3
from tests.fuzz.snmp_frames import (
    GET,
    POISON,
    REPORT,
    TRAP,
    cut,
    flipped,
    integer,
    message,
    noise,
    odd_value,
    other_id,
)

OIDS = [f"{TREE}.{n}.0" for n in range(1, 6)]
BATCH = 40                    # frames about each request
READ_S = 0.05
HANG_S = 5.0
Judge = Callable[[float], bool]


class Findings(Counter[str]):
    """What came of it, by word; `wrong` must stay empty."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []


class HostileAgent(asyncio.DatagramProtocol):
    """Sends hostile frames, and now and then the right answer somewhere among them."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.serial = 0
        self.sent = 0
        self.batch = BATCH
        self._old: deque[bytes] = deque(maxlen=200)
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def truth(self, index: int) -> int:
        """What the object has now: another number for each request, so that a late answer shows."""
        return 1000 + self.serial * 10 + index

    def judge(self, index: int) -> Judge:
        """Right is what the object had at some moment of the read that begins now."""
        begun = self.serial
        return lambda value: value in {1000 + n * 10 + index for n in range(begun + 1, self.serial + 1)}

    def datagram_received(self, data: bytes, addr: Any) -> None:
        asked = request_id(data)
        if asked is None:
            return
        self.serial += 1
        right = message(asked, [(name, integer(self.truth(n))) for n, name in enumerate(OIDS)])
        frames = [self._frame(asked, right) for _ in range(self.batch)]
        if not self.batch or self.dice.random() < 0.98:
            frames.insert(self.dice.randrange(len(frames) + 1), right)
        self._old.append(right)
        for frame in frames:
            self._transport.sendto(frame, addr)
        self.sent += len(frames)

    def _frame(self, asked: bytes, right: bytes) -> bytes:
        dice, poison = self.dice, [(name, integer(POISON)) for name in OIDS]
        kind = dice.randrange(11)
        makers: tuple[Callable[[], bytes], ...] = (
            lambda: noise(dice), lambda: cut(dice, right), lambda: cut(dice, right),
            # the head only: flipped values and object ids are other answers, which v2c cannot tell
            lambda: flipped(dice, message(other_id(dice, asked), poison), 0, 12),
            lambda: dice.choice(self._old) if self._old else noise(dice),
            lambda: dice.choice(self._old) if self._old else noise(dice),
            lambda: message(other_id(dice, asked), poison),
            lambda: message(asked, [(f"{TREE}.77.{dice.randrange(9)}", integer(POISON))]),
            lambda: message(asked, [(name, odd_value(dice)) for name in OIDS], status=dice.choice((0, 0, 1, 5, 99))),
            lambda: message(asked, poison, tag=dice.choice((GET, REPORT, TRAP))),
            lambda: message(asked, poison, version=dice.choice((0, 3, 9))),
        )
        return makers[kind]()


async def fuzz_reader(frames: int, dice: random.Random, findings: Findings) -> None:
    """Answers of a v2c agent."""
    loop = asyncio.get_running_loop()
    transport, agent = await loop.create_datagram_endpoint(lambda: HostileAgent(dice), local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    driver = SnmpDriver({"host": "127.0.0.1", "port": port, "version": "2c", "community_secret": "bench"})
    (request,) = driver.plan(DEVICE, [snmp_point(name) for name in OIDS])
    await driver.open()
    while agent.sent < frames:
        await _read(driver, request, [agent.judge(n) for n in range(len(OIDS))], findings)
    await driver.open()
    agent.batch = 0
    await _until_right(driver, request, findings, "v2c")
    await driver.close()
    transport.close()
    findings["frames_v2c"] += agent.sent


async def _read(driver: SnmpDriver, request: ReadRequest, judges: list[Judge], findings: Findings) -> None:
    """One read, judged."""
    begun_s = time.monotonic()
    try:
        values = await driver.read(request, READ_S)
    except UnreachableError:
        findings["unreachable"] += 1
        await driver.open()
        return
    except DeviceError as error:
        findings[type(error).__name__] += 1
        return
    finally:
        if time.monotonic() - begun_s > HANG_S:
            findings.wrong.append("a read hung")
    for value, right in zip(values, judges, strict=True):
        findings["good" if value.quality is Quality.GOOD else f"bad {value.reason.name}"] += 1
        if value.quality is Quality.GOOD and not right(value.value):
            findings.wrong.append(f"got {value.value} as good")


async def _until_right(driver: SnmpDriver, request: ReadRequest, findings: Findings, what: str) -> None:
    for _ in range(5):
        try:
            found = await driver.read(request, 1.0)
        except SilentError:  # one read may end among what the storm has left in the socket
            findings["silent after the storm"] += 1
            continue
        if all(value.quality is Quality.GOOD for value in found):
            return
    findings.wrong.append(f"{what}: not well after the storm")


async def fuzz_v3(frames: int, dice: random.Random, findings: Findings, folder: Path) -> None:
    """Spoilt answers of net-snmp's agent: whatever is flipped, it was signed."""
    agent = Snmpd(folder / "snmpd")
    agent.start()
    names = [NUMBER, *(f"{COLUMN}.{row}" for row in (1, 2, 3))]
    judges: list[Judge] = [right.__eq__ for right in (42.0, 1.0, 2.0, 3.0)]
    sent, storm, old = 0, False, deque[bytes](maxlen=50)

    def bend(answer: bytes) -> list[bytes]:
        nonlocal sent
        if not storm:
            return [answer]
        made = [dice.choice((cut(dice, answer), flipped(dice, answer, 0, len(answer)), noise(dice),
                             dice.choice(old) if old else noise(dice))) for _ in range(BATCH)]
        made.insert(dice.randrange(len(made) + 1), answer)
        old.append(answer)
        sent += len(made)
        return made

    try:
        async with UdpCounter(agent.port, bend) as relay:
            driver = SnmpDriver({**V3, "port": relay.port, "read_only": True, "timeout_s": 1.0})
            (request,) = driver.plan(DEVICE, [snmp_point(name) for name in names])
            await driver.open()
            while sent < frames:
                storm = True
                try:
                    await _read(driver, request, judges, findings)
                except DeviceError as error:  # of opening anew, in the storm
                    findings[f"open {type(error).__name__}"] += 1
                    storm = False
                    await driver.open()
            storm = False
            await driver.open()
            await _until_right(driver, request, findings, "v3")
            await driver.close()
    finally:
        agent.stop()
    findings["frames_v3"] += sent


async def fuzz_traps(frames: int, dice: random.Random, findings: Findings, folder: Path) -> None:
    """Everything but a true trap; then a true trap."""
    trap_port.PORTION_EVERY_S = traps.OPEN_EVERY_S = 0.0
    true = await caught(v3(), folder)
    ways = [v3(level="noAuthNoPriv"), v3(auth="another-secret"), v2c(), v3(user="stranger")]
    assert signed(true) == true
    models = [true, true, *[await caught(how, folder) for how in ways]]
    async with listening(trap_site(V3)) as heard:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", heard.port)
        )
        sent = await _storm(frames - frames // 20, heard, transport, lambda: _hostile_trap(dice, models, true))
        if heard.texts or heard.hurried:
            findings.wrong.append(f"events without a trap: {heard.texts[:3]}")
        # a device that has gone mad signs what it says: it may make events, and no more
        middle, end = len(true) // 2, len(true)
        sent += await _storm(frames // 20, heard, transport, lambda: signed(flipped(dice, true, middle, end)))
        heard.hurried.clear()
        transport.sendto(true)
        await until(lambda: bool(heard.hurried), HANG_S)
        transport.close()
        findings.update({f"trap {reason}": count for reason, count in heard.dropped.items()})
        findings["traps opened"] += heard.receiver.opened
    findings["frames_traps"] += sent


async def _storm(frames: int, heard: Heard, transport: Any, made: Callable[[], bytes]) -> int:
    """Send as fast as they are dealt with; eight at once are what one sender may have waiting."""
    before, sent = _seen(heard), 0
    while sent < frames:
        for _ in range(BATCH):
            transport.sendto(made())
        sent += BATCH
        await until(lambda due=before + sent: _seen(heard) >= due, HANG_S)  # type: ignore[misc]
    return sent


def _seen(heard: Heard) -> int:
    """Datagrams that are done with: dropped before the queue, or opened."""
    early = ("stranger", "unreadable", "credentials", "not authentic", "too many")
    return heard.receiver.opened + sum(heard.receiver.dropped[r] for r in early)


def _hostile_trap(dice: random.Random, models: list[bytes], true: bytes) -> bytes:
    kind = dice.randrange(20)
    if kind < 9:
        return noise(dice)
    model = dice.choice(models)
    if kind < 15:
        return cut(dice, model)
    made = flipped(dice, model, 0, len(model))
    return noise(dice) if made == true else made


def signed(message: bytes) -> bytes:
    """With the digest of the true user: a device that has gone mad, whose messages pysnmp is asked to open."""
    header = peek(message)
    if header is None:
        return message
    start, end = header.proof
    blank = message[:start] + bytes(end - start) + message[end:]
    key = Sha256Key.get_localized_key(Sha256Key.get_master_key(AUTH_SECRET.encode()), header.engine_id)
    return message[:start] + hmac.digest(key, blank, "sha256")[: end - start] + message[end:]


async def fuzz(frames: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """All three. Returns the counts, and what was wrong."""
    dice, findings, begun_s = random.Random(seed), Findings(), time.monotonic()  # no secret comes of it
    with tempfile.TemporaryDirectory() as name:
        await fuzz_reader(frames // 2, dice, findings)
        if SNMPD:
            await fuzz_v3(frames // 10, dice, findings, Path(name))
        if SNMPTRAP:
            await fuzz_traps(frames - frames // 2 - frames // 10, dice, findings, Path(name))
    seconds = time.monotonic() - begun_s
    total = sum(count for key, count in findings.items() if key.startswith("frames_"))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"frames": total, "seed": seed, "seconds": round(seconds, 1), "frames_per_s": round(total / seconds),
            "peak_mb": round(peak_mb), **dict(sorted(findings.items())), "wrong": len(findings.wrong)}, findings.wrong


def main() -> int:
    """Entry point; exit status 1 where something was wrong."""
    parser = argparse.ArgumentParser(description="fuzz the SNMP reader and the trap receiver")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.pop("RUST_BACKTRACE", None)
    said = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # gufo_snmp's panics say so there, each of them
    try:
        found, wrong = asyncio.run(fuzz(options.frames, options.seed))
    finally:
        os.dup2(said, 2)
    print("\n".join([json.dumps(found), *wrong[:20]]))  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
