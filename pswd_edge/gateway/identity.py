"""Everything that knows who somebody is, opened once from one state folder."""

from pathlib import Path
from typing import NamedTuple, Self

from pswd_edge.clock import Clock
from pswd_edge.gateway.auth import Authority
from pswd_edge.gateway.client_authority import ClientAuthority
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.families import Families
from pswd_edge.gateway.keys import KeyStore
from pswd_edge.gateway.lockout import Lockout
from pswd_edge.gateway.security_log import Intrusions
from pswd_edge.gateway.setup_token import SetupToken
from pswd_edge.gateway.signing import KeyRing
from pswd_edge.gateway.tokens import CLIENTS_AUDIENCE, RevokedTokens, TokenIssuer
from pswd_edge.gateway.users import UserStore
from pswd_edge.model.site import Site


class Identity(NamedTuple):
    """`users` for PSWD and the gateway's own API, `clients` for DCPI."""

    users: Authority
    clients: ClientAuthority

    @classmethod
    def open(cls, state_dir: Path, site: Site, clock: Clock, intrusions: Intrusions) -> Self:
        """Read every file of the folder; raises SecretError where one is damaged or open to others."""
        ring, revoked = KeyRing(state_dir, clock), RevokedTokens(state_dir, clock)
        issuer, spec = f"pswd-edge/{site.id}", site.identity
        pswd = TokenIssuer(ring, revoked, issuer, clock, lifetime_s=spec.access_lifetime_s)
        dcpi = TokenIssuer(ring, revoked, issuer, clock, audience=CLIENTS_AUDIENCE, lifetime_s=spec.access_lifetime_s)
        users = Authority(UserStore(state_dir), pswd, KeyStore(state_dir, clock), Lockout(clock), intrusions,
                          SetupToken(clock))
        families = Families(state_dir, clock, spec.refresh_lifetime_s)
        return cls(users, ClientAuthority(ClientTable(state_dir), dcpi, families, intrusions, clock,
                                          facility_id=site.facility_id, origins=spec.origins))

    def close(self) -> None:
        """End the threads; what is being checked or written is finished first."""
        self.users.close()
        self.clients.close()
