"""An hour of bad operations: everything changes every few seconds, and every cycle is looked at.

Loads of all kinds, also outside the promised range; meters and batteries that fail in each known way; limits, modes,
targets and hints that contradict each other; cycles that are missed; restarts in the middle. The rules are the real
ones, on the plant of numbers. Counted is what must never be, whatever comes.
"""

import math
import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from pswd_edge.control.rules import law
from pswd_edge.control.rules.reference import INSUFFICIENT
from pswd_edge.model.command import Mode
from pswd_edge.model.control import BatteryControl
from pswd_edge.planning.run import Series
from pswd_edge.planning.traces import STEP_S
from pswd_edge.replay.loop import Case, Loop
from pswd_edge.replay.making import shedders, store, tiers, two_batteries
from pswd_edge.replay.plant import Battery
from pswd_edge.replay.site import BASE_W, MW, reference_spec

EVENT_S = 3.0                 # from one to the next, in the mean
PAUSE_MAX = 6                 # cycles that are missed at once
LATE_S = 1.0                  # delay, lag and missed cycles together: so long a battery may still do the last thing
_MARGIN_W = 1.0
_LED = frozenset({"target", "budget", "ramp_up", "ramp_down", "reserve_up", "reserve_down"})
_METER_FAULTS = ("", "", "", "stale", "frozen", "nan", "sentinel", "sign", "kilo", "words")


@dataclass
class Operations:
    """Cycles, events, and what must not be, counted by kind; `first` tells of the first of each kind.

    Kinds: "exception"; "nan"; "rating" (a battery commanded beyond nameplate or BMS limit); "energy" (a healthy battery
    outside its window by more than it can move in `LATE_S`); "ramp" (the reference moved by more than its step while
    nothing but ramp, target or reserve bound it); "sum" (shares are not the command); "unexplained" (a command with no
    reason); "dwell" (a tier engaged or given back before its least time).
    """

    cycles: int = 0
    events: int = 0
    restarts: int = 0
    led: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    @property
    def violations(self) -> int:
        """Of all kinds together."""
        return self.kinds.total()

    def note(self, kind: str, text: str) -> None:
        """Count one."""
        self.kinds[kind] += 1
        self.first.setdefault(kind, text)

    def add(self, other: "Operations") -> None:
        """Count another run."""
        self.cycles += other.cycles
        self.events += other.events
        self.restarts += other.restarts
        self.led += other.led
        self.kinds.update(other.kinds)
        self.first = other.first | self.first


