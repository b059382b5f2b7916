"""The client certificate behind a request, as TLS has verified it. Nothing that a client writes is looked at."""

import ssl
from hashlib import sha256
from typing import Any, NamedTuple

from aiohttp import web


class Peer(NamedTuple):
    """What of a verified certificate matters. `serial` and `fingerprint` are lower-case hexadecimal."""

    cn: str
    serial: str
    fingerprint: str
    ends_utc_s: float


def peer_of(request: web.Request) -> Peer | None:
    """The other end of the connection; None without TLS, without a certificate, or where it has not exactly one CN.

    Decoded once a connection and kept with it.
    """
    protocol: Any = request.protocol
    known: Peer | None = getattr(protocol, "peer", None)
    if known is not None:
        return known
    found = _decoded(request)
    if found is not None:
        protocol.peer = found
    return found


def _decoded(request: web.Request) -> Peer | None:
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    fields = tls.getpeercert() if tls else None      # empty where the certificate was not verified
    whole = tls.getpeercert(binary_form=True) if tls else None
    if not fields or not whole:
        return None
    names = [value for part in fields["subject"] for key, value in part if key == "commonName"]
    if len(names) != 1:
        return None
    return Peer(names[0], fields["serialNumber"].lower().lstrip("0"), sha256(whole).hexdigest(),
                float(ssl.cert_time_to_seconds(fields["notAfter"])))
