"""An acknowledgement is told in the cycle of its command, once, and nothing else of the report moves. Fake time."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import asdict
from test_cycle import MW, Rig, site

from pswd_edge.control import renewal as module
from pswd_edge.control.renewal import SPARE_S, WAIT_S
from pswd_edge.model.command import Clamped, Mode, SetBatteryTarget
from pswd_edge.model.ports import SlotState

MOVING = ("state", "written", "waiting_since", "took_ms")


class SlowRig(Rig):
    """Devices acknowledge `after_s` after they were written, in the cycle that a command came in and all after it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch)
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=self._look))
        self.after_s, self.silent, self.published, self.rung, self.looks = 0.008, set(), [], [], 0
        self.written_s = float("inf")
        self.field.on["apply"] = self._apply
        self.field.slot = self._slot
        self.field.acknowledged_cycle = lambda cycle: cycle - 1 if self._waits() else cycle
        publish, ring = self.image.publish_report, self.bell.ring
        monkeypatch.setattr(self.image, "publish_report", lambda n, e: (publish(n, e), self._seen(n)))
        monkeypatch.setattr(self.bell, "ring", lambda row: (self.rung.append(row), ring(row)))

    async def _look(self, seconds: float) -> None:
        self.looks += 1
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    def _apply(self, _: int) -> None:
        self.written_s = self.clock.monotonic_s()

    def _waits(self) -> bool:
        return self.clock.monotonic_s() < self.written_s + self.after_s - 1e-9

    def _slot(self, point: int) -> SlotState:
        if point in self.silent:
            return SlotState("silent", None, self.cycle.cycle)
        if self._waits():
            return SlotState("pending", None, self.cycle.cycle)
        return SlotState("acknowledged", 1.0, None, 1000 * self.after_s)

    def _seen(self, number: int) -> None:
        self.published.append((number, self.clock.monotonic_s(), self.reader.report()))

    async def command(self, name: str = "t1") -> object:
        return await self.ask(SetBatteryTarget(id=name, origin="console", role="operator", power_w=5 * MW,
                                               issued_utc_s=self.clock.utc_s(), ttl_s=60.0))

    def reports_of(self, cycle: int) -> list:
        return [(at_s, r) for _, at_s, r in self.published if r.cycle == cycle]


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = SlowRig(tmp_path, monkeypatch)
    await made.cycle.desk.restore()
    await made.ask(made.mode(Mode.AUTO))
    await made.run(3)
    yield made
    await made.ledger.close()
    made.bell.close()
    made.reader.close()


async def test_the_report_of_a_commands_cycle_comes_again_when_its_devices_have_it(rig: SlowRig) -> None:
    """8 ms after the write, not with the next cycle; the numbers of publication rise all the while."""
    taken = await rig.command()
    assert isinstance(taken, Clamped)  # by the ramp
    await rig.run(2)
    (first_s, first), (again_s, again) = rig.reports_of(taken.cycle)
    assert again_s - first_s == pytest.approx(rig.after_s, abs=0.0021)
    assert (first.acknowledged_cycle, again.acknowledged_cycle) == (taken.cycle - 1, taken.cycle)
    assert {s.state for s in first.setpoints} == {"pending"}
    assert {(s.state, s.waiting_since) for s in again.setpoints} == {("acknowledged", None)}
    numbers = [n for n, _, _ in rig.published]
    assert numbers == sorted(set(numbers))


async def test_nothing_else_of_the_report_differs(rig: SlowRig) -> None:
    """It is the same decision: who reads it twice reads the same figures."""
    taken = await rig.command()
    await rig.run(1)
    await rig.run(1)
    first, again = (asdict(r) for _, r in rig.reports_of(taken.cycle))
    assert {k for k in first if first[k] != again[k]} == {"setpoints", "acknowledged_cycle"}
    for before, after in zip(first["setpoints"], again["setpoints"], strict=True):
        kept = [{k: v for k, v in asdict(s).items() if k not in MOVING} for s in (before, after)]
        assert kept[0] == kept[1]


async def test_the_bell_rings_again_with_the_same_row_and_the_beat_moves(rig: SlowRig) -> None:
    """No row is made: the hour's ring has one a cycle, and readers look again as the beat has moved."""
    rows, rung = rig.reader.row_count, len(rig.rung)
    await rig.command()
    await rig.run(2)
    assert rig.reader.row_count == rows + 2
    assert rig.rung[rung:] == [rows, rows, rows + 1]


async def test_a_cycle_without_a_command_is_told_once(rig: SlowRig) -> None:
    """The law writes batteries in every cycle: that is nobody's to wait for."""
    await rig.command()
    await rig.run(6)
    assert [len(rig.reports_of(c)) for c in range(1, rig.cycle.cycle + 1)].count(2) == 2  # the mode's, and this one


async def test_two_commands_in_a_cycle_are_told_together(rig: SlowRig) -> None:
    """Once a cycle at most, however many ask."""
    taken = [await rig.command(name) for name in ("t1", "t2", "t3")]
    await rig.run(2)
    assert {t.cycle for t in taken} == {taken[0].cycle}
    assert len(rig.reports_of(taken[0].cycle)) == 2


async def test_what_is_not_acknowledged_in_60_ms_is_told_by_the_next_cycle(rig: SlowRig) -> None:
    """A slow device does not hold the loop: nothing is published again, and the next cycle begins on time."""
    rig.after_s = WAIT_S + 0.01
    taken, begun = await rig.command(), len(rig.field.begun_s)
    await rig.run(2)
    assert len(rig.reports_of(taken.cycle)) == 1
    assert rig.field.begun_s[begun + 1] - rig.field.begun_s[begun] == pytest.approx(0.1)
    assert rig.cycle.missed == 0


async def test_a_silent_device_does_not_keep_the_others_answer(rig: SlowRig) -> None:
    """What has given up waits for nothing."""
    rig.silent = {site().control.batteries[0].setpoint}
    taken = await rig.command()
    await rig.run(2)
    (first_s, _), (again_s, again) = rig.reports_of(taken.cycle)
    assert again_s - first_s < 2 * rig.after_s
    assert {s.state for s in again.setpoints} == {"silent", "acknowledged"}


async def test_close_to_the_next_cycle_nothing_is_told_again(rig: SlowRig) -> None:
    """A cycle that took 88 ms has no idle part left: its acknowledgement comes with the next."""
    rig.field.on["latch"] = lambda _: rig.clock.advance(0.1 - SPARE_S - 0.004 - 0.003)
    taken = await rig.command()
    await rig.run(2)
    assert len(rig.reports_of(taken.cycle)) == 1
    assert rig.cycle.missed == 0


async def test_a_command_says_the_cycle_that_uses_it_though_its_writing_down_took_longer(rig: SlowRig) -> None:
    """The disk was slow and a cycle decided meanwhile: that one's report says nothing of the command."""
    append = rig.ledger.append

    async def slow(entry: object) -> None:
        await rig.run(2)
        await append(entry)

    rig.ledger.append = slow
    before = rig.cycle.cycle
    taken = await rig.command()
    assert taken.cycle == before + 3
