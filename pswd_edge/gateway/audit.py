"""What was done and what was refused: one entry each, with who asked and what changed. Never a body, never a secret."""

import asyncio
from collections import Counter
from typing import Any, NamedTuple

import orjson
import structlog
from aiohttp import web

from pswd_edge.clock import Clock, iso_utc
from pswd_edge.gateway.audit_file import AuditFile
from pswd_edge.gateway.endpoint import Endpoint
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.rates import address_origin
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.refusal_window import Kind, RefusalWindow
from pswd_edge.gateway.roles import Operation

CHANGE_BYTES_MAX = 4096
READ_REFUSALS = frozenset({401, 403, 409, 422, 429})     # of reads; of commands every refusal counts
_ATTEMPTS = frozenset({"INVALID_PATH", "MALFORMED_HTTP"})     # nobody sends these by mistake
_SECRETS = frozenset({"password", "token", "access_token", "refresh_token", "client_secret", "api_key", "secret"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOG = structlog.get_logger("pswd_edge.audit")


class Change(NamedTuple):
    """What a command changed: small dicts in SI units and our own words; None where it is not known."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None


CHANGE = web.RequestKey("change", Change)
REFUSED = web.RequestKey("refused", RefusalError)
REPLAYED = web.RequestKey("replayed", bool)     # an idempotency key answered
PENDING = web.RequestKey("pending", bool)       # answered before it was decided: a repetition asks the handler again


def note_change(
    request: web.Request, *, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None,
) -> None:
    """For handlers: what the command of this request found and what it left. Goes into its entry."""
    request[CHANGE] = Change(before, after)


def is_command(endpoint: Endpoint) -> bool:
    """True where an answer changes something. A heartbeat says only that somebody is there."""
    return endpoint.method not in _READS and endpoint.operation is not Operation.HEARTBEAT


class Audit:
    """Turns requests into entries. `run` and `close` are its file's."""

    def __init__(self, file: AuditFile, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._window = RefusalWindow(clock.monotonic_s())
        self.counts: Counter[str] = Counter()      # refusals since the gateway started, by code

    @property
    def trouble(self) -> str:
        """Why nothing can be written, or ""."""
        return self._file.trouble

    def check(self) -> None:
        """Before a command: raises 503 where it could not be written down. Reads go on."""
        if self._file.trouble:
            raise unavailable("AUDIT_UNAVAILABLE", "commands are refused while they cannot be written down: the "
                              "gateway's disk takes nothing; ask again in 5 s", retry_after_s=5)

    async def record(
        self, request: web.Request, status: int, request_id: str, principal: Principal | None,
        endpoint: Endpoint | None,
    ) -> None:
        """The entry of a request that was answered with `status`, where it has one.

        Of a command that was carried out it is on disk when this returns. Where the disk fails just then, the answer
        still tells the truth: the entry is kept for later, and the next command is refused.
        """
        refused = request.get(REFUSED)
        command = request.method not in _READS if endpoint is None else is_command(endpoint)
        if refused is not None:
            self.counts[refused.code] += 1
        if not (command or status in READ_REFUSALS or (refused is not None and refused.code in _ATTEMPTS)):
            return
        path = request.rel_url.raw_path[:100] if endpoint is None else _template(request)
        origin = address_origin(request.remote) if principal is None else principal.origin
        body = {
            **self._body("command" if status < 400 else "refusal", origin, request.remote), "request_id": request_id,
            "operation": endpoint.operation.value if endpoint and endpoint.operation else None,
            "method": request.method[:20], "path": path, "subject": ", ".join(request.match_info.values())[:128],
            "status": status, "code": refused.code if refused else None,
            "idempotency_key": request.headers.get("Idempotency-Key", "")[:128],
            "replayed": request.get(REPLAYED), **_change(request),
        }
        if status < 400:
            await self._write(body)
        else:
            shown = "" if endpoint is None else path
            self._note(Kind(origin, refused.code if refused else "", status, request.method[:20], shown), body)

    def refused(self, remote: str | None, code: str, status: int = 0) -> None:
        """What was turned away before it was a request: bad HTTP, too many connections, a client that is too slow."""
        self.counts[code] += 1
        origin = address_origin(remote)
        self._note(Kind(origin, code, status),
                   {**self._body("refusal", origin, remote), "code": code, "status": status})

    async def run(self) -> None:
        """Write, for ever."""
        await self._file.run()

    async def close(self, running: asyncio.Task[None] | None) -> None:
        """Write the rest, with nothing asked any more, and end what runs."""
        self.flush()
        await self._file.close(running)

    def look(self) -> None:
        """Once a second: write the counts of a window that is over."""
        now_s = self._clock.monotonic_s()
        if self._window.over(now_s):
            self.flush()
            self._window = RefusalWindow(now_s)

    def flush(self) -> None:
        """Write the counts so far."""
        for body in self._window.take():
            self._file.note(body)

    def _body(self, kind: str, origin: str, remote: str | None) -> dict[str, Any]:
        utc_s = self._clock.utc_s()
        return {"kind": kind, "utc_s": utc_s, "utc": iso_utc(utc_s), "origin": origin, "remote": remote}

    def _note(self, kind: Kind, body: dict[str, Any]) -> None:
        self.look()
        if self._window.is_new(kind, body["utc_s"]):
            self._file.note(_known(body))

    async def _write(self, body: dict[str, Any]) -> None:
        try:
            await self._file.write(_known(body))
        except OSError as error:
            _LOG.error("audit: a command was carried out and is not written down yet",
                       request_id=body["request_id"], error=str(error))


def _template(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else request.rel_url.raw_path[:100]


def _known(body: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in body.items() if value not in (None, "")}


def _change(request: web.Request) -> dict[str, Any]:
    change = request.get(CHANGE)
    if change is None:
        return {}
    found = {name: _public(value) for name, value in change._asdict().items() if value is not None}
    try:
        size = len(orjson.dumps(found))
    except TypeError:
        return {"change": "(not shown: no JSON)"}
    return found if size <= CHANGE_BYTES_MAX else {"change": f"(not shown: {size} bytes)"}


def _public(found: Any) -> Any:
    """Handlers name no secrets; one that does all the same must not end in a file."""
    if isinstance(found, dict):
        return {name: "(not shown)" if name in _SECRETS else _public(value) for name, value in found.items()}
    return [_public(item) for item in found] if isinstance(found, list | tuple) else found
