"""Files that hold secrets: mode 0600, replaced whole, refused when others could read them."""

import os
from pathlib import Path

from pswd_edge.errors import SecretError


def read_private(path: Path) -> bytes | None:
    """The file's content, or None where there is none.

    Raises:
        SecretError: the file cannot be read, or its mode lets group or others at it.
    """
    try:
        mode = path.stat().st_mode & 0o777
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretError(f"{path}: cannot be read ({error}); the gateway does not start") from error
    if mode & 0o077:
        raise SecretError(f"{path}: got mode {mode:04o}: expected 0600; the gateway does not use it")
    return content


def write_private(path: Path, content: bytes) -> None:
    """Replace the file by `content`, on disk when this returns; its folder is made (0700) where it is missing.

    Written by root, it belongs to the folder's owner: `sudo pswd-edge user add` must not shut the gateway out.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
