"""What stands between the network and the handlers, one of each for all listeners of the gateway."""

from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from pswd_edge.clock import Clock
from pswd_edge.gateway.audit import Audit
from pswd_edge.gateway.audit_file import AuditFile
from pswd_edge.gateway.connections import Bounds, Connections
from pswd_edge.gateway.endpoint import Category
from pswd_edge.gateway.idempotency import Idempotency, Store
from pswd_edge.gateway.rates import Rates, Verdict, over_limit, rates_of
from pswd_edge.model.site import ApiLimits

VERDICT = web.RequestKey("verdict", Verdict)


class Guard(NamedTuple):
    """Joins rates, audit, idempotency and connections."""

    rates: Rates
    audit: Audit
    idempotency: Idempotency
    connections: Connections

    def charge(self, request: web.Request, origin: str, category: Category) -> None:
        """Count the request towards its origin's rate; raises RefusalError 429 where that is used up."""
        verdict = self.rates.take(origin, category)
        request[VERDICT] = verdict
        if not verdict.allowed:
            raise over_limit(category, verdict)


def open_guard(limits: ApiLimits, state_dir: Path, store: Store, clock: Clock) -> Guard:
    """A guard with the site's limits. `audit` has to run, and to be closed at the end."""
    audit = Audit(AuditFile(state_dir, clock), clock)
    bounds = Bounds(limits.connections, limits.connections_per_address)
    return Guard(Rates(clock, rates_of(limits)), audit, Idempotency(store, clock),
                 Connections(bounds, clock, audit.refused))
