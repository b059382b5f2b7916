"""Recorded cycles through the rules again: the same outputs bit for bit, or where they differ.

The inputs are those of the recording, also where other rules would have led the batteries elsewhere: it shows what the
rules would have said in each cycle, not where the site would have gone. For that there is `pswd-edge replay` of a load.
"""

import csv
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from pswd_edge.clock import iso_utc
from pswd_edge.control.record_block import Cycle, cycles_of
from pswd_edge.control.record_file import SUFFIX, Head, rules_version
from pswd_edge.control.record_format import BLOCK, HEAD, FormatError, decode, frames, tail_of
from pswd_edge.control.record_row import numbers_of, words_of
from pswd_edge.control.record_state import StateError, restored
from pswd_edge.control.rules import law
from pswd_edge.control.setpoints import Setpoints
from pswd_edge.control.shadow import decided
from pswd_edge.control.succession import carried_law, moved_points
from pswd_edge.errors import PswdError
from pswd_edge.model.site import Site, decode_site
from pswd_edge.model.snapshot import freeze

_DOUBLE = struct.Struct("<d")


class Difference(NamedTuple):
    """One output that is another: in how many cycles, from which on, and by how much at most (None: no number)."""

    name: str
    cycles: int
    first_cycle: int
    first_utc_s: float
    largest: float | None
    recorded: object
    replayed: object


class Comparison(NamedTuple):
    """What came of a replay. `faults` are damages with their place; `notes` is what a reader should know.

    `differing` counts the cycles in which any output has another bit.
    """

    files: int
    cycles: int
    differing: int
    differences: tuple[Difference, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]


class RecordingError(PswdError):
    """There is no recording there."""


def replay(path: Path, site: Site | None = None, out: Path | None = None) -> Comparison:
    """Replay a file, or every file of a folder in order.

    Args:
        path: a recording (`.rec`), or a folder with some.
        site: decide by this site's rules instead of the recorded one's; points are matched by their ids.
        out: where each differing value is written as CSV, or None.

    Raises RecordingError where there is none. What is damaged stands in the result: the other files still count.
    """
    paths = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not paths:
        raise RecordingError(f"{path}: no {SUFFIX} file in it: expected a recording (pswd-edge record start)")
    found = _Collector()
    with ExitStack() as stack:
        if out is not None:
            found.rows = csv.writer(stack.enter_context(out.open("w", newline="", encoding="utf-8")))
            found.rows.writerow(["utc", "cycle", "output", "recorded", "replayed"])
        for one in paths:
            _replay_file(one, site, found)
    return Comparison(len(paths), found.cycles, found.differing, tuple(
        Difference(name, *found.seen[name]) for name in found.seen), tuple(found.faults),
        tuple(dict.fromkeys(found.notes)))


class _Rows(Protocol):
    def writerow(self, row: list[Any], /) -> Any: ...


class _Collector:
    """What is found on the way."""

    def __init__(self) -> None:
        self.cycles = self.differing = 0
        self.seen: dict[str, tuple[int, int, float, float | None, object, object]] = {}
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.rows: _Rows | None = None

    def compare(self, cycle: Cycle, then: dict[str, Any], now: dict[str, Any]) -> None:
        """One cycle's outputs by name, numbers and words together."""
        self.cycles += 1
        names = [n for n in dict.fromkeys([*then, *now]) if not _same(then.get(n), now.get(n))]
        self.differing += bool(names)
        for name in names:
            self._note(cycle, name, then.get(name), now.get(name))

    def _note(self, cycle: Cycle, name: str, then: object, now: object) -> None:
        apart = abs(now - then) if isinstance(then, float) and isinstance(now, float) else None
        before = self.seen.get(name)
        utc_s = cycle.snapshot.utc_s
        if before is None:
            self.seen[name] = (1, cycle.snapshot.cycle, utc_s, apart, then, now)
        else:
            largest = max((x for x in (before[3], apart) if x is not None), default=None)
            self.seen[name] = (before[0] + 1, *before[1:3], largest, *before[4:])
        if self.rows is not None:
            self.rows.writerow([iso_utc(utc_s), cycle.snapshot.cycle, name, then, now])


def _same(one: object, other: object) -> bool:
    """Bit for bit where they are numbers: 0 and -0 are two, a NaN is itself."""
    if isinstance(one, float) and isinstance(other, float):
        return _DOUBLE.pack(one) == _DOUBLE.pack(other)
    return one == other


