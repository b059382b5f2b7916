"""Who may acknowledge and shelve, what is answered, and that it is done, written down and kept."""

import json
from pathlib import Path

import pytest
from desk_case import CLOCK_UTC_S, Room, facts
from virtual import demo_site

from pswd_edge.clock import FakeClock
from pswd_edge.control.alarm_file import FILE, AlarmFile
from pswd_edge.control.journal import Journal
from pswd_edge.control.requests import check, decide
from pswd_edge.image import ImageReader, ImageWriter
from pswd_edge.model.command import SHELVE_MAX_S, Accepted, Acknowledge, Level, Rejected, Shelve
from pswd_edge.model.report import AlarmReport

SAFE = AlarmReport("safe_state", "SAFE", CLOCK_UTC_S, "critical", latched=True)


def envelope(role: str = "operator") -> dict[str, object]:
    return {"id": "a-1", "origin": "console", "role": role, "issued_utc_s": CLOCK_UTC_S}


def acknowledge(code: str = "safe_state", role: str = "operator") -> Acknowledge:
    return Acknowledge(**envelope(role), code=code)


def shelve(code: str = "safe_state", seconds: float = 60.0) -> Shelve:
    return Shelve(**envelope(), code=code, seconds=seconds)


def answer(request: Acknowledge | Shelve, *alarms: AlarmReport):
    return decide(request, demo_site(), facts(alarms=alarms), {}, Level.OPERATOR)


# --- judged -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("request_", "level", "allowed"), [
    (acknowledge(), Level.OPERATOR, True), (shelve(), Level.OPERATOR, True), (shelve(), Level.API, False),
    (acknowledge(role="infrastructure_manager"), Level.API, True),
    (acknowledge(role="grid_operator"), Level.API, False), (acknowledge(role="operator"), Level.API, False)])
def test_who_may(request_, level, allowed) -> None:
    """To shelve is to silence: the operator's alone. A role that a program claims does not make it the operator."""
    refused = check(request_, level, CLOCK_UTC_S)
    assert (refused is None) == allowed
    assert allowed or refused.code == "forbidden"


@pytest.mark.parametrize("request_", [acknowledge(""), acknowledge("x" * 500), shelve(seconds=-1.0),
                                      shelve(seconds=float("nan")), shelve(seconds=float("inf"))])
def test_what_no_request_may_carry(request_) -> None:
    """It would come back in lists and ledgers."""
    assert isinstance(check(request_, Level.OPERATOR, CLOCK_UTC_S), Rejected)


def test_only_what_is_listed_can_be_acknowledged_or_shelved() -> None:
    """A typing error must not look like an alarm that was seen; the answer says what there is."""
    for request in (acknowledge("safe"), shelve("safe")):
        refused = answer(request, SAFE)
        assert (type(refused), refused.code) == (Rejected, "not_found")
        assert "safe_state" in refused.reason


def test_no_shelf_is_longer_than_a_shift() -> None:
    """What is silenced for good is forgotten."""
    assert isinstance(answer(shelve(seconds=SHELVE_MAX_S), SAFE), Accepted)
    refused = answer(shelve(seconds=SHELVE_MAX_S + 1), SAFE)
    assert (type(refused), refused.code) == (Rejected, "invalid")


def test_who_comes_second_learns_who_was_first() -> None:
    """It is no failure: the alarm has been seen."""
    seen = AlarmReport("safe_state", "SAFE", CLOCK_UTC_S, acknowledged_utc_s=CLOCK_UTC_S, acknowledged_by="bob")
    outcome = answer(acknowledge(), seen)
    assert isinstance(outcome, Accepted)
    assert "bob" in outcome.reason


# --- done -------------------------------------------------------------------------------------------------------------


