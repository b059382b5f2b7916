"""The control rules against the simulated plant on virtual time: no socket, no sleep, 100 ms a step."""

from pathlib import Path

from pswd_edge.config import load_site
from pswd_edge.control.rules import law
from pswd_edge.control.setpoints import Setpoints
from pswd_edge.model.command import Mode
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Reading, freeze
from simulators.plant import Plant, PlantSpec, preroll
from simulators.scenario import demo_scenario
from simulators.score import Score
from simulators.servers.meanings import codes

ROOT = Path(__file__).parents[2]
FIRST_S = 1000.0              # of the virtual monotonic clock


def demo_site() -> Site:
    return load_site(ROOT / "config" / "demo.yaml", {})


class Loop:
    """`law` is the product's own; the plant steps at 10 ms in between."""

    def __init__(self, site: Site, seed: int = 1, *, mode: Mode = Mode.AUTO, plant: Plant | None = None) -> None:
        self.site, self.spec = site, site.control
        self.plant = plant or Plant(PlantSpec(), seed)
        self.score = Score()
        self.scenario = demo_scenario(seed)
        self.state = law.start(site.control)
        self.mode = mode
        self.setpoints = Setpoints(site)
        self.decisions: list[law.Decision] = []
        self.verdicts = []
        self.cycle = 0
        self.target_w: float | None = None
        self.points = [p for p in site.points if p.readable]
        self.override: dict[int, Reading] = {}
        preroll(self.plant, 60.0, observe=self.score.observe)

    def snapshot(self):
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
        verdicts = self.setpoints.compose(decision, self.state, snapshot, self.mode, [], [])
        self.verdicts = verdicts
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