def _replay_file(path: Path, site: Site | None, found: _Collector) -> None:
    before = found.cycles
    try:
        data = path.read_bytes()
        for cycle, then, now in _steps(path, data, site, found):
            found.compare(cycle, then, now)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}: expected a recording") from error
    except (FormatError, zlib.error) as error:
        found.faults.append(f"{path}: {error}; {found.cycles - before} cycles before it were replayed")
        return
    if tail := tail_of(data):
        found.notes.append(f"{path}: the last {tail} bytes are of a block that was not written whole")


Step = tuple[Cycle, dict[str, Any], dict[str, Any]]


def _steps(path: Path, data: bytes, site: Site | None, found: _Collector) -> Iterator[Step]:
    """Each cycle with its outputs then and now."""
    said: dict[int, bytes] = {}
    rules: _Rules | None = None
    for frame in frames(data):
        if frame.kind == HEAD:
            rules = _begin(path, frame.payload, site, found)
        elif frame.kind == BLOCK and rules is not None:
            try:
                cycles = cycles_of(frame.payload, said)
            except (FormatError, KeyError, ValueError) as error:
                raise FormatError(f"byte {frame.offset}: {error}") from error
            for cycle in cycles:
                yield cycle, rules.then(cycle), rules.now(cycle)
        else:
            raise FormatError(f"byte {frame.offset}: a frame of kind {frame.kind}: expected a head, then blocks")


def _begin(path: Path, payload: bytes, site: Site | None, found: _Collector) -> "_Rules":
    head: Head = decode(payload, Head)
    try:
        own = decode_site(zlib.decompress(head.site))
    except msgspec.MsgspecError as error:
        raise RecordingError(f"{path}: its site is of another release ({error}): replay it with that one") from error
    if head.rules != rules_version():
        found.notes.append(f"recorded by other rules ({head.rules}) than these ({rules_version()})")
    if site is not None and site != own:
        found.notes.append(f"decided by another site file than the recorded one ({head.site_hash})")
    try:
        state = restored(head.state)
    except StateError as error:
        state = law.start(own.control)
        found.notes.append(f"{path}: what the rules remembered cannot be taken up ({error}): they begin anew, so that "
                           "the first minutes differ for that reason alone")
    return _Rules(own, site or own, state, head)


class _Rules:
    """The rules under a site, fed with the cycles of a recording that may be of another."""

    def __init__(self, own: Site, site: Site, state: law.LawState, head: Head) -> None:
        self._own, self._site = own, site
        self._moved = None if site == own else moved_points(own, site)
        self._state = state if self._moved is None else carried_law(own, site, state)
        before = Setpoints(own)
        before.remember(head.setpoints)
        self._setpoints = before if self._moved is None else before.moved(site, self._moved)
        self._tiers = [t.id for t in site.control.tiers]

    def then(self, cycle: Cycle) -> dict[str, Any]:
        """The recorded outputs by name."""
        return _by_name(self._own, cycle.numbers, cycle.words)

    def now(self, cycle: Cycle) -> dict[str, Any]:
        """The outputs of these rules."""
        moved = cycle if self._moved is None else _moved(cycle, self._moved)
        self._state, shown, decision = decided(
            self._site.control, self._state, moved.snapshot, moved.orders, moved.dt_s)
        verdicts = self._setpoints.compose(decision, shown, moved.snapshot, moved.orders.mode, moved.asked,
                                           moved.bounds, moved.orders.barred, moved.trial)
        numbers = numbers_of(decision, shown, verdicts, self._tiers)
        return _by_name(self._site, numbers, dict(words_of(decision, shown, verdicts)))


def _moved(cycle: Cycle, moved: dict[int, int]) -> Cycle:
    """The same cycle by the indices of another site; points that it does not have are left out."""
    seen = cycle.snapshot
    readings = {moved[p]: r for p, r in seen.readings.items() if p in moved}
    barred = frozenset(moved[p] for p in cycle.orders.barred if p in moved)
    return cycle._replace(
        snapshot=freeze(seen.cycle, seen.time_s, seen.utc_s, readings), orders=cycle.orders._replace(barred=barred),
        asked=[c._replace(point=moved[c.point]) for c in cycle.asked if c.point in moved],
        bounds=[b._replace(point=moved[b.point]) for b in cycle.bounds if b.point in moved],
        trial=[c._replace(point=moved[c.point]) for c in cycle.trial if c.point in moved])


def _by_name(site: Site, numbers: dict[str, float], words: dict[str, Any]) -> dict[str, Any]:
    """All outputs, set-points by their ids."""
    found: dict[str, Any] = {}
    for name, value in numbers.items():
        kind, _, index = name.partition(":")
        found[f"setpoint:{site.points[int(index)].id}" if kind == "setpoint" else name] = float(value)
    found |= {name: word for name, word in words.items() if name != "verdicts"}
    for point, *word in words["verdicts"]:
        found[f"winner:{site.points[point].id}"] = word
    return found
