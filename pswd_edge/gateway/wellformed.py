"""What aiohttp lets through and the gateway does not: requests that two readers would understand in two ways."""

import re

from aiohttp import HttpVersion10, web

from pswd_edge.gateway.refusal import RefusalError

_PLAIN = re.compile(r"/?|(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%(?!2[EeFf5]|5[Cc]|[01]|7[Ff])[0-9A-Fa-f]{2})+)+/?")
_DOTS = re.compile(r"/\.{1,2}(?:/|$)")
_ABSOLUTE = re.compile(r"https?://[^/?#@]+", re.IGNORECASE)
_ONCE = ("Authorization", "Content-Type", "Idempotency-Key", "Origin", "X-API-Key", "X-Request-ID")
_NEVER = frozenset({"CONNECT", "TRACE"})


def check_form(request: web.Request) -> None:
    """Look at the request before anything is looked up.

    Raises:
        RefusalError: 404 for a path that none of ours can be, 405 for CONNECT and TRACE, and 400 MALFORMED_HTTP,
            after which the connection is closed, for HTTP before 1.0, a transfer coding beside chunked, an upgrade to
            another protocol, and a header that says twice what can be said once.
    """
    if request.version < HttpVersion10:
        raise malformed("got HTTP before 1.0: expected 1.1")
    coding = request.headers.getall("Transfer-Encoding", ())
    if coding and [text.strip().lower() for text in coding] != ["chunked"]:
        raise malformed("Transfer-Encoding: expected chunked or none")
    if request.headers.get("Upgrade", "websocket").lower() != "websocket":
        raise malformed("Upgrade: expected websocket or none")      # aiohttp would lose what came behind it
    twice = next((name for name in _ONCE if len(request.headers.getall(name, ())) > 1), None)
    if twice is not None:
        raise malformed(f"{twice}: got it more than once")
    if request.method in _NEVER:
        raise RefusalError(405, "METHOD_NOT_ALLOWED", f"got {request.method}: nothing here knows it",
                           headers={"Allow": "GET, POST, PUT", "Connection": "close"})
    if not _is_plain(request.raw_path.partition("?")[0]):
        raise RefusalError(404, "INVALID_PATH", "path: got what is no path of this gateway")


def malformed(message: str) -> RefusalError:
    """400 for what is no HTTP as we speak it; the connection is closed behind it."""
    return RefusalError(400, "MALFORMED_HTTP", message, headers={"Connection": "close"})


def _is_plain(asked: str) -> bool:
    """The target as it was sent, since aiohttp tidies a path before anybody sees it.

    No dots that climb, no empty segment, no escape of what separates (`%2F`, `%5C`, `%2E`), of an escape (`%25`) or of
    a control character (`%00`), and nothing that RFC 3986 does not have in a path.
    """
    absolute = _ABSOLUTE.match(asked)
    sent = asked[absolute.end():] if absolute else asked
    return bool(_PLAIN.fullmatch(sent)) and not _DOTS.search(sent)
