"""What announcements are worth, and what a lie costs: the step of the whole range on virtual time.

Three batteries: the least for a firm announcement, told over swing² / 8R, which any controller needs that knows the
step beforehand; one for an announcement that may be a lie, as it costs the ramp back; one that carries any load in the
range, for which an announcement is only less wear.
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
from pswd_edge.replay.site import CEILING_W, MW, RAMP_W_PER_MIN

FIRM, NOT_FIRM, WHOLE = 1.3, 2.8, 8 * MW / BOUND_WH  # batteries, times the bound
_LEAST, _CLOSE = 1.0, 0.02    # of the halving, times the bound
_SMALL_MWH = 0.05             # of throughput: below it a ratio says nothing
_NEVER_S = 1e9
_LATE_S = 20.0
_SAID = Said(LEAD_S, SWING_W, SWING_W, SWING_W, late_s=10.0, firm=True)
_MAYBE = replace(_SAID, late_s=30.0, firm=False)
_CASES: dict[str, dict[str, Any]] = {
    "true": {}, "late by 8 s": {"comes_s": LEAD_S + 8}, "late by 20 s": {"comes_s": LEAD_S + _LATE_S},
    "early by 20 s": {"comes_s": LEAD_S - _LATE_S}, "never": {"comes_s": _NEVER_S},
    "half as large": {"rises_w": SWING_W / 2}, "twice as large": {}, "not announced": {}}
"""What comes where the step is announced for `LEAD_S`; twice as large: half of it was announced."""

KINDS: dict[str, tuple[float, Said, dict[str, Any]]] = {
    "firm": (FIRM, _SAID, {}), "not firm": (NOT_FIRM, _MAYBE, {}),
    "any load is carried": (WHOLE, _MAYBE, {"soc": 0.85, "ceiling_w": CEILING_W})}
_QUICK = (("firm", "true"), ("any load is carried", "never"))


def announced(draw: Draw, cache: Path | None, *, quick: bool) -> dict[str, Any]:
    """The section of `bench control`.

    Quick: the battery of 1.3 times the bound is tried, and the least one not searched: `needed_over_bound` is 1.3 then,
    or None where that does not hold.
    """
    asked = _QUICK if quick else [(kind, name) for kind in KINDS for name in _CASES]
    cases = [_row(kind, name, scored(case_of(draw, kind, name), cache)) for kind, name in asked]
    if not quick:
        cases += [_row("training", c.name, scored(c, cache)) for c in (start_and_stop(draw), checkpoint(draw))]
    true = cases[0]
    needed = (FIRM if true["holds"] else None) if quick else least(draw)
    return {"bound_mwh": BOUND_WH / 1e6, "needed_over_bound": needed,
            "throughput_over_optimum": true["throughput_over_optimum"], "cases": cases}


def least(draw: Draw) -> float | None:
    """The least battery that holds the firm step, times the bound; None where that of 1.3 does not."""
    low, high = _LEAST, FIRM
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


def case_of(draw: Draw, kind: str, name: str) -> Case:
    """One of `KINDS` with one of the cases: what was announced, and what comes."""
    battery, said, others = KINDS[kind]
    if name == "twice as large":
        said = replace(said, step_w=SWING_W / 2, low_w=SWING_W / 2, high_w=SWING_W / 2)
    if name == "not announced":
        said = Said(LEAD_S, 0.0, 0.0, 0.0)
    return step(draw, battery * BOUND_WH, said=said, **others, **_CASES[name])


def _row(kind: str, name: str, found: Scored) -> dict[str, Any]:
    card, best = found.card, found.optimum["throughput_mwh"]
    return {"kind": kind, "name": name, "holds": holds(found),
            "ramp_60s_max_mw_per_min": card.ramp_60s_max_mw_per_min,
            "ramp_10s_max_mw_per_min": card.ramp_10s_max_mw_per_min, "violation_s": card.violation_s,
            "limit_violations": card.limit_violations, "energy_min_mwh": card.energy_min_mwh,
            "energy_max_mwh": card.energy_max_mwh, "throughput_mwh": card.throughput_mwh,
            "optimum_throughput_mwh": best,
            "throughput_over_optimum": card.throughput_mwh / best if best > _SMALL_MWH else None}
