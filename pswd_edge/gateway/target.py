"""The request's target: paths that mean something else to the next reader are no paths of ours."""

import re

from aiohttp import web

from pswd_edge.gateway.refusal import RefusalError

_PLAIN = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%(?!2[EeFf5]|5[Cc]|[01]|7[Ff])[0-9A-Fa-f]{2})+)+")
_DOTS = re.compile(r"/\.{1,2}(?:/|$)")


def check_target(request: web.Request) -> None:
    """Raises RefusalError 404 for what no path of ours is, before anything is looked up.

    That is dots that climb, empty segments, escapes of what separates (`%2F`, `%5C`, `%2E`), of an escape (`%25`) and
    of control characters (`%00`), and everything that RFC 3986 does not have in a path.
    """
    path = request.rel_url.raw_path
    asked = request.raw_path.partition("?")[0]
    if not (_PLAIN.fullmatch(path) and _is_plain(asked)):
        raise RefusalError(404, "NOT_FOUND", "path: got what is no path of this gateway")


def _is_plain(asked: str) -> bool:
    """As it was sent: aiohttp tidies a path before anybody sees it."""
    absolute = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", asked)
    sent = asked[absolute.end():] if absolute else asked
    return bool(_PLAIN.fullmatch(sent)) and not _DOTS.search(sent)
