"""Secrets by reference: `file:<path>` or `credential:<name>` (systemd). Their values are never shown nor logged."""

import os
from collections.abc import Mapping
from pathlib import Path

from pswd_edge.errors import SecretError

PREFIXES = ("file:", "credential:")


def is_reference(text: str) -> bool:
    """Whether this names a secret instead of being one."""
    return any(text.startswith(prefix) and len(text) > len(prefix) for prefix in PREFIXES)


def resolve_secret(reference: str, environment: Mapping[str, str] = os.environ) -> str:
    """The secret that a reference names, without a line break at its end. Raises SecretError.

    A file that others may read is refused, as is an empty one. Credentials lie in `$CREDENTIALS_DIRECTORY`, which
    systemd makes for the service alone; their mode shows an access list's mask and is not judged.
    """
    kind, _, name = reference.partition(":")
    if not is_reference(reference):
        raise SecretError("got a text that is no reference: expected file:<path> or credential:<name>")
    if kind == "credential":
        return _read(_credential(name, environment), reference)
    return _read(Path(name), reference, others_mask=0o077)


def _credential(name: str, environment: Mapping[str, str]) -> Path:
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SecretError(
            f"credential:{name}: got no $CREDENTIALS_DIRECTORY: expected systemd to set it; "
            f"add LoadCredential={name}:<path> to the unit, or use file:<path>"
        )
    if "/" in name or name in (".", ".."):
        raise SecretError(f"credential:{name}: got a path: expected a name without /")
    return Path(folder) / name


def _read(path: Path, reference: str, others_mask: int = 0) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & others_mask:
                raise SecretError(
                    f"{reference}: got mode {mode & 0o777:04o}, which others may read or change: expected 0600; "
                    f"run: chmod 600 {path}"
                )
            text = file.read()
    except UnicodeDecodeError as error:
        raise SecretError(f"{reference}: got bytes that are no text: expected UTF-8") from error
    except OSError as error:
        raise SecretError(f"{reference}: cannot be read: {error.strerror}: expected a file of this user") from error
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretError(f"{reference}: got an empty file: expected a secret in it")
    return secret
