"""From decisions to candidates and bounds: what the law wants of each actuated point."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pswd_edge.control.arbiter import GIVEN_BACK, Bound, Candidate, Verdict, arbitrate
from pswd_edge.control.rules.allocate import Battery
from pswd_edge.control.rules.law import Decision, LawState
from pswd_edge.control.rules.relief import caps
from pswd_edge.model.command import Level, Mode
from pswd_edge.model.control import BatteryControl
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Snapshot

ADOPT_S = 15.0                # OBSERVE keeps the set-points that it found for so long, so that a restart is no step


class SetpointMemory(NamedTuple):
    """What `Setpoints` remembers between two cycles, by point index."""

    adopted: dict[int, float]
    observing_since_s: float | None
    active: tuple[int, ...]


class Setpoints:
    """Remembers what was adopted and which points were ever written, so that each is let go exactly once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._spec = site.control
        self._adopted: dict[int, float] = {}
        self._observing_since_s: float | None = None
        self._active: set[int] = set()

    def memory(self) -> SetpointMemory:
        """A copy of what is remembered, for a recording."""
        return SetpointMemory(dict(self._adopted), self._observing_since_s, tuple(sorted(self._active)))

    def remember(self, memory: SetpointMemory) -> None:
        """Go on as from there."""
        self._adopted, self._observing_since_s = dict(memory.adopted), memory.observing_since_s
        self._active = set(memory.active)

    def moved(self, site: Site, moved: Mapping[int, int]) -> "Setpoints":
        """The same under another site; `moved`: old index to new. What is gone is written no more."""
        after = Setpoints(site)
        after._adopted = {moved[i]: value for i, value in self._adopted.items() if i in moved}
        after._observing_since_s = self._observing_since_s
        after._active = {moved[i] for i in self._active if i in moved}
        return after

    def compose(
        self, decision: Decision, state: LawState, snapshot: Snapshot, mode: Mode,
        asked: Iterable[Candidate], bounds: Iterable[Bound], barred: frozenset[int] = frozenset(),
        trial: Sequence[Candidate] = (),
    ) -> list[Verdict]:
        """The verdict of every point that somebody wants, and of those that nobody wants any more (value None).

        Nothing is written to `barred` points. `trial` is what commissioning tries, within the batteries' limits.
        """
        candidates: list[Candidate] = []
        limits = list(bounds)
        if mode is Mode.OBSERVE:
            candidates += self._adopt(snapshot)
            tried = {c.point for c in trial}
            for spec, battery in zip(self._spec.batteries, decision.fleet.batteries, strict=True):
                limits += _battery_bounds(spec, battery) if spec.setpoint in tried else []
        else:
            self._observing_since_s = None
            self._adopted.clear()
            for spec, battery in zip(self._spec.batteries, decision.fleet.batteries, strict=True):
                if spec.setpoint not in barred:
                    candidates += self._battery(spec, battery, decision, snapshot)
                    limits += _battery_bounds(spec, battery)
            others = [*self._loads(state), *asked]  # ours first: the order of writing is the batteries'
            candidates += [c for c in others if c.point not in barred] if barred else others
            limits += self._tier_bounds(state)
            limits += self._circuit_bounds(state)
        candidates += trial
        points = list(dict.fromkeys(c.point for c in candidates))
        verdicts = [arbitrate(p, candidates, limits) for p in points]
        verdicts += [Verdict(p, None, "", int(Level.PLANNER), "", ()) for p in sorted(self._active - set(points))]
        self._active = set(points)
        return verdicts

    def _adopt(self, snapshot: Snapshot) -> list[Candidate]:
        if self._observing_since_s is None:
            self._observing_since_s = snapshot.time_s
        if snapshot.time_s - self._observing_since_s > ADOPT_S:
            return []
        for battery in self._spec.batteries:
            reading = snapshot.read(battery.setpoint)
            if battery.setpoint not in self._adopted and reading.quality is Quality.GOOD:
                self._adopted[battery.setpoint] = reading.value
        return [Candidate(p, v, Level.LAW, "adopted") for p, v in self._adopted.items()]

    def _battery(
        self, spec: BatteryControl, battery: Battery, decision: Decision, snapshot: Snapshot
    ) -> list[Candidate]:
        """In writing order: how long the set-point holds without us, the set-point, that it is in W, that it counts."""
        rule = self._site.points[spec.setpoint].write
        wanted = []
        if spec.revert_timeout is not None and rule is not None and rule.revert_s > 0:
            wanted.append(Candidate(spec.revert_timeout, rule.revert_s, Level.LAW, "law"))
        wanted.append(Candidate(spec.setpoint, decision.shares.get(battery.id, 0.0), Level.LAW, "law"))
        if spec.mode is not None:
            wanted.append(Candidate(spec.mode, 1.0, Level.LAW, "law"))
        if spec.enable is not None:
            wanted.append(Candidate(spec.enable, 1.0, Level.LAW, "law"))
        if spec.heartbeat is not None:
            wanted.append(Candidate(spec.heartbeat, beat(self._site, spec, snapshot.time_s), Level.LAW, "law"))
        return wanted

    def _loads(self, state: LawState) -> list[Candidate]:
        """Caps stand at their rating; outlets, limits and absorbers are written only once they were used."""
        wanted = [Candidate(c.cap, c.rating_w, Level.LAW, "law") for c in self._spec.load_controllers]
        capped = {c.point for c in wanted}
        for place, (tier, found) in enumerate(zip(self._spec.tiers, state.shed.tiers, strict=True)):
            if tier.setpoint in capped or not math.isfinite(found.since_s):
                continue
            if found.engaged:  # of two at one set-point the later is the deeper
                wanted.append(Candidate(tier.setpoint, tier.engaged_value, Level.GRID, f"tier:{tier.id}", place))
            else:
                wanted.append(Candidate(tier.setpoint, tier.released_value, Level.LAW, f"tier:{tier.id}", GIVEN_BACK))
        wanted += [Candidate(a.setpoint, found.ordered_w, Level.LAW, f"absorber:{a.id}")
                   for a, found in zip(self._spec.absorbers, state.absorbed.absorbers, strict=True)
                   if math.isfinite(found.raised_s)]
        return wanted

    def _tier_bounds(self, state: LawState) -> list[Bound]:
        return [Bound(t.setpoint, 0.0, max(t.engaged_value, found.cap_w), Level.GRID, f"tier:{t.id}")
                for t, found in zip(self._spec.tiers, state.shed.tiers, strict=True)
                if found.engaged and t.action == "cap"]

    def _circuit_bounds(self, state: LawState) -> list[Bound]:
        """Load controllers whose circuit is over its rating, where tiers do not suffice."""
        held = caps(self._spec, state.circuits) if state.circuits else ()
        return [Bound(self._spec.load_controllers[c.controller].cap, 0.0, c.high_w, Level.PROTECTION,
                      f"circuit:{c.name}") for c in held]


def beat(site: Site, spec: BatteryControl, now_s: float) -> float:
    """The heartbeat counter now; it starts anew within what the map lets write."""
    rule = None if spec.heartbeat is None else site.points[spec.heartbeat].write
    return float(int(now_s / spec.heartbeat_s) % int(min(65535, 65535 if rule is None else rule.maximum) + 1))


def _battery_bounds(spec: BatteryControl, battery: Battery) -> list[Bound]:
    return [Bound(spec.setpoint, battery.least_w, battery.discharge_available_w, Level.PROTECTION,
                  "battery" if battery.usable else f"battery lost: {battery.why}")]
