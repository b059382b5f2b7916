"""What a site must live through, by number: loads, faults and orders, each on the reference site of 100 MW.

A scenario makes a case from a seed, the rhythm of the training job and the delay of the loop. Where no controller can
serve a case with these batteries, it says so, and why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from pswd_edge.control.rules import law
from pswd_edge.model.command import Mode
from pswd_edge.model.control import BatteryControl, ControlSpec, Tier
from pswd_edge.planning import traces
from pswd_edge.planning.run import Series
from pswd_edge.planning.traces import STEP_S
from pswd_edge.replay.loop import Case, Event, Loop
from pswd_edge.replay.plant import Battery, Meter, Shedder
from pswd_edge.replay.site import BASE_W, CEILING_W, JOB_W, MW, battery, reference_spec, tier

F0_HZ = (0.3, 0.5, 1.0, 1.5)
DELAYS_S = (0.25, 0.45)
ELSEWHERE = {
    20: "late answers: tests/field/drivers, Modbus links and fuzz",
    22: "clock steps: tests/control/test_cycle.py, tests/control/test_desk.py",
    28: "replayed, doubled, expired commands: tests/control/test_desk.py, test_requests.py",
    38: "broker away: tests/gateway/uplink",
    39: "clients that do not read: tests/gateway",
    40: "reload in mid-event: tests/test_reload.py",
    42: "the adversary: bench control, adversarial cycles",
    43: "counters that roll over: tests/field, no rule reads one",
}
"""Numbers that are about input and output, and where they are tested."""


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
    undisturbed, so that amplification means something; None: never. `single`: one event.
    """

    number: int
    name: str
    build: Callable[[Draw], Case]
    judged: bool = False
    steady_from_s: float | None = None
    single: bool = False


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


FOREVER = 1e9


def _steady(draw: Draw) -> Case:
    make = Maker(draw, 0)
    return make.case("steady training", make.job([(20.0, FOREVER)]), soc=0.9)


def _step_up(draw: Draw) -> Case:
    make = Maker(draw, 1)
    return make.case("step up from idle", make.job([(60.0, FOREVER)]), soc=0.95)


def _abort(draw: Draw) -> Case:
    make = Maker(draw, 2)
    return make.case("abort from full load", make.job([(0.0, 120.0)]), soc=0.1)


def _abort_in_ramp(draw: Draw) -> Case:
    make = Maker(draw, 3)
    return make.case("abort while the reference climbs", make.job([(40.0, 120.0)]), soc=0.95)


def _restart(draw: Draw) -> Case:
    make = Maker(draw, 4)
    return make.case("restart a second after an abort", make.job([(40.0, 150.0), (151.0, FOREVER)]), soc=0.95)


def _dips(draw: Draw) -> Case:
    make = Maker(draw, 5)
    dips = [(90.0, 95.0, 0.45), (130.0, 145.0, 0.45), (190.0, 250.0, 0.4)]
    return make.case("checkpoints of 5, 15 and 60 s", make.job([(40.0, FOREVER)], dips), soc=0.95)


def _two_jobs(draw: Draw) -> Case:
    make = Maker(draw, 6)
    half = draw.seconds / 2
    together = make.job([(40.0, half)], power_w=JOB_W)
    first = make.job([(half, FOREVER)], power_w=JOB_W / 2)
    other = traces.pulses(make.rng, draw.seconds, draw.f0_hz * 1.13)
    second = JOB_W / 2 * traces.scheduled(other, [(half, FOREVER)])
    before = np.arange(len(together)) * STEP_S < half
    return make.case("two jobs, in step and then beating", np.where(before, together, first + second), soc=0.95)


def _sweep(draw: Draw) -> Case:
    make = Maker(draw, 7)
    count = round(draw.seconds / STEP_S)
    sweep = np.geomspace(0.05, 5.0, count)
    running = traces.pulses(make.rng, draw.seconds, sweep, jitter=0.0)
    return make.case("rhythm from 0.05 to 5 Hz", JOB_W * traces.scheduled(running, [(20.0, FOREVER)]), soc=0.95)


