"""A gateway with a DCPI listener behind client certificates, for the tests of every DCPI domain."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from conftest import Answer, House
from gateway_campus import Control, FakeDoor, make_site

from pswd_edge.commands.cert_authority import CertAuthority
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.roles import DCPI_SCOPES
from pswd_edge.gateway.server import Gateway
from pswd_edge.gateway.tokens import Bearer
from pswd_edge.model.site import Listener

CLIENT_ID, CN = "workload-scheduler-01", "workload-scheduler-01.example.com"
OTHER_ID, OTHER_CN = "workload-scheduler-02", "workload-scheduler-02.example.com"
PREFIX = "/dcpi/api/v1"
FACILITY = "facility-test"


def make_certificates(folder: Path) -> CertAuthority:
    """An authority with a server and two clients; once a session, as keys take a while."""
    authority = CertAuthority.make(folder, "test authority")
    authority.server(["localhost", "127.0.0.1"], 1)
    authority.client(CLIENT_ID, CN, 1)
    authority.client(OTHER_ID, OTHER_CN, 1)
    return authority


def client_context(tls: Path, client_id: str | None = CLIENT_ID) -> ssl.SSLContext:
    """What a client of the authority uses; None: without a certificate of its own."""
    context = ssl.create_default_context(cafile=str(tls / "ca.pem"))
    if client_id is not None:
        context.load_cert_chain(str(tls / f"clients/{client_id}.pem"), str(tls / f"clients/{client_id}-key.pem"))
    return context


def dcpi_listener(tls: Path) -> Listener:
    return Listener("127.0.0.1", 0, ("dcpi",), str(tls / "server.pem"), str(tls / "server-key.pem"),
                    str(tls / "ca.pem"))


def dcpi_token(gateway: Gateway, *scopes: str, client_id: str = CLIENT_ID, cn: str = CN) -> str:
    """As /auth/token gives it, without asking; all scopes where none is named."""
    clients = gateway._identity.clients
    wanted = scopes or tuple(DCPI_SCOPES)
    family = clients._families.begin(client_id, wanted).id
    return clients._tokens.issue(Bearer(client_id, "client", cn=cn, scopes=wanted, family=family))


class BothHouse(House):
    """A gateway whose second listener is DCPI's: a path below its prefix goes there, with certificate and token."""

    def __init__(self, tls: Path, *parts: Any) -> None:
        super().__init__(*parts)
        self._secure = f"https://127.0.0.1:{self.gateway.listening[1].port}"
        self._context = client_context(tls)

    async def call(self, method: str, path: str, json: Any = None, **more: Any) -> Answer:
        if not path.startswith(PREFIX):
            return await super().call(method, path, json, **more)
        headers = {"Authorization": f"Bearer {dcpi_token(self.gateway)}", **more.pop("headers", {})}
        async with self.client.request(method, self._secure + path, json=json, headers=headers, ssl=self._context,
                                       **more) as response:
            return Answer(response.status, await response.json(), response.headers)


class DcpiHouse:
    """A gateway that runs, and a client with a certificate and a token for every scope."""

    def __init__(self, control: Control, door: FakeDoor, gateway: Gateway, live: LiveImage,
                 client: aiohttp.ClientSession, tls: Path, state_dir: Path) -> None:
        self.control, self.door, self.gateway, self.live, self.client = control, door, gateway, live, client
        self.tls, self.state_dir = tls, state_dir
        self.port = gateway.listening[0].port
        self.base = f"https://127.0.0.1:{self.port}{PREFIX}"
        self.contexts = {client_id: client_context(tls, client_id) for client_id in (CLIENT_ID, OTHER_ID)}

    def token(self, *scopes: str, client_id: str = CLIENT_ID, cn: str = CN) -> str:
        """As `dcpi_token`."""
        return dcpi_token(self.gateway, *scopes, client_id=client_id, cn=cn)

    async def call(self, method: str, path: str, json: Any = None, *, token: str | None = "",
                   client_id: str = CLIENT_ID, **more: Any) -> Answer:
        """`token`: "" for one with every scope, None for none. `path` is below the profile's prefix."""
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token or self.token()}")
        context = more.pop("ssl", self.contexts[client_id])
        async with self.client.request(method, self.base + path, json=json, headers=headers, ssl=context,
                                       **more) as response:
            kind = response.headers.get("Content-Type", "")
            body = await response.json() if "json" in kind else await response.text()
            return Answer(response.status, body, response.headers)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, json: Any, **more: Any) -> Answer:
        return await self.call("POST", path, json, **more)


@asynccontextmanager
async def dcpi_house(tmp_path: Path, state_dir: Path, tls: Path, **site: Any) -> AsyncIterator[DcpiHouse]:
    """`site`: changes of the test site."""
    made = make_site(**{"listeners": (dcpi_listener(tls), Listener("127.0.0.1", 0, ("pswd", "edge"))), **site})
    control = Control(tmp_path / "run", made)
    control.run(30)
    table = ClientTable(state_dir)
    table.bind(CLIENT_ID, CN, tuple(DCPI_SCOPES))
    table.bind(OTHER_ID, OTHER_CN, ("power:read", "system:read"))
    live, door = LiveImage(tmp_path / "run", control.clock), FakeDoor()
    async with Gateway(live, door, state_dir, control.clock) as gateway, aiohttp.ClientSession() as client:
        await gateway.open(tmp_path / "run" / "rows")
        yield DcpiHouse(control, door, gateway, live, client, tls, state_dir)
        await asyncio.sleep(0)
