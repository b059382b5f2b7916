"""Access tokens: JWT signed with this site's own Ed25519 key. One algorithm, whatever a token's header says."""

import uuid
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from jwt.types import Options

from pswd_edge.clock import Clock
from pswd_edge.errors import PswdError
from pswd_edge.gateway.private_table import PrivateTable
from pswd_edge.gateway.signing import LIFETIME_MAX_S, KeyRing

LIFETIME_S = 3600
USERS_AUDIENCE = "pswd-edge"
CLIENTS_AUDIENCE = "pswd-edge/dcpi"
REVOKED_FILE = "revoked-tokens.json"
TOKEN_MAX = 4096
_ALGORITHMS = ("EdDSA",)
_CLAIMS = ["iss", "aud", "sub", "role", "iat", "nbf", "exp", "jti"]
# Times are checked below, by the house's own clock; all else by PyJWT.
_OPTIONS: Options = {"require": _CLAIMS, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
_AHEAD_S = 5    # the wall clock may be set back a little between issue and use


class Bearer(NamedTuple):
    """What a token says: `name` a user or a DCPI client; `cn`, `scopes` and `family` are a client's alone."""

    name: str
    role: str
    generation: str = ""
    cn: str = ""
    scopes: tuple[str, ...] = ()
    family: str = ""


class TokenError(PswdError):
    """The token is not accepted; the text says why, for the log and for the client alike."""


class ExpiredTokenError(TokenError):
    """It was good, and has ended: every client meets this once an hour."""


class RevokedTokens:
    """Ids of tokens that end before their time; an id is forgotten when its token would have ended anyway."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        """Read the file where there is one; raises SecretError where it is damaged or open to others."""
        self._clock = clock
        self._table = PrivateTable(state_dir / REVOKED_FILE, dict[str, float], {})

    def __contains__(self, token_id: object) -> bool:
        return token_id in self._table.read()

    def add(self, token_id: str) -> None:
        """From now on the token is worthless. On disk when it returns."""
        now_s = self._clock.utc_s()
        self._table.change(lambda found: {
            **{known: until_s for known, until_s in found.items() if until_s > now_s},
            token_id: now_s + LIFETIME_MAX_S + _AHEAD_S})


class TokenIssuer:
    """Makes and checks tokens of one issuer for one audience: a token of another profile is none here."""

    def __init__(self, ring: KeyRing, revoked: RevokedTokens, issuer: str, clock: Clock, *,
                 audience: str = USERS_AUDIENCE, lifetime_s: int = LIFETIME_S) -> None:
        """`lifetime_s` is an hour at most: so long is a key believed after its rotation."""
        self._ring, self._revoked = ring, revoked
        self._issuer, self._audience = issuer, audience
        self._clock = clock
        self.lifetime_s = min(lifetime_s, LIFETIME_MAX_S)

    def issue(self, bearer: Bearer) -> str:
        """A token that holds for `lifetime_s` from now."""
        now_s = int(self._clock.utc_s())
        kid, key = self._ring.signing()
        content: dict[str, Any] = {
            "iss": self._issuer, "aud": self._audience, "sub": bearer.name, "role": bearer.role,
            "iat": now_s, "nbf": now_s, "exp": now_s + self.lifetime_s, "jti": uuid.uuid4().hex,
        }
        more = {"gen": bearer.generation, "cn": bearer.cn, "scope": list(bearer.scopes), "fam": bearer.family}
        content |= {name: value for name, value in more.items() if value}
        return jwt.encode(content, key, algorithm=_ALGORITHMS[0], headers={"kid": kid})

    def check(self, token: str) -> Bearer:
        """What the token says.

        Raises:
            ExpiredTokenError: it was good once.
            TokenError: it is forged, revoked, of another issuer, for another audience, or malformed.
        """
        if len(token) > TOKEN_MAX:
            raise TokenError(f"token: got {len(token)} characters: expected at most {TOKEN_MAX}")
        content = self._verified(token)
        if not _typed(content):
            raise TokenError("token: its claims are of other types than this site's; log in again")
        now_s = self._clock.utc_s()
        if now_s >= content["exp"]:
            raise ExpiredTokenError("token: expired; log in again")
        if now_s < max(content["nbf"], content["iat"]) - _AHEAD_S:
            raise TokenError("token: not valid yet; set the clocks")
        if content["jti"] in self._revoked:
            raise TokenError("token: revoked; log in again")
        return Bearer(content["sub"], content["role"], content.get("gen", ""), content.get("cn", ""),
                      tuple(content.get("scope", ())), content.get("fam", ""))

    def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of our keys signed; the header's key id only chooses among them."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            public = self._ring.public(kid) if isinstance(kid, str) else None
            if public is None:
                raise TokenError("token: not one of this site; log in again")
            return jwt.decode(token, public, algorithms=_ALGORITHMS, audience=self._audience,
                              issuer=self._issuer, options=_OPTIONS)
        except jwt.PyJWTError as error:
            raise TokenError("token: not one of this site; log in again") from error


def _typed(content: dict[str, Any]) -> bool:
    texts = all(isinstance(content.get(name, ""), str) for name in ("role", "gen", "cn", "fam"))
    scopes = content.get("scope", [])
    return (texts and all(type(content[name]) is int for name in ("iat", "nbf", "exp"))
            and isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes))
