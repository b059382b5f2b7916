"""Secrets are read from where a reference points, and from nowhere that others can read."""

from pathlib import Path

import pytest

from pswd_edge.config import resolve_secret
from pswd_edge.errors import SecretError


def secret_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_secret_comes_from_its_file_without_the_line_break(tmp_path: Path) -> None:
    """Editors end files with a line break that is no part of the password."""
    path = secret_file(tmp_path, "hunter2\n")

    assert resolve_secret(f"file:{path}") == "hunter2"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o622])
def test_a_file_that_others_may_use_is_refused_with_the_remedy(mode: int, tmp_path: Path) -> None:
    """A secret that everybody on the machine can read is none; the message says what to run."""
    path = secret_file(tmp_path, "hunter2", mode)

    with pytest.raises(SecretError, match=f"chmod 600 {path}") as error:
        resolve_secret(f"file:{path}")

    assert "hunter2" not in str(error.value)


def test_a_credential_comes_from_the_folder_that_systemd_made(tmp_path: Path) -> None:
    """systemd shows credentials with the mask of an access list, 0440: their mode is not judged."""
    secret_file(tmp_path, "hunter2", 0o440)

    assert resolve_secret("credential:secret", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "hunter2"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("hunter2", "expected file:<path> or credential:<name>"),
        ("file:", "expected file:<path> or credential:<name>"),
        ("file:/nowhere/secret", "No such file"),
        ("credential:mqtt", "LoadCredential=mqtt:<path>"),
    ],
)
def test_what_cannot_be_read_is_said_without_the_secret(reference: str, words: str) -> None:
    """A literal that stands where a reference should is not repeated in the message."""
    with pytest.raises(SecretError) as error:
        resolve_secret(reference, {})

    assert words in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_credential_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    """The name comes from a file that an engineer edits."""
    with pytest.raises(SecretError, match="expected a name without /"):
        resolve_secret("credential:../etc/shadow", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    """An empty password would be sent, and some brokers take it."""
    path = secret_file(tmp_path, "\n")

    with pytest.raises(SecretError, match="got an empty file"):
        resolve_secret(f"file:{path}")