def _drift(draw: Draw) -> Case:
    make = Maker(draw, 8)
    count = round(draw.seconds / STEP_S)
    wander = traces.smoothed(make.rng.normal(0.0, 8.0, count), 30.0)
    running = traces.pulses(make.rng, draw.seconds, draw.f0_hz * np.clip(1 + wander, 0.6, 1.6))
    return make.case("rhythm that drifts", JOB_W * traces.scheduled(running, [(20.0, FOREVER)]), soc=0.95)


def _sawtooth(draw: Draw) -> Case:
    make = Maker(draw, 9)
    time_s = np.arange(round(draw.seconds / STEP_S)) * STEP_S
    rise = make.spec.ramp_limit_w_per_min / 60 * (1 + 0.02 * make.rng.uniform(-1, 1))
    phase = np.mod(time_s, 240.0)
    return make.case("sawtooth at the ramp limit", 0.1 * JOB_W + rise * np.minimum(phase, 239.0), soc=0.6)


def _steps_in_ramp(draw: Draw) -> Case:
    make = Maker(draw, 10)
    first = make.job([(40.0, FOREVER)], power_w=0.6 * JOB_W)
    second = make.job([(80.0, 140.0), (200.0, FOREVER)], power_w=0.4 * JOB_W)
    return make.case("steps with and against a climbing reference", first + second, soc=0.5)


def _edges(draw: Draw) -> Case:
    make = Maker(draw, 11)
    low = draw.seed % 2 == 0
    job = make.job([(40.0, FOREVER)] if low else [(0.0, 60.0)])
    return make.case("batteries at the edge of their window", job, soc=0.0 if low else 1.0, viable=False,
                     why="the batteries begin empty before a start, or full before an abort")


def _outside_range(draw: Draw) -> Case:
    make = Maker(draw, 12)
    make.spec = replace(make.spec, load_ceiling_w=0.75 * CEILING_W, load_floor_w=35 * MW)
    return make.case("load outside the promised range", make.job([(40.0, 200.0)]), soc=0.9)


def _ceiling_lowered(draw: Draw) -> Case:
    make = Maker(draw, 13)

    def lower(loop: Loop) -> None:
        loop.orders = loop.orders._replace(ceiling_w=70 * MW)

    return make.case("ceiling lowered below the load", make.job([(40.0, FOREVER)]), soc=0.95, events=[(120.0, lower)])


def _undersized(draw: Draw) -> Case:
    make = Maker(draw, 14)
    make.spec = replace(make.spec, batteries=(battery(0, 4 * MW, 100 * MW),), tiers=_tiers())
    return make.case("half the battery that is needed", make.job([(40.0, FOREVER)]), soc=0.95,
                     shedders=_shedders(), viable=False, why="3.2 MWh of 6.5 that any load in the range needs")


def _derated(draw: Draw) -> Case:
    make = Maker(draw, 15)
    make.spec = replace(make.spec, batteries=(battery(0, 10 * MW, 100 * MW, charge_rating_w=80 * MW),), tiers=_tiers())

    def hot(loop: Loop) -> None:
        loop.batteries[0].derated = 0.5

    case = make.case("uneven ratings, derated in mid-ramp", make.job([(40.0, FOREVER)]), soc=0.95,
                     events=[(90.0, hot)], shedders=_shedders(), viable=False,
                     why="from 90 s on the batteries give 50 MW where 60 are asked")
    case.batteries[0].charge_w = 80 * MW
    return case


def _two_batteries() -> tuple[BatteryControl, ...]:
    return battery(0, 10 * MW, 70 * MW), battery(1, 10 * MW, 70 * MW)


def _limit_flips(draw: Draw) -> Case:
    make = Maker(draw, 16)
    make.spec = replace(make.spec, batteries=_two_batteries())

    def flip(share: float) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.batteries[0].derated = share
        return event

    return make.case("a battery's own limit falls to 0", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(140.0, flip(0.0)), (200.0, flip(1.0))])


def _meter_faults(draw: Draw) -> Case:
    make = Maker(draw, 17)
    names = ("frozen", "nan", "sentinel", "sign", "kilo", "words")

    def fault(name: str) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.meter.fault = name
        return event

    events = [(60.0 + 30 * i, fault(n)) for i, n in enumerate(names)]
    events += [(70.0 + 30 * i, fault("")) for i in range(len(names))]
    return make.case("the grid meter lies in six ways", make.job([(40.0, FOREVER)]), soc=0.95, events=events)


