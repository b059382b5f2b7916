"""SunSpec devices that move their models, lie about them, refuse and fall silent, against the reader of models.

`python -m tests.fuzz.sunspec --frames 1000000 --seed 1` for a million exchanges. The invariant: nothing but the errors
of `pswd_edge.errors` comes out, no read asks more than the longest chain has headers, and every register that is
returned is of the model that was asked for, as the device has it now.
"""

import argparse
import asyncio
import random
import struct

from pswd_edge.errors import DeviceError, RefusedError, SilentError
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.drivers.sunspec_chain import MODELS_MAX
from pswd_edge.field.drivers.sunspec_read import ModelReads
from pswd_edge.model.point import ModbusAddress, Point
from tests.field.fieldmaker import modbus_device

MODELS = (1, 103, 124, 203, 701, 64201)
LONGEST_READ = MODELS_MAX + 20


class Device:
    """Register n of model m holds m * 37 + n; ID and length as they are."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.frames = 0
        self.words: dict[int, int] = {}
        self._silent = False
        self.update()

    def update(self) -> None:
        """Another firmware: other models, another order, another base, perhaps no end."""
        chance = self._chance
        at = chance.choice((40000, 50000, 0, 0, 40000, 123))
        chain = [(chance.choice(MODELS), chance.randint(1, 160)) for _ in range(chance.randint(0, 8))]
        words = {at: 0x5375, at + 1: 0x6E53}
        at += 2
        for model, length in chain:
            words |= {at: model, at + 1: length} | {at + n: (model * 37 + n) & 0xFFFF for n in range(2, length + 2)}
            at += length + 2
        if chance.random() < 0.9:
            words |= {at: 0xFFFF, at + 1: chance.choice((0, 0, 7))}
        elif chance.random() < 0.5:
            words |= {at: chance.randint(0, 0xFFFF), at + 1: chance.choice((0, 0xFFFF, 60000))}
        self.words = words

    async def exchange(self, _unit: int, pdu: bytes, _timeout_s: float) -> bytes:
        self.frames += 1
        function, start, count = struct.unpack(">BHH", pdu)
        fate = self._chance.random()
        if fate < 0.003:
            self.update()
        if fate > 0.98:
            raise SilentError("no answer in time")
        if fate > 0.97:
            code = self._chance.choice((1, 2, 4, 6, 10, 11))
            raise RefusedError(f"exception code {code}", code)
        if fate > 0.965:
            return bytes((function, 2 * count)) + bytes(self._chance.randint(0, 2 * count))[: 2 * count - 1]
        if any(start + n not in self.words for n in range(count)):
            raise RefusedError("exception code 2", 2)
        return bytes((function, 2 * count)) + b"".join(
            self.words[start + n].to_bytes(2, "big") for n in range(count))


def points(model: int, last: int) -> list[Point]:
    return [Point(0, "p", 0, "p", "1", ModbusAddress(last, "uint16", model=model, scale_register=2))]


async def fuzz(frames: int, seed: int) -> tuple[int, int]:
    """Reads that were answered, and those that were not."""
    chance = random.Random(seed)
    device = Device(chance)
    reads, driver = ModelReads(device.exchange), ModbusDriver({"host": "127.0.0.1", "port": 1})
    answered = failed = 0
    while device.frames < frames:
        if chance.random() < 0.001:
            reads.forget()
        before = device.frames
        limit = chance.choice((125, 125, 40))
        asked = points(chance.choice(MODELS), chance.randint(2, 150))
        (request,) = driver.plan(modbus_device(max_registers=limit), asked)
        try:
            pdu = await reads.read(request, 1.0)
            reads.check(request, pdu[2:])
        except DeviceError as error:
            failed += 1
            if isinstance(error, RefusedError):
                reads.doubt(1, error.code)
        else:
            answered += 1
            check(request.payload.need.model, request.payload.span.length, pdu[2:])
        assert device.frames - before <= LONGEST_READ
    return answered, failed


def check(model: int, length: int, registers: bytes) -> None:
    words = struct.unpack(f">{length}H", registers)
    assert words[0] == model
    assert list(words[2:]) == [(model * 37 + n) & 0xFFFF for n in range(2, length)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    answered, failed = asyncio.run(fuzz(options.frames, options.seed))
    print(f"{options.frames} exchanges, seed {options.seed}: {answered} reads answered, "  # noqa: T201  # a program
          f"{failed} not; no violation")


if __name__ == "__main__":
    main()
