"""The desk: judged, written down, answered, held, and let go in time by the right clock."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from desk_case import CAP, POINT, Room, announce, facts, order, set_mode, set_point, target

from pswd_edge.control.facts import Facts
from pswd_edge.control.ledger import Ledger
from pswd_edge.control.rules.placement import is_live
from pswd_edge.model.command import Accepted, Clamped, Failed, Level, Mode, Rejected
from pswd_edge.model.workload import Headroom, WorkloadState

DAY_S = 86_400.0


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path)
    await made.start()
    yield made
    await made.ledger.close()


class Slow:
    """A ledger whose disk takes its time, or fails."""

    def __init__(self, ledger: Ledger) -> None:
        self._append = ledger.append
        self.go, self.begun = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None
        ledger.append = self.append

    async def append(self, entry) -> None:
        self.begun.set()
        await self.go.wait()
        if self.error:
            raise self.error
        await self._append(entry)


# --- written down, then answered --------------------------------------------------------------------------------------

async def test_nothing_is_answered_nor_done_before_it_is_on_disk(room: Room) -> None:
    """An answer that a power cut takes back was none."""
    disk = Slow(room.ledger)
    task = asyncio.create_task(room.ask(set_point(5.0)))
    await disk.begun.wait()
    assert not task.done()
    assert room.desk.candidates() == []
    disk.go.set()
    outcome = await task
    assert isinstance(outcome, Accepted)
    assert await room.ledger.find(outcome.id) == outcome
    assert room.values() == [5.0]


async def test_a_disk_that_fails_is_told_and_nothing_is_done(room: Room) -> None:
    """Failed, so that the same id may ask again when there is room."""
    disk = Slow(room.ledger)
    disk.go.set()
    disk.error = sqlite3.OperationalError("database or disk is full")
    for request in (set_point(5.0), target(5e6), announce(), set_mode()):
        outcome = await room.ask(request, Level.OPERATOR)
        assert isinstance(outcome, Failed)
        assert outcome.code == "ledger"
        assert "disk is full" in outcome.reason
    desk = room.desk
    assert (desk.candidates(), desk.target, desk.workloads, desk.mode_wanted) == ([], None, {}, None)
    request = set_point(5.0)
    assert isinstance(await room.ask(request), Failed)
    disk.error = None
    assert isinstance(await room.ask(request), Accepted)


async def test_a_ledger_that_cannot_be_opened_costs_the_commands_not_the_start(tmp_path: Path) -> None:
    """The batteries are still to be controlled."""
    (tmp_path / "ledger.sqlite").write_bytes(b"something else altogether " * 200)
    room = Room(tmp_path)
    await room.start()
    assert room.restored == 0
    outcome = await room.ask(set_point(5.0))
    assert isinstance(outcome, Failed)
    assert outcome.code == "ledger"
    await room.ledger.close()


async def test_a_closed_ledger_fails_requests(room: Room) -> None:
    """Control is stopping."""
    await room.ledger.close()
    outcome = await room.ask(set_point(5.0))
    assert isinstance(outcome, Failed)
    assert outcome.code == "ledger"


# --- the same id ------------------------------------------------------------------------------------------------------

async def test_the_same_id_gets_the_first_outcome(room: Room) -> None:
    """Even where it asks for something else, or would now be refused as stale; and it is done once."""
    first = await room.ask(set_point(5.0, id="same", ttl_s=3600.0))
    room.later(120.0)
    assert await room.desk.handle(set_point(7.0, id="same"), Level.API) == first
    assert room.values() == [5.0]


async def test_the_same_id_gets_the_first_outcome_after_a_restart(room: Room) -> None:
    """The client's answer was lost with the process."""
    first = await room.ask(set_point(9e9, id="same"))
    assert isinstance(first, Clamped)
    refused = await room.ask(set_point(1.0, "no.such", id="refused"))
    await room.restart(3600.0)
    assert await room.ask(set_point(7.0, id="same")) == first
    assert await room.ask(set_point(7.0, id="refused")) == refused
    assert room.values() == []


async def test_the_same_id_twenty_times_at_once_is_one_request(room: Room) -> None:
    """A client that retries too early: one row, one outcome."""
    disk = Slow(room.ledger)
    tasks = [asyncio.create_task(room.ask(announce(id="same"))) for _ in range(20)]
    await disk.begun.wait()
    disk.go.set()
    outcomes = await asyncio.gather(*tasks)
    assert all(o == outcomes[0] for o in outcomes)
    assert isinstance(outcomes[0], Accepted)
    assert len(room.desk.workloads) == 1
    assert room.desk._under_way == {}


async def test_what_failed_is_not_remembered(room: Room) -> None:
    """Control was not ready; a minute later the same id is taken."""
    room.known = {"mode": Mode.OBSERVE}
    assert isinstance(await room.ask(target(5e6, id="same")), Failed)
    room.known = {}
    assert isinstance(await room.ask(target(5e6, id="same")), Accepted)


