"""Broken, cut and late OPC UA messages at the client: `python -m tests.fuzz.opcua --frames 1000000 --seed 1`.

Three ways in, chosen at random: a stream of frames into the connection (wrong sizes, channels, tokens, sequence and
request numbers, answers twice, late, cut, in pieces), a body into the decoder of Read answers, and a publication into
a subscription. What must hold, whatever comes: nothing but the errors that the driver maps leaves the code, no request
gets another one's answer, what is kept is bounded, and every value that our decoder accepts is the one that asyncua
reads from the same bytes. All in this process: no socket, no clock.
"""

import argparse
import asyncio
import json
import logging
import math
import random
import time
import warnings
from typing import Any

from asyncua import ua
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from asyncua.ua.uaerrors import UaStatusCodeError

from pswd_edge.errors import DecodeError
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua_answer import read_values
from pswd_edge.field.drivers.opcua_feed import Feed
from pswd_edge.field.drivers.opcua_link import FRAME_MAX, MESSAGE_MAX, OUTSTANDING_MAX, Link, Prepared
from pswd_edge.field.drivers.opcua_watch import Wish
from pswd_edge.model.quality import Quality, Reason

NODES = 4
CHANNEL, TOKEN = 7, 2
_V = ua.VariantType
_TYPES: list[tuple[Any, list[Any]]] = [
    (_V.Double, [0.0, -1.5, 1e300, math.nan, math.inf]), (_V.Float, [2.5, -0.0]), (_V.Boolean, [True, False]),
    (_V.SByte, [-128, 127]), (_V.Byte, [0, 255]), (_V.Int16, [-32768]), (_V.UInt16, [65535]), (_V.Int32, [-(2**31)]),
    (_V.UInt32, [2**32 - 1]), (_V.Int64, [-(2**63)]), (_V.UInt64, [2**64 - 1]), (_V.String, ["text", "", None]),
    (_V.ByteString, [b"\x00\xff"]), (_V.NodeId, [ua.NodeId("a", 2), ua.NodeId(ua.Int32(70000), 1)]),
    (_V.LocalizedText, [ua.LocalizedText("text", "en")]), (_V.QualifiedName, [ua.QualifiedName("name", 1)]),
    (_V.StatusCode, [ua.StatusCode(ua.UInt32(0x80000000))]), (_V.Null, [None]),
]  # fmt: skip
_ARRAYS: list[tuple[Any, list[Any]]] = [(_V.Double, [1.0, 2.0]), (_V.String, ["a", None]), (_V.Int32, [])]
_STATUS = [None, 0, 0x00300000, 0x40000000, 0x408F0000, 0x80000000, 0x80320000, 0xC0000000]


# --- the reference ----------------------------------------------------------------------------------------------------


def reference(answer: ua.DataValue) -> Value:
    """What a DataValue means, by asyncua's own decoding: the driver's rule before it had a decoder of its own."""
    severity = 0 if answer.StatusCode is None else answer.StatusCode.value >> 30
    stamp = answer.SourceTimestamp
    source_utc_s = None if stamp is None or not 1601 < stamp.year < 9999 else stamp.timestamp()
    if severity > 1:
        return Value(math.nan, Quality.BAD, Reason.DEVICE, source_utc_s)
    raw = None if answer.Value is None else answer.Value.Value
    if not isinstance(raw, int | float):
        return Value(math.nan, Quality.BAD, Reason.UNDECODABLE, source_utc_s)
    if not math.isfinite(float(raw)):
        return Value(math.nan, Quality.BAD, Reason.NOT_A_NUMBER, source_utc_s)
    quality, reason = (Quality.UNCERTAIN, Reason.DEVICE) if severity else (Quality.GOOD, Reason.NONE)
    return Value(float(raw), quality, reason, source_utc_s)


def same(ours: Value, theirs: Value) -> bool:
    """Equal; both NaN counts as equal, time stamps to what a float holds in the year 9000.

    Ours may be no number where asyncua's is: it unpacks a Variant that holds a Variant, which the standard forbids.
    """
    if ours.reason is Reason.UNDECODABLE and theirs.reason is not Reason.DEVICE:
        return True
    if (ours.quality, ours.reason) != (theirs.quality, theirs.reason):
        return False
    if not (ours.value == theirs.value or (math.isnan(ours.value) and math.isnan(theirs.value))):
        return False
    if ours.source_utc_s is None or theirs.source_utc_s is None:
        return ours.source_utc_s is theirs.source_utc_s
    return abs(ours.source_utc_s - theirs.source_utc_s) < 1e-4