def _meter_stale(draw: Draw) -> Case:
    make = Maker(draw, 18)

    def fault(name: str, *, both: bool = False) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.meter.fault = name
            loop.load_meter.fault = name if both else ""
        return event

    pauses = [(100.0, 0.4, False), (120.0, 0.6, False), (140.0, 5.0, False), (199.0, 1.5, True)]
    events = [e for at, length, both in pauses for e in ((at, fault("stale", both=both)), (at + length, fault("")))]
    return make.case("the grid meter is silent, then a step", make.job([(40.0, 200.0)]), soc=0.7, events=events)


def _slow_meter(draw: Draw) -> Case:
    make = Maker(replace_delay(draw, 1.25), 19)
    make.spec = replace(make.spec, grid_power=replace(make.spec.grid_power, max_age_ms=1500, latency_ms=500.0))
    batteries = [store(battery(0, 13 * MW, 100 * MW), 0.25, 0.95)]
    make.spec = replace(make.spec, batteries=(battery(0, 13 * MW, 100 * MW),))
    return make.case("a meter that renews once a second", make.job([(40.0, FOREVER)], [(140.0, 155.0, 0.45)]),
                     batteries=batteries, meter=Meter(1.0, 1.0))


def replace_delay(draw: Draw, delay_s: float) -> Draw:
    """The same draw with another delay."""
    return Draw(draw.seed, draw.f0_hz, delay_s, draw.seconds, draw.predicts)


def _skew(draw: Draw) -> Case:
    make = Maker(draw, 21)
    late = 0.3 if draw.seed % 2 else 0.0
    case = make.case("meter and battery 300 ms apart", make.job([(40.0, 200.0)]), soc=0.95, meter=Meter(late_s=late))
    if not late:
        case.batteries[0].delay_s += 0.3
    return case


def _overruns(draw: Draw) -> Case:
    make = Maker(draw, 23)

    def pause(cycles: int) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.skip_cycles = cycles
        return event

    return make.case("cycles that come too late", make.job([(40.0, 200.0)]), soc=0.95,
                     events=[(39.9, pause(5)), (80.0, pause(2)), (120.0, pause(5)), (199.8, pause(5))])


def _follows(draw: Draw) -> Case:
    make = Maker(draw, 24)
    make.spec = replace(make.spec, batteries=_two_batteries())

    def follow(how: str) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.batteries[0].follows = how
        return event

    return make.case("a battery that does not follow", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(80.0, follow("slow")), (140.0, follow("oscillates")), (180.0, follow("ignores")),
                             (240.0, follow("ok"))], viable=False,
                     why="what a converter does on its own is on the grid before anybody can see it")


def _silent(draw: Draw) -> Case:
    make = Maker(draw, 25)
    make.spec = replace(make.spec, batteries=_two_batteries())

    def listens(*, yes: bool) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.batteries[0].listens = yes
        return event

    return make.case("set-points that do not arrive", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(120.0, listens(yes=False)), (180.0, listens(yes=True))])


def _local(draw: Draw) -> Case:
    make = Maker(draw, 26)
    make.spec = replace(make.spec, batteries=_two_batteries())

    def local(*, on: bool) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.batteries[1].available = not on
        return event

    return make.case("a battery in LOCAL", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(140.0, local(on=True)), (200.0, local(on=False))])


def _contradictions(draw: Draw) -> Case:
    make = Maker(draw, 27)

    def ask(**orders: object) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.orders = loop.orders._replace(**orders)  # type: ignore[arg-type]
        return event

    return make.case("requests against limits", make.job([(40.0, FOREVER)]), soc=0.5, viable=False,
                     why="a request holds the batteries where the law would not",
                     events=[(60.0, ask(target_w=90 * MW)), (110.0, ask(target_w=-90 * MW)),
                             (160.0, ask(target_w=50 * MW, import_limit_w=60 * MW)),
                             (220.0, ask(target_w=None, import_limit_w=None))])


def _mode_flapping(draw: Draw) -> Case:
    make = Maker(draw, 29)

    def flap(loop: Loop) -> None:
        manual = loop.orders.mode is Mode.AUTO
        loop.orders = loop.orders._replace(mode=Mode.MANUAL if manual else Mode.AUTO,
                                           manual_w=loop.state.battery_w if manual else None)

    return make.case("manual and automatic in turns", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(100.0 + k / 10, flap) for k in range(100)])


