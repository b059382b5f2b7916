"""`pswd-edge alarms`: what is listed, what is asked of control, what the exit status says."""

import json
import threading
from asyncio import new_event_loop, sleep
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from gateway_campus import make_report

from pswd_edge.cli import main
from pswd_edge.clock import SystemClock
from pswd_edge.config import load_site
from pswd_edge.door import OPERATOR_SOCKET, DoorServer, Peer
from pswd_edge.image import ImageWriter
from pswd_edge.model.command import Accepted, Level, Outcome, Rejected, Request
from pswd_edge.model.report import AlarmReport

ROOT = Path(__file__).parents[2]
BLIND = AlarmReport("blind", "the load is not known", 1e9, "critical", count=3)
SEEN = AlarmReport("battery_lost:bess-1", "bess-1 is lost", 1e9, acknowledged_utc_s=1e9, acknowledged_by="bob")


class Control:
    """An image with these alarms, and an operator's door in a thread that keeps what it is asked."""

    def __init__(self, folder: Path, *alarms: AlarmReport) -> None:
        self.folder, self.asked = folder, []
        site = load_site(ROOT / "config" / "demo.yaml", {})
        image = ImageWriter(folder, site)
        image.publish_report(1, msgspec.msgpack.encode(make_report(1, SystemClock(), alarms=alarms)))
        self._loop = new_event_loop()
        self._door = DoorServer(folder / OPERATOR_SOCKET, Level.OPERATOR, self._answer)
        self._loop.run_until_complete(self._door.open())
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    async def _answer(self, request: Request, _: Peer) -> Outcome:
        self.asked.append(request)
        if request.code == "no_such":
            return Rejected(id=request.id, code="not_found", reason="no_such: no such alarm is listed")
        return Accepted(id=request.id, reason=f"{request.code}: done")

    def run(self, *words: str) -> int:
        return main(["alarms", *words, "--runtime-dir", str(self.folder)])

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.run_until_complete(self._door.close())
        self._loop.run_until_complete(sleep(0.01))
        self._loop.close()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control(tmp_path / "run", BLIND, SEEN)
    yield made
    made.close()


def test_the_list_says_what_to_do(control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    """At three in the morning nobody looks for a manual; status 1 tells a script that somebody must look."""
    assert control.run() == 1
    said = capsys.readouterr().out
    assert "CRITICAL blind since 2001-09-09T01:46:40.000Z (3 times)" in said
    assert "do: restore a meter" in said
    assert "acknowledged by bob" in said


def test_the_list_as_json(control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole, as the image has it."""
    control.run("list", "--json")
    assert [a["code"] for a in json.loads(capsys.readouterr().out)] == ["blind", "battery_lost:bess-1"]


def test_one_is_acknowledged_and_all_means_those_that_wait(
    control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has seen one already keeps his name on it."""
    assert control.run("ack", "battery_lost:bess-1") == 0
    assert control.run("ack", "all") == 0
    assert [(type(r).__name__, r.code, r.role) for r in control.asked] == [
        ("Acknowledge", "battery_lost:bess-1", "operator"), ("Acknowledge", "blind", "operator")]
    assert "blind: done" in capsys.readouterr().out


def test_one_is_shelved_for_a_time(control: Control) -> None:
    """An hour, where nothing is said."""
    assert control.run("shelve", "blind", "--for", "1800") == 0
    assert control.run("shelve", "blind") == 0
    assert [(r.code, r.seconds) for r in control.asked] == [("blind", 1800.0), ("blind", 3600.0)]


def test_a_refusal_is_said_and_shows_in_the_exit_status(
    control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error must not pass for an alarm that was seen."""
    assert control.run("ack", "no_such") == 1
    assert "Rejected: no_such" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["ack"], ["shelve"], ["list", "blind"]])
def test_half_a_command_asks_nothing(control: Control, words: list[str]) -> None:
    """`ack` without a code does not mean all of them."""
    assert control.run(*words) == 2
    assert control.asked == []


def test_a_quiet_site_has_no_alarms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit status says so."""
    made = Control(tmp_path / "run")
    assert made.run() == 0
    made.close()
    assert capsys.readouterr().out == "no alarms\n"


def test_status_shows_state_and_severity(control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    """The first look goes there."""
    main(["status", "--runtime-dir", str(control.folder)])
    assert "ALARM critical blind: the load is not known since 2001-09-09T01:46:40.000Z (3 times)" in \
        capsys.readouterr().out
