"""Pages of other origins: none may ask, but those that the listener names."""

from collections.abc import Iterable

from aiohttp import web

_METHODS = "GET, POST, PUT"
_ASKED = "Authorization, Content-Type, Idempotency-Key, X-Request-ID"
_SHOWN = "X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, Idempotency-Replayed"
_MAX_AGE_S = 600


class Cors:
    """Answers browsers about `origins`, each "https://host:port" exactly. Cookies are not used, so none are allowed."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def headers(self, request: web.Request) -> dict[str, str]:
        """What the answer to a page says; nothing where its origin is not named."""
        if not self._origins:
            return {}
        origin = request.headers.get("Origin")
        if origin not in self._origins:
            return {"Vary": "Origin"}
        return {"Access-Control-Allow-Origin": str(origin), "Access-Control-Expose-Headers": _SHOWN, "Vary": "Origin"}

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks before it asks; None where this is none, or of an origin not named."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        if request.headers.get("Origin") not in self._origins:
            return None
        return web.Response(status=204, headers={
            "Access-Control-Allow-Methods": _METHODS, "Access-Control-Allow-Headers": _ASKED,
            "Access-Control-Max-Age": str(_MAX_AGE_S)})
