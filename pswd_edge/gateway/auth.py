"""Login and admission: who may come in, and who may do what."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import structlog

from pswd_edge.gateway.lockout import Lockout
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.roles import allowed_of
from pswd_edge.gateway.tokens import LIFETIME_S, Bearer, TokenError, TokenIssuer
from pswd_edge.gateway.users import UserStore

ADD_USER = "pswd-edge user add NAME --role ROLE"
_WAITING_MAX = 16
_LOG = structlog.get_logger("pswd_edge.gateway")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pswd-edge"'}


class Grant(NamedTuple):
    """A successful login."""

    token: str
    expires_s: int
    role: str


class Authority:
    """Joins users, lockout and tokens. Passwords are checked in one thread of its own: hashing takes tens of ms."""

    def __init__(self, users: UserStore, tokens: TokenIssuer, lockout: Lockout) -> None:
        self._users = users
        self._tokens = tokens
        self._lockout = lockout
        self._thread = ThreadPoolExecutor(1, "login")
        self._waiting = 0

    async def login(self, username: str, password: str, role: str, address: str) -> Grant:
        """Answer with a token, or raise 401 with the same words whatever was wrong; 503 where 16 logins wait."""
        if self._users.empty:
            _LOG.warning("login refused: there are no users", next=f"add one with: {ADD_USER}")
            raise _refused()
        if self._lockout.locked(username, address):
            self._lockout.failed(username, address)
            raise _refused()
        if not await self._verify(username, password, role):
            failures = self._lockout.failed(username, address)
            # A name that is no user's may be a password typed into the wrong field: it is not written down.
            shown = username if self._users.known(username) else "(unknown)"
            _LOG.warning("login refused", user=shown, remote=address, failures=failures)
            raise _refused()
        self._lockout.succeeded(username, address)
        return Grant(self._tokens.issue(Bearer(username, role)), LIFETIME_S, role)

    async def _verify(self, username: str, password: str, role: str) -> bool:
        if self._waiting >= _WAITING_MAX:
            raise unavailable("BUSY", f"{_WAITING_MAX} logins are waiting already; ask again in 1 s", retry_after_s=1)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._users.verify, username, password, role)
        finally:
            self._waiting -= 1

    def authenticate(self, authorization: str | None) -> Principal:
        """Who asks, by the Authorization header; raises 401 without a good token."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RefusalError(401, "UNAUTHORIZED", "Authorization header: expected 'Bearer TOKEN'; log in first",
                               headers=_CHALLENGE)
        try:
            bearer = self._tokens.check(token.strip())
        except TokenError as error:
            raise RefusalError(401, "UNAUTHORIZED", str(error), headers=_CHALLENGE) from error
        if not self._users.granted(bearer.name, bearer.role):
            raise RefusalError(401, "UNAUTHORIZED", "token: its user no longer has this role; log in again",
                               headers=_CHALLENGE)
        return Principal(bearer.name, bearer.role, allowed_of(bearer.role), f"api:{bearer.name}")

    def close(self) -> None:
        """End the thread; logins in flight are answered first."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def _refused() -> RefusalError:
    return RefusalError(401, "AUTHENTICATION_FAILED", "user name, password or role not accepted")
