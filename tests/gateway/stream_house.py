"""A gateway with DCPI on plain loopback, identity given, and a control whose bell rings: what stream tests need.

Certificates are tried in test_stream_identity.py.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from gateway_campus import Control, FakeDoor, make_site

from pswd_edge.gateway import listening
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profiles.dcpi.profile import DcpiProfile
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.server import Gateway
from pswd_edge.image.notify import RowBell

POWER, THERMAL, GRID = ("/dcpi/api/v1/stream/" + path for path in ("power/realtime", "thermal/realtime", "grid/events"))
ALL = frozenset({Operation.POWER_READ, Operation.THERMAL_READ, Operation.GRID_READ})


class StreamHouse:
    """`row` lets control complete cycles and rings for each; `client_id` None: nobody is known."""

    def __init__(self, control: Control, gateway: Gateway, client: aiohttp.ClientSession, rows: Path) -> None:
        self.control, self.gateway, self.client = control, gateway, client
        self.hub = gateway.services.hub
        self.port = gateway.listening[0].port
        self.url = f"http://127.0.0.1:{self.port}"
        self.client_id: str | None = "scheduler"
        self.allowed = ALL
        self.to_close: list[asyncio.StreamWriter] = []
        self._bell = RowBell(rows)
        self._bell.look()

    def authenticate(self, request: object, *, stream: bool = False) -> Principal:
        if self.client_id is None:
            raise RefusalError(401, "AUTHENTICATION_FAILED", "nobody")
        return Principal(self.client_id, "client", self.allowed, f"dcpi:{self.client_id}")

    async def open(self, path: str = POWER, **more: Any) -> aiohttp.ClientWebSocketResponse:
        socket = await self.client.ws_connect(self.url + path, **more)
        await self.settle()
        return socket

    async def rows(self, count: int = 1, *, ring: bool = True) -> None:
        """Cycles of control, each with time for the gateway to see it."""
        for _ in range(count):
            self.control.run(1)
            if ring:
                self._bell.ring(self.control.cycle)
                await self.settle()

    async def settle(self) -> None:
        """A few rounds of the loop: a bell is heard, messages leave, a leaver is noticed."""
        for _ in range(8):
            await asyncio.sleep(0.001)

    def stream(self, name: str) -> Any:
        return next(s for s in self.hub._streams if s.name == name)

    async def close(self) -> None:
        self._bell.close()
        for writer in self.to_close:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def stream_house(tmp_path: Path, state_dir: Path, monkeypatch: Any, **site: Any) -> AsyncIterator[StreamHouse]:
    monkeypatch.setattr(listening, "_tls", lambda *_: None)
    folder = tmp_path / "run"
    control = Control(folder, make_site(("dcpi",), **site))
    control.run(3)
    live = LiveImage(folder, control.clock)
    async with Gateway(live, FakeDoor(), state_dir, control.clock) as gateway, aiohttp.ClientSession() as client:
        await gateway.open(folder / "rows")
        house = StreamHouse(control, gateway, client, folder / "rows")
        monkeypatch.setattr(DcpiProfile, "authenticate", lambda _, request, **more: house.authenticate(request))
        yield house
        await house.close()
