"""The way of a request to its handler: who asks, may they, how often, what do they say. Each only after the last."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from pswd_edge.gateway.audit import is_command
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.guard import Guard
from pswd_edge.gateway.middleware import ENDPOINT, PRINCIPAL
from pswd_edge.gateway.peer import peer_of
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profile import Profile
from pswd_edge.gateway.rates import address_origin
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.security_log import Intrusions, Kind
from pswd_edge.gateway.validation import check, check_query, read_json

# Of a stream: raises RefusalError once its opening would be refused.
ADMISSION: web.RequestKey[Callable[[], object]] = web.RequestKey("admission")


class Reception:
    """Receives the requests of one profile."""

    def __init__(self, profile: Profile, guard: Guard, intrusions: Intrusions) -> None:
        self._profile, self._guard, self._intrusions = profile, guard, intrusions

    def routes(self) -> list[web.RouteDef]:
        """The profile's table as routes of aiohttp."""
        return [web.route(endpoint.method, self._profile.prefix + endpoint.path, self._handler(endpoint))
                for endpoint in self._profile.endpoints]

    def _handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def receive(request: web.Request) -> web.StreamResponse:
            request[ENDPOINT] = endpoint
            try:
                principal = self._admit(endpoint, request)
            finally:
                self._charge(endpoint, request)
            if endpoint.stream:
                request[ADMISSION] = lambda: self._admit(endpoint, request)
            if is_command(endpoint):
                self._guard.audit.check()
            return await self._guard.idempotency.serve(await read_call(endpoint, request, principal), endpoint)

        return receive

    def _admit(self, endpoint: Endpoint, request: web.Request) -> Principal | None:
        """Who asks; raises 401 where that is not proven, 403 where they may not. No byte of a body is read before."""
        if endpoint.operation is None:
            return None
        principal = self._profile.authenticate(request, stream=endpoint.stream)
        request[PRINCIPAL] = principal
        if endpoint.operation not in principal.allowed:
            self._intrusions.count(Kind.FORBIDDEN, origin=principal.origin, operation=endpoint.operation.value)
            raise RefusalError(403, "FORBIDDEN",
                               f"{principal.role} {principal.name}: may not {endpoint.operation.value}")
        return principal

    def _charge(self, endpoint: Endpoint, request: web.Request) -> None:
        """Count the request, one that is refused too; 429 goes before any other refusal.

        Who could not prove who they are counts by certificate, where there is one, or else by address: tokens cannot be
        tried faster than passwords.
        """
        principal = request.get(PRINCIPAL)
        if principal is not None:
            self._guard.charge(request, principal.origin, endpoint.category)
        else:
            category = endpoint.category if endpoint.operation is None else Category.AUTH
            peer = peer_of(request)
            origin = address_origin(request.remote) if peer is None else f"certificate:{peer.cn}"
            self._guard.charge(request, origin, category)


async def read_call(endpoint: Endpoint, request: web.Request, principal: Principal | None) -> Call:
    """The request as its models have it; raises 400 with every mistake of the first part that has one."""
    params = endpoint.params and check(endpoint.params, dict(request.match_info))
    query = endpoint.query and check_query(endpoint.query, request.query)
    body = endpoint.body and check(endpoint.body, await read_json(request))
    return Call(request, principal, params, query, body)
