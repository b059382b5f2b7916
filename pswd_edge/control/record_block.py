"""Cycles to a block of a recording, and back."""

from typing import Any, NamedTuple

import numpy as np

from pswd_edge.control import record_format as fmt
from pswd_edge.control.arbiter import Bound, Candidate
from pswd_edge.control.record_row import Seen, flags_of, numbers_of, reading_of, words_of
from pswd_edge.control.rules.law import Orders
from pswd_edge.model.snapshot import Snapshot, freeze

_TYPES: tuple[Any, ...] = (Orders, list[Candidate], list[Bound], list[Candidate], dict[str, Any])
"""Of what is kept by its changes: orders, candidates, bounds, trials, words."""


class Cycle(NamedTuple):
    """One recorded cycle, as it is replayed. `numbers` and `words` are what came out then."""

    snapshot: Snapshot
    dt_s: float
    orders: Orders
    asked: list[Candidate]
    bounds: list[Bound]
    trial: list[Candidate]
    numbers: dict[str, float]
    words: dict[str, Any]


class BlockBuilder:
    """Takes cycles that show the same points, one by one; `packed` makes the block and begins anew."""

    def __init__(self, tiers: tuple[str, ...], said: dict[int, bytes]) -> None:
        self._tiers, self._said = tiers, said
        self.points: tuple[int, ...] = ()
        self._clear()

    def _clear(self) -> None:
        self._base: list[list[float]] = []
        self._numbers: list[list[float]] = []
        self._flags: list[list[int]] = []
        self._out: list[dict[str, float]] = []
        self._changes: list[tuple[int, int, bytes]] = []

    def __len__(self) -> int:
        return len(self._base)

    def fits(self, seen: Seen) -> bool:
        """Whether the cycle shows the points of this block."""
        return not self._base or tuple(seen.snapshot.readings) == self.points

    def add(self, seen: Seen) -> None:
        """One more cycle. Some 100 µs of Python: the caller gives way between two."""
        snapshot, readings = seen.snapshot, list(seen.snapshot.readings.values())
        if not self._base:
            self.points = tuple(snapshot.readings)
        said = (seen.orders, seen.asked, seen.bounds, seen.trial, words_of(seen.decision, seen.shown, seen.verdicts))
        for kind, content in enumerate(said):
            encoded = fmt.encode(content)
            if self._said.get(kind) != encoded:
                self._said[kind] = encoded
                self._changes.append((len(self._base), kind, encoded))
        self._base.append([snapshot.time_s, snapshot.utc_s, seen.dt_s, float(snapshot.cycle)])
        self._numbers.append([x for r in readings for x in (r.value, r.received_s, r.age_s)])
        self._flags.append([flags_of(r) for r in readings])
        self._out.append(numbers_of(seen.decision, seen.shown, seen.verdicts, self._tiers))

    def packed(self) -> bytes:
        """The cycles so far as a block's payload."""
        cycles, width = len(self._base), len(self.points)
        base = fmt.bits(self._base)
        numbers = np.array(self._numbers, np.float64).reshape(cycles, width, 3)
        ages = base.view(np.float64)[:, :1] - numbers[:, :, 1]  # as the field reckons them: the rest is zeros
        names = list(dict.fromkeys(n for row in self._out for n in row))
        columns = {
            "base": fmt.packed(base), "value": fmt.packed(_bits(numbers[:, :, 0])),
            "received": fmt.packed(_bits(numbers[:, :, 1]), across=True),
            "age": fmt.packed(_bits(numbers[:, :, 2]) ^ _bits(ages)),
            "flags": fmt.packed(np.array(self._flags, np.uint64).reshape(cycles, width)),
            "out": fmt.packed(_with_holes(self._out, names)),
        }
        content = {"cycles": cycles, "points": self.points, "names": names, "changes": self._changes, **columns}
        self._clear()
        return fmt.encode(content)


def _bits(numbers: Any) -> fmt.Bits:
    return np.ascontiguousarray(numbers).view(np.uint64)


def _with_holes(rows: list[dict[str, float]], names: list[str]) -> fmt.Bits:
    """Numbers by name as columns; ABSENT where a cycle has none of that name."""
    found = np.full((len(rows), len(names)), fmt.ABSENT, np.uint64)
    places = {name: i for i, name in enumerate(names)}
    for k, row in enumerate(rows):
        found[k, [places[n] for n in row]] = fmt.bits(list(row.values()))
    return found


def cycles_of(payload: bytes, said: dict[int, bytes]) -> list[Cycle]:
    """A block's cycles; `said` carries what did not change from block to block. Raises FormatError."""
    content = fmt.decode(payload)
    cycles, points, names = content["cycles"], content["points"], content["names"]
    width = len(points)

    def column(name: str, count: int, *, across: bool = False) -> fmt.Bits:
        return fmt.unpacked(content[name], cycles, count, across=across)

    base = fmt.floats(column("base", 4))
    value, received = fmt.floats(column("value", width)), fmt.floats(column("received", width, across=True))
    age = fmt.floats(column("age", width) ^ _bits(base[:, :1] - received))
    flags, out = column("flags", width), column("out", len(names))
    changes: dict[int, list[tuple[int, bytes]]] = {}
    for row, kind, encoded in content["changes"]:
        changes.setdefault(row, []).append((kind, encoded))
    current: list[Any] = [fmt.decode(said[k], t) if k in said else None for k, t in enumerate(_TYPES)]
    found = []
    for k in range(cycles):
        for kind, encoded in changes.get(k, ()):
            said[kind], current[kind] = encoded, fmt.decode(encoded, _TYPES[kind])
        orders, asked, bounds, trial, words = current
        time_s, utc_s, dt_s, number = base[k].tolist()
        readings = {p: reading_of(*row) for p, *row in zip(
            points, value[k].tolist(), received[k].tolist(), age[k].tolist(), flags[k].tolist(), strict=True)}
        found.append(Cycle(freeze(int(number), time_s, utc_s, readings), dt_s, orders, asked, bounds, trial,
                           _named(names, out[k]), words))
    return found


def _named(names: list[str], row: fmt.Bits) -> dict[str, float]:
    numbers = fmt.floats(row).tolist()
    return {n: x for n, x, there in zip(names, numbers, (row != fmt.ABSENT).tolist(), strict=True) if there}
