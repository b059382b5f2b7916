"""The image's first page: who wrote it, for which site, and how far it is.

Offset, name and type of each field:
    0 magic 8 B · 8 version u32 · 16 site hash 16 B · 32 generation u64 · 40 size u64
    64 rows u64 (ring rows completed since the ring began) · 72 superseded u64 (1: a newer generation exists)
    80 events u64 (number of the newest event) · 88 beat f64 (monotonic time of the last completed cycle)
"""

import struct

from pswd_edge.errors import ImageError, ImageMismatchError
from pswd_edge.image.layout import HEADER_BYTES, MAGIC

VERSION = 2                   # 2: larger blocks
_IDENTITY = struct.Struct("<8sI4x16sQQ")
ROWS, SUPERSEDED, EVENTS, BEAT = 64, 72, 80, 88


def put_identity(buffer: memoryview, site_hash: str, generation: int, size: int) -> None:
    """Write who this image is."""
    _IDENTITY.pack_into(buffer, 0, MAGIC, VERSION, bytes.fromhex(site_hash), generation, size)


def get_identity(buffer: memoryview, name: str) -> tuple[str, int, int]:
    """Site hash, generation and size; raises ImageError where this is no image of this version."""
    if len(buffer) < HEADER_BYTES:
        raise ImageError(f"{name}: got {len(buffer)} bytes: expected a process image; start the control process")
    magic, version, digest, generation, size = _IDENTITY.unpack_from(buffer, 0)
    if magic != MAGIC or version != VERSION:
        raise ImageError(f"{name}: got {magic!r} version {version}: expected {MAGIC!r} version {VERSION}; "
                         "restart control and gateway from the same release")
    return digest.hex(), generation, size


def require_site(buffer: memoryview, name: str, expected_hash: str) -> None:
    """Raise ImageMismatchError where the image belongs to another compiled site."""
    found, _, _ = get_identity(buffer, name)
    if found != expected_hash:
        raise ImageMismatchError(f"{name}: got site {found}: expected site {expected_hash}; load the site again")


def get_word(buffer: memoryview, offset: int) -> int:
    """One of the counters."""
    return int(buffer[offset : offset + 8].cast("Q")[0])


def put_word(buffer: memoryview, offset: int, value: int) -> None:
    """Set one of the counters: eight aligned bytes in one store, seen whole or not at all (see record.py)."""
    buffer[offset : offset + 8].cast("Q")[0] = value


def get_beat(buffer: memoryview) -> float:
    """Monotonic time of the last completed cycle, 0.0 before the first."""
    return float(buffer[BEAT : BEAT + 8].cast("d")[0])


def put_beat(buffer: memoryview, monotonic_s: float) -> None:
    """Mark a completed cycle, in one store too."""
    buffer[BEAT : BEAT + 8].cast("d")[0] = monotonic_s
