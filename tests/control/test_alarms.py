"""The life of an alarm: raised once, counted, latched, acknowledged, shelved, and never more than the list holds."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pswd_edge.control.alarm_table import KINDS, OFF_DELAY_S, kind_of
from pswd_edge.control.alarms import (
    ALARMS_MAX,
    LEFT_OUT,
    OFF_DELAY_MAX_S,
    RECENT_S,
    RESTORED_S,
    AlarmList,
    Condition,
)
from pswd_edge.model.command import SHELVE_MAX_S
from pswd_edge.model.report import AlarmReport

LOST = ("battery_lost:bess-1", "bess-1 is lost")
SAFE = ("safe_state", "SAFE: ordered")
UTC_S = 1_780_000_000.0


class Watch:
    """A list with a clock, and what it told."""

    def __init__(self) -> None:
        self.list, self.now_s = AlarmList(), 1000.0
        self.told: list[tuple[str, str]] = []

    @property
    def utc_s(self) -> float:
        return UTC_S + self.now_s

    def see(self, *conditions: tuple[str, str] | Condition, for_s: float = 0.1) -> tuple[AlarmReport, ...]:
        """These hold for so long."""
        for _ in range(round(for_s * 10)):
            self._note(self.list.update(conditions, self.now_s, self.utc_s))
            self.now_s += 0.1
        return self.list.listed

    def acknowledge(self, code: str) -> None:
        self._note(self.list.acknowledge(code, "alice", self.now_s, self.utc_s))

    def shelve(self, code: str, for_s: float) -> None:
        self._note(self.list.shelve(code, for_s, "alice", self.now_s, self.utc_s))

    def restarted(self, after_s: float) -> "Watch":
        """A new process, after so long."""
        other = Watch()
        other.now_s = self.now_s + after_s
        other.list.restore(self.list.listed, other.now_s, other.utc_s)
        return other

    def _note(self, changes) -> None:
        self.told += [(c.what, c.code) for c in changes]


@pytest.fixture
def watch() -> Watch:
    return Watch()


# --- raised and over --------------------------------------------------------------------------------------------------


def test_a_known_code_brings_its_severity_and_latch(watch: Watch) -> None:
    """A rule says what is so; how grave that is stands in one table."""
    listed = watch.see(LOST, SAFE)
    assert [(a.code, a.severity, a.latched) for a in listed] == [
        ("safe_state", "critical", True), (LOST[0], "warning", False)]


def test_a_condition_makes_its_kind_graver_and_never_milder(watch: Watch) -> None:
    """A rule that knows that it is worse than usual may say so; none may play down what the table calls critical."""
    listed = watch.see(Condition(*LOST, severity="critical", latch=True), Condition(*SAFE, severity="info"))
    assert [(a.severity, a.latched) for a in listed] == [("critical", True)] * 2


def test_what_does_not_latch_is_gone_after_the_off_delay(watch: Watch) -> None:
    """Nobody needs to do anything about a meter that came back."""
    watch.see(LOST)
    assert watch.see(for_s=OFF_DELAY_S)[0].active, "within its delay it may come back"
    assert watch.see() == ()
    assert watch.told == [("raised", LOST[0]), ("cleared", LOST[0])]


def test_a_flapping_condition_is_one_alarm_with_a_count(watch: Watch) -> None:
    """A loose cable must not write a line a second all night."""
    for _ in range(60):
        watch.see(LOST, for_s=0.5)
        watch.see(for_s=4.0)
    assert watch.told == [("raised", LOST[0])]
    assert watch.list.listed[0].count == 60
    assert watch.list.listed[0].last_utc_s > watch.list.listed[0].since_utc_s


def test_a_slower_flap_is_held_on_longer(watch: Watch) -> None:
    """Off for 7 s is over after the first delay; from the second time on the longer delay bridges it."""
    for _ in range(30):
        watch.see(LOST, for_s=1.0)
        watch.see(for_s=7.0)
    assert Counter(what for what, _ in watch.told) == {"raised": 2, "cleared": 1}
    watch.see(for_s=OFF_DELAY_MAX_S)
    assert watch.list.listed == (), "however long it flapped, a minute without it ends it"


def test_after_a_long_quiet_it_is_over_as_fast_as_the_first_time(watch: Watch) -> None:
    """Yesterday's flapping says nothing of today's."""
    for _ in range(10):
        watch.see(LOST, for_s=1.0)
        watch.see(for_s=4.0)
    watch.see(LOST, for_s=RECENT_S + 1)
    assert watch.see(for_s=OFF_DELAY_S + 0.2) == ()


def test_a_surplus_of_a_moment_is_no_alarm(watch: Watch) -> None:
    """It latches, so that it must have been one."""
    watch.see(("surplus", "too much"), for_s=0.9)
    watch.see(for_s=0.1)
    assert watch.see(("surplus", "too much"), for_s=0.9) == ()
    assert [a.code for a in watch.see(("surplus", "too much"), for_s=0.3)] == ["surplus"]


# --- latched and acknowledged -----------------------------------------------------------------------------------------


def test_a_latched_alarm_stays_until_it_is_over_and_acknowledged(watch: Watch) -> None:
    """Who comes in the morning must see that the site was in SAFE at night."""
    watch.see(SAFE)
    [alarm] = watch.see(for_s=3600.0)
    assert (alarm.active, alarm.acknowledged_utc_s) == (False, None)
    assert alarm.ended_utc_s is not None
    watch.acknowledge("safe_state")
    assert watch.see() == ()
    assert [what for what, _ in watch.told] == ["raised", "cleared", "acknowledged"]


def test_an_acknowledged_alarm_stays_while_it_is_on(watch: Watch) -> None:
    """To have seen it does not end it."""
    watch.see(SAFE)
    watch.acknowledge("safe_state")
    [alarm] = watch.see(SAFE, for_s=60.0)
    assert (alarm.active, alarm.acknowledged_by) == (True, "alice")
    assert watch.see(for_s=OFF_DELAY_S + 0.2) == ()


def test_a_latched_alarm_that_comes_back_is_told_again(watch: Watch) -> None:
    """It was told that it is over."""
    watch.see(SAFE)
    watch.see(for_s=10.0)
    [alarm] = watch.see(SAFE)
    assert (alarm.active, alarm.count, alarm.ended_utc_s) == (True, 2, None)
    assert [what for what, _ in watch.told] == ["raised", "cleared", "raised"]


def test_the_first_to_acknowledge_stays_the_one(watch: Watch) -> None:
    """And what is not listed cannot be acknowledged."""
    watch.see(SAFE)
    watch.acknowledge("safe_state")
    watch.list.acknowledge("safe_state", "bob", watch.now_s, watch.utc_s)
    assert watch.list.listed[0].acknowledged_by == "alice"
    assert watch.list.acknowledge("blind", "bob", watch.now_s, watch.utc_s) == []


# --- shelved ----------------------------------------------------------------------------------------------------------


def test_a_shelved_alarm_is_listed_and_not_told(watch: Watch) -> None:
    """A pump under repair alarms all day; that it does must be seen, and heard no more."""
    watch.see(LOST)
    watch.shelve(LOST[0], 600.0)
    told = len(watch.told)
    for _ in range(4):
        watch.see(for_s=70.0)
        [alarm] = watch.see(LOST, for_s=1.0)
    assert (alarm.shelved_by, alarm.count, len(watch.told)) == ("alice", 5, told)


def test_a_shelf_ends_by_itself_and_what_is_on_is_told(watch: Watch) -> None:
    """What was forgotten on the shelf must come back."""
    watch.see(LOST)
    watch.shelve(LOST[0], 60.0)
    [alarm] = watch.see(LOST, for_s=61.0)
    assert alarm.shelved_until_utc_s is None
    assert [what for what, _ in watch.told] == ["raised", "shelved", "unshelved", "raised"]


def test_a_shelf_is_ended_by_hand_and_what_is_over_leaves(watch: Watch) -> None:
    """It was listed for the shelf's sake only."""
    watch.see(LOST)
    watch.shelve(LOST[0], 600.0)
    assert len(watch.see(for_s=60.0)) == 1
    watch.shelve(LOST[0], 0.0)
    assert watch.see() == ()


