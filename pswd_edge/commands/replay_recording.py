"""`pswd-edge replay FILE.rec`: recorded cycles decided again, and every bit compared."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pswd_edge.app import compiled_site
from pswd_edge.clock import iso_utc
from pswd_edge.replay.recording import Comparison, Difference, replay

_SHOWN = 40


def replay_recording(path: Path, site: Path | None, out: Path | None, *, as_json: bool) -> int:
    """0 where nothing differs and nothing is damaged."""
    found = replay(path, None if site is None else compiled_site(site), out)
    if as_json:
        print(json.dumps({**found._asdict(), "differences": [d._asdict() for d in found.differences]}, default=str))
    else:
        print(os.linesep.join(_lines(path, found)))
    return 1 if found.differing or found.faults else 0


def _lines(path: Path, found: Comparison) -> Iterator[str]:
    yield from (f"DAMAGED {fault}" for fault in found.faults)
    yield from (f"note: {note}" for note in found.notes)
    files = f"{found.files} files, " if found.files > 1 else ""
    if not found.differing:
        yield f"{path}: {files}{found.cycles} cycles decided again: not one bit differs"
        return
    yield f"{path}: {files}{found.cycles} cycles decided again: {found.differing} differ"
    yield f"{'output':44} {'cycles':>7} {'first':>8}  {'at':24} {'largest':>12}  first: recorded -> replayed"
    yield from (_line(d) for d in sorted(found.differences, key=lambda d: d.first_cycle)[:_SHOWN])
    if len(found.differences) > _SHOWN:
        yield f"and {len(found.differences) - _SHOWN} more; --json or --out has them all"


def _line(d: Difference) -> str:
    largest = "" if d.largest is None else f"{d.largest:.6g}"
    return (f"{d.name:44} {d.cycles:7d} {d.first_cycle:8d}  {iso_utc(d.first_utc_s):24} {largest:>12}  "
            f"{_text(d.recorded)} -> {_text(d.replayed)}")


def _text(value: object) -> str:
    return "nothing" if value is None else f"{value!r}"[:60]