def check_against_asyncua(body: bytes, ours: list[Value]) -> None:
    """Where asyncua can read the answer too, it must have read the same. Only then: it takes apart more than we do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = struct_from_binary(ua.ReadResponse, ua.utils.Buffer(body)).Results
    except Exception:  # noqa: BLE001  # it raises whatever its parser met
        return
    for mine, theirs in zip(ours, answers, strict=True):
        if theirs.SourcePicoseconds is not None and theirs.ServerTimestamp is not None:
            continue  # asyncua has these two in the wrong order (OPC 10000-6, 5.2.2.17)
        assert same(mine, reference(theirs)), (body.hex(), mine, theirs)


# --- messages ---------------------------------------------------------------------------------------------------------


def data_value(chance: random.Random) -> ua.DataValue:
    """Any value that a server may send."""
    if chance.random() < 0.1:
        kind, array = chance.choice(_ARRAYS)
        variant = ua.Variant(array, kind, is_array=True)
    else:
        kind, values = chance.choice(_TYPES[:11] if chance.random() < 0.7 else _TYPES)
        variant = ua.Variant(chance.choice(values), kind)
    status = chance.choice(_STATUS)
    found = ua.DataValue(variant, StatusCode=None if status is None else ua.StatusCode(ua.UInt32(status)))
    if chance.random() < 0.7:
        found.SourceTimestamp = ua.win_epoch_to_datetime(chance.randrange(10**17, 2 * 10**17))
    if chance.random() < 0.2:
        found.ServerTimestamp = ua.win_epoch_to_datetime(chance.randrange(10**17, 2 * 10**17))
    return found


def read_response(chance: random.Random, handle: int) -> bytes:
    """A right answer, by asyncua."""
    response = ua.ReadResponse()
    response.ResponseHeader.RequestHandle = handle
    response.Results = [data_value(chance) for _ in range(NODES)]
    return struct_to_binary(response)


def publish_response(chance: random.Random, handle: int) -> bytes:
    """A right publication for subscription 1, by asyncua."""
    response = ua.PublishResponse()
    response.ResponseHeader.RequestHandle = handle
    response.Parameters.SubscriptionId = 1
    message = response.Parameters.NotificationMessage
    message.SequenceNumber = chance.randrange(1, 4)
    if chance.random() < 0.8:
        items = [ua.MonitoredItemNotification(chance.randrange(1, 6), data_value(chance)) for _ in range(3)]
        message.NotificationData.append(ua.DataChangeNotification(MonitoredItems=items))
    if chance.random() < 0.1:
        message.NotificationData.append(ua.StatusChangeNotification(Status=ua.StatusCode(ua.UInt32(0x800A0000))))
    return struct_to_binary(response)


_SPOIL = (
    b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", b"\xfe\xff\xff\xff", b"\x80", b"\xc0", b"\x8d\x01",
)  # fmt: skip


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Bits turned, lengths spoiled, cut, doubled, or left as it is."""
    made = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 5))):
        at = chance.randrange(len(made) or 1)
        match chance.randrange(6):
            case 0 | 1:
                if made:
                    made[at % len(made)] ^= 1 << chance.randrange(8)
            case 2:
                spoil = chance.choice(_SPOIL)
                made[at : at + len(spoil)] = spoil
            case 3:
                del made[at:]
            case 4:
                del made[at : at + chance.randrange(1, 9)]
            case _:
                made[at:at] = made[at : at + chance.randrange(1, 30)]
    return bytes(made)


def frame(
    sequence: int, number: int, body: bytes, chunk: bytes = b"F", channel: int = CHANNEL, token: int = TOKEN
) -> bytes:
    """A message in one chunk, without security."""
    sizes = (24 + len(body), channel, token, sequence, number)
    return b"MSG" + chunk + b"".join(n.to_bytes(4, "little") for n in sizes) + body


