"""Outlets and breakers: read, select, operate, confirm; never blindly, never many at once."""

import time
from itertools import pairwise

import pytest
from msgspec.structs import replace

from pswd_edge.field.actuator import Actuator
from pswd_edge.field.operation import ATTEMPTS_MAX
from pswd_edge.field.table import Table
from pswd_edge.model.device import Device
from pswd_edge.model.point import WriteRule
from tests.field.fieldmaker import (
    RawDevice,
    Told,
    cycles,
    field_of,
    frame,
    modbus_device,
    modbus_point,
    raw_device,
    request_of,
    running,
    small_site,
)
from tests.field.writebench import REFUSED, SILENT, Bench, Wire

ON, OFF = 1, 0


@pytest.fixture
def outlet(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """On, and known to be."""
    bench = Bench(monkeypatch, sbo=True, minimum=0.0, maximum=1.0)
    bench.show(ON)
    return bench


def operated(bench: Bench, value: int = OFF) -> None:
    """Selected and operated; the device has acknowledged."""
    bench.want(value)
    bench.want(value)
    bench.answer()


def test_it_is_selected_operated_and_confirmed_each_step_an_event(outlet: Bench) -> None:
    """One step a cycle: between them the state is read again."""
    outlet.want(OFF)
    assert (outlet.sent, outlet.slot.state) == ([], "selected")
    outlet.want(OFF)
    assert outlet.sent == [OFF]
    outlet.answer()
    assert outlet.slot.state == "acknowledged"
    outlet.show(OFF)
    outlet.want(OFF)
    assert outlet.slot.state == "verified"
    assert outlet.told.codes() == ["select", "operate", "confirm"]
    assert outlet.acknowledged == outlet.cycle
    for _ in range(100):
        outlet.want(OFF)
    assert outlet.sent == [OFF]


def test_what_is_off_already_is_not_switched_off(outlet: Bench) -> None:
    """A restart of control must not operate a breaker that stands as it should."""
    for _ in range(5):
        outlet.want(ON)
    assert (outlet.sent, outlet.slot.state) == ([], "verified")
    assert outlet.acknowledged == outlet.cycle
    outlet.wire.sessions += 1
    outlet.want(ON)
    assert outlet.sent == []


def test_nothing_is_operated_while_its_state_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Select means to know what is selected: said once after `confirm_s`, never latched, done when it is there."""
    bench = Bench(monkeypatch, sbo=True, confirm_s=3.0)
    for _ in range(3000):
        bench.want(OFF)
    assert (bench.sent, bench.told.codes()) == ([], ["operate_failed"])
    bench.show(ON)
    operated(bench)
    assert bench.sent == [OFF]


def test_a_switch_that_does_not_follow_is_tried_three_times_and_then_latched(outlet: Bench) -> None:
    """Mismatch after `confirm_s`, pauses of 5 and 10 s; no relay is worn out by a controller that does not give up."""
    sent_s = []
    for _ in range(6000):
        before = len(outlet.sent)
        outlet.show(ON, after_s=0.0)
        outlet.want(OFF)
        if len(outlet.sent) > before:
            sent_s.append(outlet.now_s)
            outlet.answer()
    assert len(outlet.sent) == ATTEMPTS_MAX == 3
    assert [b - a for a, b in pairwise(sent_s)] == pytest.approx([8.2, 13.2], abs=0.5)
    assert outlet.slot.state == "mismatch"
    assert outlet.told.codes().count("operate_failed") == 2
    assert outlet.told.codes().count("operate_latched") == 1
    assert outlet.acknowledged == outlet.cycle  # the device has taken it: what it did with it is another matter


def latched(bench: Bench) -> None:
    for _ in range(400):
        bench.show(ON, after_s=0.0)
        bench.want(OFF)
        if bench.slot.in_flight:
            bench.answer()
    assert bench.told.codes()[-1] == "operate_latched"


def test_a_latch_ends_when_another_value_is_wanted(outlet: Bench) -> None:
    """On again is what it shows; off once more is a new wish, with three attempts of its own."""
    latched(outlet)
    outlet.want(ON)
    outlet.want(ON)
    assert outlet.slot.state == "verified"
    operated(outlet)
    assert len(outlet.sent) == 4


def test_a_latch_ends_when_somebody_clears_it(outlet: Bench) -> None:
    """The operator has looked at it; clearing what is not latched is refused."""
    assert not outlet.field.clear(0, "operator:ada")
    latched(outlet)
    assert outlet.field.clear(0, "operator:ada")
    assert outlet.told.codes()[-1] == "latch_cleared"
    operated(outlet)
    assert len(outlet.sent) == 4


@pytest.mark.parametrize(("error", "state"), [(REFUSED, "refused"), (SILENT, "silent")])
def test_a_refused_or_lost_operate_rests_before_the_next(outlet: Bench, error: Exception, state: str) -> None:
    """A lost answer may have switched it: the state is read before anything is sent again."""
    outlet.want(OFF)
    outlet.want(OFF)
    outlet.answer(error)  # type: ignore[arg-type]
    assert outlet.slot.state == state
    outlet.want(OFF)
    outlet.show(OFF)
    for _ in range(60):
        outlet.want(OFF)
    assert outlet.sent == [OFF]
    assert outlet.slot.state == "verified"


def test_a_switch_that_somebody_else_turned_is_not_turned_back(outlet: Bench) -> None:
    """A technician at the PDU wins: three read-backs, a warning, a latch."""
    operated(outlet)
    outlet.show(OFF)
    outlet.want(OFF)
    for _ in range(100):
        outlet.show(ON, after_s=0.0)
        outlet.want(OFF)
    assert outlet.sent == [OFF]
    assert outlet.slot.state == "mismatch"
    assert outlet.told.codes()[-1] == "read_back_differs"


def test_a_wish_that_changes_after_selection_is_not_operated(outlet: Bench) -> None:
    """The window exists for this: what was selected is no longer wanted."""
    outlet.want(OFF)
    outlet.want(ON)
    outlet.want(ON)
    assert outlet.sent == []
    outlet.want(OFF)
    outlet.want(None)
    outlet.want(OFF)
    outlet.want(OFF)
    assert outlet.sent == [OFF]


def test_a_selection_lapses_with_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause of the process between select and operate: select again, from what is read then."""
    bench = Bench(monkeypatch, sbo=True, select_s=2.0)
    bench.show(ON)
    bench.want(OFF)
    bench.want(OFF, after_s=2.5)
    assert bench.sent == []
    bench.want(OFF)
    bench.want(OFF)
    assert bench.sent == [OFF]
    assert bench.told.codes() == ["select", "select", "operate"]


def test_a_device_with_a_select_point_is_selected_there_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written, acknowledged, and only then operated; the device's own window counts from its acknowledgement."""
    bench = Bench(monkeypatch, sbo=True, select=3)
    bench.show(ON)
    bench.want(OFF)
    assert [w.point.index for w in bench.wire.writes] == [3]
    bench.want(OFF)
    assert len(bench.wire.writes) == 1
    bench.answer()
    assert bench.slot.state == "selected"
    bench.want(OFF)
    assert [(w.point.index, w.value) for w in bench.wire.writes] == [(3, OFF), (0, OFF)]


def test_a_select_value_of_its_own_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some devices want a code there, not the value to come."""
    bench = Bench(monkeypatch, sbo=True, select=3, select_value=66.0)
    bench.show(ON)
    bench.want(OFF)
    assert [(w.point.index, w.value) for w in bench.wire.writes] == [(3, 66.0)]


def test_what_is_not_selected_is_not_operated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device said no: somebody else has it, or it is local."""
    bench = Bench(monkeypatch, sbo=True, select=3)
    bench.show(ON)
    bench.want(OFF)
    bench.answer(REFUSED)
    for _ in range(40):
        bench.want(OFF)
    assert [w.point.index for w in bench.wire.writes] == [3]
    assert (bench.slot.state, bench.told.codes()) == ("refused", ["operate_failed"])


def test_a_rehearsal_selects_and_switches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commissioning by night: the state is read, the select point answers, and lapses."""
    bench = Bench(monkeypatch, sbo=True, select=3)
    heard: list[str] = []
    bench.field.rehearse(0, heard.append)
    bench.show(ON)
    bench.field.rehearse(0, heard.append)
    bench.answer()
    bench.field.rehearse(0, heard.append)
    bench.answer(REFUSED)
    bench.want(OFF)
    bench.field.rehearse(0, heard.append)
    bench.field.rehearse(3, heard.append)
    assert heard[:2] == ["its state is not known", ""]
    assert heard[2].startswith("not selected")
    assert heard[3:] == ["it is in use", "it is no select-before-operate point"]
    assert all(w.point.index == 3 for w in bench.wire.writes)


class Board:
    """Six outlets on each of two connections, all on; every operate is acknowledged at once and shows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, per_s: int) -> None:
        points = [modbus_point(n, "int16", index=n, device=n // 6, write=WriteRule(0.0, 1.0, sbo=True, read_back=n))
                  for n in range(12)]
        self.table = Table(points, [r for d in (0, 1) for r in request_of(points[6 * d : 6 * d + 6], index=d)])
        self.group, self.now_s, self.sent_s = self.table.group([0, 1]), 1000.0, [[], []]
        self.wires = {0: Wire(), 1: Wire()}
        devices: tuple[Device, ...] = (modbus_device(0), modbus_device(1, connection=1))
        self.told = Told()
        self.field = Actuator(dict(enumerate(points)), devices, self.wires, self.table, self.told, per_s)  # type: ignore[arg-type]
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)

    def run(self, count: int, which: range = range(12)) -> None:
        for _ in range(count):
            self.now_s += 0.1
            for d in (0, 1):
                states = b"".join((0 if self.field.slots[6 * d + n].written == 0 else 1).to_bytes(2, "big")
                                  for n in range(6))
                self.table.put_raw(d, states, self.now_s)
            self.table.settle(self.group, self.now_s)
            self.field.apply([(n, 0.0) for n in which], 1, self.now_s)
            for d, wire in self.wires.items():
                while wire.writes:
                    self.sent_s[d].append(self.now_s)
                    wire.writes.pop().done(None)


