"""What an operator is told at night: from the ledger, in words, and with help for names and times mistyped."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "control"))

from test_chronicle import UTC_S, Watched
from virtual import demo_site

from pswd_edge.chain.chain import Chain
from pswd_edge.cli import main
from pswd_edge.commands.explain import find_point, then_of
from pswd_edge.commands.moment import utc_of
from pswd_edge.control.arbiter import Verdict
from pswd_edge.errors import PswdError
from pswd_edge.image import ImageReader, ImageWriter

SITE = demo_site()
POINT = SITE.points[SITE.point_index["rack-1.power_cap_w"]]


def kept(folder: Path) -> Path:
    """A ledger with a capped rack, and an image beside it."""
    watched = Watched()
    watched.chronicle._site = SITE
    watched.step("target")
    watched.verdicts = [Verdict(POINT.index, 5e6, "api:alice", 4, "tier:throttle-1", ("law=2.5e+07",))]
    for _ in range(40):
        watched.step("battery")
    chain = Chain(folder / "ledger")
    chain.open()
    chain.append(watched.ears.bodies)
    chain.close()
    ImageWriter(folder / "run", SITE)
    return folder


def test_then_is_told_from_the_ledger(tmp_path: Path) -> None:
    """Winner, loser, limit and the law's numbers, though the image has nothing of that time."""
    folder = kept(tmp_path)
    with ImageReader(folder / "run") as image:
        told = then_of(image, POINT, UTC_S + 1000 + 60, folder)
    text = "\n".join(told.lines)
    for words in ("led by api:alice", "the API", "held at tier:throttle-1", "not taken: law=2.5e+07",
                  "bound by battery", "5.00 MW", "load 60.00 MW"):
        assert words in text, words


def test_a_time_before_everything_is_said_to_be(tmp_path: Path) -> None:
    """An empty page would look like a quiet night."""
    folder = kept(tmp_path)
    with ImageReader(folder / "run") as image, pytest.raises(PswdError, match="the ledger has nothing of that time"):
        then_of(image, POINT, UTC_S, folder)


def test_an_unknown_point_gets_names_that_are_near() -> None:
    """Nobody knows them by heart."""
    with pytest.raises(PswdError, match=r"did you mean .*rack-1\.power_cap_w"):
        find_point(SITE, "rack1.power_cap")
    with pytest.raises(PswdError, match="measured, never written"):
        find_point(SITE, "pcc.active_power_w")


NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z


@pytest.mark.parametrize(("text", "utc_s"), [
    ("-5m", NOW - 300), ("-90s", NOW - 90), ("20:26", NOW - 40), ("20:26:30", NOW - 10), ("20:27", NOW + 20 - 86_400),
    ("2026-05-28T20:26:40Z", NOW), ("2026-05-28T22:26:40+02:00", NOW), ("2026-05-28 20:26:40", NOW), ("now", NOW)])
def test_times_as_people_type_them(text: str, utc_s: float) -> None:
    """A time of day is the last one that has been."""
    assert utc_of(text, NOW) == utc_s


@pytest.mark.parametrize("text", ["25:00", "yesterday", "-5x", "", "12:60"])
def test_a_time_that_is_none_says_what_is_expected(text: str) -> None:
    """In one line."""
    with pytest.raises(PswdError, match="expected 2026-03-01T02:10:00Z"):
        utc_of(text, NOW)


def test_verify_ends_with_one_where_the_chain_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script must see it; a person must see where."""
    folder = kept(tmp_path)
    asked = ["ledger", "verify", "--state-dir", str(folder)]
    assert main(asked) == 0
    [file] = (folder / "ledger").glob("*.chain")
    file.write_bytes(file.read_bytes().replace(b"api:alice", b"api:mallo", 1))
    assert main(asked) == 1
    assert "BROKEN 00000001.chain, byte" in capsys.readouterr().out
    assert main(["ledger", "list", "--from", "-1h", "--state-dir", str(folder)]) == 0
