"""A plan on its whole way: the gateway's planner, the real door, a living control, and what it tells."""

import time
from pathlib import Path

import pytest

from pswd_edge import app
from pswd_edge.clock import SystemClock
from pswd_edge.door import GATEWAY_SOCKET, OPERATOR_SOCKET, DoorClient
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.services.planner import PlannerService
from pswd_edge.image import ImageReader
from pswd_edge.model.command import Hint, Rejected
from pswd_edge.planning.horizon import Plan
from tests.battery_site import device, living, report_of, site_of
from tests.field.fieldmaker import until


@pytest.fixture(autouse=True)
def _the_collector_is_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control freezes what lives at its start, which here is the whole test run."""
    monkeypatch.setattr(app, "_tame_collector", lambda: None)


def _events(folder: Path) -> list[str]:
    with ImageReader(folder / "run") as image:
        return [e.text for e in image.events(0) if e.code == "planner"]


async def test_the_planner_s_hint_leads_a_living_control(tmp_path: Path) -> None:
    """Both processes' clocks, the frames, the origin: taken from the planner, refused from whoever takes its name."""
    bess = await device()
    async with living(site_of(tmp_path, bess.port, shadow=False), tmp_path):
        live, gateway = LiveImage(tmp_path / "run"), DoorClient(tmp_path / "run" / GATEWAY_SOCKET)
        operator = DoorClient(tmp_path / "run" / OPERATOR_SOCKET)
        planner = PlannerService(live, gateway, SystemClock())
        report = report_of(tmp_path)
        assert report is not None
        assert await planner._send(Plan((0.0, 60.0), (45e6, 50e6), viable=True, seconds=0.01), report) == ""
        await until(lambda: _events(tmp_path) == ["the planner leads the reference"], 5.0)
        forged = Hint(id="f", origin="planner", role="planner", issued_utc_s=time.time(), ttl_s=15.0,
                      begin_s=time.monotonic(), after_s=(0.0,), reference_w=(45e6,))
        refused = await operator.ask(forged)
        assert isinstance(refused, Rejected)
        assert refused.code == "forbidden"
        for client in (gateway, operator):
            client.close()
        planner.close()
        live.close()
    await bess.stop()
