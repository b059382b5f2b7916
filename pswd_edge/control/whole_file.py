"""Replacing a small file, whole or not at all."""

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """The new content is on disk before it takes the place of the old. Blocks on the disk. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
