"""Whether a chain is whole: read from its files alone, beside a running control or long after it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pswd_edge.chain.chain import ZEROS, Body, Line, read_segment, segments

_FAULTS_TOLD = 20
_TAIL = "an entry that is not whole: it is being written, or was cut off by a power cut and never answered"


class Checked(NamedTuple):
    """What a check found. `faults` names every place where the chain breaks; `tail` an end that is being written."""

    entries: int
    segments: int
    pruned_through: int
    last_hash: str
    faults: list[str]
    tail: str


def check_chain(folder: Path) -> Checked:
    """Follow the chain from its oldest segment to its end. Raises OSError where it cannot be read."""
    found = segments(folder)
    previous = None
    count, number, tail = 0, 0, ""
    faults: list[str] = []
    pruned: dict[int, str] = {}
    expected = found[0][0] if found else 1
    for segment, path in found:
        if segment != expected:
            faults.append(f"segments {expected} to {segment - 1} are missing")
            previous = None
        lines = list(read_segment(segment, path, previous))
        for i, line in enumerate(lines):
            count += 1
            last = segment == found[-1][0] and i == len(lines) - 1
            if not line.good and last and line.body is None:
                tail = f"segment {segment}, byte {line.at}: {_TAIL}"
                count -= 1
                continue
            faults += _faults_of(line, path, number)
            number = int((line.body or {}).get("number", number + 1))
            _note_pruned(pruned, line.body)
            previous = line.digest
        expected = segment + 1
    faults += _begin_faults(found, pruned)
    return Checked(count, len(found), max(pruned, default=0), previous or ZEROS, faults[:_FAULTS_TOLD], tail)


def _faults_of(line: Line, path: Path, before: int) -> Iterator[str]:
    where = f"{path.name}, byte {line.at}"
    if not line.good:
        yield (f"{where}, after entry {before}: it was changed, or something before it was taken out: its hash does "
               "not follow from the entry before")
    elif before and (line.body or {}).get("number") != before + 1:
        yield f"{where}: got entry {(line.body or {}).get('number')}: expected {before + 1}"


def _note_pruned(pruned: dict[int, str], body: Body | None) -> None:
    if body is not None and body.get("kind") == "pruned":
        pruned[int(body["through_segment"])] = str(body["through_hash"])


def _begin_faults(found: list[tuple[int, Path]], pruned: dict[int, str]) -> Iterator[str]:
    """The oldest segment is the first ever, or the one behind what an entry says was pruned."""
    if not found:
        yield "there is no segment"
        return
    number, path = found[0]
    first = next(read_segment(number, path, None), None)
    carried = None if first is None or first.body is None else first.body.get("previous")
    expected = ZEROS if number == 1 else pruned.get(number - 1)
    if number > 1 and expected is None and not any(n >= number for n in pruned):
        yield f"segments 1 to {number - 1} are missing, and no entry says that they were pruned"
    elif expected is not None and carried != expected:
        yield f"{path.name}: it follows {carried}: expected {expected}"


def read_entries(folder: Path, after_utc_s: float = float("-inf")) -> Iterator[Body]:
    """Every entry with a time that is later, oldest first, those of damaged places left out.

    A segment whose successor begins before that time is not read.
    """
    found = segments(folder)
    for i, (number, path) in enumerate(found):
        if i + 1 < len(found) and _begins_utc_s(*found[i + 1]) < after_utc_s:
            continue
        for line in read_segment(number, path, None):
            if line.body is not None and float(line.body.get("utc_s") or 0.0) > after_utc_s:
                yield line.body


def _begins_utc_s(number: int, path: Path) -> float:
    for line in read_segment(number, path, None):
        if line.body is not None and "utc_s" in line.body:
            return float(line.body["utc_s"])
    return float("inf")
