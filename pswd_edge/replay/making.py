"""What scenarios are made of: the draw of a case, and the maker that has what most cases share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from pswd_edge.model.control import BatteryControl, ControlSpec, Tier
from pswd_edge.planning import traces
from pswd_edge.planning.run import Series
from pswd_edge.replay.loop import Case, Event
from pswd_edge.replay.plant import Battery, Shedder
from pswd_edge.replay.site import BASE_W, JOB_W, MW, battery, reference_spec, tier

FOREVER = 1e9
REFERENCE = 100               # beside the numbered scenarios: the run that the others are compared with


@dataclass(frozen=True)
class Draw:
    """What a case is made from."""

    seed: int
    f0_hz: float
    delay_s: float
    seconds: float
    predicts: bool = False

    def rng(self, number: int) -> np.random.Generator:
        """Loads of one scenario and seed are the same whatever the law is."""
        return np.random.default_rng([self.seed, number, round(self.f0_hz * 100)])


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    `judged`: its ramps count, so it is run at each rhythm and delay. `steady_from_s`: from when on the job trains
    undisturbed, so that amplification means something; None: never.
    """

    number: int
    name: str
    build: Callable[[Draw], Case]
    judged: bool = False
    steady_from_s: float | None = None


@dataclass
class Maker:
    """The parts of a case, with what most scenarios share."""

    draw: Draw
    number: int
    spec: ControlSpec = field(init=False)

    def __post_init__(self) -> None:
        self.rng = self.draw.rng(self.number)
        self.spec = replace(reference_spec(self.draw.delay_s), predicts=self.draw.predicts)

    def job(self, on: Sequence[tuple[float, float]], dips: Sequence[tuple[float, float, float]] = (),
            power_w: float = JOB_W) -> Series:
        """A training job's power."""
        running = traces.pulses(self.rng, self.draw.seconds, self.draw.f0_hz)
        return power_w * traces.scheduled(running, list(on), list(dips))

    def case(self, name: str, job_w: Series, soc: float = 0.6, batteries: list[Battery] | None = None,
             events: Sequence[Event] = (), **others: object) -> Case:
        """A case of the spec as it is now; every battery starts at `soc` of its window."""
        stores = [store(b, self.draw.delay_s, soc) for b in self.spec.batteries] if batteries is None else batteries
        return Case(name, self.spec, np.full(len(job_w), BASE_W), job_w, stores, events=list(events),
                    **others)  # type: ignore[arg-type]


def store(spec: BatteryControl, delay_s: float, soc: float) -> Battery:
    """The battery behind a specification; `soc` is a share of its window. The loop's delay is the converter's."""
    low, high = spec.soc_min_percent / 100, spec.soc_max_percent / 100
    return Battery(spec.capacity_wh, spec.discharge_rating_w, spec.charge_rating_w,
                   spec.capacity_wh * (low + soc * (high - low)), delay_s=delay_s - 0.15,
                   efficiency=spec.discharge_efficiency)


def two_batteries() -> tuple[BatteryControl, ...]:
    """Two of 70 MW and 10 MWh."""
    return battery(0, 10 * MW, 70 * MW), battery(1, 10 * MW, 70 * MW)


def tiers() -> tuple[Tier, ...]:
    """Four caps of 20 MW each."""
    return tuple(tier(i, 20 * MW) for i in range(4))


def shedders(**changes: object) -> list[Shedder]:
    """What the four caps act on; `changes` are of the first."""
    return [Shedder(0.2, 0.1, **(changes if i == 0 else {})) for i in range(4)]  # type: ignore[arg-type]


def replace_delay(draw: Draw, delay_s: float) -> Draw:
    """The same draw with another delay."""
    return Draw(draw.seed, draw.f0_hz, delay_s, draw.seconds, draw.predicts)
