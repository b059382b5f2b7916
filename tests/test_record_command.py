"""Recordings as an operator meets them: commands against a control that runs."""

import asyncio
import json
from pathlib import Path

import pytest

from pswd_edge import app
from pswd_edge.cli import main
from tests.battery_site import device, living, site_of


@pytest.fixture(autouse=True)
def _the_collector_is_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control freezes what lives at its start, which here is the whole test run."""
    monkeypatch.setattr(app, "_tame_collector", lambda: None)


class Console:
    """Commands of an operator on the machine; each returns its exit status and what it printed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._runtime, self._capsys = ["--runtime-dir", str(folder / "run")], capsys

    async def say(self, *words: str) -> tuple[int, str]:
        self._capsys.readouterr()
        status = await asyncio.to_thread(main, [*words, *self._runtime])
        return status, self._capsys.readouterr().out


@pytest.fixture
def console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    return Console(tmp_path, capsys)


async def test_a_recording_is_made_and_decided_again(tmp_path: Path, console: Console) -> None:
    """From the first command to the verdict, with real devices and real time."""
    bess = await device()
    async with living(site_of(tmp_path, bess.port, shadow=False), tmp_path):
        before = await console.say("record", "status")
        started = await console.say("record", "start", "--for", "60")
        await asyncio.sleep(1.5)
        under_way = await console.say("record", "status", "--json")
        await console.say("record", "stop")
    await bess.stop()
    status = await asyncio.to_thread(main, ["replay", str(tmp_path / "state" / "recordings")])
    assert (before[0], started[0], under_way[0], status) == (1, 0, 0, 0)
    found = json.loads(under_way[1])
    assert found["on"]
    assert found["until_utc_s"] > found["since_utc_s"]