async def test_a_malformed_request_is_refused_and_leaves_no_trace(room: Room) -> None:
    """An empty id would be everybody's: the next one without an id got this one's answer."""
    for request in (set_point(5.0, id=""), set_point(5.0, id="x" * 5000)):
        outcome = await room.ask(request)
        assert isinstance(outcome, Rejected)
        assert outcome.code == "malformed"
        assert await room.ledger.find(request.id) is None
    assert room.desk._outcomes == {}


async def test_an_asker_that_gives_up_does_not_undo_what_is_written(room: Room) -> None:
    """Else the disk would say taken, control would not do it, and the same id would be told it was done."""
    disk = Slow(room.ledger)
    task = asyncio.create_task(room.ask(set_point(5.0, id="same")))
    await disk.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    disk.go.set()
    assert isinstance(await room.ask(set_point(7.0, id="same")), Accepted)
    assert room.values() == [5.0]


# --- one after the other ----------------------------------------------------------------------------------------------

async def test_two_announcements_at_once_do_not_share_one_headroom(room: Room) -> None:
    """Each was judged before the other was counted: 160 MW approved on 100."""
    def shrinking() -> Facts:
        used = sum(w.approved_w for w in room.desk.workloads.values() if is_live(w))
        return facts(utc_s=room.clock.utc_s(), headroom=Headroom(100e6 - used, 1e9, 1e9))

    room.desk._facts = shrinking
    big = {"peak_w": 80e6, "can_throttle": False}
    await asyncio.gather(*(room.ask(announce(f"wl-{i}", workload=big)) for i in range(2)))
    assert sorted(w.state.value for w in room.desk.workloads.values()) == ["approved", "rejected"]


async def test_one_name_announced_twice_at_once_is_one_workload(room: Room) -> None:
    """Two ids, one name: the second conflicts."""
    outcomes = await asyncio.gather(room.ask(announce()), room.ask(announce()))
    assert sorted(type(o).__name__ for o in outcomes) == ["Accepted", "Rejected"]


async def test_a_throttle_beside_a_terminate_does_not_bring_it_back(room: Room) -> None:
    """Decided on the living workload and applied after its end, it would run for ever, capped."""
    await room.ask(announce())
    outcomes = await asyncio.gather(room.ask(order("terminate")), room.ask(order("throttle", target_w=1e6)))
    assert isinstance(outcomes[1], Rejected)
    assert room.job().state is WorkloadState.TERMINATED


# --- held, and let go -------------------------------------------------------------------------------------------------

async def test_a_hold_ends_by_the_monotonic_clock(room: Room) -> None:
    """NTP sets the wall clock by an hour, both ways: sixty seconds stay sixty seconds."""
    await room.ask(set_point(5.0, ttl_s=60.0))
    await room.ask(target(5e6, ttl_s=60.0))
    room.clock.step_utc(3600.0)
    assert room.later(59.9) == []
    room.clock.step_utc(-7200.0)
    assert room.later(0.2) == ["battery target of api:alice expired", f"{CAP} of api:alice expired"]
    assert (room.desk.candidates(), room.desk.target) == ([], None)


async def test_a_hold_counts_from_when_it_was_taken_not_from_when_the_disk_was_done(room: Room) -> None:
    """And a clock that is set in between does not matter."""
    disk = Slow(room.ledger)
    task = asyncio.create_task(room.ask(set_point(5.0, ttl_s=60.0)))
    await disk.begun.wait()
    room.clock.advance(10.0)
    room.clock.step_utc(5000.0)
    disk.go.set()
    await task
    assert room.later(49.9) == []
    assert len(room.later(0.2)) == 1


async def test_a_clamped_set_point_holds_what_was_granted(room: Room) -> None:
    """Not what was asked: the actuator would refuse it, and the answer would have been wrong."""
    outcome = await room.ask(set_point(9e9))
    assert isinstance(outcome, Clamped)
    assert room.values() == [outcome.value]
    await room.restart(1.0)
    assert room.values() == [outcome.value]


async def test_letting_go_lets_go(room: Room) -> None:
    """Before its end."""
    await room.ask(set_point(5.0))
    await room.ask(target(5e6))
    await room.ask(set_point(None, ttl_s=0.0))
    await room.ask(target(None, ttl_s=0.0))
    assert (room.desk.candidates(), room.desk.target) == ([], None)


