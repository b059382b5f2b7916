"""The planner of the gateway, the desk's hints and the law together on virtual time: what an announcement is worth.

And that one that lies costs nothing but its benefit. The door is a call; everything else is the product's own.
"""

import asyncio
from types import SimpleNamespace

import pytest
from virtual import FIRST_S, MW, MWH, World, battery_spec, small_spec

from pswd_edge.clock import FakeClock
from pswd_edge.control.hints import Hints
from pswd_edge.control.requests import check
from pswd_edge.control.rules import law
from pswd_edge.control.rules.placement import load_ceiling_w
from pswd_edge.gateway.services.planner import PlannerService
from pswd_edge.model.command import Hint, Level, Mode, Outcome
from pswd_edge.model.report import BatteryReport, LimitReport, LoopReport, Report
from pswd_edge.model.site import PlannerSpec
from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState
from pswd_edge.planning.horizon import Capped

STEP_W, START_S, SECONDS = 30 * MW, 140.0, 400.0
SPEC = small_spec(batteries=(battery_spec(1, capacity_wh=10 * MWH),), load_ceiling_w=44 * MW, tiers=())


class Played:
    """Control as the planner sees it: a report of each cycle, and a door that keeps its hints."""

    def __init__(self, workloads: tuple[Workload, ...]) -> None:
        self.world, self.hints, self.workloads = World(SPEC, 40 * MW, 50.0), Hints(), workloads
        self.clock = FakeClock(monotonic_s=FIRST_S)
        self.site = SimpleNamespace(control=SPEC, planner=PlannerSpec())
        self.reader = SimpleNamespace(site_hash="one")
        self.decision: law.Decision | None = None
        self.taken = 0
        self.event: Capped | None = None

    async def ask(self, hint: Hint, _timeout_s: float) -> Outcome:
        self.taken += 1
        refused = check(hint, Level.API, self.clock.utc_s())
        return refused or self.hints.take(hint, Level.API, SPEC, self.clock.monotonic_s(), self.world.cycles)

    def cycle(self) -> None:
        now_s = self.clock.monotonic_s()
        ceiling_w = load_ceiling_w(SPEC, law.range_of(SPEC, SPEC.load_ceiling_w), self.workloads)
        spent_s = now_s - FIRST_S
        capped = self.event is not None and self.event.begin_s <= spent_s < self.event.end_s
        self.decision = self.world.step(hint_w=self.hints.at(now_s), ceiling_w=ceiling_w,
                                        import_limit_w=self.event.import_w if capped else None)
        self.clock.advance(0.1)

    def report(self) -> Report | None:
        made, state = self.decision, self.world.state
        if made is None or made.step is None:
            return None
        fleet, tuning, capacity = made.fleet, made.tuning, SPEC.batteries[0].capacity_wh
        return Report(
            cycle=self.world.cycles, utc_s=self.clock.utc_s(), monotonic_s=self.clock.monotonic_s(), mode=Mode.AUTO,
            mode_reason="", load_w=self.world.load_w, grid_w=self.world.grid_w,
            reference_w=state.reference.reference_w, load_filtered_w=state.feed.filtered_w, battery_w=made.battery_w,
            energy_wh=fleet.energy_wh, energy_min_wh=0.1 * capacity, energy_max_wh=0.9 * capacity,
            load_floor_w=made.limits.floor_w, load_ceiling_w=made.limits.ceiling_w, reference_low_w=None,
            reference_high_w=None, binding=made.binding, deficit_w=0.0, surplus_w=0.0, shed_wh=0.0,
            battery_target_w=None, headroom=Headroom(0.0, 0.0, 0.0), degraded=made.degraded,
            batteries=tuple(BatteryReport(b.id, b.usable, b.energy_wh, b.charge_available_w, b.discharge_available_w,
                                          0.0) for b in fleet.batteries),
            tiers=(), setpoints=(), workloads=self.workloads, alarms=(), acknowledged_cycle=0, cycles=0,
            cycles_missed=0, late_p50_ms=0.0, late_p99_ms=0.0, late_p999_ms=0.0, late_max_ms=0.0, rules_p99_ms=0.0,
            input_age_p99_ms=0.0, started_utc_s=0.0,
            limits=self.limits(),
            loop=LoopReport(tuning.delay_s, None, tuning.filter_hz, tuning.peak_gain, tuning.up_w_per_s,
                            tuning.down_w_per_s, None, 0.0))


    def limits(self) -> tuple[LimitReport, ...]:
        if self.event is None:
            return ()
        spent_s = self.clock.monotonic_s() - FIRST_S
        return (LimitReport("import_limit_w", self.event.import_w, "operator:a", 2, spent_s >= self.event.begin_s,
                            False, max(0.0, self.event.end_s - spent_s), max(0.0, self.event.begin_s - spent_s)),)


