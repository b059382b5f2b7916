"""API keys for machines that speak PSWD: made on the gateway's machine, shown once, kept as a hash."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from pswd_edge.clock import Clock
from pswd_edge.errors import ConfigError
from pswd_edge.gateway.private_table import PrivateTable
from pswd_edge.gateway.roles import KEY_SCOPES, READING, Operation, Role, allowed_by, allowed_of

FILE = "keys.json"
USES_FILE = "key-uses.json"
DAYS_MAX = 365
DAY_S = 86_400.0
_HOUR_S = 3600.0
_TEXT = re.compile(r"pswd_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class ApiKey(msgspec.Struct, frozen=True):
    """One key. Without `scopes` it reads what its role may read; with them it may what both allow."""

    name: str
    role: str
    hash: str
    created_utc_s: float
    expires_utc_s: float
    scopes: tuple[str, ...] = ()
    revoked_utc_s: float | None = None

    @property
    def allowed(self) -> frozenset[Operation]:
        """What it may do; a command has to be named by a scope."""
        return allowed_of(self.role) & (allowed_by(self.scopes) if self.scopes else READING)


class _Stored(msgspec.Struct, frozen=True):
    pepper: str = ""
    keys: dict[str, ApiKey] = {}
    version: int = 1


class Looked(NamedTuple):
    """What a key's text turned out to be; `key` is None where it was never one of ours."""

    state: Literal["good", "unknown", "expired", "revoked"]
    id: str
    key: ApiKey | None


class KeyStore:
    """The keys of one state folder; a change of the file is seen by the next call."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        """Read the file where there is one; raises SecretError where it is damaged or open to others."""
        self._clock = clock
        self._table = PrivateTable(state_dir / FILE, _Stored, _Stored())
        self._uses = PrivateTable(state_dir / USES_FILE, dict[str, float], {})
        self._seen: dict[str, float] = {}

    def all(self) -> dict[str, ApiKey]:
        """Id to key, revoked and expired ones too."""
        return dict(self._table.read().keys)

    def last_used_utc_s(self, key_id: str) -> float | None:
        """To the hour; None where it never was."""
        return self._uses.read().get(key_id)

    def create(self, name: str, role: str, scopes: Sequence[str], days: float) -> tuple[str, str]:
        """A new key's id and its text, which nobody can show again. On disk when it returns.

        Raises:
            ConfigError: name, role, scopes or days are not acceptable; every mistake is listed.
        """
        _check(name, role, scopes, days)
        key_id, secret, now_s = secrets.token_hex(4), secrets.token_urlsafe(32), self._clock.utc_s()

        def added(stored: _Stored) -> _Stored:
            pepper = stored.pepper or secrets.token_hex(32)
            key = ApiKey(name, role, _hash(pepper, key_id, secret), now_s, now_s + days * DAY_S,
                         tuple(dict.fromkeys(scopes)))
            return _Stored(pepper, {**stored.keys, key_id: key})

        self._table.change(added)
        return key_id, f"pswd_{key_id}_{secret}"

    def revoke(self, key_id: str) -> bool:
        """End a key; False where there is none of this id."""
        def revoked(stored: _Stored) -> _Stored:
            if key_id not in stored.keys:
                return stored
            key = msgspec.structs.replace(stored.keys[key_id], revoked_utc_s=self._clock.utc_s())
            return msgspec.structs.replace(stored, keys={**stored.keys, key_id: key})

        return key_id in self._table.change(revoked).keys

    def look(self, text: str) -> Looked:
        """What this text is. Some microseconds; unknown ids take as long as known ones."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return Looked("unknown", "", None)
        stored, key_id = self._table.read(), found[1]
        key = stored.keys.get(key_id)
        good = hmac.compare_digest(_hash(stored.pepper, key_id, found[2]), key.hash if key else "")
        if key is None or not good:
            return Looked("unknown", "", None)
        if key.revoked_utc_s is not None:
            return Looked("revoked", key_id, key)
        now_s = self._clock.utc_s()
        if now_s >= key.expires_utc_s:
            return Looked("expired", key_id, key)
        self._seen[key_id] = now_s - now_s % _HOUR_S
        return Looked("good", key_id, key)

    @property
    def unwritten(self) -> bool:
        """True where a key was used in an hour that is not on disk yet."""
        uses = self._uses.read()
        return any(uses.get(key_id) != hour for key_id, hour in self._seen.items())

    def write_uses(self) -> None:
        """Put the hours of use on disk. Some ms: call it in a thread."""
        seen = dict(self._seen)
        self._uses.change(lambda uses: {**uses, **seen})


def _hash(pepper: str, key_id: str, secret: str) -> str:
    """Fast on purpose: 256 random bits cannot be guessed, so that a slow hash would cost each request and win nothing.

    The id is hashed along: an entry of the file cannot be moved under another key's name.
    """
    return hashlib.blake2b(f"{key_id}:{secret}".encode(), key=bytes.fromhex(pepper), digest_size=32).hexdigest()


def _check(name: str, role: str, scopes: Sequence[str], days: float) -> None:
    roles = [known.value for known in Role]
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(f"key name: got {name!r}: expected 1 to 64 of letters, digits and . _ @ -")
    if role not in roles:
        problems.append(f"role: got {role!r}: expected one of {', '.join(roles)}")
    problems += [f"scope: got {s!r}: expected one of {', '.join(KEY_SCOPES)}" for s in scopes if s not in KEY_SCOPES]
    if not problems:
        problems += [f"scope: got {s!r}: expected one that {role} may use" for s in scopes
                     if not allowed_by([s]) & allowed_of(role)]
    if not 0 < days <= DAYS_MAX:
        problems.append(f"days: got {days:g}: expected more than 0, at most {DAYS_MAX}")
    if problems:
        raise ConfigError(problems)
