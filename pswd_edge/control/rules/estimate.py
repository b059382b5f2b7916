"""What load, grid and batteries do, from what is measured, and how far to believe it.

`load = grid + battery` holds at one moment only: with sums of different moments the controller would see a load that
its own battery made. All are therefore taken at one moment, from short histories.
"""

import itertools
import math
from typing import NamedTuple

from pswd_edge.control.rules.measured import flaw, measured, power_flaw
from pswd_edge.control.rules.vote import Vote, voted
from pswd_edge.model.control import ControlSpec, Input
from pswd_edge.model.snapshot import Reading, Snapshot

HISTORY = 24                  # samples kept of each input: 2.4 s at 100 ms
FROZEN_MOVE_SHARE = 0.01      # of the battery rating: a grid meter that does not see this move is frozen
CONTRADICTED = "grid_meter_contradicted"
AGAINST_SHARE = 0.1           # of the site's maximum: so far apart may two honest meters be for a moment
AGAINST_S = 1.5               # a meter that renews once a second needs a second to see a step
AGREED_S = 1.0
MISREAD_SHARE = 0.15
LEAST_LOAD_SHARE, MOST_LOAD_SHARE = 0.3, 1.1  # of floor and maximum
CHANGES = 6                   # that are remembered of the grid meter
RENEWAL_MAX_S = 2.0
_IMPLAUSIBLE = 1.5            # times the site's maximum load

History = tuple[tuple[float, float], ...]  # (time_s, power_w), oldest first


class Memory(NamedTuple):
    """Samples of the grid meter and of each battery, and what the batteries did meanwhile.

    `battery_low_w`, `battery_high_w`: between which powers they were since the grid meter last changed its value;
    NaN: not known yet. `changes_s`: when the grid meter's value last changed, oldest first. `load_w` is the last load
    that was believed; `against_s` for how long grid meter and load meters have said different things.
    """

    grid: History = ()
    batteries: tuple[History, ...] = ()
    battery_low_w: float = math.nan
    battery_high_w: float = math.nan
    changes_s: tuple[float, ...] = ()
    load_w: float = math.nan
    against_s: float = 0.0


class Estimate(NamedTuple):
    """Load, grid and battery power in W, at one moment; NaN where not known.

    `source` says where the load came from: "grid" (meter and batteries), "meters" (the load's own meters),
    "none". `degraded` names what is wrong with the inputs. `moment_s` is when all this was so (monotonic); NaN where
    the load is not from grid and batteries. `outvoted`: places of grid meters that are not believed (0: `grid_power`).
    """

    load_w: float
    grid_w: float
    battery_w: float
    source: str
    degraded: tuple[str, ...]
    moment_s: float = math.nan
    outvoted: tuple[int, ...] = ()
    load_meters_known: bool = True


def at_time(history: History, time_s: float) -> float:
    """The value at `time_s`: interpolated, the nearest end where it lies outside, NaN without samples."""
    if not history:
        return math.nan
    later = history[-1]
    if time_s >= later[0]:
        return later[1]
    for earlier in reversed(history[:-1]):
        if time_s >= earlier[0]:
            share = (time_s - earlier[0]) / (later[0] - earlier[0])
            return earlier[1] + share * (later[1] - earlier[1])
        later = earlier
    return later[1]


def estimate(spec: ControlSpec, snapshot: Snapshot, memory: Memory) -> tuple[Estimate, Memory]:
    """The estimate of one cycle and the memory for the next."""
    vote = voted(spec, snapshot)
    reading = vote.reading
    changes_s = memory.changes_s if reading.unchanged else (*memory.changes_s, reading.received_s)[-CHANGES:]
    grid = _extended(memory.grid, reading, vote.source, renewal_s(changes_s, spec.period_ms / 1000))
    old = memory.batteries or ((),) * len(spec.batteries)
    batteries = tuple(() if power_flaw(b, found) else _extended(h, found, b.power)
                      for b, h in zip(spec.batteries, old, strict=True)
                      for found in (snapshot.read(b.power.point),))
    moment_s = _moment_s(spec, grid, batteries)
    battery_w = sum((at_time(h, moment_s) for h in batteries), 0.0)  # NaN where one that may be running is not known
    low_w, high_w = _spanned(memory, battery_w, changed=reading.unchanged == 0)
    bad = _why_grid_is_bad(spec, vote, high_w - low_w)
    grid_w = math.nan if bad else at_time(grid, moment_s)
    meters_w = _sum_of_meters(spec, snapshot)
    known = not math.isnan(meters_w) or not (spec.load_meters or spec.load_substitutes)
    against_s = 0.0 if bad else _against(spec, memory, grid_w + battery_w, meters_w, battery_w)
    if against_s >= AGAINST_S:
        bad, grid_w = CONTRADICTED, math.nan
    kept = Memory(() if bad else grid, batteries, low_w, high_w, changes_s, memory.load_w, against_s)
    if not bad and not math.isnan(battery_w):
        load_w = grid_w + battery_w
        believed_w = memory.load_w if against_s > 0 else load_w
        return Estimate(load_w, grid_w, battery_w, "grid", (), moment_s, vote.outvoted,
                        known), kept._replace(load_w=believed_w)
    return Estimate(
        meters_w, meters_w - battery_w if bad else grid_w, battery_w, "none" if math.isnan(meters_w) else "meters",
        (bad or "battery_power_unknown",), math.nan, vote.outvoted, known), kept._replace(load_w=meters_w)


