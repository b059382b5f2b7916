"""What a restart takes up from the ledger, what it leaves, and how much the desk ever keeps."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from desk_case import CAP, POINT, SITE, Room, announce, order, set_mode, set_point, target
from msgspec.structs import replace

from pswd_edge.control.desk import OUTCOMES_KEPT
from pswd_edge.control.ledger import ENDED_KEPT
from pswd_edge.control.workload_orders import WORKLOADS_MAX
from pswd_edge.image.layout import REPORT_BYTES
from pswd_edge.model.command import Failed, Level, Mode
from pswd_edge.model.workload import DEPENDENCIES_MAX, SCHEDULE_MAX, PowerStep, WorkloadState

DAY_S = 86_400.0


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path)
    await made.start()
    yield made
    await made.ledger.close()


async def test_a_restart_takes_holds_up_with_the_time_that_is_left(room: Room) -> None:
    """With their authority, and not for longer than was asked."""
    await room.ask(set_point(5.0, ttl_s=600.0, origin="console"), Level.OPERATOR)
    await room.ask(target(5e6, ttl_s=60.0))
    await room.restart(30.0)
    [one] = room.desk.candidates()
    assert (one.value, one.level, one.origin) == (5.0, Level.OPERATOR, "console")
    assert room.desk.target.request.power_w == 5e6
    assert room.later(29.9) == []
    assert room.later(0.2) == ["battery target of api:alice expired"]
    assert len(room.later(540.0)) == 1


@pytest.mark.parametrize("step_s", [-10 * DAY_S, -3600.0])
async def test_a_clock_set_back_before_a_restart_does_not_lengthen_a_hold(room: Room, step_s: float) -> None:
    """At most the time that was asked for, from the start on."""
    await room.ask(set_point(5.0, ttl_s=60.0))
    room.clock.step_utc(step_s)
    await room.restart(1.0)
    assert len(room.desk.candidates()) == 1
    room.later(60.1)
    assert room.desk.candidates() == []


async def test_a_restart_does_not_take_up_what_had_run_out(room: Room) -> None:
    """Its end came while nobody ran; nobody is told of it a second time."""
    await room.ask(set_point(5.0, ttl_s=60.0))
    await room.restart(61.0)
    assert room.desk.candidates() == []
    assert room.later(0.0) == []


async def test_a_restart_does_not_take_up_what_was_let_go_or_replaced(room: Room) -> None:
    """The older one had more time left: it came back from the dead."""
    await room.ask(set_point(5.0, ttl_s=DAY_S))
    await room.ask(set_point(None, ttl_s=0.0))
    await room.ask(target(5e6, ttl_s=DAY_S))
    await room.ask(target(6e6, ttl_s=10.0))
    room.later(20.0)
    await room.restart(20.0)
    assert (room.desk.candidates(), room.desk.target) == ([], None)


async def test_a_restart_does_not_take_up_modes(room: Room) -> None:
    """A start is always OBSERVE."""
    await room.ask(set_mode(Mode.MANUAL, ttl_s=900.0), Level.OPERATOR)
    await room.restart(1.0)
    assert room.desk.mode_wanted is None


async def test_a_restart_keeps_workloads_as_they_were(room: Room) -> None:
    """Each in its last state; reservations and caps hold from the first cycle."""
    for name in ("a", "b", "c", "d"):
        await room.ask(announce(name))
    await room.ask(order("throttle", "b", target_w=1e6))
    await room.ask(order("pause", "c", pause_s=600))
    await room.ask(order("terminate", "d"))
    before, caps = dict(room.desk.workloads), room.desk.bounds()
    await room.restart(60.0)
    assert room.desk.workloads == before
    assert room.desk.bounds() == caps
    assert room.later(539.9) == []
    assert room.later(0.2) == ["c: paused expired, approved again"]


async def test_a_pause_that_ran_out_while_nobody_ran_is_over_at_the_start(room: Room) -> None:
    """Before the first cycle, not in it."""
    await room.ask(announce())
    await room.ask(order("pause", pause_s=60))
    await room.restart(61.0)
    assert room.job().state is WorkloadState.APPROVED


async def test_a_restart_with_another_site_drops_what_it_does_not_know(room: Room) -> None:
    """A rack was taken out: its set-point and the workload on it must not end the start in an error."""
    await room.ask(announce(workload={"peak_w": 90e6}))
    assert max(room.job().controllers) == 3
    await room.ask(announce("small", workload={"peak_w": 5e6}))
    await room.ask(set_point(5.0))
    control = SITE.control
    read_only = tuple(replace(p, write=None) if p.id == CAP else p for p in SITE.points)
    room.site = replace(SITE, points=read_only, control=replace(control, load_controllers=control.load_controllers[:1]))
    await room.restart(1.0)
    assert all(max(w.controllers, default=0) == 0 for w in room.desk.workloads.values())
    assert "wl-1" not in room.desk.workloads
    assert room.desk.candidates() == []


async def test_a_narrower_range_after_a_restart_holds(room: Room) -> None:
    """The device map was corrected: the old value would be refused by the actuator for the rest of its time."""
    await room.ask(set_point(150e6, ttl_s=3600.0))
    point = SITE.points[POINT]
    narrow = replace(point, write=replace(point.write, maximum=25e6))
    room.site = replace(SITE, points=(*SITE.points[:POINT], narrow, *SITE.points[POINT + 1:]))
    await room.restart(1.0)
    assert room.values() == [25e6]


# --- bounded ----------------------------------------------------------------------------------------------------------

async def test_ended_workloads_are_forgotten_beyond_a_hundred(room: Room) -> None:
    """The oldest first; those that live stay, and one announced again counts as new."""
    async def at_once(entry) -> None:
        return None

    room.ledger.append = at_once
    await room.ask(announce("alive"))
    for i in range(ENDED_KEPT + 3):
        await room.ask(announce(f"wl-{i}"))
        await room.ask(order("terminate", f"wl-{i}"))
        if i == ENDED_KEPT - 1:
            await room.ask(announce("wl-0"))
            await room.ask(order("terminate", "wl-0"))
    assert len(room.desk.workloads) == ENDED_KEPT + 1 == len(room.desk.jobs.ends)
    assert "alive" in room.desk.workloads
    assert "wl-0" in room.desk.workloads
    assert "wl-3" not in room.desk.workloads


async def test_outcomes_in_memory_are_bounded_and_the_disk_knows_the_rest(room: Room) -> None:
    """A thousand; the first id still gets its first outcome."""
    first = await room.ask(set_point(5.0, id="first"))
    for i in range(OUTCOMES_KEPT + 5):
        room.desk._remember(f"filler-{i}", Failed(id="", code=""))
    assert len(room.desk._outcomes) == OUTCOMES_KEPT
    assert "first" not in room.desk._outcomes
    assert await room.ask(set_point(7.0, id="first")) == first


async def test_the_report_has_room_for_every_workload_that_the_desk_may_keep(room: Room) -> None:
    """A report that does not fit ends the cycle, and with it control: 291 announcements were enough."""
    await room.ask(announce("w" * 200, workload={"kind": "k" * 200, "priority": "p" * 200, "heat_w": 1e6,
                                                 "deadline_utc_s": 1e9, "latest_completion_utc_s": 1e9,
                                                 "schedule": (PowerStep(1e9, 1e6),) * SCHEDULE_MAX,
                                                 "dependencies": ("d" * 128,) * DEPENDENCIES_MAX}))
    one = replace(room.job("w" * 200), conditions=("c" * 200, "c" * 200), target_w=1.0, controllers=tuple(range(16)),
                  reserved_w=(1e6,) * 16, held="h" * 200, reason="r" * 200, unannounced_w=(1e6,) * 16,
                  migration_target="m" * 200)
    size = len(msgspec.msgpack.encode([one] * (WORKLOADS_MAX + ENDED_KEPT)))
    assert size < REPORT_BYTES - 512 * 1024
