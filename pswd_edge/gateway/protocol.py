"""aiohttp's HTTP protocol with our words for what goes wrong before any handler runs: a bad request line or header."""

import asyncio
import ssl
from collections.abc import Callable

import structlog
from aiohttp import web

from pswd_edge.gateway.middleware import given_id, traceback_of
from pswd_edge.gateway.profile import Profile, respond_refusal
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.security_log import Intrusions, Kind

KEEPALIVE_S = 75.0
LINGERING_S = 2.0      # for the rest of a body that was refused
_LOG = structlog.get_logger("pswd_edge.access")


class ApiProtocol(web.RequestHandler):
    """One connection. aiohttp itself sets TCP_NODELAY on it."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, profile: Profile) -> None:
        super().__init__(server, loop=loop, keepalive_timeout=KEEPALIVE_S, lingering_time=LINGERING_S,
                         auto_decompress=False,
                         access_log=None)  # type: ignore[arg-type]  # None is what aiohttp itself passes for "no log"
        self._profile = profile

    def handle_error(
        self, request: web.BaseRequest, status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # aiohttp's text repeats parts of the request
    ) -> web.StreamResponse:
        """Answer what is no HTTP request, in the profile's words, and close the connection."""
        request_id = given_id(None)
        if status == 500:
            _LOG.error("request failed", request_id=request_id, remote=request.remote, traceback=traceback_of(exc))
            refusal = RefusalError(500, "INTERNAL_ERROR", "the gateway failed; its log has more under this request id")
        else:
            _LOG.info("request malformed", request_id=request_id, remote=request.remote, status=status)
            refusal = RefusalError(status, "MALFORMED_HTTP", "the request is no well-formed HTTP; closing")
        response = self._respond(refusal, request_id)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """As aiohttp does, but for its own refusals that no middleware saw (an unknown Expect header)."""
        if isinstance(resp, web.HTTPException):
            refusal = RefusalError(resp.status, f"HTTP_{resp.status}", resp.reason)
            resp = self._respond(refusal, given_id(request.headers.get("X-Request-ID")))
        return await super().finish_response(request, resp, start_time)

    def _respond(self, refusal: RefusalError, request_id: str) -> web.Response:
        response = respond_refusal(self._profile, refusal, request_id)
        response.headers["Server"] = ""      # aiohttp would put its name and version here
        return response


def tls_context(certificate: str, key: str, client_ca: str | None, intrusions: Intrusions) -> ssl.SSLContext:
    """TLS 1.2 or later with this certificate chain; raises OSError or ssl.SSLError where the files are no good.

    With `client_ca` TLS 1.3, and every client shows a certificate that it has signed. Sessions are not resumed: each
    connection proves its certificate anew. Handshakes that fail are counted.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
        context.num_tickets = 0
    context.sslobject_class = _counting(intrusions)
    return context


def _counting(intrusions: Intrusions) -> type[ssl.SSLObject]:
    """The event loop says nothing of a handshake that failed: the object that does it has to."""

    class CountingSslObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                raise      # more to come, or the other end went away
            except ssl.SSLError as error:
                intrusions.count(Kind.HANDSHAKE, reason=error.reason, detail=getattr(error, "verify_message", None))
                raise

    return CountingSslObject


def protocol_factory(server: web.Server, profile: Profile) -> Callable[[], ApiProtocol]:
    """What makes the protocol of each new connection."""
    loop = asyncio.get_running_loop()
    return lambda: ApiProtocol(server, loop, profile)
