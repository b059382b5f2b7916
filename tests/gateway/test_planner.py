"""The planner in the gateway: what it sends, when it is silent, and what it does when something is late or wrong."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from gateway_campus import Control, FakeDoor, make_site, make_workload
from msgspec.structs import replace

from pswd_edge.errors import DoorError
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.services.planner import LATE_S, PLAN_S, TTL_S, PlannerService, bounds_of
from pswd_edge.model.command import Hint, Mode, Rejected
from pswd_edge.model.report import LimitReport, TierReport
from pswd_edge.model.site import PlannerSpec
from pswd_edge.model.workload import Workload
from pswd_edge.planning.horizon import Plan, plan
from pswd_edge.planning.run import Bounds

MW = 1e6


class Desk:
    """A planner beside a control that is played by the test."""

    def __init__(self, folder: Path, solver=plan, **site: object) -> None:
        self.control, self.door = Control(folder, make_site(**site)), FakeDoor()
        self.control.run(1)
        self.live = LiveImage(folder, self.control.clock)
        self.planner = PlannerService(self.live, self.door, self.control.clock, solver)

    async def run(self, seconds: float, **changes: object) -> list[Hint]:
        """Turns every 0.3 s; a solution is waited for in real time, as long as it takes. The hints that were sent."""
        before = len(self.door.asked)
        for _ in range(round(seconds / 0.3)):
            self.control.run(3, **changes)
            await self.planner.turn()
            for _ in range(200):
                if self.planner._job is None or self.planner._job.future.done():
                    break
                await asyncio.sleep(0.01)
        return [h for h in self.door.asked[before:] if isinstance(h, Hint)]

    def coming(self, start_s: float, **changes: object) -> Workload:
        """30 MW at most, 10 MW at least, that start `start_s` from now."""
        made = make_workload(announced_utc_s=self.control.clock.utc_s() - 1.0)
        said = replace(made.announcement, earliest_start_utc_s=self.control.clock.utc_s() + start_s, duration_s=None)
        return replace(made, announcement=said, **changes)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "run")
    yield made
    made.planner.close()
    made.live.close()


async def test_nothing_announced_nothing_sent(desk: Desk) -> None:
    """The law's own target is the better one where nobody knows more."""
    assert await desk.run(12.0) == []
    assert desk.planner.read().state == "idle"


async def test_what_is_far_ahead_can_wait(desk: Desk) -> None:
    """A job that ends tomorrow must not take the law's own target away all day."""
    assert await desk.run(6.0, workloads=(desk.coming(901.0 + 6.0),)) == []
    assert desk.planner.read().state == "idle"


async def test_an_announced_start_is_led_to_with_the_real_programme(desk: Desk) -> None:
    """The grid's power rises before the load, within the inner ramp, and from where it is."""
    hints = await desk.run(12.0, workloads=(desk.coming(120.0),))
    assert len(hints) == 3
    first = hints[0]
    assert first.reference_w[0] == pytest.approx(60 * MW, abs=1.0)
    assert first.ttl_s == TTL_S
    assert first.after_s[-1] >= TTL_S + PLAN_S or len(first.after_s) > 2
    steps = zip(pairwise(first.reference_w), pairwise(first.after_s), strict=True)
    ramps = [(b - a) / (t - s) for (a, b), (s, t) in steps]
    assert max(abs(r) for r in ramps) <= 1e5
    assert desk.planner.read().state == "planning"
    assert desk.planner.read().coming == 1
    assert desk.planner.read().solve_ms is not None


async def test_the_plan_begins_when_its_state_was_read(desk: Desk) -> None:
    """By the monotonic clock, which both processes share."""
    hints = await desk.run(6.0, workloads=(desk.coming(120.0),))
    assert hints[0].begin_s in [pytest.approx(desk.control.clock.monotonic_s() - 0.3 * k, abs=1e-6) for k in range(20)]


async def test_the_reference_is_half_way_when_the_step_comes() -> None:
    """Half of the step before it, half after it: a quarter of the battery."""
    bounds = Bounds(10 * MW, 125 * MW, 60 * MW, 60 * MW, 1.5 * MW, 13.5 * MW, 0.96, 0.96, 0.0)
    found = plan(40 * MW, [(300.0, 40 * MW)], bounds, 40 * MW, 7.5 * MW, 7.5 * MW)
    assert found is not None
    assert found.at(300.0) == pytest.approx(60 * MW, abs=3 * MW)


@pytest.mark.parametrize("changes", [
    {"mode": Mode.OBSERVE}, {"mode": Mode.MANUAL}, {"mode": Mode.SAFE}, {"battery_target_w": 5 * MW},
    {"degraded": ("grid_meter_stale",)}, {"tiers": (TierReport("t", True, 3 * MW),)}, {"energy_wh": None},
    {"reference_w": None}, {"load_filtered_w": None}])
async def test_where_control_does_not_follow_plans_none_is_made(desk: Desk, changes: dict[str, object]) -> None:
    """Somebody else leads, something is shed that wants to come back, or a number of the plan is not known."""
    assert await desk.run(6.0, workloads=(desk.coming(120.0),), **changes) == []
    assert desk.planner.read().state == "idle"


