"""The law in a closed loop on virtual time: snapshot, decision, plant, 100 ms after 100 ms."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pswd_edge.control.rules import delay, law
from pswd_edge.control.timing import Histogram
from pswd_edge.model.command import Mode
from pswd_edge.model.control import BatteryControl, ControlSpec
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.snapshot import Reading, Snapshot, freeze
from pswd_edge.planning.run import Bounds, Run, Series
from pswd_edge.planning.traces import STEP_S
from pswd_edge.replay.plant import Battery, Meter, Shedder, Soak

FIRST_S = 1000.0              # of the virtual monotonic clock
STEPS = 5                     # of the plant in a cycle
PREROLL_S = 130.0             # with the load of the first moment: fills the windows of the ramps

Event = tuple[float, Callable[["Loop"], None]]


@dataclass
class Case:
    """What is to be run: a site, its load, its plant, and what happens when.

    `base_w`, `job_w`: shape (n,) in steps of 20 ms; tiers act on the job. `events`: seconds after the start, in order.
    `orders` are what people and programs want from the start on; events may change `Loop.orders`. `frequency_hz`: the
    grid's, as long as the load and in the same steps; None: nominal throughout. `comparable`: the optimum knows all
    that the law is bound by; else a ratio of both means nothing.
    """

    name: str
    spec: ControlSpec
    base_w: Series
    job_w: Series
    batteries: list[Battery]
    shedders: list[Shedder] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)
    load_meter: Meter = field(default_factory=Meter)
    events: list[Event] = field(default_factory=list)
    orders: law.Orders | None = None
    viable: bool = True
    why: str = ""
    frequency_hz: Series | None = None
    soaks: list[Soak] = field(default_factory=list)
    comparable: bool = True


class Loop:
    """One case under way. Public attributes are there to be looked at and, by events, to be changed."""

    def __init__(self, case: Case, *, keep: bool = False) -> None:
        self.case, self.spec = case, case.spec
        self.state = law.start(case.spec)
        self.orders = case.orders or law.Orders(Mode.AUTO, case.spec.load_ceiling_w)
        self.batteries, self.shedders = case.batteries, case.shedders
        self.meter, self.load_meter = case.meter, case.load_meter
        self.decision: law.Decision | None = None
        self.cycle, self.now_s = 0, FIRST_S
        self.skip_cycles = self._missed = 0
        self.frequency_hz = self._frequency_at(0)
        self.frequency_known = True
        self._keep = keep
        self.decisions: list[law.Decision | None] = []
        self.rules = Histogram()
        self.seen_degraded: set[str] = set()
        self._events = sorted(case.events, key=lambda e: e[0])
        self._tier_w = [0.0] * len(self.shedders)
        self._rows: list[tuple[float, float, float, float, float, float]] = []
        self._tiers: list[tuple[bool, ...]] = []

    def timed_run(self) -> tuple[Run, float]:
        """The run, and the seconds that it took."""
        began = time.perf_counter()
        return self.run(), time.perf_counter() - began

    @property
    def measured_delay_s(self) -> float | None:
        """The loop's delay as the law has measured it."""
        return delay.total_s(self.state.delay)

    def run(self) -> Run:
        """Pre-roll, then the whole load; returns what really was."""
        preroll = round(PREROLL_S / STEP_S / STEPS)
        base, job = self.case.base_w.tolist(), self.case.job_w.tolist()
        for meter in (self.meter, self.load_meter):
            meter.see(base[0] + job[0])
        for _ in range(preroll):
            self._cycle(base[:1] * STEPS, job[:1] * STEPS)
        began_s = self.now_s
        for k in range(0, len(base) - STEPS + 1, STEPS):
            while self._events and self._events[0][0] <= self.now_s - began_s + 1e-9:
                self._events.pop(0)[1](self)
            self.frequency_hz = self._frequency_at(k)
            self._cycle(base[k : k + STEPS], job[k : k + STEPS])
        rows = np.array(self._rows)
        tiers = np.array(self._tiers, dtype=np.bool_).reshape(len(rows), len(self.shedders))
        return Run(STEP_S * STEPS, rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 4], rows[:, 5], tiers,
                   preroll)

    def _frequency_at(self, step: int) -> float:
        if self.case.frequency_hz is None:
            return math.nan if self.spec.droop is None else self.spec.droop.nominal_hz
        return float(self.case.frequency_hz[step])

    def _cycle(self, base_w: list[float], job_w: list[float]) -> None:
        self.meter.poll(self.now_s)
        self.load_meter.poll(self.now_s)
        self.cycle += 1
        if self.skip_cycles:
            self.skip_cycles -= 1  # the cycle came too late: no decision, batteries keep their set-points
            self._missed += 1
        else:
            self._decide()
        self._plant(base_w, job_w)
        if self._keep:
            self.decisions.append(self.decision)

    def _decide(self) -> None:
        snapshot = self.snapshot()
        dt_s = self.spec.period_ms / 1000 * (1 + self._missed)
        self._missed = 0
        began = time.perf_counter()
        self.state, decision = law.cycle(self.spec, self.state, snapshot, self.orders, dt_s)
        self.rules.add(time.perf_counter() - began)
        self.decision = decision
        self.seen_degraded.update(decision.degraded)
        if decision.acts:
            for spec, battery in zip(self.spec.batteries, self.batteries, strict=True):
                battery.command(decision.shares.get(spec.id, 0.0), self.now_s)
            for shedder, tier in zip(self.shedders, self.state.shed.tiers, strict=True):
                shedder.order(tier.engaged, self.now_s, tier.cap_w)
            for soak, absorber in zip(self.case.soaks, self.state.absorbed.absorbers, strict=True):
                soak.order(absorber.ordered_w)

    def snapshot(self) -> Snapshot:
        """What the meters and registers say now."""
        now, readings = self.now_s, {}
        readings[self.spec.grid_power.point] = _metered(self.meter, now)
        for meter in self.spec.load_meters:
            readings[meter.point] = _metered(self.load_meter, now)
        if self.spec.frequency is not None and self.frequency_known:
            readings[self.spec.frequency] = _good(self.frequency_hz, now)
        for spec, battery in zip(self.spec.batteries, self.batteries, strict=True):
            _battery_readings(readings, spec, battery, now)
        for absorber, soak in zip(self.spec.absorbers, self.case.soaks, strict=True):
            readings[absorber.power] = _good(soak.power_w, now)
        for tier, power_w, shedder in zip(self.spec.tiers, self._tier_w, self.shedders, strict=True):
            readings[tier.power] = _good(power_w * shedder.reports, now)
        return freeze(self.cycle, now, now, readings)

    def _plant(self, base_w: list[float], job_w: list[float]) -> None:
        load = grid = battery_w = shed = 0.0
        for base, job in zip(base_w, job_w, strict=True):
            self.now_s += STEP_S
            given = sum([b.step(self.now_s) for b in self.batteries])
            taken = 0.0
            for i, shedder in enumerate(self.shedders):
                off, self._tier_w[i] = shedder.step(job, self.now_s)
                taken += off
            power = base + job - taken + sum([s.step() for s in self.case.soaks])
            self.meter.see(power - given)
            self.load_meter.see(power)
            load += base + job
            grid += power - given
            battery_w += given
            shed += taken
        energy = sum([b.energy_wh for b in self.batteries])
        reference = self.state.reference
        self._rows.append((load / STEPS, grid / STEPS, battery_w / STEPS, energy, shed / STEPS,
                           math.nan if reference is None else reference.reference_w))
        self._tiers.append(tuple(t.engaged for t in self.state.shed.tiers))


