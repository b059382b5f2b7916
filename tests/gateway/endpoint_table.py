"""Drives every operation and stream of both contracts over the socket, and says in a table what came of it."""

from typing import Any, NamedTuple

import aiohttp
import dcpi_contract
import endpoint_examples
import pswd_contract
from dcpi_house import OTHER_ID
from whole_house import WholeHouse

from pswd_edge.clock import SystemClock
from pswd_edge.gateway.endpoint import Endpoint
from pswd_edge.gateway.profiles.dcpi.profile import DcpiProfile
from pswd_edge.gateway.profiles.pswd.profile import PswdProfile
from pswd_edge.gateway.roles import ALLOWED, DCPI_SCOPES, Operation

HEAD = ("| | API | operation | for | answered in the tests | status |", "|---|---|---|---|---|---|")
WRONG_QUERY = "99999"
STREAM_S = 5.0
# Whom the operations of logging in do not know.
_STRANGERS = {"/auth/login": {"password": "not-the-password"}, "/auth/token": {"client_id": OTHER_ID},
              "/auth/refresh": {"refresh_token": "never-given"}}


class Row(NamedTuple):
    """One line of the table. `wrong` is empty where it works."""

    api: str
    name: str
    allowed: str
    statuses: tuple[int, ...]
    wrong: str

    def text(self, number: int) -> str:
        seen = ", ".join(map(str, self.statuses))
        return f"| {number} | {self.api} | `{self.name}` | {self.allowed} | {seen} | {self.wrong or 'works'} |"


class Driver:
    """Asks as those who may, as those who may not, as nobody, and wrongly."""

    def __init__(self, house: WholeHouse, session: aiohttp.ClientSession) -> None:
        self._house, self._session = house, session
        services, identity = house.gateway.services, house.gateway._identity
        self._endpoints = {
            "pswd": _by_name(PswdProfile(services, identity.users).endpoints),
            "dcpi": _by_name(DcpiProfile(services, identity.clients).endpoints)}
        now_utc_s = SystemClock().utc_s()
        self._bodies = {"pswd": endpoint_examples.pswd(now_utc_s), "dcpi": endpoint_examples.dcpi(now_utc_s)}
        self._contexts = {client: house.context(client) for client in (endpoint_client(), OTHER_ID)}

    async def rows(self) -> list[Row]:
        """In the order of the contracts."""
        found = [await self._row("pswd", promise) for promise in pswd_contract.PROMISES]
        return found + [await self._row("dcpi", promise) for promise in dcpi_contract.PROMISES]

    async def _row(self, profile: str, promise: Any) -> Row:
        stream = getattr(promise, "stream", False)
        name = f"{'WS' if stream else promise.method} {promise.path}"
        endpoint = self._endpoints[profile].get((promise.method, promise.path))
        if endpoint is None:
            return Row(profile.upper(), name, "", (), "**missing**")
        allowed = ", ".join(_allowed(profile, endpoint.operation)) or "everybody"
        if stream:
            status, wrong = await self._stream(promise, endpoint)
            return Row(profile.upper(), name, allowed, (status,), wrong)
        statuses, wrong = await self._drive(profile, promise, endpoint)
        return Row(profile.upper(), name, allowed, tuple(sorted(statuses)), wrong)

    async def _drive(self, profile: str, promise: Any, endpoint: Endpoint) -> tuple[set[int], str]:
        body = self._bodies[profile].get(promise.path)
        path = promise.path.format(workload_id=endpoint_examples.WORKLOAD)
        status, answer = await self._ask(profile, promise.method, path, body, self._house.token(profile))
        wrong = "" if status == promise.statuses[0] else f"**{status}** {answer}"
        if not wrong:
            endpoint.answer.model_validate(answer)
            if promise.path == "/auth/token":
                self._bodies[profile]["/auth/refresh"] = {"refresh_token": answer["refresh_token"]}
        return {status, *await self._refused(profile, promise, endpoint, path, body)}, wrong

    async def _refused(self, profile: str, promise: Any, endpoint: Endpoint, path: str, body: Any) -> set[int]:
        """What nobody, another role or scope, a wrong request and an unknown workload get."""
        good, seen = self._house.token(profile), set()
        if endpoint.operation is not None:
            seen.add((await self._ask(profile, promise.method, path, body, None))[0])
            other = self._other(profile, endpoint.operation)
            if other is not None:
                seen.add((await self._ask(profile, promise.method, path, body, other))[0])
        if body is not None:
            seen.add((await self._ask(profile, promise.method, path, {}, good))[0])
        if promise.path in _STRANGERS:
            seen.add((await self._ask(profile, promise.method, path, {**body, **_STRANGERS[promise.path]}, None))[0])
        if promise.query:
            query = "&".join(f"{name}={WRONG_QUERY}" for name in promise.query)
            seen.add((await self._ask(profile, promise.method, f"{path}?{query}", body, good))[0])
        if promise.params:
            unknown = promise.path.format(workload_id="nobody-s")
            seen.add((await self._ask(profile, promise.method, unknown, body, good))[0])
        return seen

    def _other(self, profile: str, operation: Operation) -> str | None:
        """A token that is good and may not; None where everybody may."""
        if profile == "dcpi":
            scope = next(scope for scope, operations in DCPI_SCOPES.items() if operation not in operations)
            return self._house.token("dcpi", scopes=(scope,))
        role = next((role for role, operations in ALLOWED.items() if operation not in operations), None)
        return None if role is None else self._house.token("pswd", role=role.value)

    async def _ask(self, profile: str, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        headers = {} if token is None or path.startswith("/auth/") else {"Authorization": f"Bearer {token}"}
        async with self._session.request(method, self._house.bases[profile] + path, json=body, headers=headers,
                                         ssl=self._contexts[endpoint_client()]) as answer:
            return answer.status, await answer.json()

    async def _stream(self, promise: Any, endpoint: Endpoint) -> tuple[int, str]:
        """Open it with the certificate alone, and read a message."""
        address = self._house.bases["dcpi"] + promise.path
        async with self._session.ws_connect(address, ssl=self._contexts[endpoint_client()]) as socket:
            if promise.path.endswith("/events"):
                self._house.operator.demand(event_id="dr-event-2")
            message = await socket.receive_json(timeout=STREAM_S)
        endpoint.answer.model_validate(message)
        return 101, ""


def endpoint_client() -> str:
    """The client whose certificate all requests are made with."""
    return endpoint_examples.dcpi(0.0)["/auth/token"]["client_id"]


def _by_name(endpoints: Any) -> dict[tuple[str, str], Endpoint]:
    return {(endpoint.method, endpoint.path): endpoint for endpoint in endpoints}


def _allowed(profile: str, operation: Operation | None) -> list[str]:
    if operation is None:
        return []
    table = DCPI_SCOPES if profile == "dcpi" else {role.value: operations for role, operations in ALLOWED.items()}
    return [name for name, operations in table.items() if operation in operations]


def table(rows: list[Row]) -> str:
    """The rows as Markdown, numbered."""
    return "\n".join([*HEAD, *(row.text(i) for i, row in enumerate(rows, 1))])
