"""Who wins: constraints intersect, set-points are selected (control law, 2.5). Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from pswd_edge.model.command import Level


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
    """The outcome for one point. `value` is None where nobody wants anything: nothing is written."""

    point: int
    value: float | None
    winner: str
    level: int
    limit: str
    losers: tuple[str, ...]


def arbitrate(point: int, candidates: Iterable[Candidate], bounds: Iterable[Bound]) -> Verdict:
    """Select the candidate of the highest priority and clip it to every bound of its level or above.

    Where bounds contradict each other the one of the highest priority holds.
    """
    ranked = sorted((c for c in candidates if c.point == point), key=lambda c: (c.level, -c.sequence))
    if not ranked:
        return Verdict(point, None, "", int(Level.PLANNER), "", ())
    winner = ranked[0]
    value, limit = winner.value, ""
    applying = sorted((b for b in bounds if b.point == point and b.level <= winner.level), key=lambda b: -b.level)
    for bound in applying:  # the highest priority last, so that it has the last word
        clipped = min(max(value, bound.low), bound.high)
        if clipped != value:
            value, limit = clipped, bound.name
    losers = tuple(f"{c.origin}={c.value:g}" for c in ranked[1:])
    return Verdict(point, value, winner.origin, int(winner.level), limit, losers)