def bounds_of(case: Case) -> Bounds:
    """What the case's site can do."""
    spec = case.spec
    capacity = [(b.capacity_wh, b.soc_min_percent, b.soc_max_percent) for b in spec.batteries]
    return Bounds(
        spec.ramp_limit_w_per_min, spec.import_limit_w, sum(b.discharge_rating_w for b in spec.batteries),
        sum(b.charge_rating_w for b in spec.batteries), sum(c * low / 100 for c, low, _ in capacity),
        sum(c * high / 100 for c, _, high in capacity), min((b.charge_efficiency for b in spec.batteries), default=1.0),
        min((b.discharge_efficiency for b in spec.batteries), default=1.0),
        float(case.job_w.max()) * sum(s.share * (1 - s.floor_share) for s in case.shedders))


def _good(value: float, now_s: float) -> Reading:
    return Reading(value, Quality.GOOD, Reason.NONE, 0.0, now_s)


def _metered(meter: Meter, now_s: float) -> Reading:
    """As the field would hand it over: what is no number, or beyond what any site draws, is BAD."""
    age_s = now_s - meter.received_s
    value = meter.shown_w
    if not math.isfinite(value) or abs(value) > 1e15:
        return Reading(math.nan, Quality.BAD, Reason.NOT_A_NUMBER if math.isnan(value) else Reason.SENTINEL, age_s,
                       meter.received_s)
    return Reading(value, Quality.GOOD, Reason.NONE, age_s, meter.received_s, meter.unchanged)


def _battery_readings(readings: dict[int, Reading], spec: BatteryControl, battery: Battery, now_s: float) -> None:
    limit = battery.derated if battery.available else 0.0
    readings[spec.soc.point] = _good(battery.shown_soc, now_s)
    readings[spec.power.point] = _good(battery.power_w, now_s)
    readings[spec.setpoint] = _good(battery.power_w, now_s)
    for point, value in ((spec.charge_limit, battery.charge_w * limit),
                         (spec.discharge_limit, battery.discharge_w * limit),
                         (spec.state, 1.0 if battery.available else 0.0),
                         (spec.temperature, battery.temperature_c)):
        if point is not None:
            readings[point] = _good(value, now_s)
