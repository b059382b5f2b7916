"""What stands between the network and the handlers, one of each for all listeners of the gateway."""

from typing import NamedTuple

from aiohttp import web

from pswd_edge.gateway.audit import Audit
from pswd_edge.gateway.connections import Connections
from pswd_edge.gateway.endpoint import Category
from pswd_edge.gateway.idempotency import Idempotency
from pswd_edge.gateway.rates import Rates, Verdict, over_limit

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
