"""Access tokens: JWT signed with this site's own Ed25519 key. One algorithm, whatever a token's header says."""

import uuid
from pathlib import Path
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.types import Options

from pswd_edge.clock import Clock
from pswd_edge.errors import PswdError, SecretError
from pswd_edge.gateway.private_file import read_private, write_private

KEY_FILE = "token-key.pem"
LIFETIME_S = 3600
AUDIENCE = "pswd-edge"
_ALGORITHMS = ("EdDSA",)
_CLAIMS = ["iss", "aud", "sub", "role", "iat", "nbf", "exp", "jti"]
# Times are checked below, by the house's own clock; all else by PyJWT.
_OPTIONS: Options = {"require": _CLAIMS, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
_AHEAD_S = 5    # the wall clock may be set back a little between issue and use
TOKEN_MAX = 4096


class Bearer(NamedTuple):
    """Whom a token speaks for: the user's name and the role."""

    name: str
    role: str


class TokenError(PswdError):
    """The token is not accepted; the text says why, for the log and for the client alike."""


class TokenIssuer:
    """Makes and checks tokens of one issuer."""

    def __init__(self, key: Ed25519PrivateKey, issuer: str, clock: Clock) -> None:
        self._key = key
        self._public = key.public_key()
        self._issuer = issuer
        self._clock = clock

    def issue(self, bearer: Bearer) -> str:
        """A token that holds for `LIFETIME_S` from now."""
        now_s = int(self._clock.utc_s())
        claims = {
            "iss": self._issuer, "aud": AUDIENCE, "sub": bearer.name, "role": bearer.role,
            "iat": now_s, "nbf": now_s, "exp": now_s + LIFETIME_S, "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHMS[0])

    def check(self, token: str) -> Bearer:
        """Who the token speaks for; raises TokenError where it is forged, expired, of another issuer or malformed."""
        if len(token) > TOKEN_MAX:
            raise TokenError(f"token: got {len(token)} characters: expected at most {TOKEN_MAX}")
        try:
            claims = jwt.decode(token, self._public, algorithms=_ALGORITHMS, audience=AUDIENCE,
                                issuer=self._issuer, options=_OPTIONS)
        except jwt.PyJWTError as error:
            raise TokenError("token: not one of this site; log in again") from error
        if not isinstance(claims["role"], str) or not all(type(claims[c]) is int for c in ("iat", "nbf", "exp")):
            raise TokenError("token: its claims are of other types than this site's; log in again")
        now_s = self._clock.utc_s()
        if now_s >= claims["exp"]:
            raise TokenError("token: expired; log in again")
        if now_s < max(claims["nbf"], claims["iat"]) - _AHEAD_S:
            raise TokenError("token: not valid yet; set the clocks")
        return Bearer(claims["sub"], claims["role"])


def open_key(state_dir: Path) -> Ed25519PrivateKey:
    """The site's signing key, made at the first start.

    Raises:
        SecretError: the file is open to others, damaged, or holds another kind of key.
    """
    path = state_dir / KEY_FILE
    content = read_private(path)
    if content is None:
        key = Ed25519PrivateKey.generate()
        write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return key
    try:
        found = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise SecretError(f"{path}: damaged; remove it and start again (every token becomes worthless)") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise SecretError(f"{path}: got a {type(found).__name__}: expected an Ed25519 private key")
    return found
