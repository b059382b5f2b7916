"""The actuator: which value is sent when, and what may be said of it afterwards."""

import math

import pytest

from pswd_edge.errors import DeviceError, WriteError
from pswd_edge.field.slot import step_of
from pswd_edge.model.point import OpcUaAddress, Point
from tests.field.fieldmaker import modbus_point
from tests.field.writebench import REFUSED, SILENT, Bench


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_value_is_written_once_while_it_stays(bench: Bench) -> None:
    """Set-points must not saturate the bus."""
    for _ in range(20):
        bench.want(10.0)
        if len(bench.sent) == 1 and bench.slot.in_flight:
            bench.answer()
    assert bench.sent == [10.0]
    assert bench.slot.state == "acknowledged"


def test_the_latest_value_wins_over_what_waits(bench: Bench) -> None:
    """While one is on the wire nothing queues behind it: what is sent next is what is wanted then."""
    for value in (10.0, 20.0, 30.0, 40.0):
        bench.want(value)
    assert bench.sent == [10.0]
    bench.answer()
    bench.want(50.0)
    assert bench.sent == [10.0, 50.0]


@pytest.mark.parametrize(("type_", "changes"), [("int16", 0), ("float32", 1)])
def test_a_change_below_half_a_step_is_none_but_floats_have_no_step(
    monkeypatch: pytest.MonkeyPatch, type_: str, changes: int
) -> None:
    """18.0 to 18.3 degrees is a real order to a device that takes floats."""
    bench = Bench(monkeypatch, type_)
    bench.want(18.0)
    bench.answer()
    bench.want(18.3)
    assert len(bench.sent) == 1 + changes


def test_steps_of_opcua_doubles_and_scale_registers_are_not_guessed() -> None:
    """A scale register may hold -3: half of the map's scale would hide 499 steps."""
    assert step_of(Point(0, "p", 0, "s", "W", OpcUaAddress("i=1", "Double"))) == 0
    assert step_of(Point(0, "p", 0, "s", "W", OpcUaAddress("i=1", "Int32"), scale=2.0)) == 2
    assert step_of(modbus_point(0, "int16", scale_register=1)) == 0
    assert step_of(modbus_point(0, "int16", scale=-0.1)) == 0.1


def test_a_slow_drift_below_the_step_is_written_when_it_adds_up(bench: Bench) -> None:
    """Each change is compared with what the device holds, not with the wish of a cycle ago."""
    bench.want(10.0)
    bench.answer()
    for n in range(1, 4):
        bench.want(10.0 + 0.2 * n)
    assert bench.sent == [10.0, 10.6]
    assert bench.acknowledged == bench.cycle - 1


def test_a_value_is_refreshed_at_forty_percent_of_the_revert_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under half: one refresh may be lost before the device falls back."""
    bench = Bench(monkeypatch, revert_s=10.0)
    bench.want(10.0)
    bench.answer()
    bench.want(10.0, after_s=3.9)
    assert len(bench.sent) == 1
    bench.want(10.0, after_s=0.2)
    assert bench.sent == [10.0, 10.0]
    assert bench.acknowledged == bench.cycle  # a refresh changes nothing: nobody waits for it
    bench.answer()
    bench.want(10.0, after_s=3.9)
    assert len(bench.sent) == 2


def test_writes_keep_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """`min_interval_s` counts from one write to the next, changed or not."""
    bench = Bench(monkeypatch, min_interval_s=1.0)
    for n in range(25):
        bench.want(float(n))
        if bench.slot.in_flight:
            bench.answer()
    assert bench.sent == [0.0, 10.0, 20.0]


def test_eeprom_is_written_on_change_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 writes are its life: no refresh, no repair, no rewrite after a reconnect or a pause."""
    bench = Bench(monkeypatch, eeprom=True, revert_s=10.0)
    bench.want(10.0)
    bench.answer()
    bench.want(10.0, after_s=20)
    for _ in range(5):
        bench.show(3)
    assert bench.slot.state == "mismatch"
    bench.wire.sessions += 1
    bench.want(10.0, after_s=20)
    bench.want(None)
    bench.want(10.0, after_s=20)
    assert bench.sent == [10.0]
    assert bench.acknowledged == bench.cycle
    bench.want(11.0)
    assert bench.sent == [10.0, 11.0]


def test_a_refused_value_rests_but_another_one_goes_at_once(bench: Bench) -> None:
    """The device said no to 50, not to 5: five seconds without control would be ours, not its."""
    bench.want(50.0)
    bench.answer(REFUSED)
    assert bench.slot.state == "refused"
    bench.want(50.0, after_s=4.8)
    assert bench.sent == [50.0]
    bench.want(50.0, after_s=0.3)
    assert bench.sent == [50.0, 50.0]
    bench.answer(WriteError("too much"))
    bench.want(5.0)
    bench.answer()
    assert bench.sent == [50.0, 50.0, 5.0]
    assert bench.slot.state == "acknowledged"
    assert bench.told.codes() == ["write_refused", "write_works"]


