"""The grid reference: what the grid is meant to see (control law, steps 1, 3, 4, 5 and 7)."""

import math
from collections.abc import Callable
from typing import NamedTuple

from pswd_edge.control.rules.allocate import Fleet
from pswd_edge.control.rules.reserve import Range, cycle_wh, down_wh, up_wh

INSUFFICIENT = "reserve_insufficient"
_TRIES, _CLOSE_W = 50, 1e-3   # of the search within one cycle's ramp; the end that is safe is returned
ENERGY_DEADBAND = 0.005       # of the window: no recharging for less


class Reference(NamedTuple):
    """The load that the batteries follow (`feed.py`), its slow mean, and the reference itself, W."""

    followed_w: float
    mean_w: float
    reference_w: float


class Aim(NamedTuple):
    """What the reference should do in this cycle. `target_w` None: the law's own target.

    `import_limit_w` is the contract power; `restore_w` the largest power for restoring the SoC (0 freezes it).
    `hint_w` is where the planner would have it, within everything else. `budget_w` are the lowest and the highest that
    the ramp of the last two minutes leaves (`budget.py`). `stray_w` is what batteries give that cannot be led.
    In an `emergency` the reference is below the import limit at once. `withheld_w` is what shed tiers would draw: the
    reference climbs for them too, so that they can come back. It is led `below_w` under its target.
    """

    import_limit_w: float
    restore_w: float
    mean_time_s: float
    energy_time_s: float
    target_w: float | None = None
    ramp_w_per_s: float | None = None
    hint_w: float | None = None
    budget_w: tuple[float, float] = (-math.inf, math.inf)
    stray_w: float = 0.0
    emergency: bool = False
    withheld_w: float = 0.0
    below_w: float = 0.0


class Step(NamedTuple):
    """The new state, the battery power wanted, and why: `low_w`, `high_w` bound the reference viably.

    `binding`: "target", "budget", "ramp_up", "ramp_down", "reserve_up", "reserve_down", "reserve_insufficient".
    """

    state: Reference
    battery_w: float
    low_w: float
    high_w: float
    target_w: float
    binding: str


def widened(limits: Range, load_w: float, import_limit_w: float) -> Range:
    """The guaranteed range, stretched to a load that is outside it.

    What is above the import limit is shed, not carried, and needs no reserve.
    """
    floor_w = min(limits.floor_w, load_w)
    return limits._replace(floor_w=floor_w,
                           ceiling_w=max(min(max(limits.ceiling_w, load_w), import_limit_w), floor_w))


def step(state: Reference, filtered_w: float, followed_w: float, fleet: Fleet, limits: Range, aim: Aim,
         dt_s: float) -> Step:
    """One cycle of the reference.

    `filtered_w` is the load without what is too fast, `followed_w` what the batteries follow of it; the latter is taken
    no further out of the guaranteed range than the former, so that a predicted swing needs no reserve of its own.
    """
    limits = widened(limits, filtered_w, aim.import_limit_w)
    followed = min(max(followed_w, limits.floor_w), max(limits.ceiling_w, filtered_w))
    mean = state.mean_w + (1 - math.exp(-dt_s / aim.mean_time_s)) * (filtered_w - state.mean_w)
    window = _window(state.reference_w, limits, aim, dt_s)
    low, high = _viable(followed - aim.stray_w, fleet, limits, window)
    target = _target(mean, state.reference_w, fleet, limits, aim) - aim.below_w
    target = _slower(state.reference_w, target, aim, dt_s)
    reference, binding = _choose(target, low, high, window, aim.budget_w)
    lowest_w = -math.inf if aim.emergency else window[0]
    reference = max(min(reference, aim.import_limit_w), lowest_w)
    battery = followed - aim.stray_w - reference
    return Step(Reference(followed, mean, reference), battery, low, high, target, binding)


def track(state: Reference, battery_w: float, stray_w: float = 0.0) -> Reference:
    """Anti-windup: where the battery gives something else, the reference is what the grid really sees."""
    return state._replace(reference_w=state.followed_w - stray_w - battery_w)


