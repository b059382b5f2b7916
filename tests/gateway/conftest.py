from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from gateway_campus import Control, FakeDoor

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.server import Gateway
from pswd_edge.gateway.users import User

PASSWORDS = {role: f"{role}-long-password" for role in (
    "workload_operator", "infrastructure_manager", "grid_operator", "municipal_utility")}


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Any


class House:
    """A gateway that runs, with the control that it watches and the door that it knocks at."""

    def __init__(self, control: Control, door: FakeDoor, gateway: Gateway, live: LiveImage,
                 client: aiohttp.ClientSession) -> None:
        self.control, self.door, self.gateway, self.live, self.client = control, door, gateway, live, client
        self.base = f"http://127.0.0.1:{gateway.listening[0].port}"
        self.tokens: dict[str, str] = {}

    def token(self, role: str = "infrastructure_manager") -> str:
        """As a login gives it, without its 40 ms of hashing."""
        if role not in self.tokens:
            from pswd_edge.gateway.tokens import Bearer
            self.tokens[role] = self.gateway._identity.users._tokens.issue(Bearer(role, role))
        return self.tokens[role]

    async def call(self, method: str, path: str, json: Any = None, *, role: str | None = "infrastructure_manager",
                   **more: Any) -> Answer:
        headers = dict(more.pop("headers", {}))
        if role:
            headers.setdefault("Authorization", f"Bearer {self.token(role)}")
        async with self.client.request(method, self.base + path, json=json, headers=headers, **more) as response:
            kind = response.headers.get("Content-Type", "")
            body = await response.json() if "json" in kind else await response.text()
            return Answer(response.status, body, response.headers)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, json: Any, **more: Any) -> Answer:
        return await self.call("POST", path, json, **more)


@pytest.fixture
def house_class() -> type[House]:
    """For tests that open a gateway of their own."""
    return House


@pytest.fixture(scope="session")
def hashes() -> dict[str, User]:
    """Hashed once: argon2 is slow on purpose."""
    from pswd_edge.gateway.users import _HASHER
    return {role: User(_HASHER.hash(password), (role,)) for role, password in PASSWORDS.items()}


@pytest.fixture
def state_dir(tmp_path: Path, hashes: dict[str, User]) -> Path:
    import msgspec

    from pswd_edge.gateway.private_file import write_private
    from pswd_edge.gateway.users import FILE, _Stored
    write_private(tmp_path / "state" / FILE, msgspec.json.encode(_Stored(hashes)))
    return tmp_path / "state"


@pytest.fixture
def control(tmp_path: Path) -> Control:
    control = Control(tmp_path / "run")
    control.run(30)
    return control


@pytest.fixture
async def house(tmp_path: Path, state_dir: Path, control: Control) -> AsyncIterator[House]:
    live, door = LiveImage(tmp_path / "run", control.clock), FakeDoor()
    async with Gateway(live, door, state_dir, control.clock) as gateway, aiohttp.ClientSession() as client:
        await gateway.open(tmp_path / "run" / "rows")
        yield House(control, door, gateway, live, client)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a server certificate and two clients."""
    from dcpi_house import make_certificates
    return make_certificates(tmp_path_factory.mktemp("tls")).folder


@pytest.fixture
async def dcpi(tmp_path: Path, state_dir: Path, tls: Path) -> AsyncIterator[Any]:
    """A gateway with a DCPI listener (and one for PSWD), and a client with a certificate: see dcpi_house.py."""
    from dcpi_house import dcpi_house
    async with dcpi_house(tmp_path, state_dir, tls) as house:
        yield house
