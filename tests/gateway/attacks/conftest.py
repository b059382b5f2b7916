"""A gateway with one listener in plain text and one with TLS, both with the documented limits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop
from gateway_campus import Control, FakeDoor, make_site
from raw_client import Target, make_certificate

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.server import Gateway
from pswd_edge.model.site import ApiLimits, Listener


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the gateway runs on: its sockets and its TLS are others than asyncio's own."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def limits() -> ApiLimits:
    """The site file's; a test module may have others."""
    return ApiLimits()


@pytest.fixture
async def target(tmp_path: Path, state_dir: Path, limits: ApiLimits, house_class: type) -> AsyncIterator[Target]:
    certificate, key = make_certificate(tmp_path)
    listeners = (Listener("127.0.0.1", 0, ("pswd", "edge")),
                 Listener("127.0.0.1", 0, ("pswd", "edge"), certificate, key))
    control = Control(tmp_path / "run", make_site(listeners=listeners, api_limits=limits))
    control.run(30)
    live, door = LiveImage(tmp_path / "run", control.clock), FakeDoor()
    async with Gateway(live, door, state_dir, control.clock) as gateway:
        await gateway.open(tmp_path / "run" / "rows")
        house = house_class(control, door, gateway, live, None)
        yield Target(gateway, control, door, certificate, state_dir, house.token)
