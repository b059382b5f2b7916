"""What load, grid and batteries do, from what is measured, and how far to believe it.

`load = grid + battery` holds at one moment only: with sums of different moments the controller would see a load that
its own battery made. Battery power is therefore taken at the time of the grid's sample, from a short history.
"""

from typing import NamedTuple

from pswd_edge.model.control import ControlSpec
from pswd_edge.model.snapshot import Reading, Snapshot

HISTORY = 8                   # battery samples kept: 0.8 s at 100 ms
FROZEN_MOVE_SHARE = 0.01      # of the battery rating: a grid meter that does not see this move is frozen
_IMPLAUSIBLE = 1.5            # times the site's maximum load


class Memory(NamedTuple):
    """What the estimate remembers: (time_s, power_w) samples of each battery, oldest first; and the batteries'
    power when the grid meter last changed its value.
    """

    batteries: tuple[tuple[tuple[float, float], ...], ...] = ()
    battery_at_change_w: float = float("nan")


class Estimate(NamedTuple):
    """Load, grid and battery power in W; NaN where not known.

    `source` says where the load came from: "grid" (meter and batteries), "meters" (the load's own meters),
    "none". `degraded` names what is wrong with the inputs.
    """

    load_w: float
    grid_w: float
    battery_w: float
    source: str
    degraded: tuple[str, ...]


def at_time(history: tuple[tuple[float, float], ...], time_s: float) -> float:
    """The value at `time_s`: interpolated, the nearest end where it lies outside, NaN without samples."""
    if not history:
        return float("nan")
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
    grid = snapshot.read(spec.grid_power.point)
    histories = _remember(spec, snapshot, memory)
    sample_s = grid.received_s - spec.grid_power.latency_ms / 1000
    battery_w = _battery_at(spec, snapshot, histories, sample_s)
    moved = memory.battery_at_change_w
    if grid.unchanged == 0 or moved != moved:  # noqa: PLR0124  # NaN: nothing remembered yet
        moved = battery_w
    bad = _why_grid_is_bad(spec, grid, battery_w, moved)
    kept = Memory(histories, moved)
    if not bad and battery_w == battery_w:  # noqa: PLR0124  # not NaN
        return Estimate(grid.value + battery_w, grid.value, battery_w, "grid", ()), kept
    reasons = (bad,) if bad else ("battery_power_unknown",)
    load_w = _sum_of_meters(spec, snapshot)
    grid_w = grid.value if not bad else load_w - battery_w
    source = "none" if load_w != load_w else "meters"  # noqa: PLR0124  # NaN
    return Estimate(load_w, grid_w, battery_w, source, reasons), kept


def _remember(spec: ControlSpec, snapshot: Snapshot, memory: Memory) -> tuple[tuple[tuple[float, float], ...], ...]:
    old = memory.batteries or ((),) * len(spec.batteries)
    histories: list[tuple[tuple[float, float], ...]] = []
    for battery, history in zip(spec.batteries, old, strict=True):
        reading = snapshot.read(battery.power.point)
        if not reading.usable(battery.power.max_age_ms / 1000):
            histories.append(())
            continue
        sample = (reading.received_s - battery.power.latency_ms / 1000, reading.value)
        fresh = not history or sample[0] > history[-1][0]
        histories.append((*history, sample)[-HISTORY:] if fresh else history)
    return tuple(histories)


def _battery_at(
    spec: ControlSpec, snapshot: Snapshot, histories: tuple[tuple[tuple[float, float], ...], ...], time_s: float
) -> float:
    """Sum of the batteries' powers at `time_s`; NaN where one that may be running is not known."""
    total = 0.0
    for battery, history in zip(spec.batteries, histories, strict=True):
        total += at_time(history, time_s)
    return total


def _why_grid_is_bad(spec: ControlSpec, grid: Reading, battery_w: float, at_change_w: float) -> str:
    if not grid.usable(spec.grid_power.max_age_ms / 1000):
        return f"grid_meter_{grid.reason.name.lower()}" if grid.value != grid.value else "grid_meter_stale"
    if abs(grid.value) > _IMPLAUSIBLE * spec.load_maximum_w:
        return "grid_meter_implausible"
    rating_w = sum(b.discharge_rating_w for b in spec.batteries)
    still = spec.frozen_after and grid.unchanged >= spec.frozen_after
    if still and abs(battery_w - at_change_w) > FROZEN_MOVE_SHARE * rating_w:
        return "grid_meter_frozen"
    return ""


def _sum_of_meters(spec: ControlSpec, snapshot: Snapshot) -> float:
    """The load by its own meters; NaN where one is missing: part of a load is no load."""
    if not spec.load_meters:
        return float("nan")
    readings = [(m, snapshot.read(m.point)) for m in spec.load_meters]
    if not all(r.usable(m.max_age_ms / 1000) for m, r in readings):
        return float("nan")
    return sum(r.value for _, r in readings)
