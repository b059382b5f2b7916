"""Runs with announcements: the planner beside the law on virtual time, as the gateway runs it beside control."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pswd_edge.control.rules.expected import Shift
from pswd_edge.planning.forecast import Change, Forecast
from pswd_edge.planning.horizon import Plan, plan
from pswd_edge.planning.run import Bounds
from pswd_edge.replay.loop import FIRST_S, PREROLL_S, Case, Event, Loop, bounds_of

LOOK_S, PLAN_S = 0.3, 10.0
RAMP_SHARE = 0.98             # of the inner ramp: a plan at its very edge could not be caught up with
START_S = FIRST_S + PREROLL_S


@dataclass(frozen=True)
class Said:
    """An announcement.

    At `at_s` after the start the load's range moves by `low_w` and `high_w`, its mean by `step_w`.
    """

    at_s: float
    step_w: float
    low_w: float
    high_w: float
    early_s: float = 0.0
    late_s: float = 30.0
    firm: bool = False

    def change(self, number: int) -> Change:
        """For the planner, on the loop's clock."""
        at_s = START_S + self.at_s
        return Change(str(number), self.step_w, at_s, at_s - self.early_s, at_s + self.late_s)

    def shift(self) -> Shift:
        """For the law."""
        at_s = START_S + self.at_s
        return Shift(self.low_w, self.high_w, at_s - self.early_s, at_s + self.late_s, self.firm)


class Planner:
    """Plans each 10 s and hands the hint to the law's orders each cycle."""

    def __init__(self, said: Sequence[Said], bounds: Bounds, swing_w: float) -> None:
        self._changes = [s.change(i) for i, s in enumerate(said)]
        self._expected = tuple(s.shift() for s in said)
        self._bounds, self._forecast = bounds, Forecast(swing_w)
        self._plan: Plan | None = None
        self._planned_s = self._looked_s = -1e9
        self.solved: list[float] = []

    def cycle(self, loop: Loop) -> None:
        """Before each cycle of the loop."""
        now_s, reference, feed = loop.now_s, loop.state.reference, loop.state.feed
        if reference is None or feed is None:
            return
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self._forecast.look(now_s, feed.filtered_w, self._changes)
        if now_s - self._planned_s >= PLAN_S:
            self._planned_s = now_s
            self._solve(loop, now_s, reference.reference_w)
        hint = self._plan.at(now_s - self._planned_s) if self._plan else None
        loop.orders = loop.orders._replace(hint_w=hint, expected=self._expected)

    def _solve(self, loop: Loop, now_s: float, reference_w: float) -> None:
        coming = self._forecast.coming(now_s, self._changes)
        energy_wh = sum(b.energy_wh for b in loop.batteries)
        if not coming and self._forecast.settled_s(now_s) > 600:
            self._plan = None
            return
        low, high = self._bounds.energy_min_wh, self._bounds.energy_max_wh
        assert loop.decision is not None
        tuning = loop.decision.tuning
        ramp = RAMP_SHARE * 60 * min(tuning.up_w_per_s, tuning.down_w_per_s)
        bounds = replace(self._bounds, ramp_w_per_min=ramp)
        self._plan = plan(self._forecast.level_w, coming, bounds, reference_w, energy_wh, (low + high) / 2,
                          self._forecast.waiting_wh(now_s, self._changes))
        if self._plan is not None:
            self.solved.append(self._plan.seconds)


def planned(case: Case, said: Sequence[Said], swing_w: float = 25e6) -> tuple[Case, Planner]:
    """The case with a planner that was told what `said` says."""
    planner = Planner(said, bounds_of(case), swing_w)
    cycles = round(len(case.job_w) / 5)
    events: list[Event] = [(k / 10, planner.cycle) for k in range(cycles)]
    case.events = sorted([*case.events, *events], key=lambda e: e[0])
    return case, planner
