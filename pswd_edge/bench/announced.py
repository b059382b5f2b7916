"""What announcements are worth, and what a lie costs: the step of the whole range on virtual time.

The battery is found by halving: the least with which an announced firm step breaks no ramp of 60 s and saturates
nothing. It is told over swing² / 8R, the least that any controller needs which knows the step beforehand.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pswd_edge.planning.scorecard import TOLERANCE
from pswd_edge.replay.announced import Said
from pswd_edge.replay.announcements import BOUND_WH, LEAD_S, SWING_W, checkpoint, start_and_stop, step
from pswd_edge.replay.loop import Case
from pswd_edge.replay.making import Draw
from pswd_edge.replay.scoring import Scored, scored
from pswd_edge.replay.site import RAMP_W_PER_MIN

WANTED = 1.3                  # times the bound
_LEAST, _MOST, _CLOSE = 1.0, 1.6, 0.02  # of the halving, times the bound
LATE_S = 20.0
SAID = Said(LEAD_S, SWING_W, SWING_W, SWING_W, late_s=10.0, firm=True)
UNSAID = Said(LEAD_S, 0.0, 0.0, 0.0)
NEVER_S = 1e9
CASES: dict[str, dict[str, Any]] = {
    "true": {}, "late by 8 s": {"comes_s": LEAD_S + 8}, "late by 20 s": {"comes_s": LEAD_S + LATE_S},
    "early by 20 s": {"comes_s": LEAD_S - LATE_S}, "never": {"comes_s": NEVER_S},
    "half as large": {"rises_w": SWING_W / 2}, "twice as large": {"rises_w": SWING_W,
                                                                   "said": replace(SAID, step_w=SWING_W / 2,
                                                                                   low_w=SWING_W / 2,
                                                                                   high_w=SWING_W / 2)},
    "not announced": {"said": UNSAID}}
QUICK = ("true", "not announced")


def announced(draw: Draw, cache: Path | None, *, quick: bool) -> dict[str, Any]:
    """The section of `bench control`. Quick: the wanted battery is tried, not the least one found."""
    names = QUICK if quick else tuple(CASES)
    rows = [_row(n, scored(step(draw, WANTED * BOUND_WH, **CASES[n]), cache)) for n in names]
    found = {"bound_mwh": BOUND_WH / 1e6, "cases": rows,
             "needed_over_bound": (WANTED if rows[0]["holds"] else None) if quick else least(draw)}
    others: list[Case] = [] if quick else [start_and_stop(draw), checkpoint(draw)]
    rows.extend(_row(c.name, scored(c, cache)) for c in others)
    return {**found, "throughput_over_optimum": rows[0]["throughput_over_optimum"]}


def least(draw: Draw) -> float | None:
    """The least battery that holds the announced step, times the bound; None where the largest one tried does not."""
    low, high = _LEAST, _MOST
    if not holds(scored(step(draw, high * BOUND_WH))):
        return None
    while high - low > _CLOSE:
        middle = (low + high) / 2
        if holds(scored(step(draw, middle * BOUND_WH))):
            high = middle
        else:
            low = middle
    return high


def holds(found: Scored) -> bool:
    """No ramp of 60 s above the limit, no energy or power outside its window."""
    limit = TOLERANCE * RAMP_W_PER_MIN / 1e6
    return found.card.ramp_60s_max_mw_per_min <= limit and found.card.limit_violations == 0


def _row(name: str, found: Scored) -> dict[str, Any]:
    card, best = found.card, found.optimum["throughput_mwh"]
    return {"name": name, "holds": holds(found), "ramp_60s_max_mw_per_min": card.ramp_60s_max_mw_per_min,
            "ramp_10s_max_mw_per_min": card.ramp_10s_max_mw_per_min, "violation_s": card.violation_s,
            "limit_violations": card.limit_violations, "energy_min_mwh": card.energy_min_mwh,
            "energy_max_mwh": card.energy_max_mwh, "throughput_mwh": card.throughput_mwh,
            "optimum_throughput_mwh": best,
            "throughput_over_optimum": card.throughput_mwh / best if best > 0.05 else None}  # noqa: PLR2004  # MWh