def most_in_a_second(times: list[float]) -> int:
    return max(sum(t <= other < t + 0.999 for other in times) for t in times)


def test_no_more_than_two_operations_a_second_on_the_whole_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve outlets are shed: one after the other, whatever connection they are on, and every one of them."""
    board = Board(monkeypatch, per_s=2)
    board.run(100)
    assert [len(s) for s in board.sent_s] == [6, 6]
    assert most_in_a_second(board.sent_s[0] + board.sent_s[1]) == 2
    assert all(s.state in ("verified", "acknowledged") for s in board.field.slots.values())


def test_the_pace_is_the_site_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """`control.disruptive_per_s`."""
    board = Board(monkeypatch, per_s=4)
    board.run(60)
    assert most_in_a_second(board.sent_s[0] + board.sent_s[1]) == 4


def test_a_place_that_is_given_up_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Selected and let go, ten times over: the pace is not used up."""
    board = Board(monkeypatch, per_s=1)
    for n in range(10):
        board.run(1, range(n, n + 1))
        board.field.apply([(n, None)], 1, board.now_s)
    assert board.sent_s == [[], []]
    board.run(2, range(11, 12))
    assert board.sent_s == [[], [board.now_s]]


def replanned(bench: Bench, **rule: object) -> None:
    """The site file was taken up again: the same points, with this in the write rule of the first."""
    own = bench.field.slots
    points = {i: slot.point for i, slot in own.items()}
    points[0] = replace(points[0], write=replace(own[0].rule, **rule))
    bench.field.replan(points, (modbus_device(),), {0: bench.wire}, bench.table, {i: i for i in range(4)})  # type: ignore[dict-item]


