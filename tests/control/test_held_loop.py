"""A start that is held back, in the closed loop: the real desk's caps and orders on the simulated racks."""

import math
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from desk_case import SPEC, Room, announce
from virtual import MW, Loop

from pswd_edge.control.arbiter import Candidate
from pswd_edge.control.facts import Facts
from pswd_edge.control.rules.placement import headroom
from pswd_edge.control.turns import Turns
from pswd_edge.model.command import Accepted, Mode
from simulators.loads import TrainingJob
from simulators.plant import Plant, PlantSpec

CAPS = [c.cap for c in SPEC.load_controllers]


class Site(Room):
    """The desk, with the plant as its racks; both on the loop's clock."""

    async def start(self) -> None:
        await super().start()
        self.loop = Loop(self.site, plant=Plant(PlantSpec(), 1))
        self.turns = Turns(self.desk, self.clock, self.facts, lambda _: None)

    def rack_w(self, controller: int) -> float:
        return self.loop.plant.signals(SPEC.load_controllers[controller].id)["active_power_w"]

    def facts(self) -> Facts:
        found = super().facts()._replace(rack_w=self.rack_w, usable_wh=24e6, mode=Mode.AUTO)
        if not self.loop.decisions:
            return found
        decision = self.loop.decisions[-1]
        load_w = decision.estimate.load_w
        room = headroom(SPEC, decision.limits, tuple(self.desk.workloads.values()), load_w, load_w, found.usable_wh)
        return found._replace(limits=decision.limits, load_w=load_w, heat_w=load_w, headroom=room)

    async def run(self, seconds: float) -> float:
        """Cycles of control; returns the highest power of the job's racks."""
        highest_w = 0.0
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.desk.expire(self.clock.monotonic_s())
            await self.turns.turn()
            self.desk.ease(0.1, lambda _: math.nan)
            self.loop.bounds, candidates = self.desk.bounds(), self.desk.candidates()
            self.loop.workloads = tuple(self.desk.workloads.values())
            self.command(candidates)
            self.loop.decisions.append(self.loop.step())
            highest_w = max(highest_w, sum(self.rack_w(c) for c in self.job().controllers))
        return highest_w

    def command(self, candidates: list[Candidate]) -> None:
        """The run commands, as the arbiter would pass them on."""
        names = {c.run_command: c.id for c in SPEC.load_controllers}
        for candidate in candidates:
            self.loop.plant.write(names[candidate.point], "run_command", candidate.value)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    await made.start()
    yield made
    await made.ledger.close()


async def test_a_job_that_wants_to_run_too_early_is_kept_idle_until_its_start(site: Site) -> None:
    """It asks for 20 MW from the beginning; until its moment its rack idles, then it runs, and the ramp holds."""
    loop = site.loop
    for _ in range(30):
        loop.decisions.append(loop.step())
    outcome = await site.ask(announce(workload={
        "peak_w": 20 * MW, "baseline_w": 2 * MW, "ramp_w_per_s": 0.0, "duration_s": None,
        "earliest_start_utc_s": site.clock.utc_s() + 20.0}))
    assert isinstance(outcome, Accepted)
    assert outcome.workload.held
    await site.run(1.0)
    loop.plant.start_job("early", TrainingJob(random.Random(1)), {"rack-1": 18 * MW})
    loop.score.start()
    assert await site.run(18.0) <= 3.0 * MW
    assert site.job().held
    assert await site.run(60.0) >= 12 * MW
    assert site.job().held == ""
    assert loop.score.summary()["ramp_60s_max_mw_per_min"] <= 10


async def test_without_the_hold_the_same_job_would_run_at_once(site: Site) -> None:
    """Else the test above would prove nothing."""
    for _ in range(30):
        site.loop.decisions.append(site.loop.step())
    await site.ask(announce(workload={"peak_w": 20 * MW, "ramp_w_per_s": 0.0}))
    site.loop.plant.start_job("early", TrainingJob(random.Random(1)), {"rack-1": 18 * MW})
    assert await site.run(10.0) >= 12 * MW
