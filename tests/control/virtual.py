"""What the tests of control share: a small site of numbers, its snapshots, and the law against the simulated plant.

All on virtual time: no socket, no sleep, 100 ms a step.
"""

import math
from pathlib import Path

from msgspec.structs import replace

from pswd_edge.config import load_site
from pswd_edge.control.arbiter import Bound, Verdict
from pswd_edge.control.coordination import Coordination
from pswd_edge.control.rules import law
from pswd_edge.control.rules.allocate import Fleet
from pswd_edge.control.rules.reserve import Range
from pswd_edge.control.setpoints import Setpoints
from pswd_edge.model.command import Mode
from pswd_edge.model.control import BatteryControl, ControlSpec, Input, LoadController, Tier
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Reading, Snapshot, freeze
from pswd_edge.model.workload import Workload
from simulators.plant import Plant, PlantSpec, preroll
from simulators.scenario import demo_scenario
from simulators.score import Score
from simulators.servers.meanings import codes

ROOT = Path(__file__).parents[2]
FIRST_S = 1000.0              # of the virtual monotonic clock
MW = 1e6
MWH = 1e6
GRID, LOAD = 0, 1             # points of the small site
TIER_POINTS = {"t1": (50, 40), "t2": (51, 41), "t3": (52, 42)}  # what is written, what measures the tier


def battery_spec(number: int, rating_w: float = 60 * MW, capacity_wh: float = 15 * MWH, **changes) -> BatteryControl:
    """A battery of the small site; its points are 10 * number + 0..4."""
    first = 10 * number
    soc, power = Input(first), Input(first + 1)
    spec = BatteryControl(f"b{number}", number, soc, power, first + 2, capacity_wh, rating_w, rating_w)
    return replace(spec, **changes)


def tier_spec(name: str, **changes) -> Tier:
    """A tier that may go down to 0 W."""
    setpoint, power = TIER_POINTS[name]
    return replace(Tier(name, "cap", setpoint, power, 0.0, 25 * MW, actuation_s=2.0), **changes)


def small_spec(**changes) -> ControlSpec:
    """A 100 MW site: two batteries of 60 MW and 15 MWh, three tiers, a range of 20..98 MW, 6.6 MW/min."""
    spec = ControlSpec(
        period_ms=100, input_deadline_percent=60, start_mode="auto", auto_after_s=5.0, grid_power=Input(GRID),
        load_meters=(Input(LOAD),), frequency=None, ramp_limit_w_per_min=10 * MW, ramp_up_w_per_s=0.11 * MW,
        ramp_down_w_per_s=0.11 * MW, import_limit_w=120 * MW, load_floor_w=20 * MW, load_ceiling_w=98 * MW,
        load_maximum_w=120 * MW, delay_s=0.25, filter_hz=0.15, frozen_after=20,
        batteries=(battery_spec(1), battery_spec(2)), tiers=tuple(tier_spec(n) for n in TIER_POINTS),
        load_controllers=tuple(LoadController(f"r{i}", 5, 60 + i, 65 + i, 25 * MW) for i in range(4)),
        cooling_rating_w=110 * MW)
    return replace(spec, **changes)


def good(value: float, at_s: float, now_s: float | None = None, unchanged: int = 0) -> Reading:
    """A GOOD reading that was answered at `at_s`."""
    return Reading(value, Quality.GOOD, Reason.NONE, (at_s if now_s is None else now_s) - at_s, at_s, unchanged)


def bad(reason: Reason = Reason.UNREACHABLE) -> Reading:
    """A BAD reading: its value is NaN."""
    return Reading(math.nan, Quality.BAD, reason, 0.0, 0.0)


class World:
    """The small site, with exact actuation: what is ordered in one cycle is measured in the next."""

    def __init__(self, spec: ControlSpec, load_w: float, soc_percent: float = 60.0) -> None:
        self.spec, self.load_w, self.time_s = spec, load_w, FIRST_S
        self.power_w = dict.fromkeys((b.id for b in spec.batteries), 0.0)
        self.soc_percent = dict.fromkeys((b.id for b in spec.batteries), soc_percent)
        self.tier_w = dict.fromkeys((t.id for t in spec.tiers), 0.0)
        self.override: dict[int, Reading] = {}
        self.lost: set[str] = set()
        self.state = law.start(spec)
        self.ceiling_w = spec.load_ceiling_w
        self.cycles = 0

    @property
    def battery_w(self) -> float:
        return sum(self.power_w.values())

    @property
    def grid_w(self) -> float:
        return self.load_w - self.battery_w

    def snapshot(self) -> Snapshot:
        now = self.time_s
        self.power_w.update(dict.fromkeys(self.lost, 0.0))
        readings = {GRID: good(self.grid_w, now), LOAD: good(self.load_w, now)}
        for b in self.spec.batteries:
            readings[b.soc.point] = bad(Reason.DEVICE) if b.id in self.lost else good(self.soc_percent[b.id], now)
            readings[b.power.point] = good(self.power_w[b.id], now)
            readings[b.setpoint] = good(self.power_w[b.id], now)
        for t in self.spec.tiers:
            readings[t.power] = good(self.tier_w[t.id], now)
        return freeze(self.cycles, now, now, readings | self.override)

    def step(self, mode: Mode = Mode.AUTO, dt_s: float = 0.1, **orders) -> law.Decision:
        """One cycle of the law; the batteries then give exactly what it ordered."""
        asked = law.Orders(mode, orders.pop("ceiling_w", self.ceiling_w), **orders)
        self.state, decision = law.cycle(self.spec, self.state, self.snapshot(), asked, dt_s)
        if decision.acts:
            self.power_w = {b.id: decision.shares.get(b.id, 0.0) for b in self.spec.batteries}
        for b in self.spec.batteries:
            power = self.power_w[b.id]
            drawn = power / b.discharge_efficiency if power > 0 else power * b.charge_efficiency
            self.soc_percent[b.id] -= 100 * drawn * 0.1 / 3600 / b.capacity_wh
        self.time_s += 0.1
        self.cycles += 1
        return decision

    def run(self, cycles: int, mode: Mode = Mode.AUTO, **orders) -> list[law.Decision]:
        return [self.step(mode, **orders) for _ in range(cycles)]


