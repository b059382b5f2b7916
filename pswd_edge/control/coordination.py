"""Thermal coordination beside the law: keeps its state, and turns what it decided into candidates and bounds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from pswd_edge.control.arbiter import Bound, Candidate
from pswd_edge.control.publish import known
from pswd_edge.control.rules import interlock, thermal
from pswd_edge.control.rules.interlock import InterlockState
from pswd_edge.control.rules.thermal import LATCHED, ThermalDecision, ThermalState
from pswd_edge.model.command import Level, Mode
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.report import AlarmReport, HeatExportReport, InterlockReport, ThermalReport
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Snapshot
from pswd_edge.model.workload import Workload


def thermal_points(control: ControlSpec) -> Iterator[int | None]:
    """Every point that thermal coordination reads, beside those of the load controllers."""
    spec = control.thermal
    for cooler in spec.coolers if spec is not None else ():
        yield None if cooler.hot is None else cooler.hot.point
        yield from (lead.point for lead in cooler.leads)
    for heat in spec.exports if spec is not None else ():
        yield from (heat.supply.point, heat.heat.point, heat.setpoint.point, heat.flow.point)
    yield from (i.temperature.point for i in (spec.interlocks if spec is not None else ()))


class Coordination:
    """Does nothing where the site has no thermal part."""

    def __init__(self, site: Site) -> None:
        self._control, self._spec = site.control, site.control.thermal
        self.state: ThermalState | None = None if self._spec is None else thermal.start(self._spec)
        self.decision = ThermalDecision()

    def relatch(self, alarms: Iterable[AlarmReport]) -> None:
        """Take up the latches of a former process, by the alarms that it kept.

        One whose latch was let go in the last seconds before is latched again: the operator's order is asked twice
        rather than not at all.
        """
        names = {a.code.removeprefix(LATCHED) for a in alarms if a.active and a.code.startswith(LATCHED)}
        if names and self.state is not None and self._spec is not None:
            locks = tuple(interlock.latched(i) if i.id in names else fresh
                          for i, fresh in zip(self._spec.interlocks, self.state.interlocks, strict=True))
            self.state = self.state._replace(interlocks=locks)

    def report(self) -> ThermalReport | None:
        """What is shown of it; None where the site has no thermal part."""
        if self._spec is None or self.state is None:
            return None
        made, state = self.decision, self.state
        return ThermalReport(
            max((c.share for c in state.coolers), default=None),
            tuple(InterlockReport(i.id, s.step, len(i.steps), s.latched, known(t)) for i, s, t in zip(
                self._spec.interlocks, state.interlocks, made.hot_c, strict=True)),
            tuple(HeatExportReport(e.id, s.on, known(t)) for e, s, t in zip(
                self._spec.exports, state.exports, made.supply_c, strict=True)))

    def moved(self, site: Site) -> "Coordination":
        """The same under another site: interlocks keep steps and latches by id, set-points begin from what is found."""
        after = Coordination(site)
        if after.state is not None and self.state is not None and self._spec is not None and after._spec is not None:
            kept = dict(zip((i.id for i in self._spec.interlocks), self.state.interlocks, strict=True))
            locks = tuple(_cut(kept[i.id], len(i.steps)) if i.id in kept else fresh
                          for i, fresh in zip(after._spec.interlocks, after.state.interlocks, strict=True))
            after.state = after.state._replace(interlocks=locks)
        return after

    def step(self, snapshot: Snapshot, mode: Mode, workloads: Sequence[Workload], asked: Iterable[Candidate],
             dt_s: float, *, reset: bool, prepared_w: Mapping[str, float] = MappingProxyType({}),
             stands: Mapping[int, float] = MappingProxyType({})) -> None:
        """One cycle. `asked`: what people and programs hold. `reset`: the operator has ordered a mode.

        `prepared_w`: heat that coolers are asked to be ready for, by id. `stands`: what was wanted of set-points last.
        """
        if self._spec is None or self.state is None:
            return
        best = {c.point: c.value for c in sorted(asked, key=lambda c: (-c.level, c.sequence))}
        self.state, self.decision = thermal.cycle(
            self._control, self._spec, self.state, snapshot, workloads, max(0.0, dt_s),
            acts=mode is not Mode.OBSERVE, held=frozenset(best), reset=reset, prepared_w=prepared_w, stands=stands,
            stopped=frozenset(p for p, value in best.items() if value == 0.0))

    def candidates(self) -> list[Candidate]:
        """Set-points of cooling and heat export, tiers that an interlock sheds, and those that it has given back."""
        tiers, made = self._control.tiers, self.decision
        return [*(Candidate(p, v, *_for(made.urgent.get(p))) for p, v in made.setpoints),
                *(Candidate(tiers[t].setpoint, tiers[t].engaged_value, Level.PROTECTION, f"interlock:{name}", t)
                  for t, name in made.sheds),
                *(Candidate(tiers[t].setpoint, tiers[t].released_value, Level.PLANNER, "thermal", t)
                  for t in made.released)]  # below the law, which may want the same tier shed

    def bounds(self) -> list[Bound]:
        """The interlocks' caps, and the declared limits of set-points: nobody who asks gets past them."""
        return [*(Bound(c.point, 0.0, c.high, Level.PROTECTION, f"interlock:{c.name}") for c in self.decision.caps),
                *(Bound(p, low, high, Level.PROTECTION, "thermal_limit") for p, low, high in self.decision.ranges)]


def _for(interlock_id: str | None) -> tuple[Level, str]:
    """Who leads a cooling set-point: the law, or an interlock that has found something too hot."""
    return (Level.LAW, "thermal") if interlock_id is None else (Level.PROTECTION, f"interlock:{interlock_id}")


def _cut(state: InterlockState, steps: int) -> InterlockState:
    return state._replace(step=min(state.step, steps))
