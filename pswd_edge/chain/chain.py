"""A chain of entries on disk: append-only, each hashed with the one before, in segments of bounded size.

A segment is text, one entry a line: 64 hex digits, a space, the entry as JSON. The digits are the SHA-256 of the former
line's 32 bytes and the JSON's bytes. The first line of a segment names the hash that it carries over from the segment
before; of the very first one that is zeros.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

ZEROS = "0" * 64
SEGMENT_BYTES = 4 * 1024 * 1024
KEEP_BYTES = 256 * 1024 * 1024
Body = dict[str, Any]
_HEAD = 65                    # hash and space
_encode = msgspec.json.Encoder(order="deterministic").encode


class Line(NamedTuple):
    """One line as it lies in its segment.

    `body` is None where it is no JSON object, `good` False where it does not follow from the line before.
    """

    segment: int
    at: int
    digest: str
    body: Body | None
    good: bool


class Tail(NamedTuple):
    """What `Chain.open` found: bytes of a torn end that were cut off, and where the last segment is broken, or ""."""

    cut_bytes: int
    broken: str


def digest_of(previous: str, content: bytes) -> str:
    """The hash of an entry's bytes behind the entry with the hash `previous`."""
    return hashlib.sha256(bytes.fromhex(previous) + content).hexdigest()


def segments(folder: Path) -> list[tuple[int, Path]]:
    """Number and path of every segment, oldest first."""
    found = [(int(p.stem), p) for p in folder.glob("*.chain") if p.stem.isdigit()]
    return sorted(found)


def read_segment(number: int, path: Path, previous: str | None) -> Iterator[Line]:
    """The lines of a segment behind the hash `previous` (None: whatever it says itself).

    A line that breaks the chain is not `good`; the next is judged by what that line says of itself, so that one
    damaged place is one bad line.
    """
    at = 0
    for raw in path.read_bytes().splitlines(keepends=True):
        digest, content = raw[: _HEAD - 1].decode("ascii", "replace"), raw[_HEAD:].rstrip(b"\n")
        body = _body(content) if raw.endswith(b"\n") else None
        if at == 0 and body is not None and previous is None:
            previous = str(body.get("previous", ""))
        carried = at > 0 or (body is not None and body.get("previous") == previous)
        good = body is not None and carried and previous is not None and _follows(previous, content, digest)
        yield Line(number, at, digest, body, good)
        previous, at = digest, at + len(raw)


def _body(content: bytes) -> Body | None:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _follows(previous: str, content: bytes, digest: str) -> bool:
    try:
        return digest_of(previous, content) == digest
    except ValueError:  # `previous` is no hash: that line is broken itself
        return False


class Chain:
    """The writing end. One thread only; every `append` is on the disk when it returns.

    Where a write fails, the segment is cut back to what was whole before, and the next append tries again.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES, keep_bytes: int = KEEP_BYTES) -> None:
        self._folder, self._segment_bytes, self._keep_bytes = folder, segment_bytes, keep_bytes
        self._file = -1
        self._segment = self._size = 0
        self._number = 0
        self._last = ZEROS
        self._looked_at = 0             # the segment at which old ones were last looked for

    @property
    def last(self) -> str:
        """The hash of the newest entry."""
        return self._last

    def open(self) -> Tail:
        """Find the end of what there is. Raises OSError where the folder cannot be used."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        found = segments(self._folder)
        if not found:
            return Tail(0, "")
        number, path = found[-1]
        self._segment = number
        lines = list(read_segment(number, path, None))
        bad = next((i for i, line in enumerate(lines) if not line.good), None)
        whole = lines if bad is None else lines[:bad]
        torn = bad is not None and not any(line.good for line in lines[bad:])
        if bad is not None and not torn:
            return self._go_on_behind(lines, lines[bad])
        size = path.stat().st_size if bad is None else lines[bad].at
        if not whole:  # not even its first line: as if it had never been begun
            return self._without(path, found[:-1])
        self._number, self._last = int((whole[-1].body or {}).get("number", 0)), whole[-1].digest
        cut = path.stat().st_size - size
        self._reopen(path, size)
        return Tail(cut, "")

    def _go_on_behind(self, lines: list[Line], bad: Line) -> Tail:
        """Nothing of a damaged segment is touched; a new one goes on from its last whole line."""
        last = next(line for line in reversed(lines) if line.good)
        self._number, self._last = int((last.body or {}).get("number", 0)), last.digest
        self._size = self._segment_bytes
        return Tail(0, f"segment {bad.segment}, byte {bad.at}")

    def _without(self, path: Path, before: list[tuple[int, Path]]) -> Tail:
        cut = path.stat().st_size
        path.rename(path.with_suffix(".torn"))
        if not before:
            self._segment = 0
            return Tail(cut, "")
        tail = self.open()
        return Tail(cut + tail.cut_bytes, tail.broken)

    def append(self, bodies: Iterable[Body]) -> None:
        """Write entries behind each other, with one sync for all. Raises OSError; then none of them is there."""
        bodies = list(bodies)
        if self._file < 0 or self._size >= self._segment_bytes:
            self._begin_segment()
        self._write(bodies)
        with contextlib.suppress(OSError):  # the entries are there; old segments are looked at again later
            self._prune()

    def _begin_segment(self) -> None:
        self.close()
        path = self._folder / f"{self._segment + 1:08d}.chain"
        self._reopen(path, 0)
        self._segment += 1
        self._write([{"kind": "segment", "segment": self._segment, "previous": self._last}])
        self._sync_folder()

    def _reopen(self, path: Path, size: int) -> None:
        self.close()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        os.ftruncate(self._file, size)
        self._size = size

    def _write(self, bodies: list[Body]) -> None:
        number, last, parts = self._number, self._last, []
        for body in bodies:
            number += 1
            content = _encode({**body, "number": number})
            last = digest_of(last, content)
            parts.append(last.encode() + b" " + content + b"\n")
        joined = b"".join(parts)
        try:
            done = 0
            while done < len(joined):
                done += os.pwrite(self._file, joined[done:], self._size + done)
            os.fsync(self._file)
        except OSError:
            self._cut_back()
            raise
        self._size += len(joined)
        self._number, self._last = number, last

    def _cut_back(self) -> None:
        """What was written in part is taken away; where that fails too, the next write lies over it."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        if self._size == 0:
            self._segment -= 1
            os.close(self._file)
            self._file = -1

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _prune(self) -> None:
        """Delete the oldest segments above the budget; before that, an entry says up to which hash."""
        sized = [(n, p, p.stat().st_size) for n, p in segments(self._folder)] if self._pruning_due() else []
        total, gone = sum(size for _, _, size in sized), []
        for number, path, size in sized[:-1]:
            if total <= self._keep_bytes:
                break
            total -= size
            gone.append((number, path))
        if gone:
            carried = next(read_segment(gone[-1][0] + 1, sized[len(gone)][1], None)).body or {}
            self._write([{"kind": "pruned", "through_segment": gone[-1][0], "through_hash": carried.get("previous")}])
            for _, path in gone:
                path.unlink()

    def _pruning_due(self) -> bool:
        """Once a segment: its first entries have just been written."""
        due, self._looked_at = self._segment != self._looked_at, self._segment
        return due

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