def test_a_reload_keeps_a_latch_and_gives_up_a_selection(outlet: Bench) -> None:
    """A changed site file must not switch anything, nor forget what was given up; a place of the pace is not lost."""
    for _ in range(5):
        outlet.want(OFF)
        assert outlet.slot.state == "selected"
        replanned(outlet, confirm_s=2.0)
    assert outlet.sent == []
    operated(outlet)
    assert outlet.sent == [OFF]
    latched(outlet)
    count = len(outlet.sent)
    replanned(outlet, confirm_s=4.0)
    for _ in range(200):
        outlet.want(OFF)
    assert (len(outlet.sent), outlet.slot.state) == (count, "mismatch")


def test_a_point_that_becomes_disruptive_is_selected_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sbo: true` was added to the map and taken up while control runs."""
    bench = Bench(monkeypatch)
    bench.want(ON)
    bench.answer()
    bench.show(ON)
    replanned(bench, sbo=True)
    bench.want(OFF)
    assert (bench.sent, bench.slot.state) == ([ON], "selected")


async def switched(device: RawDevice, told: Told, seconds: float) -> Actuator:
    """A real Modbus outlet in register 5, which is on and is to go off."""
    rule = WriteRule(0.0, 1.0, sbo=True, confirm_s=0.3, read_back=0)
    site = small_site([device.port], [[modbus_point(5, period_ms=20, write=rule)]], [(0, 1)])
    device.words[5] = 1
    field = field_of(site, told, actuated=[0])
    async with running(field):
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s and field.actuator.slots[0].state not in ("verified", "mismatch"):
            await cycles(field, 1)
            field.apply([(0, 0.0)], 1, time.monotonic())
    return field.actuator


async def test_a_real_outlet_is_switched_and_confirmed() -> None:
    """Over the wire: the write leaves after the read that selected it, and the read-back confirms it."""
    told = Told()
    async with raw_device() as device:
        actuator = await switched(device, told, 5.0)
        assert device.words[5] == 0
    assert actuator.slots[0].state == "verified"
    assert told.codes("dev0.p0") == ["select", "operate", "confirm"]


async def test_a_real_outlet_that_acknowledges_and_stays_on_is_found_out() -> None:
    """Acknowledged is not applied: the device echoes the write and leaves its relay."""
    told = Told()
    async with raw_device() as device:
        def stuck(transaction: int, unit: int, pdu: bytes) -> list[bytes] | None:
            if pdu[0] not in (5, 6, 16):
                return None
            return [frame(transaction, unit, pdu if pdu[0] in (5, 6) else pdu[:5])]

        device.misbehave = stuck
        actuator = await switched(device, told, 5.0)
    assert actuator.slots[0].state == "mismatch"
    assert told.codes("dev0.p0") == ["select", "operate", "operate_failed"]
