"""Those outside that the gateway speaks to: an address that can be used, and nothing secret sent in the clear."""

import ipaddress
from urllib.parse import urlsplit

from pswd_edge.config.place import Place
from pswd_edge.config.site_form import EndpointForm


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_endpoint(form: EndpointForm | None, place: Place) -> None:
    """Note what is wrong with the address. The secret itself is judged with all others (`secret_checks.py`)."""
    if form is None or not form.url:
        return
    try:
        parts = urlsplit(form.url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        place.complain(("url",), "no address that can be used", "https://<host>[:<port>][/<path>]")
    elif parts.username is not None or parts.password is not None:
        place.complain(("url",), "a user or password in it (not shown)", "an address alone, and `secret` beside it")
    elif parts.scheme == "http" and not is_loopback(host):
        place.complain(("url",), f"{host!r} without TLS", "https://…, or 127.0.0.1")
    elif parts.scheme == "http" and form.tls_ca is not None:
        place.complain(("tls_ca",), "an authority, and an address without TLS", "https://…, or no tls_ca")
