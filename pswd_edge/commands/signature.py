"""The site's own key: what it signs can be checked by anybody who has the public half."""

import base64
import os
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from pswd_edge.errors import PswdError

KEY_FILE = "signing-key.pem"


class Signature(Struct, frozen=True):
    """Lies beside what it signs. `public_key` and `signature` in base64; over the file's bytes as they are."""

    algorithm: str
    public_key: str
    signature: str


def site_key(state_dir: Path) -> Ed25519PrivateKey:
    """The site's key; made on first use, for the owner alone. Raises PswdError."""
    path = state_dir / KEY_FILE
    try:
        if not path.exists():
            _make(path)
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise PswdError(f"{path}: the signing key cannot be used ({error}); nothing was written. Run as the user of "
                        "the control process, or restore the key from its backup") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise PswdError(f"{path}: got {type(found).__name__}: expected an Ed25519 key; nothing was written")
    return found


def _make(path: Path) -> None:
    """Whole or not at all, and never over another: two first uses at one time make one key."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    temporary = path.with_suffix(f".{os.getpid()}.new")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(pem)
            out.flush()
            os.fsync(out.fileno())
        if not path.exists():
            os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def public_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """The public half's 32 bytes in base64."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return base64.b64encode(public.public_bytes_raw()).decode()


def sign(content: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature file's content."""
    signed = Signature("Ed25519", public_text(key), base64.b64encode(key.sign(content)).decode())
    return msgspec.json.format(msgspec.json.encode(signed)) + b"\n"


def problem_of(content: bytes, signature: bytes, public_key: str | None) -> str:
    """Why the signature does not hold, or "". `public_key` is the one that is trusted; None: the one beside it."""
    try:
        found = msgspec.json.decode(signature, type=Signature)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(found.public_key, validate=True))
        bare = base64.b64decode(found.signature, validate=True)
    except (msgspec.MsgspecError, ValueError) as error:
        return f"it is no signature file ({error})"
    if public_key is not None and public_key.strip() != found.public_key:
        return f"it was signed with {found.public_key}: expected {public_key.strip()}"
    try:
        key.verify(bare, content)
    except InvalidSignature:
        return "the file was changed after it was signed, or the signature is of another file"
    return ""
