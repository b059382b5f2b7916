"""Who a DCPI client is: its certificate, the client that the table binds to it, and a token that is bound to both."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, NoReturn, TypeVar

from aiohttp import web

from pswd_edge.clock import Clock
from pswd_edge.gateway.clients import Client, ClientTable
from pswd_edge.gateway.families import Families, Renewed
from pswd_edge.gateway.peer import Peer, peer_of
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.roles import allowed_by
from pswd_edge.gateway.security_log import Intrusions, Kind
from pswd_edge.gateway.tokens import Bearer, ExpiredTokenError, TokenError, TokenIssuer

ROLE = "client"
CN_HEADER = "X-Client-Certificate-CN"
_URL_WORDS = ("access_token", "token", "refresh_token")
_WAITING_MAX = 32
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pswd-edge-dcpi"'}
_T = TypeVar("_T")


class ClientGrant(NamedTuple):
    """Tokens for a client. `expires_s` is how long the access token holds."""

    access_token: str
    refresh_token: str
    expires_s: int
    scopes: tuple[str, ...]


class ClientAuthority:
    """Joins client table, tokens and refresh families. Files are written in one thread of its own."""

    def __init__(self, clients: ClientTable, tokens: TokenIssuer, families: Families, intrusions: Intrusions,
                 clock: Clock, *, facility_id: str, origins: Sequence[str] = ()) -> None:
        """`origins`: whose browser pages may open streams, beside the listener's own."""
        self._clients, self._tokens, self._families = clients, tokens, families
        self._intrusions, self._clock = intrusions, clock
        self._facility_id, self._origins = facility_id, frozenset(origins)
        self._thread = ThreadPoolExecutor(1, "refresh")
        self._waiting = 0

    def close(self) -> None:
        """End the thread; what is being written is finished first."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def authenticate(self, request: web.Request) -> Principal:
        """Who asks, by certificate and bearer token together; raises 401, or 400 for a credential in the URL."""
        client_id, client, peer = self._client(request)
        authorization = request.headers.get("Authorization")
        if authorization is None:
            raise RefusalError(401, "UNAUTHORIZED", "Authorization header: expected 'Bearer TOKEN'; ask /auth/token",
                               headers=_CHALLENGE)
        bearer = self._bearer(authorization, client_id, peer)
        return _principal(client_id, set(bearer.scopes) & set(client.scopes))

    def authenticate_stream(self, request: web.Request) -> Principal:
        """Who opens a stream: by certificate alone, as a browser can send no bearer; one that is sent must match.

        Raises:
            RefusalError: 400 for a credential in the URL, 401 as `authenticate`, 403 for a page of elsewhere.
        """
        self._refuse_foreign_origin(request)
        client_id, client, peer = self._client(request)
        authorization = request.headers.get("Authorization")
        scopes = set(client.scopes)
        if authorization is not None:
            scopes &= set(self._bearer(authorization, client_id, peer).scopes)
        return _principal(client_id, scopes)

    async def grant(self, request: web.Request, client_id: str, scopes: Sequence[str], facility_id: str) -> ClientGrant:
        """New tokens for the client of this certificate.

        Raises:
            RefusalError: 401 where the certificate is not this client's, 403 for scopes that the table does not grant
                or another facility, 503 where too much is waiting.
        """
        own, client, peer = self._client(request)
        if client_id != own:
            self._refuse(Kind.CLIENT, request, "client_id: not the client of this certificate", asked=client_id[:64],
                         client=own)
        if facility_id != self._facility_id:
            raise RefusalError(403, "FORBIDDEN", "facility_id: not the facility of this gateway")
        more = [scope for scope in dict.fromkeys(scopes) if scope not in client.scopes]
        if more:
            self._intrusions.count(Kind.SCOPE, client=own, scopes=more, remote=request.remote)
            raise RefusalError(403, "FORBIDDEN", f"scope: {', '.join(more)}: not granted to {own}",
                               details={"not_granted": more, "granted": list(client.scopes)})
        wanted = tuple(dict.fromkeys(scopes))
        return self._granted(await self._in_thread(lambda: self._families.begin(own, wanted)), client, peer)

    async def refresh(self, request: web.Request, refresh_token: str) -> ClientGrant:
        """The next tokens of a family; raises 401 where the token is none, was used before, or is another's."""
        client_id, client, peer = self._client(request)
        outcome = await self._in_thread(lambda: self._families.renew(refresh_token, client_id))
        if isinstance(outcome, str):
            self._refuse(Kind.REPLAY, request, "refresh_token: not accepted; ask /auth/token", client=client_id,
                         family=outcome)
        if outcome is None:
            self._refuse(Kind.TOKEN, request, "refresh_token: not accepted; ask /auth/token", client=client_id)
        return self._granted(outcome, client, peer)

    def _granted(self, renewed: Renewed, client: Client, peer: Peer) -> ClientGrant:
        """Scopes that were taken from the client since are left out."""
        scopes = tuple(scope for scope in renewed.family.scopes if scope in client.scopes)
        bearer = Bearer(renewed.family.client_id, ROLE, cn=peer.cn, scopes=scopes, family=renewed.id)
        return ClientGrant(self._tokens.issue(bearer), renewed.refresh_token, self._tokens.lifetime_s, scopes)

    def _client(self, request: web.Request) -> tuple[str, Client, Peer]:
        """By the certificate of the connection; a header that claims another name is reported, never believed."""
        self._refuse_credentials_in_url(request)
        peer = peer_of(request)
        if peer is None or self._clock.utc_s() >= peer.ends_utc_s:
            self._refuse(Kind.CLIENT, request, "client certificate: none that is valid")
        claimed = request.headers.get(CN_HEADER)
        if claimed is not None and claimed != peer.cn:
            self._intrusions.count(Kind.CN_HEADER, cn=peer.cn, claimed=claimed[:64], remote=request.remote)
        found = self._clients.client_of(peer)
        if found is None:
            self._refuse(Kind.CLIENT, request, "client certificate: bound to no client of this site", cn=peer.cn)
        return (*found, peer)

    def _bearer(self, authorization: str, client_id: str, peer: Peer) -> Bearer:
        """The token's claims, where it is this client's, of this certificate's name, and its family lives."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise RefusalError(401, "UNAUTHORIZED", "Authorization header: expected 'Bearer TOKEN'; ask /auth/token",
                               headers=_CHALLENGE)
        try:
            bearer = self._tokens.check(token.strip())
        except TokenError as error:
            self._intrusions.count(Kind.EXPIRED if isinstance(error, ExpiredTokenError) else Kind.TOKEN,
                                   client=client_id, reason=str(error))
            raise RefusalError(401, "UNAUTHORIZED", str(error), headers=_CHALLENGE) from error
        good = bearer.role == ROLE and bearer.name == client_id and bearer.cn == peer.cn
        if not good or not self._families.lives(bearer.family, client_id):
            reason = "token: not of this certificate's client" if not good else "token: revoked; ask /auth/token"
            self._intrusions.count(Kind.TOKEN, client=client_id, reason=reason)
            raise RefusalError(401, "UNAUTHORIZED", reason, headers=_CHALLENGE)
        return bearer

    def _refuse_credentials_in_url(self, request: web.Request) -> None:
        """URLs end up in logs and histories: a token that was in one has leaked."""
        found = [word for word in _URL_WORDS if word in request.query]
        if found:
            self._intrusions.count(Kind.URL, path=request.path[:200], remote=request.remote)
            raise RefusalError(400, "INVALID_REQUEST", f"{found[0]}: got it in the URL: expected no credential there")

    def _refuse_foreign_origin(self, request: web.Request) -> None:
        """A page of elsewhere must not use the certificate of a browser that opens it."""
        origin = request.headers.get("Origin")
        if origin is None or origin == f"https://{request.host}" or origin in self._origins:
            return
        self._intrusions.count(Kind.ORIGIN, origin=origin[:200], remote=request.remote)
        raise RefusalError(403, "FORBIDDEN", "Origin: not a page of this gateway")

    def _refuse(self, kind: Kind, request: web.Request, message: str, **facts: object) -> NoReturn:
        self._intrusions.count(kind, remote=request.remote, reason=message, **facts)
        raise RefusalError(401, "AUTHENTICATION_FAILED", message)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        if self._waiting >= _WAITING_MAX:
            raise unavailable("BUSY", f"{_WAITING_MAX} requests for tokens are waiting; ask again in 1 s",
                              retry_after_s=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1


def _principal(client_id: str, scopes: set[str]) -> Principal:
    return Principal(client_id, ROLE, allowed_by(scopes), f"dcpi:{client_id}")