def _tiers() -> tuple[Tier, ...]:
    return tuple(tier(i, 20 * MW) for i in range(4))


def _shedders(**changes: object) -> list[Shedder]:
    return [Shedder(0.2, 0.1, **(changes if i == 0 else {})) for i in range(4)]  # type: ignore[arg-type]


def _bad_tiers(draw: Draw) -> Case:
    make = Maker(draw, 30)
    make.spec = replace(make.spec, batteries=(battery(0, 5 * MW, 25 * MW),), tiers=_tiers())
    kinds: list[dict[str, object]] = [{"reports": 2.0}, {"reports": 0.5}, {"sticks": "on"}, {"sticks": "off"}]
    return make.case("tiers that are not what they say", make.job([(40.0, FOREVER)]), soc=0.6,
                     shedders=_shedders(**kinds[draw.seed % 4]), viable=False, why="25 MW of battery for a step of 78")


def _threshold(draw: Draw) -> Case:
    make = Maker(draw, 31)
    make.spec = replace(make.spec, batteries=(battery(0, 6 * MW, 25 * MW),), tiers=_tiers())
    dips = [(60.0 + 12 * k, 66.0 + 12 * k, 0.7) for k in range(18)]
    return make.case("a load that swings around the need to shed", make.job([(40.0, FOREVER)], dips), soc=0.6,
                     shedders=_shedders(), viable=False, why="25 MW of battery for a step of 78")


def _pickup(draw: Draw) -> Case:
    make = Maker(draw, 32)
    make.spec = replace(make.spec, batteries=(battery(0, 6 * MW, 25 * MW),), tiers=_tiers())
    shedders = [Shedder(0.2, 0.1, pickup=1.5) for _ in range(4)]
    return make.case("loads that come back with half as much again", make.job([(40.0, FOREVER)]), soc=0.7,
                     shedders=shedders, viable=False, why="25 MW of battery for a step of 78")


def _unequal(draw: Draw) -> Case:
    make = Maker(draw, 33)
    make.spec = replace(make.spec, batteries=tuple(battery(i, 5 * MW, 40 * MW) for i in range(4)))
    batteries = [store(b, draw.delay_s, soc) for b, soc in zip(make.spec.batteries, (0.95, 0.8, 0.6, 0.4), strict=True)]

    def lose(loop: Loop) -> None:
        loop.batteries[0].available = False

    return make.case("four batteries of unequal charge, one is lost", make.job([(40.0, FOREVER)]),
                     batteries=batteries, events=[(150.0, lose)])


def _import_lowered(draw: Draw) -> Case:
    make = Maker(draw, 34)
    make.spec = replace(make.spec, batteries=(battery(0, 10 * MW, 60 * MW),), tiers=_tiers())

    def curtail(loop: Loop) -> None:
        loop.orders = loop.orders._replace(import_limit_w=40 * MW)

    return make.case("import limit lowered below what batteries can hold", make.job([(0.0, FOREVER)]), soc=0.6,
                     shedders=_shedders(), events=[(100.0, curtail)], viable=False,
                     why="the limit falls by 60 MW at once: loads must go")


def _ramp_changed(draw: Draw) -> Case:
    make = Maker(draw, 35)

    def ramp(limit_w: float | None) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.orders = loop.orders._replace(ramp_w_per_min=limit_w)
        return event

    return make.case("ramp limit 10, 2, 10 MW/min", make.job([(40.0, 160.0)]), soc=0.95,
                     events=[(100.0, ramp(2 * MW)), (200.0, ramp(None))])


def _outage(draw: Draw) -> Case:
    make = Maker(draw, 36)
    job = make.job([(20.0, FOREVER)])
    time_s = np.arange(len(job)) * STEP_S
    dark = (time_s >= 150.0) & (time_s < 180.0)
    case = make.case("the grid is gone for 30 s", np.where(dark, 0.0, job), soc=0.5, viable=False,
                     why="the load falls to nothing with the grid, and is back at once")
    case.base_w[dark] = 0.0
    return case


