"""The worst loads that can be thought of, against the real rules with exact actuation: does anything break?

Each kind looks at the law's own state and picks what hurts it most. The battery is the smallest that the rule allows,
does what it is told, and knows its energy as the law does.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from pswd_edge.control.rules import feed
from pswd_edge.control.rules.allocate import Fleet
from pswd_edge.control.rules.reference import Aim, Reference, step, track
from pswd_edge.control.rules.reserve import Range, down_wh, up_wh
from pswd_edge.model.tuning import tuned

MW = 1e6
T = 0.1
RATING_W = 110 * MW
CYCLES_A_RUN = 20_000
_MARGIN_W, _MARGIN_WH = 1.0, 1.0


@dataclass
class Adversity:
    """Cycles that were run and what broke in them: ramp beyond its step, energy outside, power beyond, saturation."""

    cycles: int = 0
    ramp: int = 0
    energy: int = 0
    power: int = 0
    saturated: int = 0

    @property
    def violations(self) -> int:
        """What must be 0: everything but saturation where the loop is late."""
        return self.ramp + self.energy + self.power

    def add(self, other: "Adversity") -> None:
        """Count another run."""
        self.cycles += other.cycles
        self.ramp += other.ramp
        self.energy += other.energy
        self.power += other.power
        self.saturated += other.saturated


class Store:
    """The smallest battery, the reference that leads it, and `late` cycles between command and effect."""

    def __init__(self, rng: random.Random, late: int, *, filtered: bool) -> None:
        tuning = tuned(10 * MW, 78 * MW, 0.25, T)
        up, down = (tuning.up_w_per_s * rng.choice((0.5, 1.0, 1.0)) for _ in range(2))
        self.limits = Range(20 * MW, 98 * MW, T, up, down, late * T, 0.96, 0.96)
        ends = (up_wh(self.limits.floor_w, self.limits), down_wh(self.limits.ceiling_w, self.limits))
        self.usable_wh = max(ends) * 1.0001
        self.energy_wh = self.usable_wh * rng.uniform(0.0, 1.0)
        start = self._viable()
        self.state, self.fed = Reference(start, start, start), feed.begun(start)
        self.feed = feed.FeedSpec(tuning.filter_hz if filtered else 1e3, 0.25, T, 78 * MW, 1.2, False, 0.0)
        self.coming = [0.0] * late
        self.result = Adversity()

    def _viable(self) -> float:
        grid = [self.limits.floor_w + i / 400 * (self.limits.ceiling_w - self.limits.floor_w) for i in range(401)]
        fits = [r for r in grid if self.energy_wh >= up_wh(r, self.limits)
                and self.usable_wh - self.energy_wh >= down_wh(r, self.limits)]
        return fits[len(fits) // 2] if fits else grid[200]

    @property
    def reference_w(self) -> float:
        """Where the reference is."""
        return self.state.reference_w

    def cycle(self, load_w: float, aim: Aim) -> None:
        """One cycle under this load; counts what breaks."""
        self.fed = feed.fed(self.feed, self.fed, load_w, math.nan, T)
        horizon, eta = (T + self.limits.age_s) / 3600, self.limits.discharge_efficiency
        room_wh = self.usable_wh - self.energy_wh
        most = min(RATING_W, eta * max(0.0, self.energy_wh) / horizon)
        least = min(RATING_W, max(0.0, room_wh) / self.limits.charge_efficiency / horizon)
        fleet = Fleet((), max(0.0, self.energy_wh), max(0.0, room_wh), self.energy_wh, RATING_W, RATING_W, most, least)
        before = self.state.reference_w
        made = step(self.state, self.fed.filtered_w, self.fed.followed_w, fleet, self.limits, aim, T)
        given = min(max(made.battery_w, -least), most)
        held = abs(given - made.battery_w) < _MARGIN_W
        self.state = made.state if held else track(made.state, given)
        self._count(given, self.state.reference_w - before, held=held)

    def _count(self, given_w: float, change_w: float, *, held: bool) -> None:
        self.coming.append(given_w)
        power = self.coming.pop(0)
        self.energy_wh -= (power / self.limits.discharge_efficiency if power > 0
                           else power * self.limits.charge_efficiency) * T / 3600
        found, limits = self.result, self.limits
        found.cycles += 1
        found.saturated += not held
        low_w, high_w = -limits.down_w_per_s * T - _MARGIN_W, limits.up_w_per_s * T + _MARGIN_W
        found.ramp += held and not low_w <= change_w <= high_w
        found.energy += not -_MARGIN_WH <= self.energy_wh <= self.usable_wh + _MARGIN_WH
        found.power += abs(given_w) > RATING_W + _MARGIN_W


Load = Callable[[Store, random.Random, int], float]


def _greedy(store: Store, rng: random.Random, cycle: int) -> float:  # noqa: ARG001
    """The ceiling while it drains, the floor once the reference has answered."""
    top, low = store.limits.ceiling_w, store.limits.floor_w
    edge = rng.choice((0.1, 1.0, 5.0)) * MW
    if store.reference_w > top - edge:
        return low
    if store.reference_w < low + edge:
        return top
    return top if store.fed.filtered_w > (top + low) / 2 else low


def _bang(store: Store, rng: random.Random, cycle: int) -> float:  # noqa: ARG001
    half = (3, 30, 150, 400, 1000, 2340)[cycle // 4000 % 6]
    return store.limits.ceiling_w if cycle // half % 2 else store.limits.floor_w


def _telegraph(store: Store, rng: random.Random, cycle: int) -> float:
    high = store.fed.level_w > 59 * MW
    change = rng.random() < (0.3, 0.02, 0.002)[cycle // 5000 % 3]
    return store.limits.ceiling_w if high != change else store.limits.floor_w


def _sawtooth(store: Store, rng: random.Random, cycle: int) -> float:  # noqa: ARG001
    slope = store.limits.up_w_per_s * T * (0.99, 1.0, 1.01, 3.0)[cycle // 5000 % 4]
    span = store.limits.ceiling_w - store.limits.floor_w
    return store.limits.floor_w + math.fmod(slope * cycle, span)


def _hold_then_drop(store: Store, rng: random.Random, cycle: int) -> float:  # noqa: ARG001
    """Wait until the reference has come all the way and the energy is where it wants it, then jump."""
    return store.limits.ceiling_w if cycle // 7000 % 2 else store.limits.floor_w


def _margins(store: Store, rng: random.Random, cycle: int) -> float:  # noqa: ARG001
    """Pushes whichever reserve is the thinner."""
    spare = store.energy_wh - up_wh(store.reference_w, store.limits)
    room = store.usable_wh - store.energy_wh - down_wh(store.reference_w, store.limits)
    return store.limits.ceiling_w if spare < room else store.limits.floor_w


LOADS: dict[str, Load] = {
    "greedy": _greedy, "bang": _bang, "telegraph": _telegraph, "sawtooth": _sawtooth, "hold": _hold_then_drop,
    "margins": _margins}


def adversary(cycles: int, seed: int, delay_s: float = 0.0) -> Adversity:
    """So many cycles of all kinds in turn; `delay_s` is from command to effect, and shrinks the window by its term."""
    total, late, number = Adversity(), math.ceil(delay_s / T - 1e-9), 0
    aim = Aim(500 * MW, 2 * MW, 60.0, 300.0)
    while total.cycles < cycles:
        for load in LOADS.values():
            rng = random.Random(f"{seed}/{number}")  # noqa: S311  # loads, no secrets
            store = Store(rng, late, filtered=number % 3 == 0)
            for cycle in range(min(CYCLES_A_RUN, max(0, cycles - total.cycles))):
                store.cycle(load(store, rng, cycle), aim)
            total.add(store.result)
            number += 1
    return total
