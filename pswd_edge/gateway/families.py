"""Refresh tokens of DCPI clients: each is used once, and a second use ends every token that came of it."""

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import NamedTuple

import msgspec

from pswd_edge.clock import Clock
from pswd_edge.gateway.private_table import PrivateTable

FILE = "refresh-families.json"
LIFETIME_S = 86_400
FAMILIES_MAX = 700      # of one client: at ten a minute the oldest is over an hour old when it has to go
_PARTS = 4


class Family(msgspec.Struct, frozen=True):
    """All tokens that came of one `POST /auth/token`. `hash` is that of its one unused refresh token."""

    client_id: str
    scopes: tuple[str, ...]
    hash: str
    began_utc_s: float
    ends_utc_s: float


class _Stored(msgspec.Struct, frozen=True):
    seal: str = ""
    families: dict[str, Family] = {}
    version: int = 1


class Renewed(NamedTuple):
    """A family's id, what it is, and its next refresh token."""

    id: str
    family: Family
    refresh_token: str


class Families:
    """The families of one state folder. What writes takes some ms: call it in a thread."""

    def __init__(self, state_dir: Path, clock: Clock, lifetime_s: float = LIFETIME_S) -> None:
        """Read the file where there is one; raises SecretError where it is damaged or open to others."""
        self._clock, self._lifetime_s = clock, lifetime_s
        self._table = PrivateTable(state_dir / FILE, _Stored, _Stored())

    def all(self) -> dict[str, Family]:
        """Id to family, of those that live."""
        now_s = self._clock.utc_s()
        return {name: family for name, family in self._table.read().families.items() if now_s < family.ends_utc_s}

    def lives(self, family_id: str, client_id: str) -> bool:
        """True while access tokens of this family are worth something."""
        family = self._table.read().families.get(family_id)
        return family is not None and family.client_id == client_id and self._clock.utc_s() < family.ends_utc_s

    def begin(self, client_id: str, scopes: tuple[str, ...]) -> Renewed:
        """A new family; where the client has 700, its oldest ends. On disk when it returns."""
        family_id, secret, now_s = secrets.token_hex(8), secrets.token_urlsafe(32), self._clock.utc_s()
        family = Family(client_id, scopes, _hash(secret), now_s, now_s + self._lifetime_s)

        def begun(stored: _Stored) -> _Stored:
            kept = _room_for_one(stored.families, client_id, now_s)
            return _Stored(stored.seal or secrets.token_hex(32), {**kept, family_id: family})

        stored = self._table.change(begun)
        return Renewed(family_id, family, _text(stored.seal, family_id, secret))

    def renew(self, text: str, client_id: str) -> Renewed | str | None:
        """The family with its next refresh token, or the id of the family that this has ended.

        A family ends where its token is used a second time, or by another client: one of the two has stolen it.
        None where the text is no refresh token of ours, or its family has ended before.
        """
        secret = secrets.token_urlsafe(32)
        outcome: list[Renewed | str | None] = [None]

        def renewed(stored: _Stored) -> _Stored:
            found = _parsed(stored.seal, text)
            family = stored.families.get(found[0]) if found else None
            if found is None or family is None or self._clock.utc_s() >= family.ends_utc_s:
                return stored
            families = dict(stored.families)
            if family.client_id != client_id or not hmac.compare_digest(family.hash, _hash(found[1])):
                del families[found[0]]
                outcome[0] = found[0]
            else:
                families[found[0]] = msgspec.structs.replace(family, hash=_hash(secret))
                outcome[0] = Renewed(found[0], families[found[0]], _text(stored.seal, found[0], secret))
            return msgspec.structs.replace(stored, families=families)

        self._table.change(renewed)
        return outcome[0]

    def end(self, family_id: str) -> bool:
        """Every token of the family is worthless from now on; False where there is none."""
        known = family_id in self._table.read().families
        self._table.change(lambda stored: msgspec.structs.replace(
            stored, families={name: f for name, f in stored.families.items() if name != family_id}))
        return known


def _room_for_one(families: dict[str, Family], client_id: str, now_s: float) -> dict[str, Family]:
    """Without those that have ended, and with fewer than 700 of this client."""
    alive = {name: family for name, family in families.items() if now_s < family.ends_utc_s}
    own = [name for name, f in alive.items() if f.client_id == client_id]     # a dict keeps the order of beginning
    for name in own[: max(0, len(own) + 1 - FAMILIES_MAX)]:
        del alive[name]
    return alive


def _text(seal: str, family_id: str, secret: str) -> str:
    """`dcpi.FAMILY.SECRET.SEAL`: the seal proves that we gave it out, so that an invented one ends no family."""
    return f"dcpi.{family_id}.{secret}.{_sealed(seal, family_id, secret)}"


def _parsed(seal: str, text: str) -> tuple[str, str] | None:
    """Family id and secret of what we have given out once."""
    parts = text.split(".")
    if not seal or len(parts) != _PARTS or parts[0] != "dcpi" or not text.isascii():
        return None
    _, family_id, secret, mac = parts
    return (family_id, secret) if hmac.compare_digest(mac, _sealed(seal, family_id, secret)) else None


def _sealed(seal: str, family_id: str, secret: str) -> str:
    return hashlib.blake2b(f"{family_id}.{secret}".encode(), key=bytes.fromhex(seal), digest_size=16).hexdigest()


def _hash(secret: str) -> str:
    """Fast on purpose: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()