class Watched(Loop):
    """A loop that is looked at in every cycle, and disturbed between them."""

    def __init__(self, case: Case, rng: random.Random) -> None:
        super().__init__(case)
        self.rng, self.result = rng, Operations()
        self._next_s = self.now_s + EVENT_S
        self._healthy = [True] * len(self.batteries)
        self._since_s = [-math.inf] * len(self.shedders)
        self._before: law.Decision | None = None

    def _decide(self) -> None:
        if self.now_s >= self._next_s:
            self._next_s = self.now_s + self.rng.expovariate(1 / EVENT_S)
            self.result.events += 1
            self.rng.choice((_load_meter, _grid_meter, _battery, _limits, _limits, _mode, _wish, _pause, _restart,
                             _tier))(self)
        dt_s = self.spec.period_ms / 1000 * (1 + self._missed)
        before, self._before = self.state, self.decision
        self.result.cycles += 1
        try:
            super()._decide()
        except Exception as error:  # noqa: BLE001  # whatever it is: it is counted, and the process begins anew
            self.result.note("exception", f"{self.now_s:.1f} s: {error!r}")
            self.restart()
            return
        assert self.decision is not None
        self._commands(self.decision)
        self._energy()
        self._ramp(before, self.decision, dt_s)
        self._dwell(before)

    def restart(self) -> None:
        """A new process: it remembers nothing."""
        self.result.restarts += 1
        self.state, self.decision = law.start(self.spec), None
        self._since_s = [-math.inf] * len(self.shedders)

    def _note(self, kind: str, what: object) -> None:
        self.result.note(kind, f"{self.now_s:.1f} s: {what}")

    def _commands(self, made: law.Decision) -> None:
        if not all(map(math.isfinite, (made.battery_w, *made.shares.values()))):
            self._note("nan", made)
        if not made.binding:
            self._note("unexplained", made)
        if not made.acts:
            return
        if abs(sum(made.shares.values()) - made.battery_w) > _MARGIN_W:
            self._note("sum", (made.battery_w, made.shares))
        for spec, real in zip(self.spec.batteries, self.batteries, strict=True):
            share = real.derated if real.available else 0.0
            power_w = made.shares.get(spec.id, 0.0)
            if not -spec.charge_rating_w * share - _MARGIN_W <= power_w <= spec.discharge_rating_w * share + _MARGIN_W:
                self._note("rating", (spec.id, power_w, share))

    def _energy(self) -> None:
        """A battery that does not do what it is told is out of the count until it has come back into its window."""
        for i, (spec, real) in enumerate(zip(self.spec.batteries, self.batteries, strict=True)):
            low, high = window_wh(spec)
            fine = real.follows == "ok" and real.available and real.listens and self.orders.mode is not Mode.OBSERVE
            self._healthy[i] = fine and (self._healthy[i] or low <= real.energy_wh <= high)
            late_wh = max(spec.discharge_rating_w / spec.discharge_efficiency, spec.charge_rating_w) * LATE_S / 3600
            if self._healthy[i] and not low - late_wh <= real.energy_wh <= high + late_wh:
                self._note("energy", (spec.id, real.energy_wh / spec.capacity_wh))

    def _ramp(self, before: law.LawState, made: law.Decision, dt_s: float) -> None:
        last, old, new = self._before, before.reference, self.state.reference
        if new is not None and not all(map(math.isfinite, new)):
            self._note("nan", new)
        if old is None or new is None or last is None or made.step is None or made.grid.emergency:
            return
        if self.orders.mode is not Mode.AUTO or made.binding not in _LED or made.step.binding == INSUFFICIENT:
            return
        self.result.led += 1
        dt_s = min(dt_s, law.DT_LONGEST * self.spec.period_ms / 1000)
        change_w = new.reference_w - old.reference_w
        low_w, high_w = -made.limits.down_w_per_s * dt_s - _MARGIN_W, made.limits.up_w_per_s * dt_s + _MARGIN_W
        if not low_w <= change_w <= high_w:
            self._note("ramp", (change_w, low_w, high_w, made.binding))

    def _dwell(self, before: law.LawState) -> None:
        for i, (tier, old, new) in enumerate(zip(self.spec.tiers, before.shed.tiers, self.state.shed.tiers,
                                                 strict=True)):
            if old.engaged == new.engaged:
                continue
            least_s = tier.min_on_s if old.engaged else tier.min_off_s
            if self.now_s - self._since_s[i] < least_s - 1e-6:
                self._note("dwell", (tier.id, self.now_s - self._since_s[i]))
            self._since_s[i] = self.now_s


def window_wh(spec: BatteryControl) -> tuple[float, float]:
    """The least and the most energy that it is to hold, Wh."""
    return spec.capacity_wh * spec.soc_min_percent / 100, spec.capacity_wh * spec.soc_max_percent / 100


def _load_meter(loop: Watched) -> None:
    loop.load_meter.fault = loop.rng.choice(_METER_FAULTS)


def _grid_meter(loop: Watched) -> None:
    loop.meter.fault = loop.rng.choice(_METER_FAULTS)


def _battery(loop: Watched) -> None:
    rng, battery = loop.rng, loop.rng.choice(loop.batteries)
    battery.follows, battery.available, battery.listens, battery.derated = "ok", True, True, 1.0
    fault = rng.choice(("", "", "", "follows", "away", "deaf", "derated", "derated"))
    if fault == "follows":
        battery.follows = rng.choice(("ignores", "slow", "oscillates"))
    battery.available, battery.listens = fault != "away", fault != "deaf"
    battery.derated = rng.choice((0.0, 0.3, 0.7)) if fault == "derated" else 1.0