def test_a_device_that_refuses_for_an_hour_is_told_of_once(bench: Bench) -> None:
    """A log line every five seconds is a log that nobody reads."""
    for _ in range(720):
        bench.want(50.0, after_s=5.0)
        if bench.slot.in_flight:
            bench.answer(REFUSED)
    assert len(bench.sent) == 720
    assert bench.told.codes() == ["write_refused"]


@pytest.mark.parametrize("value", [101.0, -100.1, math.nan, math.inf])
def test_a_value_outside_the_map_is_never_sent(bench: Bench, value: float) -> None:
    """Whoever asked: the map's range holds on the last metre."""
    bench.want(value)
    bench.want(value)
    assert bench.sent == []
    assert bench.slot.state == "refused"
    assert bench.told.codes() == ["write_refused"]
    assert bench.acknowledged == 0


def test_a_refused_set_point_is_not_acknowledged(bench: Bench) -> None:
    """`acknowledged_cycle` says that devices have it: a refusal is the contrary."""
    bench.want(10.0)
    bench.answer()
    bench.want(20.0)
    bench.answer(REFUSED)
    for _ in range(5):
        bench.want(20.0)
    assert bench.acknowledged == 1
    bench.want(10.0)  # back to what the device holds
    assert bench.acknowledged == bench.cycle
    assert bench.slot.state == "acknowledged"


def test_a_lost_acknowledgement_is_written_again_at_once(bench: Bench) -> None:
    """Whether the device took it, nobody knows: only another write can tell. Said once, not at each try."""
    bench.want(10.0)
    bench.answer()
    bench.want(20.0)
    bench.answer(SILENT)
    assert (bench.slot.state, bench.slot.written) == ("silent", None)
    for _ in range(3):
        bench.want(20.0)
        bench.answer(SILENT)
    bench.want(10.0)  # what was acknowledged before: also written, since the device may hold 20
    bench.answer()
    assert bench.sent == [10.0, 20.0, 20.0, 20.0, 20.0, 10.0]
    assert bench.told.codes() == ["write_failed", "write_works"]


def test_a_set_point_is_written_again_on_a_new_connection(bench: Bench) -> None:
    """The device may have started anew, with a value of its own: no revert time would ever bring ours back."""
    bench.want(10.0)
    bench.answer()
    bench.wire.sessions += 1
    bench.want(10.0)
    bench.answer()
    bench.want(10.0)
    assert bench.sent == [10.0, 10.0]


def test_a_value_changed_in_flight_is_not_acknowledged(bench: Bench) -> None:
    """The acknowledgement is for what was sent."""
    bench.want(10.0)                       # cycle 1, on the wire
    bench.want(20.0)                       # cycle 2
    bench.answer()
    assert bench.acknowledged == 1         # the device has what cycle 1 wanted, and no more
    bench.want(20.0)                       # cycle 3 sends it
    assert bench.acknowledged == 1
    bench.answer()
    assert bench.acknowledged == bench.cycle == 3


def test_a_ramp_faster_than_the_device_is_acknowledged_step_by_step(bench: Bench) -> None:
    """Each answer takes two cycles, each cycle wants more: progress shows, but never ahead of the device."""
    seen = []
    for n in range(1, 9):
        bench.want(float(10 * n))
        if n % 2 == 0:
            bench.answer()
        seen.append(bench.acknowledged)
    assert bench.sent == [10.0, 30.0, 50.0, 70.0]
    assert seen == [0, 1, 1, 3, 3, 5, 5, 7]


def test_a_wish_taken_back_in_flight_is_acknowledged_with_the_first(bench: Bench) -> None:
    """10, 20, 10 again while 10 is on the wire: its acknowledgement settles all three."""
    for value in (10.0, 20.0, 10.0):
        bench.want(value)
    bench.answer()
    assert bench.acknowledged == bench.cycle == 3
    bench.want(10.0)
    assert bench.sent == [10.0]


