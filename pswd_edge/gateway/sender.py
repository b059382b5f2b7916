"""Who sends a command, for its envelope: where it comes from, and the id that makes it idempotent."""

import re
import uuid
from typing import NamedTuple

from aiohttp import web

from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.validation import invalid

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class Sender(NamedTuple):
    """What goes into a request's envelope."""

    id: str
    origin: str
    role: str


def sender_of(request: web.Request, principal: Principal) -> Sender:
    """The id is the sender's own Idempotency-Key, or a new one; the origin before it keeps senders apart."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        key = uuid.uuid4().hex
    elif not _KEY.fullmatch(key):
        raise invalid([f"Idempotency-Key: got {len(key)} characters: expected 1 to 128 visible ASCII characters"])
    return Sender(f"{principal.origin}:{key}", principal.origin, principal.role)