def job(clock: FakeClock) -> Workload:
    """30 MW throughout that starts after 140 s."""
    said = Announcement("job", "ai_training", STEP_W, STEP_W, 0.0, earliest_start_utc_s=clock.utc_s() + START_S)
    return Workload(said, WorkloadState.APPROVED, STEP_W, (0, 1), (15 * MW, 15 * MW), (), clock.utc_s(),
                    Headroom(0.0, 0.0, 0.0))


class Seen:
    """What a run came to: the energy that was used, MWh, and how far the reference ever stepped, W."""

    def __init__(self, energies_mwh: list[float], steps_w: list[float], taken: int, degraded: set[str]) -> None:
        self.used_mwh, self.largest_w, self.taken = max(energies_mwh) - min(energies_mwh), max(steps_w), taken
        self.least_mwh, self.most_mwh, self.degraded = min(energies_mwh), max(energies_mwh), degraded


async def run(*, plans: bool, comes_s: float | None = START_S) -> Seen:
    """The job comes after `comes_s` (None: never); with the planner, or with the law alone."""
    played = Played(())
    played.workloads = (job(played.clock),)
    planner = PlannerService(played, played, played.clock)
    energies, steps, degraded = [], [], set()
    for k in range(round(SECONDS * 10)):
        if comes_s is not None and k == round(comes_s * 10):
            played.world.load_w += STEP_W
        if plans and k % 3 == 0:
            await planner.turn()
            if planner._job is not None:
                await asyncio.wait([planner._job.future])
        before = played.world.state.reference
        played.cycle()
        if before is not None:
            steps.append(abs(played.world.state.reference.reference_w - before.reference_w))
        energies.append(played.world.soc_percent["b1"] / 100 * 10)
        degraded |= set(played.decision.degraded)
    planner.close()
    return Seen(energies, steps, played.taken, degraded)


@pytest.fixture(scope="module")
def alone() -> Seen:
    return asyncio.run(run(plans=False))


async def test_an_announced_start_needs_far_less_of_the_battery(alone: Seen) -> None:
    """Ramped half before and half after it, and no step of the reference beyond R_int."""
    seen = await run(plans=True)
    whole_mwh = (STEP_W / MW) ** 2 / (2 * SPEC.ramp_up_w_per_s / MW) / 3600
    assert alone.used_mwh > 0.9 * whole_mwh
    assert seen.used_mwh < 0.5 * alone.used_mwh
    assert max(seen.largest_w, alone.largest_w) <= SPEC.ramp_up_w_per_s * 0.1 + 1.0
    assert seen.taken > 30


@pytest.mark.parametrize("comes_s", [START_S - 60.0, None])
async def test_a_start_that_comes_early_or_never_costs_no_limit(comes_s: float | None) -> None:
    """What is wrong in an announcement is contained by the measured load and the law's own reserves."""
    seen = await run(plans=True, comes_s=comes_s)
    assert seen.largest_w <= SPEC.ramp_up_w_per_s * 0.1 + 1.0
    assert seen.least_mwh >= 1.0
    assert seen.most_mwh <= 9.0


async def above_s(*, plans: bool) -> float:
    """For how long the grid is above a limit of 30 MW under a load of 40, ordered for 140 to 260 s."""
    played = Played(())
    played.event = Capped(140.0, 260.0, 30 * MW)
    planner = PlannerService(played, played, played.clock)
    above = 0.0
    for k in range(2600):
        if plans and k % 3 == 0:
            await planner.turn()
            if planner._job is not None:
                await asyncio.wait([planner._job.future])
        played.cycle()
        if k >= 1402:
            above += 0.1 * (played.world.grid_w > 30.1 * MW)
    planner.close()
    return above


async def test_an_ordered_import_limit_is_reached_when_it_begins() -> None:
    """An event of demand response: the law alone begins to ramp when the limit is there."""
    alone = await above_s(plans=False)
    planned = await above_s(plans=True)
    assert alone > 60.0
    assert planned < 1.0
