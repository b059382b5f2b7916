"""The user store: names, argon2id hashes and roles in one private JSON file. There is no default user."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from pswd_edge.errors import ConfigError, SecretError
from pswd_edge.gateway.private_file import read_private, write_private
from pswd_edge.gateway.roles import Role

FILE = "users.json"
PASSWORD_MIN = 12
PASSWORD_MAX = 1024
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
# About 40 ms and 32 MiB for a login, beyond the minimum that OWASP lists for argon2id (12 MiB at three passes).
_HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1, type=Type.ID)


class User(msgspec.Struct, frozen=True):
    """One user; `hash` is argon2's own text form."""

    hash: str
    roles: tuple[str, ...]


class _Stored(msgspec.Struct, frozen=True):
    users: dict[str, User]
    version: int = 1


class UserStore:
    """The users of one state folder; a change of the file is seen by the next call."""

    def __init__(self, state_dir: Path) -> None:
        """Read the file where there is one; raises SecretError where it is damaged or open to others."""
        self._path = state_dir / FILE
        self._seen: tuple[int, int] | None = None
        self._users: dict[str, User] = {}
        self._refresh()

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except OSError:
            self._seen, self._users = None, {}
            return
        if self._seen != (status.st_ino, status.st_mtime_ns):
            self._users = _read(self._path)
            self._seen = (status.st_ino, status.st_mtime_ns)

    @property
    def empty(self) -> bool:
        """True where nobody can log in."""
        self._refresh()
        return not self._users

    def granted(self, username: str, role: str) -> bool:
        """True where the user exists and has the role now: a token of a removed user is worth nothing."""
        self._refresh()
        user = self._users.get(username)
        return user is not None and role in user.roles

    def known(self, username: str) -> bool:
        """True where there is such a user."""
        return username in self._users

    def verify(self, username: str, password: str, role: str) -> bool:
        """Check name, password and role; takes the same time for an unknown user. Slow: call it in a thread."""
        self._refresh()
        user = self._users.get(username)
        try:
            _HASHER.verify(user.hash if user else _nobody(), password)
        except (VerificationError, InvalidHashError):
            return False
        return user is not None and role in user.roles

    def add(self, username: str, password: str, roles: Iterable[str]) -> None:
        """Add the user, or give an existing one this password and these roles. On disk when it returns.

        Raises:
            ConfigError: name, password or a role is not acceptable; every mistake is listed.
        """
        wanted = tuple(dict.fromkeys(str(role) for role in roles))
        _check(username, password, wanted)
        self._refresh()
        users = {**self._users, username: User(_HASHER.hash(password), wanted)}
        write_private(self._path, msgspec.json.format(msgspec.json.encode(_Stored(users)), indent=1))
        self._seen = None


def add_user(state_dir: Path, name: str, password: str, roles: Iterable[str]) -> None:
    """What `pswd-edge user add` does; see `UserStore.add` for errors. A running gateway notices by itself."""
    UserStore(state_dir).add(name, password, roles)


@cache
def _nobody() -> str:
    """A hash to check in place of an unknown user's."""
    return _HASHER.hash("no user has this password")


def _read(path: Path) -> dict[str, User]:
    content = read_private(path)
    if content is None:
        return {}
    try:
        return msgspec.json.decode(content, type=_Stored).users
    except msgspec.DecodeError as error:
        raise SecretError(f"{path}: damaged ({error}); restore it, or remove it and add the users again") from error


def _check(username: str, password: str, roles: tuple[str, ...]) -> None:
    """Never repeats the password."""
    known = [role.value for role in Role]
    problems = []
    if not _NAME.fullmatch(username):
        problems.append(f"user name: got {username!r}: expected 1 to 64 of letters, digits and . _ @ -")
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        problems.append(f"password: got {len(password)} characters: expected {PASSWORD_MIN} to {PASSWORD_MAX}")
    if not roles:
        problems.append(f"roles: got none: expected at least one of {', '.join(known)}")
    problems += [f"role: got {role!r}: expected one of {', '.join(known)}" for role in roles if role not in known]
    if problems:
        raise ConfigError(problems)