def test_what_comes_back_under_a_shelf_was_not_seen(watch: Watch) -> None:
    """To acknowledge the first time says nothing of the second."""
    watch.see(SAFE)
    watch.acknowledge("safe_state")
    watch.shelve("safe_state", 600.0)
    watch.see(for_s=60.0)
    [alarm] = watch.see(SAFE)
    assert (alarm.active, alarm.acknowledged_utc_s, alarm.acknowledged_by) == (True, None, "")


def test_a_shelf_does_not_unlatch(watch: Watch) -> None:
    """Else to shelve would be to acknowledge, without a name to it."""
    watch.see(SAFE)
    watch.shelve("safe_state", 60.0)
    [alarm] = watch.see(for_s=120.0)
    assert (alarm.active, alarm.shelved_until_utc_s, alarm.acknowledged_utc_s) == (False, None, None)


# --- over a restart ---------------------------------------------------------------------------------------------------


def test_a_latched_alarm_survives_a_restart(watch: Watch) -> None:
    """A restart is what one tries first; it must not wipe what happened."""
    watch.see(SAFE)
    [alarm] = watch.restarted(60.0).see(for_s=RESTORED_S + 1)
    assert (alarm.code, alarm.active, alarm.count) == ("safe_state", False, 1)
    assert alarm.since_utc_s == watch.list.listed[0].since_utc_s


def test_what_was_on_and_is_still_on_is_the_same_alarm(watch: Watch) -> None:
    """Acknowledged stays acknowledged, and it is not told a second time."""
    watch.see(LOST)
    watch.acknowledge(LOST[0])
    after = watch.restarted(60.0)
    after.see(for_s=5.0)
    [alarm] = after.see(LOST)
    assert (alarm.acknowledged_by, alarm.count, after.told) == ("alice", 1, [])


