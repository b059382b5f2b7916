"""Users, API keys and the first user: who may come in by PSWD and by the gateway's own API."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import structlog
from aiohttp import web

from pswd_edge.errors import ConfigError
from pswd_edge.gateway.keys import KeyStore
from pswd_edge.gateway.lockout import WINDOW_S, Lockout
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.roles import Role, allowed_of
from pswd_edge.gateway.security_log import Intrusions, Kind
from pswd_edge.gateway.setup_token import SetupToken
from pswd_edge.gateway.tokens import Bearer, ExpiredTokenError, TokenError, TokenIssuer
from pswd_edge.gateway.users import UserStore
from pswd_edge.gateway.validation import invalid

ADD_USER = "pswd-edge user add NAME --role ROLE"
KEY_HEADER = "X-API-Key"
_WAITING_MAX = 16
_LOG = structlog.get_logger("pswd_edge.gateway")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pswd-edge"'}
_T = TypeVar("_T")


class Grant(NamedTuple):
    """A successful login."""

    token: str
    expires_s: int
    role: str


class Authority:
    """Joins users, keys, lockout and tokens. Passwords are checked in a thread of its own: hashing takes tens of ms."""

    def __init__(self, users: UserStore, tokens: TokenIssuer, keys: KeyStore, lockout: Lockout,
                 intrusions: Intrusions, setup: SetupToken) -> None:
        self._users, self._tokens, self._keys = users, tokens, keys
        self._lockout, self._intrusions, self._setup = lockout, intrusions, setup
        self._thread = ThreadPoolExecutor(1, "login")
        self._waiting = 0

    async def login(self, username: str, password: str, role: str, address: str) -> Grant:
        """Answer with a token, or raise 401 with the same words whatever was wrong; 503 where 16 logins wait."""
        if self._users.empty:
            _LOG.warning("login refused: there are no users", next=f"add one with: {ADD_USER}")
            raise _refused()
        if self._lockout.locked(username, address):
            self._lockout.failed(username, address)
            self._intrusions.count(Kind.LOCKED, user=self._shown(username), remote=address)
            raise _refused()
        if not await self._in_thread(lambda: self._users.verify(username, password, role)):
            failures = self._lockout.failed(username, address)
            self._intrusions.count(Kind.LOGIN, user=self._shown(username), remote=address, failures=failures)
            raise _refused()
        self._lockout.succeeded(username, address)
        bearer = Bearer(username, role, self._users.generation(username))
        return Grant(self._tokens.issue(bearer), self._tokens.lifetime_s, role)

    async def set_up(self, token: str, username: str, password: str, address: str) -> None:
        """Make the first user, an infrastructure manager, for whoever has the one-time token.

        Raises:
            RefusalError: 401 where the token is not good or there is a user already, 400 for a name or password that
                is not acceptable (the token is not used up), 503 where 16 logins wait.
        """
        role = Role.INFRASTRUCTURE_MANAGER
        braked = self._lockout.address_locked(address)
        if braked or not self._users.empty or not self._setup.good(token):
            self._lockout.address_failed(address)
            self._intrusions.count(Kind.SETUP, remote=address)
            raise RefusalError(401, "AUTHENTICATION_FAILED", "setup token not accepted")
        try:
            first = await self._in_thread(lambda: self._users.add_first(username, password, role))
        except ConfigError as error:
            raise invalid(error.problems) from error
        self._setup.end()
        if not first:
            raise RefusalError(401, "AUTHENTICATION_FAILED", "setup token not accepted")
        _LOG.warning("the first user was made with the setup token", user=username, remote=address)

    def offer_setup(self) -> str | None:
        """A new one-time token where there is no user, to be shown once; None where there is one."""
        return self._setup.make() if self._users.empty else None

    def authenticate(self, request: web.Request) -> Principal:
        """Who asks, by bearer token or API key; raises 401 where neither is good, 400 where both are sent."""
        authorization, key = request.headers.get("Authorization"), request.headers.get(KEY_HEADER)
        if key is None:
            return self._by_token(authorization, request.remote or "")
        if authorization is not None:
            raise invalid([f"{KEY_HEADER}: got it beside Authorization: expected one of the two"])
        return self._by_key(key, request.remote or "")

    def _by_token(self, authorization: str | None, address: str) -> Principal:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RefusalError(401, "UNAUTHORIZED", "Authorization header: expected 'Bearer TOKEN'; log in first",
                               headers=_CHALLENGE)
        try:
            bearer = self._tokens.check(token.strip())
        except TokenError as error:
            kind = Kind.EXPIRED if isinstance(error, ExpiredTokenError) else Kind.TOKEN
            self._intrusions.count(kind, remote=address, reason=str(error))
            raise RefusalError(401, "UNAUTHORIZED", str(error), headers=_CHALLENGE) from error
        if not self._users.granted(bearer.name, bearer.role, bearer.generation):
            self._intrusions.count(Kind.TOKEN, remote=address, reason="its user no longer has this role or password")
            raise RefusalError(401, "UNAUTHORIZED", "token: its user no longer has this role or password; log in again",
                               headers=_CHALLENGE)
        return Principal(bearer.name, bearer.role, allowed_of(bearer.role), f"api:{bearer.name}")

    def _by_key(self, text: str, address: str) -> Principal:
        """An expired or revoked key has been a good one: its owner is told, and its address is not braked."""
        if self._lockout.address_locked(address):
            self._intrusions.count(Kind.LOCKED, remote=address)
            raise RefusalError(429, "TOO_MANY_FAILURES", f"too many failures from this address; wait {WINDOW_S:.0f} s",
                               headers={"Retry-After": f"{WINDOW_S:.0f}"})
        found = self._keys.look(text)
        if found.state == "unknown" or found.key is None:
            self._lockout.address_failed(address)
            self._intrusions.count(Kind.KEY, remote=address)
            raise RefusalError(401, "UNAUTHORIZED", f"{KEY_HEADER}: not a key of this site", headers=_CHALLENGE)
        if found.state != "good":
            self._intrusions.count(Kind.KEY, remote=address, key=found.id, state=found.state)
            raise RefusalError(401, "UNAUTHORIZED", f"{KEY_HEADER}: {found.state}; ask for a new one",
                               headers=_CHALLENGE)
        return Principal(found.id, found.key.role, found.key.allowed, f"key:{found.id}")

    def look(self) -> None:
        """Once a second: hours in which keys were used go to disk, in the thread."""
        if self._keys.unwritten:
            self._thread.submit(self._keys.write_uses)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        if self._waiting >= _WAITING_MAX:
            raise unavailable("BUSY", f"{_WAITING_MAX} logins are waiting already; ask again in 1 s", retry_after_s=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def _shown(self, username: str) -> str:
        """A name that is no user's may be a password typed into the wrong field: it is not written down."""
        return username if self._users.known(username) else "(unknown)"

    def close(self) -> None:
        """End the thread; logins in flight are answered first."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def _refused() -> RefusalError:
    return RefusalError(401, "AUTHENTICATION_FAILED", "user name, password or role not accepted")
