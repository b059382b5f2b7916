"""A report that control tells a second time, with its acknowledgement: seen by who waits, no row to anybody."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from gateway_campus import Control, FakeDoor, make_report
from stream_house import POWER, stream_house

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.services.dispatch import Dispatch, progress_of
from pswd_edge.model.command import Accepted, SetBatteryTarget

BESS = "bess-1.power_setpoint_w"
COMMAND = SetBatteryTarget(id="t1", origin="api:alice", role="operator", issued_utc_s=0.0, ttl_s=60.0, power_w=1e6)


def renew(control: Control, state: str = "acknowledged", waiting_since: int | None = None) -> None:
    """The same cycle's report once more, and the beat; no row."""
    control.clock.advance(0.01)
    setpoints = (control.setpoint(BESS, state, waiting_since),)
    report = make_report(control.cycle, control.clock, **{**control.changes, "setpoints": setpoints})
    control.writer.publish_report(10_000 + control.cycle, msgspec.msgpack.encode(report))
    control.writer.beat(control.clock.monotonic_s())


@pytest.fixture
def control(tmp_path: Path) -> Control:
    made = Control(tmp_path / "run")
    made.run(3)
    return made


def test_a_renewed_report_is_read_though_its_cycle_is_the_same(control: Control, tmp_path: Path) -> None:
    """The gateway keeps a decoded report for a beat: a renewed one has its own."""
    live = LiveImage(tmp_path / "run", control.clock)
    control.run(setpoints=(control.setpoint(BESS, "pending", control.cycle + 1),))
    first = live.report()
    renew(control)
    again = live.report()
    assert (first.cycle, first.setpoints[0].state) == (again.cycle, "pending")
    assert again.setpoints[0].state == "acknowledged"
    live.close()


@pytest.mark.parametrize(("ahead", "waiting", "expected"), [
    (0, None, "executed"), (0, 0, "pending"), (0, 1, "executed"), (-1, None, "pending"), (1, None, "executed")])
def test_the_cycle_of_a_command_counts_when_its_devices_have_it(control: Control, ahead: int, waiting: int | None,
                                                                expected: str) -> None:
    """The report of the cycle before says nothing of it; its own does; a newer value on its way is another's."""
    cycle = control.cycle
    own = control.setpoint(BESS, "acknowledged", None if waiting is None else cycle + waiting)
    report = make_report(cycle + ahead, control.clock, setpoints=(own,))
    assert progress_of(report, cycle, {own.point}) == expected


async def test_a_command_is_executed_without_another_cycle(control: Control, tmp_path: Path) -> None:
    """What used to cost 100 ms more: the row of the cycle after."""
    live, door = LiveImage(tmp_path / "run", control.clock), FakeDoor()
    point = control.site.point_index[BESS]
    door.outcome = Accepted(id="", cycle=control.cycle + 1)
    asked = asyncio.create_task(Dispatch(live, door, control.clock).send(COMMAND, {point}))
    await asyncio.sleep(0)
    control.run(setpoints=(control.setpoint(BESS, "pending", control.cycle + 1),))
    await asyncio.sleep(0.01)
    assert not asked.done()
    rows = live.reader.row_count
    renew(control)
    async with asyncio.timeout(2.0):  # fake time stands still: without this a pending command would hang
        assert (await asked).progress == "executed"
    assert (live.reader.row_count, live.report().cycle) == (rows, door.outcome.cycle)
    live.close()


async def test_a_bell_with_the_row_of_before_is_no_message(tmp_path: Path, state_dir: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams count cycles: a row that is told twice is sent once, and the next number follows."""
    async with stream_house(tmp_path, state_dir, monkeypatch) as house:
        socket = await house.open(POWER)
        for _ in range(3):
            await house.rows()
            renew(house.control)
            house._bell.ring(house.control.cycle)
            await house.settle()
        await house.rows()
        numbers = [(await socket.receive_json(timeout=2.0))["sequence"] for _ in range(4)]
        assert numbers == list(range(numbers[0], numbers[0] + 4))
        assert house.stream("power").messages_made == 4
