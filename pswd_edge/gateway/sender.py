"""Who sends a command, for its envelope: the user behind the token, and the id that makes it idempotent."""

import re
import uuid
from typing import NamedTuple

from aiohttp import web

from pswd_edge.gateway.middleware import PRINCIPAL
from pswd_edge.gateway.validation import invalid

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class Sender(NamedTuple):
    """What goes into a request's envelope: its id, the user's name and role."""

    id: str
    name: str
    role: str


def sender_of(request: web.Request) -> Sender:
    """The id is the user's own Idempotency-Key, or a new one; the user's name before it keeps users apart."""
    principal = request[PRINCIPAL]
    key = request.headers.get("Idempotency-Key")
    if key is None:
        key = uuid.uuid4().hex
    elif not _KEY.fullmatch(key):
        raise invalid([f"Idempotency-Key: got {len(key)} characters: expected 1 to 128 visible ASCII characters"])
    return Sender(f"{principal.name}:{key}", principal.name, principal.role)
