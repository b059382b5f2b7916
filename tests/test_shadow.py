"""Shadow mode against a device: decisions every cycle, and not one write."""

import asyncio
from pathlib import Path

import pytest

from pswd_edge import app
from pswd_edge.commands.status import _lines
from pswd_edge.model.command import Commission, Failed, Mode, SetBatteryTarget, SetMode
from tests.battery_site import ask, device, living, report_of, site_of, written
from tests.field.fieldmaker import until


@pytest.fixture(autouse=True)
def _the_collector_is_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control freezes what lives at its start, which here is the whole test run."""
    monkeypatch.setattr(app, "_tame_collector", lambda: None)


async def test_a_shadow_decides_and_writes_nothing(tmp_path: Path) -> None:
    """In any mode, whoever asks; the report shows what would have been written."""
    bess = await device()
    site = site_of(tmp_path, bess.port, shadow=True)
    async with living(site, tmp_path):
        before = report_of(tmp_path).cycle
        refused = [await ask(tmp_path, SetBatteryTarget, power_w=1e6, ttl_s=60.0),
                   await ask(tmp_path, Commission, point="bess.power_setpoint_w", action="nudge")]
        for mode in (Mode.MANUAL, Mode.SAFE, Mode.AUTO):
            await ask(tmp_path, SetMode, mode=mode)
            await asyncio.sleep(0.3)
        report = report_of(tmp_path)
    await bess.stop()
    assert [type(o) for o in refused] == [Failed, Failed]
    assert report.cycle > before
    wanted = {site.points[s.point].id: s.wanted for s in report.setpoints}
    assert (report.shadow, report.mode) == (True, Mode.AUTO)
    assert wanted["bess.power_setpoint_w"] == pytest.approx(5e6, abs=1e6)
    assert "bess.heartbeat" in wanted
    assert [a.code for a in report.alarms if a.code == "shadow"] == ["shadow"]
    assert any(line.startswith("SHADOW") for line in _lines(site, report, None, 0.0))
    assert len(bess.asked) > 20
    assert written(bess) == []


async def test_without_the_shadow_the_same_site_writes(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    bess = await device()
    async with living(site_of(tmp_path, bess.port, shadow=False), tmp_path):
        await until(lambda: bool(written(bess)), 10.0)
    await bess.stop()
    assert len(written(bess)) >= 1


async def test_the_option_is_stronger_than_the_file(tmp_path: Path) -> None:
    """`run --shadow` on the site file that will lead the batteries later."""
    bess = await device()
    async with living(site_of(tmp_path, bess.port, shadow=False), tmp_path, shadow=True):
        assert report_of(tmp_path).shadow
    await bess.stop()
    assert written(bess) == []