async def test_the_order_waits_for_the_cycle_and_is_on_disk_before_the_answer(tmp_path: Path) -> None:
    """As every request; and a restart does not carry it out a second time, on another alarm of that code."""
    room = Room(tmp_path)
    room.known = {"alarms": (SAFE,)}
    await room.start()
    outcome = await room.ask(acknowledge(), Level.OPERATOR)
    assert [r.code for r in room.desk.alarm_orders] == ["safe_state"]
    assert await room.ledger.find("a-1") == outcome
    await room.restart()
    assert list(room.desk.alarm_orders) == []
    await room.ledger.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def journal(clock: FakeClock, folder: Path) -> Journal:
    made = Journal(clock)
    made.attach(ImageWriter(folder / "run", demo_site()))
    made.keep_in(AlarmFile(folder / FILE))
    return made


def test_what_becomes_of_an_alarm_is_told(clock: FakeClock, tmp_path: Path) -> None:
    """With who did it: the events are what the night shift leaves behind."""
    made = journal(clock, tmp_path)
    made.alarms([("safe_state", "SAFE")])
    made.order(acknowledge())
    made.order(shelve())
    made.order(shelve(seconds=0.0))
    events = [(e.severity, e.code, e.subject) for e in ImageReader(tmp_path / "run").events(0)]
    assert events == [
        ("alarm", "safe_state", "site"), ("info", "acknowledged", "safe_state"), ("warning", "shelved", "safe_state"),
        ("info", "unshelved", "safe_state"), ("alarm", "safe_state", "site")]
    assert "console" in ImageReader(tmp_path / "run").events(0)[1].text
    made.close()


def test_a_power_cut_costs_at_most_what_the_last_second_brought(clock: FakeClock, tmp_path: Path) -> None:
    """`keep` is called each second; nothing else is needed for the next process to know."""
    made = journal(clock, tmp_path)
    made.alarms([("safe_state", "SAFE")])
    made.order(acknowledge())
    made.keep()
    made._file._file._writing.result(5)  # the power goes here: no close
    [alarm] = journal(clock, tmp_path).listed
    assert (alarm.code, alarm.latched, alarm.acknowledged_by) == ("safe_state", True, "console")


def test_an_orderly_stop_writes_the_rest(clock: FakeClock, tmp_path: Path) -> None:
    """Without waiting for the second to be over."""
    made = journal(clock, tmp_path)
    made.alarms([("safe_state", "SAFE")])
    made.close()
    assert [a.code for a in journal(clock, tmp_path).listed] == ["safe_state"]


def test_nothing_is_written_while_nothing_changes(clock: FakeClock, tmp_path: Path) -> None:
    """A message that counts, or a flap, must not wear out the disk."""
    made = journal(clock, tmp_path)
    made.alarms([("safe_state", "SAFE")])
    made.keep()
    made._file._file._writing.result(5)
    (tmp_path / FILE).unlink()
    for second in range(5):
        made.alarms([("safe_state", f"SAFE for {second} s")] if second % 2 else [])
        clock.advance(1.0)
        made.keep()
    made._file._file._writing.result(5)
    assert not (tmp_path / FILE).exists()


def test_a_disk_that_cannot_be_written_is_an_alarm_and_costs_no_other(clock: FakeClock, tmp_path: Path) -> None:
    """The list works on in memory, and the trouble ends by itself."""
    made = journal(clock, tmp_path)
    (tmp_path / FILE).mkdir()
    made.alarms([("safe_state", "SAFE")])
    made.keep()
    made._file._file._writing.result(5)
    assert "cannot be written" in made.trouble
    assert [a.code for a in made.listed] == ["safe_state"]
    (tmp_path / FILE).rmdir()
    made.keep()
    made._file._file._writing.result(5)
    assert made.trouble == ""
    assert json.loads((tmp_path / FILE).read_bytes())[0]["code"] == "safe_state"


@pytest.mark.parametrize("content", [b"", b"{", b'[{"code": 1}]', b"\xff\xfe"])
def test_a_damaged_file_costs_no_start(content: bytes, clock: FakeClock, tmp_path: Path) -> None:
    """It is said in the log, and the alarms that hold come anew."""
    (tmp_path / FILE).write_bytes(content)
    made = journal(clock, tmp_path)
    assert made.listed == ()
    assert [a.code for a in made.alarms([("safe_state", "SAFE")])] == ["safe_state"]