def _window(reference_w: float, limits: Range, aim: Aim, dt_s: float) -> tuple[float, float]:
    """Where one cycle's ramp can take the reference, inside the useful range; back at the ramp from outside it."""
    down, up = reference_w - limits.down_w_per_s * dt_s, reference_w + limits.up_w_per_s * dt_s
    lowest, highest = limits.floor_w - limits.fall_w, limits.ceiling_w + max(aim.restore_w, limits.rise_w)
    if aim.hint_w is not None:  # before a change the way may lie outside the range; the reserves hold there, too
        lowest, highest = min(lowest, max(aim.hint_w, 0.0)), max(highest, aim.hint_w)
    top = min(aim.import_limit_w, highest)
    bottom = min(lowest, top)
    return min(max(down, bottom), up), max(min(up, top), down)


def _viable(followed_w: float, fleet: Fleet, limits: Range, window: tuple[float, float]) -> tuple[float, float]:
    """Lowest reference that keeps enough energy, highest that keeps enough room, as far as the window goes."""

    def spare(r: float) -> float:
        return fleet.above_min_wh - cycle_wh(followed_w - r, limits) - up_wh(r, limits)

    def room(r: float) -> float:
        return fleet.below_max_wh + cycle_wh(followed_w - r, limits) - down_wh(r, limits)

    low = _first_true(spare, *window)
    high = _last_true(room, *window)
    low = max(low, min(limits.ceiling_w - fleet.discharge_rating_w, window[1]))
    high = min(high, max(limits.floor_w + fleet.charge_rating_w, window[0]))
    return low, high


def _first_true(margin: Callable[[float], float], low: float, high: float) -> float:
    """Smallest argument with margin ≥ 0 of an increasing function; `high` where there is none.

    The margin is nearly a line within one cycle's ramp: false position with halving (Illinois) needs a few steps where
    bisection needs thirty.
    """
    below, above = margin(low), margin(high)
    if below >= 0:
        return low
    if above < 0:
        return high
    side = 0
    for _ in range(_TRIES):
        if high - low < _CLOSE_W:
            break
        middle = low + (high - low) * below / (below - above)
        middle = middle if low < middle < high else (low + high) / 2
        found = margin(middle)
        if found >= 0:
            high, above, below, side = middle, found, below / 2 if side > 0 else below, 1
        else:
            low, below, above, side = middle, found, above / 2 if side < 0 else above, -1
    return high


def _last_true(margin: Callable[[float], float], low: float, high: float) -> float:
    """Largest argument with margin ≥ 0 of a decreasing function; `low` where there is none."""
    return -_first_true(lambda x: margin(-x), -high, -low)


def _target(mean_w: float, reference_w: float, fleet: Fleet, limits: Range, aim: Aim) -> float:
    """Where the reference should go: a request's target, the planner's hint, or the law's own."""
    if aim.target_w is not None:
        return aim.target_w
    return aim.hint_w if aim.hint_w is not None else (
        mean_w + aim.withheld_w + _restore(reference_w, fleet, limits, aim))


def _restore(reference_w: float, fleet: Fleet, limits: Range, aim: Aim) -> float:
    """Power that leads the energy to where both reserves leave the same margin."""
    window_wh = fleet.above_min_wh + fleet.below_max_wh
    if window_wh <= 0:
        return 0.0
    up, down = up_wh(reference_w, limits), down_wh(reference_w, limits)
    wanted_wh = min(max(up + (window_wh - up - down) / 2, 0.0), window_wh)
    missing_wh = wanted_wh - fleet.above_min_wh
    if abs(missing_wh) < ENERGY_DEADBAND * window_wh:
        return 0.0
    return min(max(3600 * missing_wh / aim.energy_time_s, -aim.restore_w), aim.restore_w)


def _slower(reference_w: float, target_w: float, aim: Aim, dt_s: float) -> float:
    """A request may ask for a gentler ramp than the limit."""
    if aim.ramp_w_per_s is None:
        return target_w
    most = aim.ramp_w_per_s * dt_s
    return min(max(target_w, reference_w - most), reference_w + most)


def _choose(target_w: float, low: float, high: float, window: tuple[float, float],
            budget: tuple[float, float]) -> tuple[float, str]:
    """The target within budget and reserves; the reserves win: without energy the ramp would be broken by far more."""
    if low > high + 2 * _CLOSE_W:  # each end was searched to so much
        return min(max(min(max(target_w, high), low), window[0]), window[1]), INSUFFICIENT
    wanted = min(max(target_w, budget[0]), budget[1])
    if wanted < low:
        return low, "ramp_down" if low <= window[0] else "reserve_up"
    if wanted > high:
        return high, "ramp_up" if high >= window[1] else "reserve_down"
    return wanted, "target" if wanted == target_w else "budget"
