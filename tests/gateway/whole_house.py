"""Everything that the gateway serves, at once: PSWD and its own API on one listener, DCPI behind certificates.

Control is played on wall time, its door answers by rule, the grid operator and the heat network are the simulated
ones. So each operation of both contracts finds what it needs.
"""

import asyncio
import secrets
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from conftest import PASSWORDS
from cooled_campus import COOLED, cooled_site
from dcpi_house import CLIENT_ID, CN, OTHER_CN, OTHER_ID, client_context, dcpi_listener
from endpoint_examples import EVENT, WORKLOAD
from gateway_campus import PERIOD_S, Control, make_workload

from pswd_edge.clock import SystemClock
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.private_file import write_private
from pswd_edge.gateway.roles import DCPI_SCOPES
from pswd_edge.gateway.server import Gateway
from pswd_edge.gateway.tokens import Bearer
from pswd_edge.gateway.users import FILE, User, _Stored
from pswd_edge.model.command import Accepted, Announce, Clamped, ControlWorkload, Failed, Outcome, Rejected, Request
from pswd_edge.model.site import ApiLimits, Listener, OutsideEndpoint, RateSpec
from simulators.grid_operator import GridOperator

PREFIXES = {"pswd": "/v1", "dcpi": "/dcpi/api/v1", "edge": "/edge"}
ROLE = "infrastructure_manager"
_MANY = RateSpec(1e6, 10**6)
_WIDE = ApiLimits(10_000, 10_000, _MANY, _MANY, _MANY, _MANY, _MANY)


class WallClock(SystemClock):
    """Time that goes by itself."""

    def advance(self, _: float) -> None:
        """Nothing is to be done for it."""


class Door:
    """Control's end. `moody`: answers as control may, mostly yes, by what the request's id makes of it; else yes."""

    def __init__(self, *, moody: bool) -> None:
        self.moody = moody

    async def ask(self, request: Request, timeout_s: float) -> Outcome:
        workload = make_workload() if isinstance(request, Announce | ControlWorkload) else None
        if isinstance(request, ControlWorkload) and request.workload_id != WORKLOAD and not self.moody:
            return Rejected(id=request.id, code="not_found", reason=f"{request.workload_id}: no such workload here")
        turn = hash(request.id) % 8 if self.moody else 7
        if turn == 0:
            return Rejected(id=request.id, code="conflict", reason="two want the same", limit="circuit:hall-a",
                            workload=workload)
        if turn == 1:
            return Failed(id=request.id, code="not_ready", reason="inputs are missing")
        if turn == 2:
            return Clamped(id=request.id, value=1e6, limit="ramp", reason="by ramp", eta_s=3.0, workload=workload)
        return Accepted(id=request.id, workload=workload)

    def close(self) -> None:
        """Nothing is open."""


class WholeHouse:
    """Where each profile is, and tokens for it. `statuses` counts what was answered."""

    def __init__(self, gateway: Gateway, tls: Path, operator: GridOperator) -> None:
        self.gateway, self.tls, self.operator = gateway, tls, operator
        self.statuses: Counter[int] = Counter()
        meter = gateway.services.meter
        meter.answered = self._counted(meter.answered)
        encrypted, plain = (listening.port for listening in gateway.listening)
        self.bases = {name: (f"https://127.0.0.1:{encrypted}" if name == "dcpi" else f"http://127.0.0.1:{plain}")
                      + prefix for name, prefix in PREFIXES.items()}

    def _counted(self, answered):
        def count(duration_s, status, *more):
            self.statuses[status] += 1
            answered(duration_s, status, *more)

        return count

    def token(self, profile: str, role: str = ROLE, scopes: tuple[str, ...] = tuple(DCPI_SCOPES)) -> str:
        """Of a role (PSWD), or of scopes (DCPI), good for an hour."""
        identity = self.gateway._identity
        if profile != "dcpi":
            return identity.users._tokens.issue(Bearer(role, role))
        family = identity.clients._families.begin(CLIENT_ID, scopes).id
        return identity.clients._tokens.issue(Bearer(CLIENT_ID, "client", cn=CN, scopes=scopes, family=family))

    def context(self, client_id: str | None = CLIENT_ID) -> ssl.SSLContext:
        """TLS with the certificate of a client, or with none."""
        return client_context(self.tls, client_id)


@asynccontextmanager
async def whole_house(folder: Path, tls: Path, users: dict[str, User] | None = None, *,
                      moody: bool = False, **site: object) -> AsyncIterator[WholeHouse]:
    """`users` by name; without, one for each role, who cannot log in with a password. `site`: changes of it.

    `moody`: for made-up cases by the thousand.
    """
    state, token = folder / "state", secrets.token_hex()
    found = users or {role: User("", (role,)) for role in PASSWORDS}
    write_private(state / FILE, msgspec.json.encode(_Stored(found)))
    write_private(folder / "operator-token", token.encode())
    table = ClientTable(state)
    table.bind(CLIENT_ID, CN, tuple(DCPI_SCOPES))
    table.bind(OTHER_ID, OTHER_CN, ("power:read", "system:read"))
    async with GridOperator(token) as operator:
        operator.demand(7.5e6, 2 * 3600.0, 600.0, event_id=EVENT)
        at = {side: OutsideEndpoint(f"http://127.0.0.1:{operator.port}/{side}", f"file:{folder}/operator-token")
              for side in ("grid", "heat")}
        made = cooled_site(**{"listeners": (dcpi_listener(tls), Listener("127.0.0.1", 0, ("pswd", "edge"))),
                              "grid_endpoint": at["grid"], "heat_endpoint": at["heat"],
                              **({"api_limits": _WIDE} if moody else {}), **site})
        control = Control(folder / "run", made, WallClock())
        for device, (_, signals) in COOLED.items():
            for signal, (value, _) in signals.items():
                control.set(f"{device}.{signal}", value)
        control.run(30, workloads=(make_workload(WORKLOAD),))
        live = LiveImage(folder / "run", control.clock)
        async with Gateway(live, Door(moody=moody), state, control.clock) as gateway:
            if moody:
                _patient(gateway)
            await gateway.open(folder / "run" / "rows")
            beating = asyncio.create_task(_beat(control))
            try:
                yield WholeHouse(gateway, tls, operator)
            finally:
                beating.cancel()
                with suppress(asyncio.CancelledError):
                    await beating


def _patient(gateway: Gateway) -> None:
    """Thousands of made-up keys from one address would lock it, and nothing but that would be seen."""
    lockout = gateway._identity.users._lockout
    lockout._pairs._most = lockout._addresses._most = 10**9


async def _beat(control: Control) -> None:
    while True:
        control.run()
        await asyncio.sleep(PERIOD_S)