def _against(spec: ControlSpec, memory: Memory, load_w: float, meters_w: float, battery_w: float) -> float:
    """For how long grid meter and load meters have contradicted each other, s; from `AGAINST_S` on it is judged.

    A judgement holds until they have agreed for `AGREED_S`: a wrong value passes near the true one now and then.
    """
    period_s = spec.period_ms / 1000
    apart = abs(load_w - meters_w) > AGAINST_SHARE * spec.load_maximum_w  # False where one is not known
    if memory.against_s >= AGAINST_S:
        left_s = AGAINST_S + AGREED_S if apart else memory.against_s - period_s
        return left_s if left_s >= AGAINST_S else 0.0
    if not apart or not abs(meters_w - memory.load_w) < abs(load_w - memory.load_w):
        return 0.0
    sure = is_misread(load_w, meters_w, battery_w) or not is_possible(spec, load_w)
    against_s = memory.against_s + period_s
    return AGAINST_S + AGREED_S if sure or against_s >= AGAINST_S else against_s


def is_possible(spec: ControlSpec, load_w: float) -> bool:
    """Whether the site could draw this at all."""
    return LEAST_LOAD_SHARE * spec.load_floor_w <= load_w <= MOST_LOAD_SHARE * spec.load_maximum_w


def is_misread(load_w: float, meters_w: float, battery_w: float) -> bool:
    """Whether the grid value is a known mistake of the true one: wrong sign, kW for W or W for kW.

    These need no time to be believed.
    """
    shown_w, true_w = load_w - battery_w, meters_w - battery_w
    return any(abs(factor * shown_w - true_w) < MISREAD_SHARE * abs(true_w) for factor in (-1.0, 1e3, 1e-3))


def renewal_s(changes_s: tuple[float, ...], period_s: float) -> float:
    """How often a meter that is slower than the cycle renews its registers: the least of its last intervals, s.

    0 for a meter that keeps up, or of which too little was seen. Between changes further apart than 2 s nothing was
    to be renewed.
    """
    apart = [b - a for a, b in itertools.pairwise(changes_s)]
    least = min(apart) if len(apart) == CHANGES - 1 else 0.0
    return least if 1.5 * period_s < least < RENEWAL_MAX_S else 0.0


def _extended(history: History, reading: Reading, source: Input, renewal: float = 0.0) -> History:
    """The history with this sample where it is a new one; empty where the source cannot be used.

    A meter that renews its registers once a second says the same ten times: what counts is when the content changed.
    What has not changed for longer than that is so still.
    """
    if flaw(reading, source.max_age_ms / 1000):
        return ()
    sample = (reading.received_s - source.latency_ms / 1000, reading.value)
    if not history:
        return (sample,)
    repeats = reading.unchanged > 0 and sample[0] - history[-1][0] < 1.5 * renewal
    return history if repeats or sample[0] <= history[-1][0] else (*history, sample)[-HISTORY:]


def _moment_s(spec: ControlSpec, grid: History, batteries: tuple[History, ...]) -> float:
    """The latest moment of which everything is known: a battery that ramps is never extrapolated.

    At most one cycle before the grid's sample: a battery that answers late must not make the load old.
    """
    if not grid:
        return math.inf  # the newest of each: only the batteries' sum is of use
    newest_s = grid[-1][0]
    known_s = min((h[-1][0] for h in batteries if h), default=newest_s)
    return max(min(newest_s, known_s), newest_s - spec.period_ms / 1000)


def _spanned(memory: Memory, battery_w: float, *, changed: bool) -> tuple[float, float]:
    """Between which powers the batteries were since the grid meter's last change."""
    low_w, high_w = (math.nan, math.nan) if changed else (memory.battery_low_w, memory.battery_high_w)
    if math.isnan(battery_w):
        return low_w, high_w
    return (battery_w, battery_w) if math.isnan(low_w) else (min(low_w, battery_w), max(high_w, battery_w))


def _why_grid_is_bad(spec: ControlSpec, vote: Vote, battery_span_w: float) -> str:
    """Name of what is wrong with the grid meter, or empty.

    Frozen is only what stood still while the batteries moved, and stays so until the value changes: at rest a flat
    load is nothing odd.
    """
    grid = vote.reading
    wrong = flaw(grid, vote.source.max_age_ms / 1000)
    if wrong:
        return f"grid_meter_{wrong}"
    if abs(grid.value) > _IMPLAUSIBLE * spec.load_maximum_w:
        return "grid_meter_implausible"
    rating_w = sum(b.discharge_rating_w for b in spec.batteries)
    still = 0 < spec.frozen_after <= grid.unchanged
    return "grid_meter_frozen" if still and battery_span_w > FROZEN_MOVE_SHARE * rating_w else ""


def _sum_of_meters(spec: ControlSpec, snapshot: Snapshot) -> float:
    """The load by its own meters, or by the first substitute that is whole; NaN: part of a load is no load."""
    for group in (spec.load_meters, *spec.load_substitutes):
        total_w = sum(measured(snapshot.read(m.point), m.max_age_ms / 1000) for m in group) if group else math.nan
        if not math.isnan(total_w):
            return total_w
    return math.nan