def _limits(loop: Watched) -> None:
    rng = loop.rng
    now = loop.orders._replace(emergency=rng.random() < 0.1)
    gone, which = rng.random() < 0.4, rng.randrange(6)
    if which == 0:
        now = now._replace(ceiling_w=rng.choice((rng.uniform(0, 130) * MW, loop.spec.load_ceiling_w, math.nan)))
    elif which == 1:
        now = now._replace(floor_w=None if gone else rng.choice((rng.uniform(0, 130) * MW, math.inf)))
    elif which == 2:
        now = now._replace(import_limit_w=None if gone else rng.uniform(0, 150) * MW)
    elif which == 3:
        now = now._replace(export_limit_w=None if gone else rng.choice((0.0, 5.0, 50.0)) * MW)
    else:
        now = now._replace(ramp_w_per_min=None if gone else rng.choice((0.0, 2.0, 5.0, 8.0, 100.0)) * MW)
    loop.orders = now


def _mode(loop: Watched) -> None:
    mode = loop.rng.choice((Mode.AUTO,) * 6 + (Mode.MANUAL, Mode.SAFE, Mode.OBSERVE))
    loop.orders = loop.orders._replace(mode=mode, manual_w=loop.rng.uniform(-200, 200) * MW)


def _wish(loop: Watched) -> None:
    rng = loop.rng
    value = rng.choice((None, None, rng.uniform(-300, 300) * MW, math.nan))
    now = loop.orders._replace(target_ramp_w_per_s=rng.choice((None, 0.0, 1e4, 1e9)))
    loop.orders = now._replace(target_w=value) if rng.random() < 0.5 else now._replace(hint_w=value)


def _pause(loop: Watched) -> None:
    loop.skip_cycles = loop.rng.randint(1, PAUSE_MAX)


def _restart(loop: Watched) -> None:
    if loop.rng.random() < 0.2:
        loop.restart()


def _tier(loop: Watched) -> None:
    shedder = loop.rng.choice(loop.shedders)
    shedder.sticks, shedder.reports = loop.rng.choice(("", "", "on", "off")), loop.rng.choice((1.0, 1.0, 0.5, 2.0))


def job_w(seconds: float, rng: random.Random) -> Series:
    """A load of pieces of 2 to 40 s: still, square, saw, noise and spikes, up to 110 MW; steps of 20 ms."""
    out = np.zeros(round(seconds / STEP_S))
    begin = 0
    while begin < len(out):
        count = round(rng.uniform(2, 40) / STEP_S)
        time_s = np.arange(min(count, len(out) - begin)) * STEP_S
        top, low, f_hz = rng.uniform(0, 110) * MW, rng.uniform(0, 60) * MW, math.exp(rng.uniform(-3, 1.6))
        phase = time_s * f_hz % 1.0
        wave = rng.choice((np.zeros_like(phase), (phase < 0.5) * 1.0, phase, (phase < 0.05) * 1.0,
                           np.random.default_rng(rng.randrange(2**32)).random(len(phase))))
        out[begin : begin + len(phase)] = low + (top - low) * wave
        begin += count
    return out


def operations(seconds: float, seed: int) -> Operations:
    """So many seconds of them, with and without predictor by the seed; the same for the same seed."""
    rng = random.Random(f"operations/{seed}")  # noqa: S311  # disturbances, no secrets
    spec = replace(reference_spec(rng.choice((0.25, 0.45)), two_batteries(), tiers()), predicts=seed % 2 == 1)
    stores: list[Battery] = [store(b, spec.delay_s, rng.uniform(0.05, 0.95)) for b in spec.batteries]
    load = job_w(seconds, rng)
    loop = Watched(Case("operations", spec, np.full(len(load), BASE_W), load, stores, shedders()), rng)
    loop.run()
    return loop.result
