"""A Modbus device for fuzzing: right answers of which each is unique, and what can become of them on the way.

Every answer to a read holds bytes that belong to this one request, so that an older answer, even to the same
question, is known as what it is. Answers leave in the order of the requests, as from any device; they may be
malformed, truncated, late, doubled or lost.

What no client could find out is left out: a unit that answers as another which is asked next, changed content behind
TCP's own checksum, a change that RTU's CRC does not see, and, without transaction ids, a double that comes apart from
its twin, after the next request.
"""

import random
import struct
from collections.abc import Callable

from pymodbus.framer import FramerRTU

from tests.fuzz.virtual_loop import VirtualLoop

HEAD = struct.Struct(">HHHB")
LATE_UP_TO_S = 1.0
_STRANGER = 100
_FATES = {"right": 45, "late": 4, "lost": 4, "truncated": 7, "after noise": 8, "noise": 5, "refused": 5, "doubled": 4,
          "another": 8, "broken": 8}


def rtu(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


class Device:
    """Takes requests (PDUs) and emits frames to `hear`. `content` is the newest request's right answer."""

    def __init__(self, framing: str, loop: VirtualLoop, rng: random.Random) -> None:
        self.framing, self._loop, self._rng = framing, loop, rng
        self.hear: Callable[[bytes], None] = lambda _: None
        self.frames = 0
        self.content = b""
        self.echoed: set[tuple[int, bytes]] = set()
        self._number = 0
        self._last_s = 0.0
        self._session = 0

    def hang_up(self) -> None:
        """What was on the way is lost with the connection."""
        self._session += 1

    def take(self, unit: int, pdu: bytes, transaction: int) -> None:
        """A request came."""
        self._number += 1
        self.content = self._right(pdu)
        for delay_s, frame in self._emitted(unit, self.content, transaction):
            self._later(delay_s, frame)
        if pdu[0] in (5, 6, 15, 16):
            self.echoed.add((unit, pdu[:5]))

    def _right(self, pdu: bytes) -> bytes:
        if pdu[0] in (5, 6, 15, 16):
            return pdu[:5]
        (count,) = struct.unpack_from(">H", pdu, 3)
        size = (count + 7) // 8 if pdu[0] in (1, 2) else 2 * count
        if pdu[0] == 23:
            return bytes((23, size)) + pdu[10:]
        unique = struct.pack(">I", self._number * 2654435761 & 0xFFFFFFFF)
        return bytes((pdu[0], size)) + (unique * (size // 4 + 1))[:size]

    def _later(self, delay_s: float, frame: bytes) -> None:
        self.frames += 1
        due_s = self._last_s = max(self._last_s, self._loop.now_s + delay_s)
        session = self._session

        def deliver(part: bytes) -> None:
            if session == self._session:
                self.hear(part)

        pieces = self._rng.choice((0, 0, 0, 1, 3))
        doubled = 2 * frame[: len(frame) // 2] == frame
        if doubled and self.framing != "tcp":
            pieces = 0
        cuts = sorted(self._rng.randrange(len(frame) + 1) for _ in range(pieces))
        for n, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(frame)], strict=True)):
            if end > start:
                self._loop.call_later(due_s - self._loop.now_s + 1e-4 * n, deliver, frame[start:end])
        self._last_s = due_s + 1e-4 * len(cuts)

    # --- what becomes of an answer ------------------------------------------------------------------------------

    def _emitted(self, unit: int, pdu: bytes, transaction: int) -> list[tuple[float, bytes]]:
        """Delays, and what comes then."""
        rng = self._rng
        (fate,) = rng.choices(tuple(_FATES), tuple(_FATES.values()))
        delay_s = rng.uniform(0.02, LATE_UP_TO_S) if fate == "late" else rng.uniform(0.0, 0.02)
        right = self._frame(unit, pdu, transaction)
        found: dict[str, Callable[[], list[bytes]]] = {
            "lost": list,
            "truncated": lambda: [right[: rng.randrange(len(right))]],
            "after noise": lambda: [self._noise(), right],
            "noise": lambda: [self._noise()],
            "refused": lambda: [self._frame(unit, bytes((pdu[0] | 0x80, rng.randrange(256))), transaction)],
            "doubled": lambda: [right + right],
            "another": lambda: [self._other(unit, pdu, transaction)],
            "broken": lambda: [self._broken(right)],
        }
        return [(delay_s, frame) for frame in found.get(fate, lambda: [right])()]

    def _frame(self, unit: int, pdu: bytes, transaction: int) -> bytes:
        if self.framing.startswith("rtu"):
            return rtu(unit, pdu)
        number = transaction if self.framing == "tcp" else self._rng.choice((0, 1, transaction))
        return HEAD.pack(number, 0, len(pdu) + 1, unit) + pdu

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.choice((1, 2, 3, 7, 20, 300)))

    def _other(self, unit: int, pdu: bytes, transaction: int) -> bytes:
        """Well-formed, and not the answer: another unit, function, length or transaction."""
        kind = self._rng.randrange(4)
        if kind == 0:
            return self._frame(unit + _STRANGER, pdu, transaction)
        if kind == 1:
            return self._frame(unit, bytes((pdu[0] % 6 + 1,)) + pdu[1:], transaction) if pdu[0] < 5 else self._noise()
        if kind == 2 or self.framing != "tcp":
            more = 2 * self._rng.randint(1, 3)
            longer = bytes((pdu[0], pdu[1] + more & 0xFF)) + pdu[2:] + bytes(more)
            return self._frame(unit, longer, transaction)
        return self._frame(unit, pdu, transaction ^ self._rng.randint(1, 0xFFFF))

    def _broken(self, right: bytes) -> bytes:
        """Bytes changed. On TCP in head only: its content is protected by TCP, and nothing could tell."""
        protected = self.framing.startswith("rtu")
        while True:
            spoilt = bytearray(right)
            first, end = {"tcp": (0, 9), "ordered": (2, 6)}.get(self.framing, (0, len(right)))
            for _ in range(self._rng.randint(1, 4)):
                at = self._rng.randrange(first, end)
                spoilt[at] ^= 1 << self._rng.randrange(8)
            if spoilt != right and not (protected and spoilt == rtu(spoilt[0], bytes(spoilt[1:-2]))):
                return bytes(spoilt)