def test_what_was_on_and_is_no_more_is_told_to_be_over(watch: Watch) -> None:
    """After the time that devices need to answer."""
    watch.see(LOST)
    after = watch.restarted(60.0)
    assert after.see(for_s=RESTORED_S - 1)[0].active
    assert after.see(for_s=2.0) == ()
    assert after.told == [("cleared", LOST[0])]


def test_a_shelf_goes_on_over_a_restart_and_ends_when_it_would_have(watch: Watch) -> None:
    """And a clock that was set back does not prolong it beyond the longest shelf."""
    watch.see(LOST)
    watch.shelve(LOST[0], 600.0)
    after = watch.restarted(500.0)
    assert after.see(LOST, for_s=95.0)[0].shelved_by == "alice"
    assert after.see(LOST, for_s=10.0)[0].shelved_by == ""
    far = AlarmList()
    far.restore(watch.list.listed, 0.0, UTC_S - 1e6)
    far.update([LOST], SHELVE_MAX_S + 1, UTC_S)
    assert far.listed[0].shelved_until_utc_s is None


# --- bounded ----------------------------------------------------------------------------------------------------------


def test_a_flood_is_bounded_and_the_rest_counted(watch: Watch) -> None:
    """A thousand batteries behind one dead switch: the list says how many, not each."""
    flood = [(f"battery_lost:b-{i}", "lost") for i in range(1000)]
    listed = watch.see(*flood)
    assert len(listed) == ALARMS_MAX + 1
    assert next(a for a in listed if a.code == LEFT_OUT).message.startswith("900 more")
    assert len(watch.told) == ALARMS_MAX + 1


def test_a_critical_alarm_finds_a_place_in_a_full_list(watch: Watch) -> None:
    """What is grave comes last when things go wrong one after the other."""
    flood = [(f"battery_lost:b-{i}", "lost") for i in range(1000)]
    watch.see(*flood)
    listed = watch.see(*flood, SAFE, for_s=1.0)
    assert listed[0].code == "safe_state"
    assert len(listed) == ALARMS_MAX + 1
    assert watch.told.count(("raised", "safe_state")) == 1


CODES = ("blind", "safe_state", "battery_lost:a", "battery_lost:b", "own")
_step = st.tuples(
    st.sets(st.sampled_from(CODES)), st.sampled_from([0.1, 1.0, 6.0, 70.0]),
    st.one_of(st.none(), st.sampled_from(CODES)), st.one_of(st.none(), st.tuples(st.sampled_from(CODES),
                                                                                 st.sampled_from([0.0, 5.0, 100.0]))))


@settings(max_examples=150, deadline=None)
@given(st.lists(_step, max_size=25))
def test_whatever_comes_no_alarm_is_lost_and_none_is_told_twice(steps) -> None:
    """Whatever holds is listed as on; what latches leaves only acknowledged; raised and cleared take turns."""
    alarms, now_s, state, acknowledged = AlarmList(), 0.0, {}, set()
    for codes, pause_s, seen, shelf in steps:
        before = {a.code: a for a in alarms.listed}
        changes = alarms.update([(c, c) for c in sorted(codes)], now_s, now_s)
        if seen:
            changes += alarms.acknowledge(seen, "x", now_s, now_s)
        if shelf:
            changes += alarms.shelve(shelf[0], shelf[1], "x", now_s, now_s)
        listed = {a.code: a for a in alarms.listed}
        acknowledged |= {c.code for c in changes if c.what == "acknowledged"}
        assert all(listed[code].active for code in codes)
        assert all(code in listed or code in acknowledged for code, a in before.items() if a.latched)
        acknowledged -= {code for code, a in listed.items() if a.acknowledged_utc_s is None}
        for change in changes:
            if change.what in ("raised", "cleared") and not _unsure(change.code, before, changes):
                assert state.get(change.code) != change.what
                state[change.code] = change.what
            elif change.what in ("shelved", "unshelved"):
                state.pop(change.code, None)
        now_s += pause_s


def _unsure(code: str, before: dict[str, AlarmReport], changes) -> bool:
    """Whether a shelf was involved, under which nothing was told in between."""
    return (code in before and before[code].shelved_until_utc_s is not None) or any(
        c.code == code and c.what in ("shelved", "unshelved") for c in changes)


def test_the_table_knows_codes_with_a_name_in_them() -> None:
    """`battery_lost:bess-1` is of a kind; a stranger is of none."""
    assert kind_of("battery_lost:bess-1") is KINDS["battery_lost:<id>"]
    assert kind_of("grid_meter_frozen") is KINDS["grid_meter_frozen"]
    assert kind_of("grid_meter_device") is KINDS["grid_meter_<reason>"]
    assert kind_of("battery_lost:") is None
    assert kind_of("nothing") is None
