"""The keys that sign tokens: one that signs, and older ones that are still believed until their tokens have ended."""

from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pswd_edge.clock import Clock
from pswd_edge.errors import SecretError
from pswd_edge.gateway.private_file import read_private, write_private
from pswd_edge.gateway.private_table import PrivateTable

KEY_FILE = "token-key.pem"
OLD_FILE = "token-keys-old.json"
LIFETIME_MAX_S = 3600      # no token lives longer: so long is an old key believed


class OldKey(msgspec.Struct, frozen=True):
    """The public half of a key that signs no more."""

    public: str
    until_utc_s: float


class KeyRing:
    """The signing key by its file, and public keys by the id that a token names; changes of the files are noticed."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        """Read the key, made at the first start; raises SecretError where a file is damaged or open to others."""
        self._path, self._clock = state_dir / KEY_FILE, clock
        self._old = PrivateTable(state_dir / OLD_FILE, dict[str, OldKey], {})
        self._seen = self._state()
        self._load()

    def signing(self) -> tuple[str, Ed25519PrivateKey]:
        """Id and key for a new token."""
        state = self._state()
        if state != self._seen:
            self._load()
            self._seen = state
        return self._kid, self._key

    def public(self, kid: str) -> Ed25519PublicKey | None:
        """The key of this id; None where there is none, or it is not believed any more."""
        current, _ = self.signing()
        if kid == current:
            return self._public
        old = self._old.read().get(kid)
        if old is None or self._clock.utc_s() >= old.until_utc_s:
            return None
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(old.public))

    def _load(self) -> None:
        self._key = open_key(self._path.parent)
        self._public = self._key.public_key()
        self._kid = key_id(self._public)

    def _state(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def open_key(state_dir: Path) -> Ed25519PrivateKey:
    """The site's signing key, made at the first start.

    Raises:
        SecretError: the file is open to others, damaged, or holds another kind of key.
    """
    path = state_dir / KEY_FILE
    content = read_private(path)
    if content is None:
        return _write_new(path)
    try:
        found = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise SecretError(f"{path}: damaged; remove it and start again (every token becomes worthless)") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise SecretError(f"{path}: got a {type(found).__name__}: expected an Ed25519 private key")
    return found


def rotate_key(state_dir: Path, clock: Clock, *, compromised: bool = False) -> str:
    """Sign with a new key from now on; returns its id. A running gateway notices by itself.

    The old key's tokens hold until they end, an hour at most; with `compromised` they are worthless at once.
    """
    old, now_s = open_key(state_dir).public_key(), clock.utc_s()

    def retired(table: dict[str, OldKey]) -> dict[str, OldKey]:
        if compromised:
            return {}
        believed = {kid: key for kid, key in table.items() if key.until_utc_s > now_s}
        return {**believed, key_id(old): OldKey(old.public_bytes_raw().hex(), now_s + LIFETIME_MAX_S)}

    PrivateTable(state_dir / OLD_FILE, dict[str, OldKey], {}).change(retired)
    return key_id(_write_new(state_dir / KEY_FILE).public_key())


def key_id(public: Ed25519PublicKey) -> str:
    """A name for the key: the beginning of its hash."""
    return sha256(public.public_bytes_raw()).hexdigest()[:16]


def _write_new(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key
