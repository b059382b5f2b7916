"""What happens around every handler: a request id, a time limit, one log line, and errors in the API's own words."""

import asyncio
import re
import sqlite3
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import web

from pswd_edge.gateway.audit import REFUSED, Audit
from pswd_edge.gateway.cors import Cors
from pswd_edge.gateway.endpoint import Endpoint
from pswd_edge.gateway.guard import VERDICT
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.performance import PerformanceMeter
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profile import Profile, respond_refusal
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.validation import too_large
from pswd_edge.gateway.wellformed import check_form

REQUEST_ID = web.RequestKey("request_id", str)
PRINCIPAL = web.RequestKey("principal", Principal)
ENDPOINT = web.RequestKey("endpoint", Endpoint)
TIME_LIMIT = web.RequestKey("time_limit", asyncio.Timeout)
TIMEOUT_S = 20.0
SWITCHING = 101
_GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_LOG = structlog.get_logger("pswd_edge.access")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Frame:
    """The one middleware of a listener. `profiles` are its profiles; the first one's words serve unknown paths."""

    def __init__(
        self, profiles: Sequence[Profile], live: LiveImage, meter: PerformanceMeter, audit: Audit, cors: Cors,
    ) -> None:
        self._profiles = profiles
        self._live = live
        self._meter = meter
        self._audit, self._cors = audit, cors

    def profile_of(self, path: str) -> Profile:
        """The profile whose prefix the path has."""
        for profile in self._profiles:
            if path == profile.prefix or path.startswith(profile.prefix + "/"):
                return profile
        return self._profiles[0]

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Run the handler; whatever it does, an answer with a request id leaves and is logged."""
        started_s = time.perf_counter()
        request[REQUEST_ID] = given_id(request.headers.get("X-Request-ID"))
        self._live.follow()
        try:
            check_form(request)
            async with asyncio.timeout(TIMEOUT_S) as request[TIME_LIMIT]:
                response = self._cors.preflight(request) or await handler(request)
        except Exception as error:  # noqa: BLE001  # the edge of the house: nothing may leave as a traceback
            refusal = request[REFUSED] = refusal_of(error, request)
            response = respond_refusal(self.profile_of(request.path), refusal, request[REQUEST_ID])
            if refusal.headers.get("Connection") == "close":
                response.force_close()
        await self._audit.record(request, response.status, request[REQUEST_ID], request.get(PRINCIPAL),
                                 request.get(ENDPOINT))
        duration_s = time.perf_counter() - started_s
        endpoint = request.get(ENDPOINT)
        if response.status != SWITCHING:      # a stream lasts for hours: that is no slow answer
            self._meter.answered(duration_s, response.status, endpoint.operation if endpoint else None)
        _log(request, response, duration_s)
        return response


def given_id(found: str | None) -> str:
    """The client's request id where it is a harmless one, else a new one."""
    return found if found and _GIVEN_ID.fullmatch(found) else uuid.uuid4().hex


def refusal_of(error: Exception, request: web.Request) -> RefusalError:
    """Any exception as a refusal; one that was not raised on purpose is logged with its traceback."""
    if isinstance(error, RefusalError):
        return error
    if isinstance(error, web.HTTPException):
        return _from_aiohttp(error, request)
    if isinstance(error, sqlite3.Error):
        _LOG.error("the gateway's store failed", request_id=request[REQUEST_ID], error=str(error))
        return unavailable("STORE_UNAVAILABLE", "the gateway cannot write down what was asked: its disk or its store "
                           "fails; ask again with the same Idempotency-Key")
    if isinstance(error, TimeoutError):
        return unavailable("TIMEOUT", f"no answer within {TIMEOUT_S:.0f} s; ask again in 2 s")
    _LOG.error("request failed", request_id=request[REQUEST_ID], method=request.method,
               path=request.rel_url.raw_path[:200], traceback=traceback_of(error))
    return RefusalError(500, "INTERNAL_ERROR", "the gateway failed; its log has more under this request id")


def traceback_of(error: BaseException | None) -> str:
    """Files and lines only: a logger that prints local variables would print passwords and tokens."""
    return "".join(traceback.format_exception(error)) if error else ""


def _from_aiohttp(error: web.HTTPException, request: web.Request) -> RefusalError:
    path = request.path[:200]
    if error.status == 404:
        return RefusalError(404, "NOT_FOUND", f"{path}: no such resource")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return RefusalError(405, "METHOD_NOT_ALLOWED", f"{path}: got {request.method[:20]}: expected {allowed}",
                            headers={"Allow": allowed})
    if error.status == 413:
        return too_large()
    return RefusalError(error.status, f"HTTP_{error.status}", error.reason)


def _log(request: web.Request, response: web.StreamResponse, duration_s: float) -> None:
    """One line a request. Never the query, the headers or the body: they may hold secrets.

    The path as it was sent: decoded, it could bring line ends and terminal codes into the log.
    """
    principal = request.get(PRINCIPAL)
    _LOG.info("request", request_id=request[REQUEST_ID], method=request.method, path=request.rel_url.raw_path[:200],
              status=response.status, ms=round(1000 * duration_s, 2), remote=request.remote,
              origin=principal.origin if principal else None)


class Finish:
    """The headers of every answer of a listener: its id, nothing cached or guessed, no word about the software."""

    def __init__(self, cors: Cors) -> None:
        self._cors = cors

    async def headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Called by aiohttp before an answer leaves."""
        found = {"X-Request-ID": request.get(REQUEST_ID, ""), **always(secure=request.secure)}
        verdict = request.get(VERDICT)
        if verdict is not None:
            found.update(verdict.headers())
        found.update(self._cors.headers(request))
        for name, value in found.items():
            response.headers.setdefault(name, value)
        response.headers.pop("Server", None)


def always(*, secure: bool) -> dict[str, str]:
    """Headers of every answer; `secure`: over TLS, where browsers are told to stay."""
    found = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return {**found, "Strict-Transport-Security": "max-age=31536000"} if secure else found