class Wire:
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, _: bytes) -> None:
        """Thrown away."""

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def abort(self) -> None:
        """Close."""
        self.closed = True

    close = abort


def new_link() -> Link:
    """A connection with an open channel."""
    link = Link(1.0, SecurityPolicyNone())
    link.connection_made(Wire())  # type: ignore[arg-type]
    token = link._connection.security_token
    token.ChannelId, token.TokenId = CHANNEL, TOKEN
    link._connection._open, link._connection._peer_sequence_number = True, 0
    return link


# --- the three ways in ------------------------------------------------------------------------------------------------


class Fuzz:
    """One run. `counts` says how often what came of a frame."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.counts: dict[str, int] = {"taken": 0, "refused": 0, "cut": 0, "compared": 0, "waiting": 0}
        self.bodies = [read_response(self.chance, 0) for _ in range(300)]
        self.publications = [publish_response(self.chance, 0) for _ in range(300)]
        self.read = Prepared(ua.ReadRequest(), ua.NodeId(ua.Int32(1)))
        self.link, self.asked = new_link(), {}
        self.sequence = 0
        self.late: list[bytes] = []
        self.spoiled_rest = False  # the beginning of a spoiled frame waits for its end

    def body(self, handle: int) -> bytes:
        """A right answer to a request."""
        found = self.chance.choice(self.bodies)
        return found[:12] + handle.to_bytes(4, "little") + found[16:]

    def decoder(self) -> None:
        """A body that arrived whole."""
        body = mutated(self.chance, self.body(5))
        try:
            values = read_values(body, 5, NODES)
        except (DecodeError, UaStatusCodeError):
            self.counts["refused"] += 1
            return
        self.counts["taken"] += 1
        assert len(values) == NODES
        assert body[12:16] == b"\x05\x00\x00\x00"
        if self.chance.random() < 0.3:
            self.counts["compared"] += 1
            check_against_asyncua(body, values)

    def stream(self) -> None:
        """A frame that may be anything but right, to a connection that waits for answers."""
        if self.link.transport is None or self.link.transport.is_closing() or len(self.asked) > OUTSTANDING_MAX // 2:
            self.link.connection_lost(None)
            assert all(future.done() for _, future, _ in self.asked.values()), "nobody waits at a closed connection"
            self.link, self.asked, self.sequence, self.late, self.spoiled_rest = new_link(), {}, 0, [], False
        handle, future = self.link.ask(self.read)
        number, answer = self.link._request_id, self.body(handle)
        self.asked[number] = (handle, future, answer)
        data, kind = self._spoiled(number, answer)
        cuts = sorted(self.chance.randrange(len(data) + 1) for _ in range(self.chance.choice((0, 0, 1, 3))))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            self.link.data_received(data[start:end])
        assert len(self.link._rest) <= FRAME_MAX + len(data)
        assert self.link._connection._incoming_size <= MESSAGE_MAX + FRAME_MAX
        self.spoiled_rest |= kind == "body" and bool(self.link._rest or self.link._connection._incoming_parts)
        self._collect(kind)

    def _spoiled(self, number: int, answer: bytes) -> tuple[bytes, str]:
        """The frame to send; kind "body" is one whose own body was spoiled."""
        self.sequence += 1
        way = self.chance.randrange(12)
        if way == 0:
            return frame(self.sequence, number, mutated(self.chance, answer)), "body"
        if way == 1:
            return mutated(self.chance, frame(self.sequence, number, answer)), "body"
        if way < 6:
            return self._misled(way, number, answer), "header"
        return self._mistimed(way, number, answer), "header"

    def _misled(self, way: int, number: int, answer: bytes) -> bytes:
        """A right answer with one wrong number in its header."""
        chance, sequence = self.chance, self.sequence
        match way:
            case 2:
                return frame(sequence, number + chance.choice((-1, 1, 1000)), answer)
            case 3:
                return frame(sequence + chance.choice((-1, 1, 2**31)), number, answer)
            case 4:
                return frame(sequence, number, answer, channel=CHANNEL + 1)
        return frame(sequence, number, answer, token=chance.choice((0, 1, 3)))

    def _mistimed(self, way: int, number: int, answer: bytes) -> bytes:
        """A right answer in two chunks, later, for another request, twice, after something else, or as it should be."""
        chance, sequence = self.chance, self.sequence
        match way:
            case 6:
                self.sequence += 1
                half, last = chance.randrange(len(answer)), chance.choice((b"F", b"F", b"A", b"C", b"X"))
                return frame(sequence, number, answer[:half], b"C") + frame(sequence + 1, number, answer[half:], last)
            case 7:
                self.late.append(answer)
                self.sequence -= 1
                return b""
            case 8 if self.late:
                return frame(sequence, number, self.late.pop())
            case 9:
                self.sequence += 1
                return frame(sequence, number, answer) + frame(sequence + 1, number, answer)
            case 10:
                kind = chance.choice((b"HELF", b"ACKF", b"ERRF", b"OPNF", b"CLOF", b"RHEF", b"GET "))
                return kind + chance.randrange(8, 200).to_bytes(4, "little") + chance.randbytes(192)
        return frame(sequence, number, answer)

    def _collect(self, kind: str) -> None:
        """Whoever was answered must have got their own answer."""
        for number, (handle, future, answer) in tuple(self.asked.items()):
            if not future.done():
                continue
            del self.asked[number]
            if future.exception() is not None:
                self.counts["cut"] += 1
                continue
            got = future.result()
            try:
                values = read_values(got, handle, NODES)
            except (DecodeError, UaStatusCodeError):
                self.counts["refused"] += 1
                continue
            self.counts["taken"] += 1
            assert got[12:16] == handle.to_bytes(4, "little")
            if kind == "header" and not self.spoiled_rest:
                assert got == answer
            elif self.chance.random() < 0.3:
                self.counts["compared"] += 1
                check_against_asyncua(got, values)
        self.counts["waiting"] = len(self.asked)

    async def subscription(self) -> None:
        """A spoiled publication to a session with one subscription of four items."""
        link = new_link()
        feed = Feed(link, ua.NodeId(ua.Int32(1)), 100, 60.0)
        batch = object()
        feed.want(Wish(batch, None, [ua.NodeId(ua.Int32(n), ua.Int16(1)) for n in range(4)], [0.0] * 4, 1000))
        (future,) = link._asked.values()
        made = ua.CreateSubscriptionResponse()
        made.Parameters = ua.CreateSubscriptionResult(1, 500.0, 100, 2)
        made.ResponseHeader.RequestHandle = 1
        body = struct_to_binary(made)
        future.set_result(mutated(self.chance, body) if self.chance.random() < 0.3 else body)
        await asyncio.sleep(0)  # its callback
        for number, waiting in tuple(link._asked.items()):
            if waiting.done():
                continue
            told = self.chance.choice(self.publications)
            told = told[:12] + number.to_bytes(4, "little") + told[16:]  # request and handle count alike here
            waiting.set_result(mutated(self.chance, told))
        await asyncio.sleep(0)
        assert len(link._asked) <= OUTSTANDING_MAX
        values = feed.values(batch)
        assert values is None or all(v.quality is Quality.BAD or math.isfinite(v.value) for v in values)
        self.counts["taken" if feed._watches else "refused"] += 1
        feed.close()
        link.connection_lost(None)

    async def step(self) -> None:
        """One frame."""
        choice = self.chance.random()
        if choice < 0.45:
            self.decoder()
        elif choice < 0.9:
            self.stream()
        else:
            await self.subscription()


async def run(frames: int, seed: int, seconds: float = math.inf) -> dict[str, Any]:
    """Fuzz until `frames` or `seconds` are over. Raises what must not happen."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)  # it tells each broken frame with a traceback
    fuzz, begun_s, done = Fuzz(seed), time.monotonic(), 0
    for done in range(1, frames + 1):
        await fuzz.step()
        if done % 1000 == 0 and time.monotonic() - begun_s > seconds:
            break
    return {"frames": done, "seed": seed, "seconds": round(time.monotonic() - begun_s, 1), **fuzz.counts}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="fuzz the OPC UA client")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(run(options.frames, options.seed, options.seconds))))  # noqa: T201


if __name__ == "__main__":
    main()