async def test_the_operator_is_not_overwritten_from_below(room: Room) -> None:
    """Each level holds its own; the arbiter selects, and the lower one comes back when the higher ends."""
    await room.ask(set_point(5.0, ttl_s=60.0, origin="console"), Level.OPERATOR)
    await room.ask(set_point(7.0, ttl_s=600.0))
    await room.ask(target(1e6, ttl_s=60.0), Level.OPERATOR)
    await room.ask(target(2e6, ttl_s=600.0))
    assert [(c.value, c.level) for c in room.desk.candidates()] == [(5.0, Level.OPERATOR), (7.0, Level.API)]
    assert room.desk.target.request.power_w == 1e6
    await room.ask(set_point(None, ttl_s=0.0))
    assert room.values() == [5.0]
    room.later(61.0)
    assert (room.values(), room.desk.target.request.power_w) == ([], 2e6)


async def test_the_newer_of_two_at_one_level_holds(room: Room) -> None:
    """And has the higher sequence."""
    await room.ask(set_point(5.0))
    await room.ask(set_point(7.0))
    [one] = room.desk.candidates()
    assert (one.point, one.value, one.sequence) == (POINT, 7.0, 2)


async def test_a_mode_order_waits_for_the_next_cycle(room: Room) -> None:
    """The cycle takes it; two in between, and the last one counts."""
    await room.ask(set_mode(Mode.AUTO, origin="console"), Level.OPERATOR)
    await room.ask(set_mode(Mode.SAFE, origin="console"), Level.OPERATOR)
    assert (room.desk.mode_wanted, room.desk.mode_origin) == (Mode.SAFE, "console")


# --- pause and throttle -----------------------------------------------------------------------------------------------

async def test_a_pause_runs_out_by_the_monotonic_clock(room: Room) -> None:
    """The wall clock is set back by a day: it would have stayed paused for a day."""
    await room.ask(announce())
    await room.ask(order("pause", pause_s=60))
    room.clock.step_utc(-DAY_S)
    assert room.later(59.9) == []
    room.clock.step_utc(5 * DAY_S)
    room.clock.step_utc(-5 * DAY_S)
    assert room.later(0.2) == ["wl-1: paused expired, approved again"]
    assert (room.job().state, room.job().paused_until_utc_s) == (WorkloadState.APPROVED, None)
    assert room.later(1.0) == []


async def test_a_clock_set_forward_does_not_end_a_pause(room: Room) -> None:
    """The other direction: a rack would be powered while somebody counts on its pause."""
    await room.ask(announce())
    await room.ask(order("pause", pause_s=60))
    room.clock.step_utc(DAY_S)
    assert room.later(30.0) == []
    assert room.job().state is WorkloadState.PAUSED


async def test_a_pause_without_an_end_stays(room: Room) -> None:
    """Until it is resumed."""
    await room.ask(announce())
    await room.ask(order("pause"))
    assert room.later(400 * DAY_S) == []
    await room.ask(order("resume"))
    assert room.job().state is WorkloadState.APPROVED


async def test_a_throttle_runs_out_after_a_day(room: Room) -> None:
    """control law, 2.5; a capped workload goes back to its conditions."""
    room.known = {"headroom": Headroom(4e6, 1e9, 1e9)}
    await room.ask(announce())
    await room.ask(order("throttle", target_w=1e6))
    room.clock.step_utc(-2 * DAY_S)
    assert room.later(DAY_S - 0.1) == []
    assert room.desk.bounds()[0].high == 1e6
    assert room.later(0.2) == ["wl-1: throttled expired, approved_with_conditions again"]
    assert room.job().target_w is None
    assert room.desk.bounds()[0].high == 4e6


async def test_after_a_pause_a_throttle_goes_on_until_its_own_end(room: Room) -> None:
    """A pause in between is no way around the cap."""
    await room.ask(announce())
    await room.ask(order("throttle", target_w=1e6))
    room.later(DAY_S - 100.0)
    room.clock.step_utc(-3 * DAY_S)
    await room.ask(order("pause", pause_s=60))
    assert room.later(61.0) == ["wl-1: paused expired, throttled again"]
    assert (room.job().state, room.job().target_w) == (WorkloadState.THROTTLED, 1e6)
    assert room.later(38.0) == []
    assert room.later(2.0) == ["wl-1: throttled expired, approved again"]


async def test_a_pause_longer_than_its_throttle_ends_in_full_power(room: Room) -> None:
    """The throttle ran out meanwhile; the pause did not."""
    await room.ask(announce())
    await room.ask(order("throttle", target_w=1e6))
    await room.ask(order("pause", pause_s=2 * int(DAY_S)))
    assert room.later(DAY_S + 1.0) == []
    assert room.later(DAY_S) == ["wl-1: paused expired, approved again"]
    assert room.job().target_w is None


async def test_a_second_throttle_has_its_own_day(room: Room) -> None:
    """It counts from the newer order."""
    await room.ask(announce())
    await room.ask(order("throttle", target_w=1e6))
    room.later(DAY_S - 10.0)
    await room.ask(order("throttle", target_w=2e6))
    assert room.later(20.0) == []
    assert len(room.later(DAY_S)) == 1
