"""The user store: names, argon2id hashes and roles in one private JSON file. There is no default user."""

import re
import secrets
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from pswd_edge.errors import ConfigError
from pswd_edge.gateway.private_table import PrivateTable
from pswd_edge.gateway.roles import Role

FILE = "users.json"
PASSWORD_MIN = 12
PASSWORD_MAX = 1024
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
# About 40 ms and 32 MiB for a login, beyond the minimum that OWASP lists for argon2id (12 MiB at three passes).
_HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1, type=Type.ID)


class User(msgspec.Struct, frozen=True):
    """One user; `hash` is argon2's own text form.

    `generation` is new with every password: a token carries it, so that a changed password ends the tokens of the old.
    """

    hash: str
    roles: tuple[str, ...]
    disabled: bool = False
    generation: str = ""


class _Stored(msgspec.Struct, frozen=True):
    users: dict[str, User] = {}
    version: int = 1


class UserStore:
    """The users of one state folder; a change of the file is seen by the next call."""

    def __init__(self, state_dir: Path) -> None:
        """Read the file where there is one; raises SecretError where it is damaged or open to others."""
        self._table = PrivateTable(state_dir / FILE, _Stored, _Stored())

    @property
    def empty(self) -> bool:
        """True where nobody can log in."""
        return not self._table.read().users

    def all(self) -> dict[str, User]:
        """Name to user."""
        return dict(sorted(self._table.read().users.items()))

    def granted(self, username: str, role: str, generation: str) -> bool:
        """True where the user is there, not disabled, has the role now, and still the password of this generation."""
        user = self._table.read().users.get(username)
        return _may_be(user, role) and user is not None and user.generation == generation

    def generation(self, username: str) -> str:
        """For a new token of this user; empty for unknown ones."""
        user = self._table.read().users.get(username)
        return user.generation if user else ""

    def known(self, username: str) -> bool:
        """True where there is such a user."""
        return username in self._table.read().users

    def verify(self, username: str, password: str, role: str) -> bool:
        """Check name, password and role; takes the same time for an unknown user. Slow: call it in a thread."""
        user = self._table.read().users.get(username)
        try:
            _HASHER.verify(user.hash if user else _nobody(), password)
        except (VerificationError, InvalidHashError):
            return False
        return _may_be(user, role)

    def add(self, username: str, password: str, roles: Iterable[str]) -> None:
        """Add the user, or give an existing one this password and these roles. On disk when it returns.

        Raises:
            ConfigError: name, password or a role is not acceptable; every mistake is listed.
        """
        wanted = tuple(dict.fromkeys(str(role) for role in roles))
        refuse(problems_of_name(username) + problems_of_password(password) + _problems_of_roles(wanted))
        user = _with_password(User("", wanted), password)
        self._table.change(lambda stored: _Stored({**stored.users, username: user}))

    def add_first(self, username: str, password: str, role: str) -> bool:
        """As `add`, but only where there is no user yet; False where there is one. Slow: call it in a thread."""
        refuse(problems_of_name(username) + problems_of_password(password) + _problems_of_roles((role,)))
        user = _with_password(User("", (role,)), password)
        first = _Stored({username: user})
        return self._table.change(lambda stored: stored if stored.users else first) is first

    def remove(self, username: str) -> None:
        """Take the user away; the tokens end with it. Raises ConfigError where there is none of this name."""
        def without(stored: _Stored) -> _Stored:
            _existing(stored, username)
            return _Stored({name: user for name, user in stored.users.items() if name != username})

        self._table.change(without)

    def set_password(self, username: str, password: str) -> None:
        """A new password, which ends the user's tokens. Raises ConfigError as `add` does, or for an unknown name."""
        _existing(self._table.read(), username)     # before 40 ms of hashing
        refuse(problems_of_password(password))
        fresh = _with_password(User("", ()), password)
        self._replace(username, hash=fresh.hash, generation=fresh.generation)

    def set_roles(self, username: str, roles: Iterable[str]) -> None:
        """Other roles; tokens for a role that was taken end. Raises ConfigError as `set_password` does."""
        wanted = tuple(dict.fromkeys(str(role) for role in roles))
        refuse(_problems_of_roles(wanted))
        self._replace(username, roles=wanted)

    def set_disabled(self, username: str, *, disabled: bool) -> None:
        """Keep the user out, or let it in again. Raises ConfigError where there is none of this name."""
        self._replace(username, disabled=disabled)

    def _replace(self, username: str, **changes: object) -> None:
        def replaced(stored: _Stored) -> _Stored:
            user: User = msgspec.structs.replace(_existing(stored, username), **changes)
            return _Stored({**stored.users, username: user})

        self._table.change(replaced)


def add_user(state_dir: Path, name: str, password: str, roles: Iterable[str]) -> None:
    """What `pswd-edge user add` does; see `UserStore.add` for errors. A running gateway notices by itself."""
    UserStore(state_dir).add(name, password, roles)


@cache
def _nobody() -> str:
    """A hash to check in place of an unknown user's."""
    return _HASHER.hash("no user has this password")


def _may_be(user: User | None, role: str) -> bool:
    return user is not None and not user.disabled and role in user.roles


def _with_password(user: User, password: str) -> User:
    return msgspec.structs.replace(user, hash=_HASHER.hash(password), generation=secrets.token_hex(8))


def _existing(stored: _Stored, username: str) -> User:
    if username not in stored.users:
        raise ConfigError([f"user name: got {username!r}: expected one of {', '.join(sorted(stored.users)) or 'none'}"])
    return stored.users[username]


def problems_of_name(username: str) -> list[str]:
    """What is wrong with it, one line a mistake."""
    good = _NAME.fullmatch(username)
    return [] if good else [f"user name: got {username!r}: expected 1 to 64 of letters, digits and . _ @ -"]


def problems_of_password(password: str) -> list[str]:
    """What is wrong with it; never repeats it."""
    good = PASSWORD_MIN <= len(password) <= PASSWORD_MAX
    line = f"password: got {len(password)} characters: expected {PASSWORD_MIN} to {PASSWORD_MAX}"
    return [] if good else [line]


def _problems_of_roles(roles: tuple[str, ...]) -> list[str]:
    known = [role.value for role in Role]
    if not roles:
        return [f"roles: got none: expected at least one of {', '.join(known)}"]
    return [f"role: got {role!r}: expected one of {', '.join(known)}" for role in roles if role not in known]


def refuse(problems: list[str]) -> None:
    """Raises ConfigError where there is any."""
    if problems:
        raise ConfigError(problems)
