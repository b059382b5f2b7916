"""Fixtures for tests: what a real device answered, with who it is and when. A map with one is *recorded*."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pswd_edge.config.secrets import is_reference, resolve_secret
from pswd_edge.errors import PswdError, SecretError
from pswd_edge.model.device import Connection


def secrets_of(connection: Connection) -> list[str]:
    """The secrets of a connection that this user may read."""
    found = []
    for value in connection.settings.values():
        if isinstance(value, str) and is_reference(value):
            try:
                found.append(resolve_secret(value))
            except SecretError:
                continue  # what we cannot read we cannot write either
    return found


def write_recording(path: Path, content: dict[str, Any], secrets: Iterable[str] = ()) -> None:
    """Write a new file. Raises PswdError where one is there already, or where a secret would stand in it."""
    text = json.dumps(content, indent=1) + "\n"
    if any(secret in text for secret in secrets if secret):
        raise PswdError(f"{path}: the device answers with one of our secrets in it: not recorded")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise PswdError(f"{path}: {error.strerror}: expected a new name in a folder that exists") from error
