"""One file of a recording, and the folder that holds no more than it may."""

import zlib
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import msgspec

from pswd_edge.clock import iso_utc
from pswd_edge.control import arbiter, record_format, setpoints, shadow
from pswd_edge.control.record_block import BlockBuilder
from pswd_edge.control.record_row import Begin, Seen
from pswd_edge.control.record_state import plain
from pswd_edge.control.rules import law
from pswd_edge.model.site import encode_site, site_hash

SUFFIX = ".rec"
BLOCK_CYCLES = 100
VERSION = 1


class Head(msgspec.Struct, frozen=True):
    """The first frame: what a replay needs to begin here. `site` is deflated, `state` and `setpoints` are plain data.

    `rules` names the source text of the rules that decided; `site_hash` the compiled site.
    """

    version: int
    utc_s: float
    site_id: str
    site_hash: str
    rules: str
    site: bytes
    state: object
    setpoints: setpoints.SetpointMemory


@lru_cache(maxsize=1)
def rules_version() -> str:
    """Sixteen hex digits that name the rules' source text. Reads files: not for the loop."""
    folder = Path(str(law.__file__)).parent
    files = [*sorted(folder.glob("*.py")), *(Path(str(m.__file__)) for m in (arbiter, setpoints, shadow))]
    digest = blake2b(digest_size=8)
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


class RecordFile:
    """One file, being written. Every method may raise OSError."""

    def __init__(self, folder: Path, begin: Begin, utc_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        site = encode_site(begin.site)
        head = Head(VERSION, utc_s, begin.site.id, site_hash(site), rules_version(), zlib.compress(site),
                    plain(begin.state), begin.memory)
        self.path = _free(folder, iso_utc(utc_s).replace(":", ""))
        self._file: BinaryIO = self.path.open("xb")
        self._block = BlockBuilder(tuple(t.id for t in begin.site.control.tiers), {})
        self.bytes = self.cycles = 0
        self._append(record_format.MAGIC + record_format.framed(record_format.HEAD, record_format.encode(head)))

    def add(self, seen: Seen) -> None:
        """One more cycle; every hundredth is written with those before it."""
        if not self._block.fits(seen):
            self.flush()
        self._block.add(seen)
        self.cycles += 1
        if len(self._block) >= BLOCK_CYCLES:
            self.flush()

    def flush(self) -> None:
        """Write the cycles that wait."""
        if len(self._block):
            self._append(record_format.framed(record_format.BLOCK, self._block.packed()))

    def close(self) -> None:
        """Write what waits and close."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _append(self, content: bytes) -> None:
        self._file.write(content)
        self._file.flush()
        self.bytes += len(content)


def _free(folder: Path, stamp: str) -> Path:
    """A name that is not taken: a wall clock that is set back must not overwrite anything."""
    path, number = folder / f"{stamp}{SUFFIX}", 1
    while path.exists():
        number += 1
        path = folder / f"{stamp}-{number}{SUFFIX}"
    return path


def prune(folder: Path, most_bytes: float, oldest_utc_s: float, keep: Path) -> None:
    """Delete the oldest files beyond the budget, never `keep`. Raises OSError."""
    found = sorted(_others(folder, keep))
    total = keep.stat().st_size + sum(size for _, _, size in found)
    for written_utc_s, path, size in found:
        if total > most_bytes or written_utc_s < oldest_utc_s:
            path.unlink(missing_ok=True)
            total -= size


def _others(folder: Path, keep: Path) -> Iterator[tuple[float, Path, int]]:
    for path in folder.glob(f"*{SUFFIX}"):
        if path != keep:
            found = path.stat()
            yield found.st_mtime, path, found.st_size
