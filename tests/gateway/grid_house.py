"""A gateway with a simulated grid operator beside it, PSWD and DCPI on one listener."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from conftest import House
from gateway_campus import Control, FakeDoor, make_site

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profiles.dcpi.profile import DcpiProfile
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.server import Gateway
from pswd_edge.model.site import OutsideEndpoint
from simulators.grid_operator import GridOperator

TOKEN = "a-token-of-the-test"
CLIENT = Principal("scheduler-01", "client", frozenset(Operation), "dcpi:scheduler-01")


class GridHouse(House):
    """`services` are the gateway's; nothing runs beside the answers unless a test lets it."""

    operator: GridOperator

    @property
    def services(self) -> Any:
        return self.gateway.services

    async def dcpi(self, method: str, path: str, json: Any = None) -> Any:
        return await self.call(method, "/dcpi/api/v1" + path, json, role=None)


@asynccontextmanager
async def open_house(folder: Path, state_dir: Path, monkeypatch: Any, *, endpoint: bool = True,
                     **site: Any) -> AsyncIterator[GridHouse]:
    monkeypatch.setattr(DcpiProfile, "authenticate", lambda *_, **__: CLIENT)
    monkeypatch.setattr("pswd_edge.gateway.listening._tls", lambda *_: None)    # certificates are tested elsewhere
    monkeypatch.setattr("pswd_edge.gateway.services.Services.jobs", lambda _: {})
    secret = folder / "token"
    secret.write_text(TOKEN)
    secret.chmod(0o600)
    async with GridOperator(TOKEN) as operator:
        at = OutsideEndpoint(f"http://127.0.0.1:{operator.port}/grid", f"file:{secret}") if endpoint else None
        control = Control(folder / "run", make_site(("pswd", "dcpi"), grid_endpoint=at, **site))
        operator._clock = control.clock
        control.run(30)
        live, door = LiveImage(folder / "run", control.clock), FakeDoor()
        async with Gateway(live, door, state_dir, control.clock) as gateway, aiohttp.ClientSession() as client:
            await gateway.open(folder / "run" / "rows")
            house = GridHouse(control, door, gateway, live, client)
            house.operator = operator
            yield house
