"""`pswd-edge commission`: what is shown before anything is tried, and what is said where nothing can be."""

import time
from pathlib import Path

import numpy as np
import pytest

from pswd_edge.cli import main
from pswd_edge.commands.commission_card import cards_of
from pswd_edge.config import load_site
from pswd_edge.image import ImageReader, ImageWriter
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(ROOT / "config" / "demo.yaml", {})


@pytest.fixture
def runtime(tmp_path: Path, site: Site) -> Path:
    """An image as control leaves it: every point good, most at 0."""
    writer = ImageWriter(tmp_path / "run", site)
    value = np.zeros(len(site.points))
    value[site.point_index["bess-1.power_setpoint_w"]] = 5e6
    value[site.point_index["bess-1.setpoint_scale"]] = 3
    value[site.point_index["pdu-1.outlet_state[1]"]] = 2
    now = np.full(len(site.points), time.monotonic())
    writer.publish_latest(1, value, now, now, np.full(len(site.points), int(Quality.GOOD), np.uint8),
                          np.zeros(len(site.points), np.uint8))
    writer.beat(time.monotonic())
    return tmp_path / "run"


def test_a_control_process_that_is_not_there_is_said_with_its_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At night: not a traceback but what to type."""
    assert main(["commission", "bess-1", "--runtime-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "control is not running" in said
    assert "systemctl start pswd-edge-control" in said


def test_a_control_process_that_is_dead_is_said_too(
    runtime: Path, site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its image lies there still; its beat is old."""
    later_s = time.monotonic() + 60
    monkeypatch.setattr("pswd_edge.commands.commission.time.monotonic", lambda: later_s)
    assert main(["commission", "bess-1", "--show", "--runtime-dir", str(runtime)]) == 1
    assert "silent for" in capsys.readouterr().err


def test_the_card_shows_what_will_stand_on_the_wire(runtime: Path) -> None:
    """5 MW with a scale register of 3 is raw 5,000; the set-point stands for all that leads the battery."""
    with ImageReader(runtime) as image:
        cards = cards_of(image, "bess-1")
    card = cards[0]
    facts = card.facts()
    assert facts["point"] == "bess-1.power_setpoint_w"
    assert (facts["shown"], facts["raw_shown"], facts["raw_maximum"]) == (5e6, 5000.0, 500_000.0)
    assert (facts["revert_s"], facts["action"]) == (12.0, "nudge")
    assert facts["with"] == [f"bess-1.{s}" for s in (
        "revert_timeout_s", "power_setpoint_w", "setpoint_mode", "enable", "heartbeat")]
    assert "discharges" in str(facts["sign"])
    assert [c.point.signal for c in cards[1:]] == ["revert_enable"]


def test_an_outlet_is_not_operated_unless_that_is_said(runtime: Path) -> None:
    """The card says what will be done, in capitals where it switches."""
    with ImageReader(runtime) as image:
        card = cards_of(image, "pdu-1.outlet_command[1]")[0]
    assert (card.action(operate=False), card.action(operate=True)) == ("dry_run", "operate")
    assert "nothing is switched" in card.plan(operate=False)
    assert "SWITCHES" in card.plan(operate=True)
    assert any("codes: 1 on, 2 off" in line for line in card.lines())


def test_show_prints_every_point_and_asks_nobody(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For the paper that is signed before the night."""
    assert main(["commission", "pdu-1", "--show", "--runtime-dir", str(runtime)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("shows now:") == 4
    assert "limits 1 to 2" in printed


@pytest.mark.parametrize(("words", "status", "text"), [
    (["bess-9", "--show"], 1, "there are: bess-1"), (["bess-1", "--json"], 2, "expected --yes or --show"),
    (["bess-1", "--yes", "--percent", "5"], 2, "at most 1"), (["bess-1"], 1, "nobody to ask")])
def test_wrong_words_try_nothing(
    runtime: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, text: str
) -> None:
    """Place, found, expected, and that nothing happened."""
    assert main(["commission", *words, "--runtime-dir", str(runtime)]) == status
    said = capsys.readouterr()
    assert text in said.out + said.err


def test_without_a_door_it_says_whose_it_is(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The image is there, the operator's socket is not, or not for this user."""
    assert main(["commission", "pdu-1", "--yes", "--runtime-dir", str(runtime)]) == 1
    assert "are you its user" in capsys.readouterr().err