def limits(**changes) -> Range:
    """20..98 MW, 6.6 MW/min both ways, fresh energy, 96 %."""
    return Range(20 * MW, 98 * MW, 0.1, 0.11 * MW, 0.11 * MW, 0.0, 0.96, 0.96)._replace(**changes)


def fleet(above_wh: float, below_wh: float, power_w: float = 100 * MW) -> Fleet:
    """Batteries as one, nothing but their numbers."""
    return Fleet((), above_wh, below_wh, above_wh, power_w, power_w, power_w, power_w)


def low_pass(filtered_w: float, load_w: float, filter_hz: float, dt_s: float = 0.1) -> float:
    """The default feed-forward, written down a second time."""
    return filtered_w + (1 - math.exp(-2 * math.pi * filter_hz * dt_s)) * (load_w - filtered_w)


def demo_site(*, require_commissioning: bool = False) -> Site:
    """The demo's site; its simulated actuators need no commissioning unless a test is about that."""
    site = load_site(ROOT / "config" / "demo.yaml", {})
    return replace(site, control=replace(site.control, require_commissioning=require_commissioning))


class Loop:
    """`law` is the product's own; the plant steps at 10 ms in between."""

    def __init__(self, site: Site, seed: int = 1, *, mode: Mode = Mode.AUTO, plant: Plant | None = None) -> None:
        self.site, self.spec = site, site.control
        self.plant = plant or Plant(PlantSpec(), seed)
        self.score = Score()
        self.scenario = demo_scenario(seed)
        self.decisions: list[law.Decision] = []
        self.verdicts: list[Verdict] = []
        self.bounds: list[Bound] = []
        self.ever_engaged: set[str] = set()
        self.cycle = 0
        self.target_w: float | None = None
        self.override: dict[int, Reading] = {}
        self.workloads: tuple[Workload, ...] = ()
        self.reset = False
        self.restart(mode)
        preroll(self.plant, 60.0, observe=self.score.observe)

    def restart(self, mode: Mode) -> None:
        """A new control process: it remembers nothing."""
        self.state, self.setpoints, self.mode = law.start(self.spec), Setpoints(self.site), mode
        self.thermal = Coordination(self.site)

    def plant_battery_w(self) -> float:
        """What the batteries really give."""
        return sum(self.plant.signals(b.id)["power_w"] for b in self.spec.batteries)

    def verdict_of(self, point: int) -> Verdict:
        """The last cycle's verdict of a point."""
        return next(v for v in self.verdicts if v.point == point)

    def snapshot(self) -> Snapshot:
        now = FIRST_S + self.plant.time_s
        readings = {}
        for device in self.site.devices:
            signals = self.plant.signals(device.id)
            for p in self.site.points[device.first_point : device.first_point + device.point_count]:
                if p.signal in signals:
                    known = codes(device.kind, p)
                    value = float(known.get(int(signals[p.signal]), signals[p.signal])) if known else signals[p.signal]
                    readings[p.index] = Reading(value, Quality.GOOD, Reason.NONE, 0.002, now - 0.002)
        readings.update(self.override)
        return freeze(self.cycle, now, now, readings)

    def step(self) -> law.Decision:
        self.cycle += 1
        orders = law.Orders(self.mode, self.spec.load_ceiling_w, self.target_w)
        snapshot = self.snapshot()
        self.state, decision = law.cycle(self.spec, self.state, snapshot, orders, 0.1)
        self.thermal.step(snapshot, self.mode, self.workloads, [], 0.1, reset=self.reset)
        verdicts = self.setpoints.compose(decision, self.state, snapshot, self.mode, self.thermal.candidates(),
                                          [*self.bounds, *self.thermal.bounds()])
        self.verdicts = verdicts
        self.ever_engaged |= {t.id for t, s in zip(self.spec.tiers, self.state.shed.tiers, strict=True) if s.engaged}
        for v in verdicts:
            point = self.site.points[v.point]
            device = self.site.devices[point.device]
            if v.value is not None and point.signal in self.plant.signals(device.id):
                back = {code: number for number, code in codes(device.kind, point).items()}
                self.plant.write(device.id, point.signal, float(back.get(int(v.value), v.value)) if back else v.value)
        for _ in range(10):
            self.scenario.advance(self.plant)
            self.plant.step(0.01)
            self.score.observe(self.plant)
        return decision

    def run(self, seconds: float, *, start: bool = True) -> None:
        if start:
            self.scenario.start(self.plant.time_s)
            self.score.start()
        for _ in range(round(seconds * 10)):
            self.decisions.append(self.step())
