"""DCPI: tokens."""

from aiohttp import web

from pswd_edge.gateway.client_authority import ClientAuthority, ClientGrant
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.dcpi.auth_models import RefreshRequest, TokenAnswer, TokenRequest


def endpoints(clients: ClientAuthority, facility_id: str) -> list[Endpoint]:
    """The operations on tokens: open to everybody who has a client certificate."""

    async def token(call: Call) -> web.StreamResponse:
        said: TokenRequest = call.body
        grant = await clients.grant(call.request, said.client_id, said.scope, said.facility_id)
        return respond(_shown(grant, facility_id))

    async def refresh(call: Call) -> web.StreamResponse:
        said: RefreshRequest = call.body
        return respond(_shown(await clients.refresh(call.request, said.refresh_token), facility_id))

    return [
        Endpoint("POST", "/auth/token", None, Category.AUTH, token,
                 "A token for the client of the certificate", TokenAnswer, body=TokenRequest, refusals=(401, 403)),
        Endpoint("POST", "/auth/refresh", None, Category.AUTH, refresh,
                 "The next token, for a refresh token that was not used yet", TokenAnswer, body=RefreshRequest,
                 refusals=(401,)),
    ]


def _shown(grant: ClientGrant, facility_id: str) -> dict[str, object]:
    return {"access_token": grant.access_token, "token_type": "Bearer", "expires_in": grant.expires_s,
            "scope": list(grant.scopes), "facility_id": facility_id, "refresh_token": grant.refresh_token}
