"""Events and alarms: each once, in order, small enough for the image."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from virtual import demo_site

from pswd_edge.clock import FakeClock
from pswd_edge.control.alarm_table import OFF_DELAY_S
from pswd_edge.control.journal import Journal
from pswd_edge.image import ImageReader, ImageWriter
from pswd_edge.image.layout import EVENT_SLOTS

_DEMO = demo_site()
SITE = replace(_DEMO, control=replace(_DEMO.control, period_ms=100_000))     # a ring of 36 rows


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def journal(clock: FakeClock, tmp_path: Path) -> Journal:
    made = Journal(clock)
    made.attach(ImageWriter(tmp_path, SITE))
    return made


def test_an_event_reaches_the_image(journal: Journal, clock: FakeClock, tmp_path: Path) -> None:
    """Whole, and with the time at which it happened."""
    journal.tell("warning", "tier", "throttle-1", "shed, 3.0 MW less")
    [event] = ImageReader(tmp_path).events(0)
    assert (event.number, event.utc_s, event.severity) == (1, clock.utc_s(), "warning")
    assert (event.code, event.subject, event.text) == ("tier", "throttle-1", "shed, 3.0 MW less")


def test_numbers_go_on_after_a_restart(journal: Journal, clock: FakeClock, tmp_path: Path) -> None:
    """A reader that asks for what is new since 1 must not miss what the next process tells."""
    journal.tell("info", "a", "site", "first")
    second = Journal(clock)
    second.attach(ImageWriter(tmp_path, SITE))
    second.tell("info", "b", "site", "second")
    assert [(e.number, e.code) for e in ImageReader(tmp_path).events(0)] == [(1, "a"), (2, "b")]


def test_what_was_told_before_the_image_is_not_lost_and_keeps_its_time(clock: FakeClock, tmp_path: Path) -> None:
    """Drivers speak while control still opens its files."""
    journal = Journal(clock)
    told_s = clock.utc_s()
    journal.tell("info", "a", "site", "early")
    clock.advance(60.0)
    journal.attach(ImageWriter(tmp_path, SITE))
    journal.tell("info", "b", "site", "late")
    events = ImageReader(tmp_path).events(0)
    assert [(e.number, e.code, e.utc_s) for e in events] == [(1, "a", told_s), (2, "b", told_s + 60.0)]


def test_before_the_image_no_more_is_kept_than_it_holds(clock: FakeClock, tmp_path: Path) -> None:
    """A flapping device must not fill the memory."""
    journal = Journal(clock)
    for i in range(EVENT_SLOTS + 10):
        journal.tell("info", str(i), "site", "")
    journal.attach(ImageWriter(tmp_path, SITE))
    events = ImageReader(tmp_path).events(0)
    assert (len(events), events[0].code, events[-1].code) == (EVENT_SLOTS, "10", str(EVENT_SLOTS + 9))


@pytest.mark.parametrize("letter", ["x", "ä", "水", "🔋", "\ud800", "\x00"])
def test_a_text_of_any_length_and_script_fits(journal: Journal, tmp_path: Path, letter: str) -> None:
    """Cut by characters it grew beyond its 1,024 bytes, was cut as MessagePack, and no reader could read any event."""
    journal.tell("alarm", letter * 300, letter * 300, letter * 5000)
    journal.tell("info", "next", "site", "still readable")
    events = ImageReader(tmp_path).events(0)
    assert [e.number for e in events] == [1, 2]
    assert len(events[0].text.encode()) in range(397, 401)
    assert set(events[0].text) == {letter.encode("utf-8", "replace").decode()}


def test_an_alarm_is_told_when_it_begins_and_when_it_ends(
    journal: Journal, clock: FakeClock, tmp_path: Path
) -> None:
    """Ten times a second the condition holds; an operator wants two lines."""
    begun_s = clock.utc_s()
    for _ in range(5):
        [alarm] = journal.alarms([("battery_lost:bess-1", "bess-1 is lost")])
        clock.advance(0.1)
    assert (alarm.code, alarm.since_utc_s) == ("battery_lost:bess-1", begun_s)
    journal.alarms([])
    clock.advance(OFF_DELAY_S)
    assert journal.alarms([]) == ()
    assert journal.alarms([]) == ()
    events = ImageReader(tmp_path).events(0)
    assert [(e.severity, e.code, e.subject) for e in events] == [
        ("alarm", "battery_lost:bess-1", "bess-1"), ("info", "cleared", "battery_lost:bess-1")]


def test_an_alarm_shows_its_newest_message_without_being_told_again(journal: Journal, tmp_path: Path) -> None:
    """The reason may change while it is on."""
    journal.alarms([("safe_state", "SAFE: 6 cycles in a row were missed")])
    [alarm] = journal.alarms([("safe_state", "SAFE: 7 cycles in a row were missed")])
    assert alarm.message == "SAFE: 7 cycles in a row were missed"
    assert len(ImageReader(tmp_path).events(0)) == 1


def test_two_alarms_come_and_go_by_themselves(journal: Journal, clock: FakeClock) -> None:
    """The end of one is not the end of the other."""
    journal.alarms([("a", "a"), ("b", "b")])
    journal.alarms([("b", "b")])
    clock.advance(OFF_DELAY_S)
    assert [a.code for a in journal.alarms([("b", "b")])] == ["b"]
