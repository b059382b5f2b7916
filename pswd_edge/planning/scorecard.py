"""How well the grid, the batteries and the loads were served, by true powers alone."""

import math
from dataclasses import dataclass, fields

import numpy as np

from pswd_edge.planning.ramps import WINDOWS_S, largest, ramp_w_per_min
from pswd_edge.planning.run import Bounds, Run, Series
from pswd_edge.planning.spectrum import BANDS_HZ, amplification, rms_w

_TINY_W, _TINY_WH = 1e3, 1.0
TOLERANCE = 1.005             # of the ramp limit: beyond it a moment counts as violation


@dataclass(frozen=True)
class Scorecard:
    """Figures of a run; MW, MWh, MW/min, s; the raw load's beside the grid's.

    `amplification` is grid over load from 0.5 to 2.5 Hz over the whole run, NaN where the load does not swing.
    `limit_violations` counts what must never be: energy outside its window, batteries beyond their rating, import
    beyond its limit; of the ramp tell `violation_s` and `violation_excess_mw` (the excess over time, MW/min x min).
    """

    seconds: float
    ramp_1s_max_mw_per_min: float
    ramp_10s_max_mw_per_min: float
    ramp_60s_max_mw_per_min: float
    ramp_60s_p999_mw_per_min: float
    load_ramp_1s_max_mw_per_min: float
    load_ramp_10s_max_mw_per_min: float
    load_ramp_60s_max_mw_per_min: float
    max_step_100ms_mw: float
    violation_s: float
    violation_excess_mw: float
    dynamic_range_60s_mw: float
    peak_mw: float
    load_peak_mw: float
    load_factor: float
    import_excess_mw: float
    amplification: float
    amplification_slow: float
    rms_iteration_mw: float
    load_rms_iteration_mw: float
    throughput_mwh: float
    equivalent_cycles: float
    battery_rms_mw: float
    reversals_per_h: float
    energy_min_mwh: float
    energy_max_mwh: float
    at_limit_s: float
    losses_mwh: float
    unserved_mwh: float
    shed_events: int
    longest_shed_s: float
    limit_violations: int

    def as_dict(self) -> dict[str, float | int | None]:
        """By name; None for what is not known, since JSON has no NaN."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in found.items()}


def scorecard(run: Run, bounds: Bounds) -> Scorecard:
    """Score a run from its `first` period on."""
    first, period = run.first, run.period_s
    ramps = {w: ramp_w_per_min(run.grid_w, period, w)[first:] / 1e6 for w in WINDOWS_S}
    raw = {w: largest(ramp_w_per_min(run.load_w, period, w)[first:]) / 1e6 for w in WINDOWS_S}
    grid, load, battery = run.grid_w[first:], run.load_w[first:], run.battery_w[first:]
    energy, shed = run.energy_wh[first:], run.shed_w[first:]
    excess = np.nan_to_num(np.abs(ramps[60.0]) - TOLERANCE * bounds.ramp_w_per_min / 1e6, nan=0.0).clip(0.0)
    edge_wh = 0.01 * (bounds.energy_max_wh - bounds.energy_min_wh)
    at_limit = (energy <= bounds.energy_min_wh + edge_wh) | (energy >= bounds.energy_max_wh - edge_wh)
    lost_w = np.where(battery > 0, battery * (1 / bounds.discharge_efficiency - 1),
                      -battery * (1 - bounds.charge_efficiency))
    throughput_wh = float(np.abs(battery).sum()) * period / 3600
    tiers = run.tiers[first:]
    return Scorecard(
        seconds=len(grid) * period,
        ramp_1s_max_mw_per_min=largest(ramps[1.0]), ramp_10s_max_mw_per_min=largest(ramps[10.0]),
        ramp_60s_max_mw_per_min=largest(ramps[60.0]), ramp_60s_p999_mw_per_min=_p999(ramps[60.0]),
        load_ramp_1s_max_mw_per_min=raw[1.0], load_ramp_10s_max_mw_per_min=raw[10.0],
        load_ramp_60s_max_mw_per_min=raw[60.0],
        max_step_100ms_mw=float(np.abs(np.diff(grid)).max(initial=0.0)) / 1e6,
        violation_s=float((excess > 0).sum()) * period, violation_excess_mw=float(excess.sum()) * period / 60,
        dynamic_range_60s_mw=_range(grid, round(60 / period)) / 1e6,
        peak_mw=float(grid.max()) / 1e6, load_peak_mw=float(load.max()) / 1e6,
        load_factor=float(grid.mean() / grid.max()) if grid.max() > 0 else math.nan,
        import_excess_mw=max(0.0, float(grid.max()) - bounds.import_limit_w) / 1e6,
        amplification=amplification(grid, load, period, BANDS_HZ["iteration"]),
        amplification_slow=amplification(grid, load, period, BANDS_HZ["slow"]),
        rms_iteration_mw=rms_w(grid, period, BANDS_HZ["iteration"]) / 1e6,
        load_rms_iteration_mw=rms_w(load, period, BANDS_HZ["iteration"]) / 1e6,
        throughput_mwh=throughput_wh / 1e6,
        equivalent_cycles=throughput_wh / 2 / max(1.0, bounds.energy_max_wh - bounds.energy_min_wh),
        battery_rms_mw=float(np.sqrt((battery**2).mean())) / 1e6, reversals_per_h=_reversals(battery, period),
        energy_min_mwh=float(energy.min()) / 1e6, energy_max_mwh=float(energy.max()) / 1e6,
        at_limit_s=float(at_limit.sum()) * period, losses_mwh=float(lost_w.sum()) * period / 3600 / 1e6,
        unserved_mwh=float(shed.sum()) * period / 3600 / 1e6,
        shed_events=int((np.diff(tiers.astype(np.int8), axis=0) > 0).sum()) if tiers.size else 0,
        longest_shed_s=_longest(tiers) * period,
        limit_violations=_violations(energy, battery, bounds))


def _violations(energy: Series, battery: Series, bounds: Bounds) -> int:
    """Periods with energy outside the window or a battery beyond its rating."""
    outside = (energy < bounds.energy_min_wh - _TINY_WH) | (energy > bounds.energy_max_wh + _TINY_WH)
    beyond = (battery > bounds.discharge_w + _TINY_W) | (battery < -bounds.charge_w - _TINY_W)
    return int((outside | beyond).sum())


def _p999(values: Series) -> float:
    known = np.abs(values[np.isfinite(values)])
    return float(np.percentile(known, 99.9)) if len(known) else 0.0


def _range(power_w: Series, count: int) -> float:
    """The largest difference of maximum and minimum within any window of `count` values."""
    if len(power_w) < count:
        return float(power_w.max() - power_w.min())
    views = np.lib.stride_tricks.sliding_window_view(power_w, count)[:: max(1, count // 60)]
    return float((views.max(axis=1) - views.min(axis=1)).max())


def _reversals(battery_w: Series, period_s: float) -> float:
    """How often the batteries' power turns, per hour; moves under 0.1 % of the largest power do not count."""
    moves = np.diff(battery_w)
    moves = moves[np.abs(moves) > 1e-3 * np.abs(battery_w).max(initial=1.0)]
    turns = int((np.diff(np.sign(moves)) != 0).sum())
    return turns * 3600 / (len(battery_w) * period_s)


def _longest(tiers: np.ndarray) -> int:
    """The longest run of periods that any tier was engaged."""
    longest = 0
    for engaged in tiers.T:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], engaged.astype(np.int8), [0]))))
        longest = max(longest, int((edges[1::2] - edges[::2]).max(initial=0)))
    return longest