def test_a_wish_taken_back_before_it_was_sent_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It once did, for ever: nothing was left to be written, so nothing was ever acknowledged."""
    bench = Bench(monkeypatch, min_interval_s=10.0)
    bench.want(10.0)
    bench.answer()
    bench.want(20.0)
    assert bench.acknowledged == 1
    bench.want(10.0)
    assert bench.acknowledged == bench.cycle == 3


def test_nothing_wanted_nothing_written(bench: Bench) -> None:
    """None lets go: no refresh; and the same value wanted later is written, as the device may hold another by then."""
    bench.want(10.0)
    bench.answer()
    bench.want(None)
    bench.want(None, after_s=60)
    assert bench.sent == [10.0]
    assert bench.slot.state == "idle"
    assert bench.acknowledged == bench.cycle
    for _ in range(5):
        bench.show(77)
    assert bench.told.codes() == []
    bench.want(10.0)
    assert bench.acknowledged == bench.cycle - 1
    bench.answer()
    assert bench.sent == [10.0, 10.0]
    assert bench.acknowledged == bench.cycle


@pytest.mark.parametrize("error", [None, SILENT, REFUSED])
def test_let_go_in_flight_is_let_go(bench: Bench, error: DeviceError | None) -> None:
    """The answer that comes later must not bring it back."""
    bench.want(10.0)
    bench.want(None)
    bench.answer(error)
    assert (bench.slot.state, bench.slot.written) == ("idle", None)
    assert bench.acknowledged == bench.cycle


def test_what_the_device_shows_verifies_the_write(bench: Bench) -> None:
    """Acknowledged is not applied. A refresh does not take back what was seen."""
    bench.want(10.0)
    bench.show(10)
    assert bench.slot.state == "pending"
    bench.answer()
    bench.field.observe()                  # the reading is older than the acknowledgement
    assert bench.slot.state == "acknowledged"
    bench.show(10)
    assert bench.slot.state == "verified"


def test_three_different_readings_that_differ_are_a_mismatch(bench: Bench) -> None:
    """Not one reading looked at three times: a device that shows once a second is looked at ten times a second."""
    bench.want(10.0)
    bench.answer()
    bench.show(3)
    for _ in range(10):
        bench.field.observe()
    bench.show(3)
    assert bench.slot.state == "acknowledged"
    bench.show(3)
    assert bench.slot.state == "mismatch"
    assert bench.told.codes() == ["read_back_differs"]
    assert "wrote 10 W, the device shows 3" in bench.told.events[0][3]


def test_a_mismatch_stays_one_is_written_again_with_pauses_and_told_once(bench: Bench) -> None:
    """It lasts until the device shows the value, whatever it acknowledges in between."""
    bench.want(10.0)
    bench.answer()
    for _ in range(200):
        bench.show(3)
        bench.want(10.0, after_s=0.0)
        if bench.slot.in_flight:
            bench.answer()
    assert bench.slot.state == "mismatch"
    assert 4 <= len(bench.sent) <= 6       # 20 s, every 5 s
    bench.show(10)
    assert bench.slot.state == "verified"
    assert bench.told.codes() == ["read_back_differs", "read_back_agrees"]


def test_a_moving_set_point_is_not_called_a_mismatch(bench: Bench) -> None:
    """The device shows the value before: it follows, one reading behind."""
    for n in range(20):
        bench.want(float(n))
        bench.answer()
        bench.show(n - 3)
    assert bench.told.codes() == []


def test_a_read_back_that_is_coded_differently_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outlet is told 1 (on) and shows 2 (on)."""
    bench = Bench(monkeypatch, read_back_values={1: 2, 0: 1}, tolerance=0.0)
    bench.want(1.0)
    bench.answer()
    bench.show(2)
    assert bench.slot.state == "verified"
    for _ in range(3):
        bench.show(1)
    assert bench.slot.state == "mismatch"


def test_a_bad_reading_neither_verifies_nor_accuses(bench: Bench) -> None:
    """NaN differs from everything."""
    bench.want(10.0)
    bench.answer()
    for _ in range(5):
        bench.now_s += 0.1
        bench.table.put_failure(0, 8)  # type: ignore[arg-type]
        bench.field.observe()
    assert bench.slot.state == "acknowledged"
    assert bench.told.codes() == []


def test_a_point_with_a_rate_is_led_to_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A valve that may move 10 a second gets 1 in 100 ms, not 50 at once; it arrives exactly, also downward."""
    bench = Bench(monkeypatch, "float32", rate_per_s=10.0)
    bench.want(0.0)
    bench.answer()
    for _ in range(20):
        bench.want(50.0)
        bench.answer()
    assert bench.sent[:4] == pytest.approx([0.0, 1.0, 2.0, 3.0])
    for _ in range(40):
        bench.want(50.0)
        bench.answer()
    assert bench.sent[-1] == 50.0
    bench.want(0.0)
    assert bench.sent[-1] == pytest.approx(49.0)


def test_a_pause_is_no_licence_for_a_larger_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten seconds without a cycle the point still moves by one second's worth at most."""
    bench = Bench(monkeypatch, "float32", rate_per_s=10.0)
    bench.want(0.0)
    bench.answer()
    bench.want(90.0, after_s=10.0)
    assert bench.sent[-1] == pytest.approx(10.0)


def test_a_point_with_a_rate_moves_by_one_cycle_s_worth_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standing still for a minute is no pause of the cycle: the first step is 100 ms of the rate."""
    bench = Bench(monkeypatch, "float32", rate_per_s=10.0)
    bench.want(0.0)
    bench.answer()
    for _ in range(600):
        bench.want(0.0)
    bench.want(90.0)
    assert bench.sent[-1] == pytest.approx(1.0)


def test_what_stands_still_is_not_looked_at_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most slots of most cycles: no more is done than to see that nothing is to be done; a change ends it at once."""
    bench.want(10.0)
    bench.answer()
    bench.want(10.0)
    asked: list[float] = []
    monkeypatch.setattr(type(bench.slot), "due", lambda slot, value, now_s: asked.append(value) or value != 10.0)
    for _ in range(100):
        bench.want(10.0)
    assert asked == []
    bench.want(20.0)
    assert bench.sent == [10.0, 20.0]
