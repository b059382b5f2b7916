"""Who asks: what a profile makes of a token, a key or a certificate before anything else is looked at."""

from typing import NamedTuple

from pswd_edge.gateway.roles import Operation


class Principal(NamedTuple):
    """An identity that was proven.

    `name` is a user's name, a key's id or a DCPI client's id, `role` its role ("client" for a DCPI client). `allowed`
    is all that it may do. `origin` names it for envelopes, ledger, audit and rate limits: "api:alice",
    "dcpi:scheduler-01".
    """

    name: str
    role: str
    allowed: frozenset[Operation]
    origin: str
