"""Where the SunSpec models of each unit are: the chain of model headers, walked when a unit is first asked.

Source: SunSpec Device Information Model Specification 1.1, 6.2: the marker "SunS" at 40000, 50000 or 0, then models as
{ID, L, L registers}, then the end model 0xFFFF.
"""

import struct
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pswd_edge.errors import DecodeError, RefusedError, SilentError

BASES = (40000, 50000, 0)
MODELS_MAX = 64               # of one unit: a chain that goes on for ever is none
WALK_S = 0.5                  # of one read, so that a long chain does not keep the units beside it waiting
_MARKER = b"SunS"
_END = 0xFFFF
_NOTHING_THERE = (1, 2, 3, 4)  # exception codes; others (busy, gateway) say nothing of the register
_ILLEGAL_ADDRESS = 2          # what the device would have said
_REWALK_EVERY = 64
ReadWords = Callable[[int, int, int, float], Awaitable[bytes]]
"""unit, first register, count, time-out in s: the registers as they came. Raises as `Driver.read`."""


class Need(NamedTuple):
    """What a request needs of a model: `end` registers of it, ID and L counted, and these `counts` in it."""

    model: int
    occurrence: int
    end: int
    counts: tuple[tuple[int, int], ...] = ()


class Model(NamedTuple):
    """A model of the chain: the address of its ID register, and L."""

    id: int
    at: int
    length: int

    @property
    def head(self) -> bytes:
        """Its first two registers."""
        return struct.pack(">HH", self.id, self.length)


class Chain:
    """What is known of one unit's chain. Made step by step: `at` is the register to read next, two words of it.

    `end` and `end_words` are where it ended and what stood there, None where the device refused; `refusals` counts
    requests that were refused although the chain says that they should not be.
    """

    def __init__(self, old: "Chain | None" = None) -> None:
        self.models: list[Model] = []
        self.done = False
        self.end = BASES[0]
        self.end_words: bytes | None = None
        self.refusals: int = 0 if old is None else old.refusals
        self.counted: set[tuple[int, int, int]] = set()
        self._placed: dict[tuple[int, int], Model] = {}
        self._old = None if old is None else old.models
        self._bases = list(BASES)
        self._in_models = False
        self.at = BASES[0]

    def take(self, words: bytes | None) -> None:
        """Two words came from `at`, or None where the device has nothing there."""
        if self._in_models:
            self._take_header(words)
        elif words == _MARKER:
            self._in_models, self.at = True, self.at + 2
        else:
            self._next_base(words)

    def pass_over(self) -> None:
        """No answer from `at`: another base goes first next time, as some devices are silent where they are empty."""
        if not self._in_models:
            self._bases.append(self._bases.pop(0))
            self.at = self._bases[0]

    def _next_base(self, words: bytes | None) -> None:
        if self.at == BASES[0]:
            self.end_words = words
        self._bases.pop(0)
        if self._bases:
            self.at = self._bases[0]
        else:
            self._finish(BASES[0], self.end_words)

    def _take_header(self, words: bytes | None) -> None:
        model, length = (_END, 0) if words is None else struct.unpack(">HH", words)
        if model == _END:
            self._finish(self.at, words)
            return
        after = self.at + 2 + length
        if length == 0 or after > _END - 1 or len(self.models) == MODELS_MAX:
            found, self.models, self._in_models, self._bases = self.models, [], False, list(BASES)
            wrong, self.at = self.at, BASES[0]
            raise DecodeError(f"SunSpec chain: got ID {model} with length {length} at {wrong}, behind "
                              f"{_listed(found)}: expected a model or the end 0xFFFF; walked anew at the next read")
        self.models.append(Model(model, self.at, length))
        self.at = after

    def _finish(self, at: int, words: bytes | None) -> None:
        self.done, self.end, self.end_words = True, at, words
        for model in self.models:
            occurrence = sum(placed == model.id for placed, _ in self._placed)
            self._placed[model.id, occurrence] = model
        if self.models != self._old:
            self.refusals = 0

    def find(self, need: Need) -> Model | None:
        """The model, or None where the chain has it not, or is not known to its end."""
        return self._placed.get((need.model, need.occurrence))


