"""One case run and scored: beside the raw load, and beside the optimum that foresees everything."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pswd_edge.planning.optimum import optimum
from pswd_edge.planning.run import Bounds, Run, averaged
from pswd_edge.planning.scorecard import Scorecard, scorecard
from pswd_edge.planning.spectrum import BANDS_HZ, amplification
from pswd_edge.replay.loop import PREROLL_S, Case, Loop, bounds_of
from pswd_edge.replay.scenarios import Draw, Scenario

LP_STEP_S = 1.0
_SMALL_MWH = 0.05             # of throughput or unserved energy: below it a ratio says nothing


@dataclass(frozen=True)
class Scored:
    """A run with its figures. `optimum` holds those of the linear programme: MWh, MW/min, `viable`."""

    case: Case
    run: Run
    bounds: Bounds
    card: Scorecard
    optimum: dict[str, Any]
    amplification: float
    loop: Loop
    seconds: float

    @property
    def speed(self) -> float:
        """How many times real time."""
        return (PREROLL_S + self.card.seconds) / self.seconds


def scored(
    case: Case, cache: Path | None = None, steady_from_s: float | None = None, *, keep: bool = False
) -> Scored:
    """Run a case and score it; `keep` every decision."""
    loop = Loop(case, keep=keep)
    run, seconds = loop.timed_run()
    bounds = bounds_of(case)
    swings = math.nan
    if steady_from_s is not None:
        begin = run.first + round(steady_from_s / run.period_s)
        swings = amplification(run.grid_w[begin:], run.load_w[begin:], run.period_s, BANDS_HZ["iteration"])
    return Scored(case, run, bounds, scorecard(run, bounds), _optimum(run, bounds, cache), swings, loop, seconds)


def _optimum(run: Run, bounds: Bounds, cache: Path | None) -> dict[str, Any]:
    """The optimum's figures, from the cache where this very load was solved before."""
    load = averaged(run.load_w[run.first :], round(LP_STEP_S / run.period_s))
    first_w = float(run.grid_w[run.first])
    energy_wh, end_wh = float(run.energy_wh[run.first]), float(run.energy_wh[-1])
    asked = load.tobytes() + repr((bounds, energy_wh, end_wh, first_w)).encode()
    digest = hashlib.blake2b(asked, digest_size=16).hexdigest()
    file = None if cache is None else cache / f"{digest}.json"
    if file is not None and file.exists():
        return dict(json.loads(file.read_text()))
    best = optimum(load, LP_STEP_S, bounds, first_w, energy_wh, end_wh)
    found = {"throughput_mwh": best.throughput_wh / 1e6, "unserved_mwh": best.unserved_wh / 1e6,
             "excess_mw_per_min": best.excess_w_per_min / 1e6, "viable": best.viable, "solved": best.solved}
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    return found


def row_of(scenario: Scenario, draw: Draw, found: Scored) -> dict[str, Any]:
    """What `bench control` tells of one run; None where a ratio means nothing."""
    card, best = found.card, found.optimum
    return {
        "number": scenario.number, "name": scenario.name, "seed": draw.seed, "f0_hz": draw.f0_hz,
        "delay_s": draw.delay_s, "predictor": draw.predicts, "viable": found.case.viable, "why": found.case.why,
        "ramp_60s_max_mw_per_min": card.ramp_60s_max_mw_per_min,
        "ramp_10s_max_mw_per_min": card.ramp_10s_max_mw_per_min,
        "ramp_1s_max_mw_per_min": card.ramp_1s_max_mw_per_min,
        "load_ramp_60s_max_mw_per_min": card.load_ramp_60s_max_mw_per_min,
        "max_step_100ms_mw": card.max_step_100ms_mw,
        "amplification": None if math.isnan(found.amplification) else found.amplification,
        "throughput_mwh": card.throughput_mwh, "optimum_throughput_mwh": best["throughput_mwh"],
        "throughput_over_optimum": _ratio(found.case, card.throughput_mwh, best["throughput_mwh"]),
        "unserved_mwh": card.unserved_mwh, "optimum_unserved_mwh": best["unserved_mwh"],
        "unserved_over_optimum": _ratio(found.case, card.unserved_mwh, best["unserved_mwh"]),
        "optimum_viable": best["viable"], "optimum_excess_mw_per_min": best["excess_mw_per_min"],
        "energy_min_mwh": card.energy_min_mwh, "energy_max_mwh": card.energy_max_mwh,
        "reversals_per_h": card.reversals_per_h, "shed_events": card.shed_events,
        "violation_s": card.violation_s, "limit_violations": card.limit_violations,
        "measured_delay_s": found.loop.measured_delay_s, "degraded": sorted(found.loop.seen_degraded),
        "speed": found.speed}


def _ratio(case: Case, mine_mwh: float, best_mwh: float) -> float | None:
    if not case.comparable or not math.isfinite(best_mwh) or best_mwh < _SMALL_MWH:
        return None
    return mine_mwh / best_mwh