def _export(draw: Draw) -> Case:
    make = Maker(draw, 37)
    make.spec = replace(make.spec, export_limit_w=0.0)
    return make.case("abort under discharge, no export allowed", make.job([(40.0, 60.0)]), soc=0.95)


def _restarted(draw: Draw) -> Case:
    make = Maker(draw, 41)

    def restart(loop: Loop) -> None:
        loop.state = law.start(loop.spec)
        loop.orders = loop.orders._replace(mode=Mode.OBSERVE)

    def again(loop: Loop) -> None:
        loop.orders = loop.orders._replace(mode=Mode.AUTO)

    def keep(loop: Loop) -> None:
        loop.batteries[0].command(loop.batteries[0].power_w, loop.now_s)

    keeps: list[Event] = [(100.1 + k, keep) for k in range(5)]
    return make.case("control restarted in mid-ramp", make.job([(40.0, FOREVER)]), soc=0.95,
                     events=[(100.0, restart), *keeps, (105.0, again)])


def _reference(draw: Draw) -> Case:
    make = Maker(draw, REFERENCE)
    abort, restart, end = 0.55 * draw.seconds, 0.55 * draw.seconds + 60.0, 0.93 * draw.seconds
    return make.case("ref-100MW: start, checkpoint, abort, restart, abort",
                     make.job([(30.0, abort), (restart, end)], [(100.0, 115.0, 0.45)]), soc=0.95)


REFERENCE = 100               # beside the numbered ones: the run that the others are compared with

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(0, "steady training", _steady, judged=True, steady_from_s=150.0),
    Scenario(1, "step up from idle", _step_up, judged=True, single=True),
    Scenario(2, "abort from full load", _abort, judged=True, single=True),
    Scenario(3, "abort while the reference climbs", _abort_in_ramp, judged=True),
    Scenario(4, "restart a second after an abort", _restart, judged=True),
    Scenario(5, "checkpoints of 5, 15 and 60 s", _dips, judged=True),
    Scenario(6, "two jobs, in step and then beating", _two_jobs),
    Scenario(7, "rhythm from 0.05 to 5 Hz", _sweep),
    Scenario(8, "rhythm that drifts", _drift, steady_from_s=150.0),
    Scenario(9, "sawtooth at the ramp limit", _sawtooth),
    Scenario(10, "steps with and against a climbing reference", _steps_in_ramp, judged=True),
    Scenario(11, "batteries at the edge of their window", _edges),
    Scenario(12, "load outside the promised range", _outside_range),
    Scenario(13, "ceiling lowered below the load", _ceiling_lowered),
    Scenario(14, "half the battery that is needed", _undersized),
    Scenario(15, "uneven ratings, derated in mid-ramp", _derated),
    Scenario(16, "a battery's own limit falls to 0", _limit_flips),
    Scenario(17, "the grid meter lies in six ways", _meter_faults),
    Scenario(18, "the grid meter is silent, then a step", _meter_stale),
    Scenario(19, "a meter that renews once a second", _slow_meter),
    Scenario(21, "meter and battery 300 ms apart", _skew),
    Scenario(23, "cycles that come too late", _overruns),
    Scenario(24, "a battery that does not follow", _follows),
    Scenario(25, "set-points that do not arrive", _silent),
    Scenario(26, "a battery in LOCAL", _local),
    Scenario(27, "requests against limits", _contradictions),
    Scenario(29, "manual and automatic in turns", _mode_flapping),
    Scenario(30, "tiers that are not what they say", _bad_tiers),
    Scenario(31, "a load that swings around the need to shed", _threshold),
    Scenario(32, "loads that come back with half as much again", _pickup),
    Scenario(33, "four batteries of unequal charge, one is lost", _unequal),
    Scenario(34, "import limit lowered below what batteries can hold", _import_lowered),
    Scenario(35, "ramp limit 10, 2, 10 MW/min", _ramp_changed),
    Scenario(36, "the grid is gone for 30 s", _outage),
    Scenario(37, "abort under discharge, no export allowed", _export),
    Scenario(41, "control restarted in mid-ramp", _restarted),
    Scenario(REFERENCE, "ref-100MW: start, checkpoint, abort, restart, abort", _reference, judged=True),
)


def scenario(number: int) -> Scenario:
    """The scenario of a number. Raises KeyError."""
    return {s.number: s for s in SCENARIOS}[number]