async def test_a_site_too_small_for_its_promise_is_planned_for(desk: Desk) -> None:
    """There a plan helps most, and every number of it is known."""
    assert await desk.run(6.0, workloads=(desk.coming(120.0),), degraded=("reserve_insufficient",)) != []


async def test_a_start_that_was_called_off_ends_the_hints(desk: Desk) -> None:
    """The hint in force runs out by itself, within 15 s."""
    assert await desk.run(6.0, workloads=(desk.coming(120.0),)) != []
    assert await desk.run(12.0, workloads=()) == []
    assert desk.planner.read().state == "idle"


async def test_a_start_that_never_comes_is_given_up(desk: Desk) -> None:
    """A minute after its time: the load is what is measured."""
    wanted = (desk.coming(10.0),)
    assert await desk.run(60.0, workloads=wanted) != []
    await desk.run(20.0, workloads=wanted)
    assert await desk.run(12.0, workloads=wanted) == []


async def test_a_planner_that_is_switched_off_is_off(tmp_path: Path) -> None:
    """`planner: {enabled: false}`."""
    desk = Desk(tmp_path / "run", planner=PlannerSpec(enabled=False))
    assert await desk.run(6.0, workloads=(desk.coming(120.0),)) == []
    assert desk.planner.read().state == "off"
    desk.planner.close()
    desk.live.close()


async def test_control_that_is_gone_leaves_the_planner_idle(desk: Desk) -> None:
    """Old values are none."""
    desk.control.run(1, workloads=(desk.coming(120.0),))
    desk.control.clock.advance(10.0)
    await desk.planner.turn()
    assert desk.planner.read().state == "idle"


@pytest.mark.parametrize("outcome", [Rejected(id="", code="invalid", reason="no way"), DoorError("no way")])
async def test_what_control_does_not_take_is_told(desk: Desk, outcome: Rejected | DoorError) -> None:
    """And tried again at the next round."""
    desk.door.outcome = outcome
    assert len(await desk.run(12.0, workloads=(desk.coming(120.0),))) == 3
    assert (desk.planner.read().state, desk.planner.read().reason) == ("failed", "no way")


async def test_a_programme_without_a_solution_sends_nothing(tmp_path: Path) -> None:
    """No plan is better than one that is none."""
    desk = Desk(tmp_path / "run", lambda *_: None)
    assert await desk.run(6.0, workloads=(desk.coming(120.0),)) == []
    assert desk.planner.read().state == "failed"
    desk.planner.close()
    desk.live.close()


async def test_a_solver_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """No second one is begun beside it, nothing old is sent when it ends, and the next round is as ever."""
    gate, begun = threading.Event(), []

    def slow(*known: object) -> Plan | None:
        begun.append(known)
        gate.wait(5.0)
        return plan(*known)  # type: ignore[arg-type]

    desk = Desk(tmp_path / "run", slow)
    wanted = (desk.coming(300.0),)
    before_s = time.monotonic()
    for _ in range(round((PLAN_S + LATE_S) * 10)):
        desk.control.run(1, workloads=wanted)
        await desk.planner.turn()
        await asyncio.sleep(0)
    assert time.monotonic() - before_s < 4.0
    assert desk.planner.read().state == "late"
    assert len(begun) == 1
    gate.set()
    await asyncio.sleep(0.2)
    await desk.planner.turn()
    assert [h for h in desk.door.asked if isinstance(h, Hint)] == []
    assert await desk.run(6.0) != []
    assert desk.planner.read().state == "planning"
    desk.planner.close()
    desk.live.close()


async def test_a_round_that_fails_is_told_and_the_next_is_tried(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the planner must not take the API with it."""
    tried: list[int] = []

    async def fail() -> None:
        tried.append(1)
        if len(tried) == 1:
            raise ValueError("a defect")
        raise asyncio.CancelledError

    monkeypatch.setattr(desk.planner, "turn", fail)
    with pytest.raises(asyncio.CancelledError):
        await desk.planner.run()
    assert desk.planner.read().reason == "ValueError: a defect"


async def test_a_plan_keeps_to_the_limits_in_force(desk: Desk) -> None:
    """A tighter import limit, the inner ramp in use, and the usable batteries alone."""
    desk.control.run(1, limits=(LimitReport("import_limit_w", 80 * MW, "console", 2, True, False, 60.0),))
    report = desk.live.report()
    assert report is not None
    lost = replace(report, batteries=(replace(report.batteries[0], usable=False), report.batteries[1]))
    bounds = bounds_of(desk.control.site.control, lost)
    assert (bounds.import_limit_w, bounds.discharge_w, bounds.charge_w) == (80 * MW, 55e6, 50e6)
    assert bounds.ramp_w_per_min == pytest.approx(0.97 * 6 * MW)


async def test_an_import_limit_to_come_is_planned_for(desk: Desk) -> None:
    """It does not bound the way before its begin, and the grid is below it then."""
    found = (LimitReport("import_limit_w", 40 * MW, "operator:a", 2, False, False, 500.0, 300.0),)
    sent = await desk.run(12.0, limits=found)
    assert sent
    report = desk.live.report()
    assert report is not None
    assert bounds_of(desk.control.site.control, report).import_limit_w > 40 * MW
    assert desk.planner.read().coming == 1
