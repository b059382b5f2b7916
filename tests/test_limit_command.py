"""`pswd-edge limit`: what it asks control for, and what it shows."""

from pathlib import Path

import pytest

from pswd_edge.cli import main
from pswd_edge.commands import limit
from pswd_edge.commands.moment import next_utc, utc_of
from pswd_edge.errors import PswdError
from pswd_edge.model.command import Accepted, Outcome, SetLimit
from pswd_edge.model.report import LimitReport


class Client:
    """Takes what is asked, as control's socket does."""

    def __init__(self) -> None:
        self.asked: list[SetLimit] = []

    async def ask(self, request: SetLimit) -> Outcome:
        self.asked.append(request)
        return Accepted(id=request.id, reason="taken")

    def close(self) -> None:
        pass


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr(limit, "operator", lambda _: made)
    return made


def test_a_limit_is_asked_for_in_watts_for_a_time(client: Client) -> None:
    """Engineers type megawatts and hours; the door takes SI."""
    assert main(["limit", "import_limit_w", "80MW", "--for", "2h", "--emergency"]) == 0
    asked = client.asked[0]
    assert (asked.name, asked.value, asked.ttl_s, asked.emergency) == ("import_limit_w", 80e6, 7200.0, True)


def test_a_limit_is_asked_for_a_time_to_come(client: Client) -> None:
    """It is held from now on, so that it survives a restart, and counts from its begin for as long as was said."""
    assert main(["limit", "import_limit_w", "70MW", "--at", "+30min", "--for", "1h"]) == 0
    asked = client.asked[0]
    assert asked.from_utc_s - asked.issued_utc_s == pytest.approx(1800.0, abs=0.01)
    assert asked.ttl_s == pytest.approx(5400.0, abs=0.01)


def test_a_time_of_day_is_the_next_one() -> None:
    """14:00 asked at 15:00 is tomorrow's; a full date is taken as it stands."""
    now_utc_s = utc_of("2026-03-01T15:00:00Z")
    assert next_utc("14:00", now_utc_s) == utc_of("2026-03-02T14:00:00Z")
    assert next_utc("16:00", now_utc_s) == utc_of("2026-03-01T16:00:00Z")
    assert next_utc("2026-03-01T14:00:00Z", now_utc_s) == utc_of("2026-03-01T14:00:00Z")
    with pytest.raises(PswdError, match="expected"):
        next_utc("+soon", now_utc_s)


def test_release_asks_for_nothing(client: Client) -> None:
    """None is no limit; 0 would be one."""
    assert main(["limit", "export_limit_w", "--release"]) == 0
    assert client.asked[0].value is None


@pytest.mark.parametrize("words", [["import_limit_w"], ["import_limit_w", "80MW", "--release"]])
def test_neither_or_both_asks_nothing(client: Client, words: list[str]) -> None:
    """A slip of the hand must not let go of a limit."""
    assert main(["limit", *words]) == 2
    assert client.asked == []


def test_a_wrong_unit_is_told(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """80 °C are no import limit."""
    assert main(["limit", "import_limit_w", "80degC"]) == 1
    assert "expected one of" in capsys.readouterr().err
    assert client.asked == []


def test_without_control_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody would hold the limit."""
    assert main(["limit", "--runtime-dir", str(tmp_path)]) == 1
    assert "no control process answers" in capsys.readouterr().err


def test_a_limit_is_shown_with_its_unit_and_end() -> None:
    """The ramp's is a minute's."""
    shown = limit.limit_line(LimitReport("ramp_limit_w_per_min", 2e6, "operator:x", 2, True, False, 59.6))
    assert shown == "limit ramp_limit_w_per_min 2.00 MW/min of operator:x, binds, for another 60 s"
    shown = limit.limit_line(LimitReport("import_limit_w", 6e7, "api:y", 4, False, True, 5.0))
    assert shown == "limit import_limit_w 60.00 MW of api:y, a tighter one binds, emergency, for another 5 s"


def test_a_limit_to_come_says_when() -> None:
    """It binds nothing yet."""
    shown = limit.limit_line(LimitReport("import_limit_w", 6e7, "api:y", 4, False, False, 1500.0, 600.0))
    assert "begins in 600 s" in shown
    assert "tighter" not in shown