class Chains:
    """The chains of the units of one connection. `walks` counts how often one was begun."""

    def __init__(self, read_words: ReadWords) -> None:
        self._read_words = read_words
        self._chains: dict[int, Chain] = {}
        self.walks = 0

    def forget(self) -> None:
        """The connection is new: so may be what is behind it."""
        self._chains.clear()

    def known(self, unit: int, need: Need) -> int | None:
        """As `locate`, where no exchange is needed to tell; None elsewhere."""
        chain = self._chains.get(unit)
        found = chain.find(need) if chain is not None and chain.done else None
        if chain is None or found is None or found.length + 2 < need.end:
            return None
        return found.at if all((found.at, *count) in chain.counted for count in need.counts) else None

    async def locate(self, unit: int, need: Need, timeout_s: float) -> int:
        """The address of the model's ID register; walks the chain where that is not known.

        Raises RefusedError, with the code of an illegal address, where the model is missing or shorter than needed;
        DecodeError where the chain makes no sense or takes longer than `WALK_S`, to go on at the next call.
        """
        chain = self._chains.get(unit)
        if chain is None:
            chain = self._begin(unit, None)
        if not chain.done:
            await self._walk(unit, chain, timeout_s)
        found = chain.find(need)
        if found is None:
            await self._confirm(unit, chain.end, chain.end_words, timeout_s)
            raise RefusedError(f"unit {unit} has no SunSpec model {_named(need)}: got {_listed(chain.models)}: "
                               "expected it in the chain; looked for at every read", _ILLEGAL_ADDRESS)
        if found.length + 2 < need.end:
            await self._confirm(unit, found.at, found.head, timeout_s)
            raise RefusedError(f"SunSpec model {_named(need)} of unit {unit} at {found.at}: got {found.length + 2} "
                               f"registers: expected {need.end} at least, as the map says; looked at again at every "
                               "read", _ILLEGAL_ADDRESS)
        for register, expected in need.counts:
            await self._count(unit, chain, found, register, expected, timeout_s)
        return found.at

    def doubt(self, unit: int, code: int | str) -> None:
        """A request that the chain allows was refused: walk anew, more and more rarely where nothing new is found."""
        chain = self._chains.get(unit)
        if chain is None or code not in _NOTHING_THERE:
            return
        chain.refusals += 1
        n = chain.refusals
        if n & (n - 1) == 0 or n % _REWALK_EVERY == 0:
            self._begin(unit, chain)

    def check_head(self, unit: int, need: Need, registers: bytes) -> None:
        """Raise DecodeError where the first two registers of a model are no longer its ID and length."""
        chain = self._chains.get(unit)
        found = None if chain is None else chain.find(need)
        if found is not None and registers[:4] == found.head:
            return
        self._chains.pop(unit, None)
        model, length = struct.unpack(">HH", registers[:4])
        at = f" at {found.at}" if found is not None else ""
        raise DecodeError(f"unit {unit}: got ID {model} with length {length}{at}: expected SunSpec model "
                          f"{_named(need)}; the models have moved and the chain is walked anew at the next read")

    def _begin(self, unit: int, old: Chain | None) -> Chain:
        self.walks += 1
        chain = self._chains[unit] = Chain(old)
        return chain

    async def _walk(self, unit: int, chain: Chain, timeout_s: float) -> None:
        until_s = time.monotonic() + WALK_S
        while True:
            try:
                chain.take(await self._words(unit, chain.at, timeout_s))
            except SilentError:
                chain.pass_over()
                raise
            if chain.done:
                return
            if time.monotonic() > until_s:
                raise DecodeError(f"unit {unit}: got {_listed(chain.models)} of its SunSpec chain in {WALK_S} s: "
                                  "expected its end; the walk goes on at the next read")

    async def _words(self, unit: int, at: int, timeout_s: float) -> bytes | None:
        """Two registers, or None where the device has nothing there."""
        try:
            return await self._read_words(unit, at, 2, timeout_s)
        except RefusedError as error:
            if error.code in _NOTHING_THERE:
                return None
            raise

    async def _confirm(self, unit: int, at: int, words: bytes | None, timeout_s: float) -> None:
        """What the chain lacks may have come: one exchange tells, and proves that the unit is there to refuse."""
        if await self._words(unit, at, timeout_s) == words:
            return
        self._chains.pop(unit, None)
        raise DecodeError(f"unit {unit}: its SunSpec chain is another one at {at}; walked anew at the next read")

    async def _count(
        self, unit: int, chain: Chain, model: Model, register: int, expected: int, timeout_s: float
    ) -> None:
        key = (model.at, register, expected)
        if key in chain.counted:
            return
        found = int.from_bytes(await self._read_words(unit, model.at + register, 1, timeout_s), "big")
        if found != expected:
            raise RefusedError(f"SunSpec model {model.id} of unit {unit}: got {found} in its register {register}: "
                               f"expected {expected}, as `counts` of the map says; the points behind lie elsewhere",
                               _ILLEGAL_ADDRESS)
        chain.counted.add(key)


def _named(need: Need) -> str:
    return f"{need.model}[{need.occurrence}]" if need.occurrence else str(need.model)


def _listed(models: list[Model]) -> str:
    """As in "1, 701, 704 from 40002"; the usual bases where there are none."""
    if not models:
        return "no SunSpec marker with a model at " + ", ".join(map(str, BASES))
    return ", ".join(str(m.id) for m in models) + f" from {models[0].at}"
