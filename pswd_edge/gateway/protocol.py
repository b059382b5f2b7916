"""aiohttp's HTTP protocol with our words for what goes wrong before any handler runs: a bad request line or header."""

import asyncio
import ssl
from collections.abc import Callable

import structlog
from aiohttp import web

from pswd_edge.gateway.connections import Entry
from pswd_edge.gateway.middleware import always, given_id, traceback_of
from pswd_edge.gateway.profile import Profile, respond_refusal
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.security_log import Intrusions, Kind

KEEPALIVE_S = 75.0     # between two requests
HEAD_S = 10.0
TAKEN_S = 30.0
TAKEN_BYTES_PER_S = 8 * 1024
LINE_BYTES_MAX = 8190  # request line, and each header with its name
HEADERS_MAX = 64
LINGERING_S = 2.0      # for the rest of a body that was refused
_LOG = structlog.get_logger("pswd_edge.access")


class ApiProtocol(web.RequestHandler):
    """One connection. aiohttp itself sets TCP_NODELAY on it.

    A client that is too slow is cut: the head of a request has to be whole HEAD_S after its first byte (the first of a
    connection, after it was opened), and an answer has to be taken at TAKEN_BYTES_PER_S at least.
    """

    def __init__(
        self, server: web.Server, loop: asyncio.AbstractEventLoop, profile: Profile, entry: Entry,
    ) -> None:
        super().__init__(server, loop=loop, keepalive_timeout=KEEPALIVE_S, lingering_time=LINGERING_S,
                         auto_decompress=False, max_line_size=LINE_BYTES_MAX, max_field_size=LINE_BYTES_MAX,
                         max_headers=HEADERS_MAX,
                         access_log=None)  # type: ignore[arg-type]  # None is what aiohttp itself passes for "no log"
        self._profile, self._entry = profile, entry
        self._patience: asyncio.TimerHandle | None = None      # for a request's head
        self._reader: asyncio.TimerHandle | None = None        # for a client that does not take its answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As aiohttp does; the first request has to come."""
        super().connection_made(transport)
        self._patience = self._loop.call_later(HEAD_S, self._cut, "SLOW_REQUEST")

    def connection_lost(self, exc: BaseException | None) -> None:
        """As aiohttp does; it counts no more."""
        self._entry.leave()
        for timer in (self._patience, self._reader):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As aiohttp does; a request's head that begins has to end in time."""
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None
        elif data and self._patience is None and self._waiter is not None:
            self._patience = self._loop.call_later(HEAD_S, self._cut, "SLOW_REQUEST")

    def pause_writing(self) -> None:
        """The client takes less than is sent: watch it."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """It has taken what was there."""
        super().resume_writing()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _watch_reader(self) -> None:
        transport = self.transport
        if transport is not None:
            self._reader = self._loop.call_later(TAKEN_S, self._look_at_reader, transport.get_write_buffer_size())

    def _look_at_reader(self, before: int) -> None:
        """It has to have taken its share of what waited, in this while."""
        transport = self.transport
        if transport is None:
            return
        if before - transport.get_write_buffer_size() < TAKEN_S * TAKEN_BYTES_PER_S:
            self._cut("SLOW_READER")
        else:
            self._watch_reader()

    def _cut(self, code: str) -> None:
        if self.transport is not None:
            self._entry.cut(code)
            self.transport.abort()

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
            self._entry.note("MALFORMED_HTTP", status)
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
        response.headers.update(always(secure=self.ssl_context is not None))
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


def protocol_factory(server: web.Server, profile: Profile) -> Callable[[Entry], ApiProtocol]:
    """What makes the protocol of each new connection."""
    loop = asyncio.get_running_loop()
    return lambda entry: ApiProtocol(server, loop, profile, entry)
