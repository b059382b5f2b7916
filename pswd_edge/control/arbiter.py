"""Who wins: constraints intersect, set-points are selected (control law, 2.5). Pure."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from pswd_edge.model.command import Level

GIVEN_BACK = -1               # the sequence of a tier that was given back: whoever else leads its point is newer


class Candidate(NamedTuple):
    """Somebody wants a point at a value. Of two at one level the newer sequence wins."""

    point: int
    value: float
    level: Level
    origin: str
    sequence: int = 0


class Bound(NamedTuple):
    """Somebody keeps a point within low..high; it holds for winners of its own level and below."""

    point: int
    low: float
    high: float
    level: Level
    name: str


class Verdict(NamedTuple):
    """The outcome for one point. `value` is None where nobody wants anything: nothing is written.

    `tied` are those losers that contradicted each other: one level, one sequence, different values.
    """

    point: int
    value: float | None
    winner: str
    level: int
    limit: str
    losers: tuple[str, ...]
    tied: tuple[str, ...] = ()


def arbitrate(point: int, candidates: Iterable[Candidate], bounds: Iterable[Bound]) -> Verdict:
    """Select the candidate of the highest priority and clip it to every bound of its level or above.

    Where bounds contradict each other the one of the highest priority holds; at one level, the lower end. A candidate
    that is no number loses. A bound that is no number lets nothing through: `value` is None, the device lets go.
    Where the newest of a level contradict each other, nobody of that level is taken: the next lower level wins.
    """
    ranked = sorted((c for c in candidates if c.point == point), key=_rank)
    asked, tied = _untied([c for c in ranked if math.isfinite(c.value)])
    contradicted = _named(tied)
    if not asked:
        return Verdict(point, None, "", int(Level.PLANNER), "", _named(ranked), contradicted)
    winner = asked[0]
    applying = [b for b in bounds if b.point == point and b.level <= winner.level]
    losers = _named([c for c in ranked if c is not winner])
    unknown = sorted(b.name for b in applying if math.isnan(b.low) or math.isnan(b.high))
    if unknown:
        return Verdict(point, None, winner.origin, int(winner.level), unknown[0], losers, contradicted)
    value, limit = winner.value, ""
    for bound in sorted(applying, key=_last_word_last):
        clipped = min(max(value, bound.low), bound.high)
        if clipped != value:
            value, limit = clipped, bound.name
    return Verdict(point, value, winner.origin, int(winner.level), limit, losers, contradicted)


def _untied(ranked: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """The candidates from the first level on whose newest agree, and those that contradicted each other before."""
    tied: list[Candidate] = []
    while ranked:
        level, newest = ranked[0].level, ranked[0].sequence
        first = [c for c in ranked if (c.level, c.sequence) == (level, newest)]
        if len({c.value for c in first}) == 1:
            break
        tied += first
        ranked = [c for c in ranked if c.level != level]
    return ranked, tied


def _rank(candidate: Candidate) -> tuple[int, int, str, str]:
    """Priority, then the newer; the rest only makes the order the same every time."""
    return int(candidate.level), -candidate.sequence, candidate.origin, repr(candidate.value)


def _last_word_last(bound: Bound) -> tuple[int, float, float, str]:
    """The highest priority last, so that it has the last word; at one level the one with the lower end."""
    return -int(bound.level), -bound.high, bound.low, bound.name


def _named(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    return tuple(f"{c.origin}={c.value:g}" for c in candidates)
