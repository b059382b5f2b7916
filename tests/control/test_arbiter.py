"""Who wins: bounds intersect, set-points are selected."""

import math
import random

from hypothesis import assume, given
from hypothesis import strategies as st

from pswd_edge.control.arbiter import Bound, Candidate, arbitrate
from pswd_edge.model.command import Level

POINT = 3
LEVELS = st.sampled_from(list(Level))
NUMBERS = st.floats(-1e9, 1e9)
CANDIDATES = st.lists(st.builds(Candidate, st.just(POINT), NUMBERS, LEVELS, st.sampled_from("abc"), st.integers(0, 5)),
                      max_size=6)
BOUNDS = st.lists(st.builds(lambda a, b, level, name: Bound(POINT, min(a, b), max(a, b), level, name),
                            NUMBERS, NUMBERS, LEVELS, st.sampled_from("xyz")), max_size=6)


def applying(bounds: list[Bound], level: int) -> list[Bound]:
    return [b for b in bounds if b.level <= level]


def contradicted(one: Candidate, candidates: list[Candidate]) -> bool:
    """Whether the newest of its level want different values."""
    level = [c for c in candidates if c.level == one.level]
    newest = max(c.sequence for c in level)
    return len({c.value for c in level if c.sequence == newest}) > 1


@given(CANDIDATES, BOUNDS)
def test_the_value_lies_within_every_bound_that_applies(candidates: list[Candidate], bounds: list[Bound]) -> None:
    """Whatever is asked: limits of the winner's level and above hold, as far as they can hold together."""
    verdict = arbitrate(POINT, candidates, bounds)
    assume(verdict.value is not None)
    held = applying(bounds, verdict.level)
    assume(max((b.low for b in held), default=-math.inf) <= min((b.high for b in held), default=math.inf))
    assert all(b.low <= verdict.value <= b.high for b in held)


@given(CANDIDATES, BOUNDS)
def test_the_bounds_of_the_highest_priority_always_hold(candidates: list[Candidate], bounds: list[Bound]) -> None:
    """Contradictory or not: protection has the last word."""
    verdict = arbitrate(POINT, candidates, bounds)
    assume(verdict.value is not None)
    held = applying(bounds, verdict.level)
    first = [b for b in held if b.level == min(b.level for b in held)]
    assume(max((b.low for b in first), default=-math.inf) <= min((b.high for b in first), default=math.inf))
    assert all(b.low <= verdict.value <= b.high for b in first)


@given(CANDIDATES, BOUNDS)
def test_the_highest_priority_wins_and_the_others_are_named(candidates: list[Candidate], bounds: list[Bound]) -> None:
    """Of two at one level the newer; whoever asked in vain is told of."""
    verdict = arbitrate(POINT, candidates, bounds)
    if not candidates:
        assert verdict[:6] == (POINT, None, "", int(Level.PLANNER), "", ())
        return
    agreed = [c for c in candidates if not contradicted(c, candidates)]
    assert len(verdict.losers) == len(candidates) - bool(agreed)
    if not agreed:
        assert (verdict.value, verdict.winner) == (None, "")
        return
    best = min((c.level, -c.sequence) for c in agreed)
    assert verdict.winner in {c.origin for c in agreed if (c.level, -c.sequence) == best}
    assert verdict.level == best[0]


@given(CANDIDATES, BOUNDS, st.randoms(use_true_random=False))
def test_the_order_in_which_they_come_does_not_matter(
    candidates: list[Candidate], bounds: list[Bound], chance: random.Random
) -> None:
    """A replay gives the same, bit for bit."""
    before = arbitrate(POINT, candidates, bounds)
    assert arbitrate(POINT, chance.sample(candidates, len(candidates)), chance.sample(bounds, len(bounds))) == before


@given(CANDIDATES, BOUNDS)
def test_a_limit_is_named_where_the_value_was_changed_only(candidates: list[Candidate], bounds: list[Bound]) -> None:
    """The name explains a difference; without one it would accuse."""
    verdict = arbitrate(POINT, candidates, [b for b in bounds if b.name])
    asked = {c.value for c in candidates if c.level == verdict.level}
    if verdict.value is not None and verdict.value not in asked:
        assert verdict.limit in {b.name for b in applying(bounds, verdict.level)}
    if not verdict.limit:
        assert verdict.value is None or verdict.value in asked


def test_protection_beats_the_grid_beats_the_law() -> None:
    """Three limits that cannot hold together."""
    wanted = [Candidate(POINT, 50.0, Level.LAW, "law")]
    bounds = [Bound(POINT, 0.0, 10.0, Level.PROTECTION, "battery"), Bound(POINT, 20.0, 30.0, Level.GRID, "grid"),
              Bound(POINT, 40.0, 60.0, Level.LAW, "own")]
    verdict = arbitrate(POINT, wanted, bounds)
    assert (verdict.value, verdict.limit) == (10.0, "battery")


def test_at_one_level_the_lower_of_two_contradictory_bounds_holds() -> None:
    """The more restrictive one, whichever came first."""
    wanted = [Candidate(POINT, 50.0, Level.API, "api:alice")]
    bounds = [Bound(POINT, 0.0, 5.0, Level.API, "low"), Bound(POINT, 8.0, 10.0, Level.API, "high")]
    for order in (bounds, bounds[::-1]):
        assert arbitrate(POINT, wanted, order)[1::3] == (5.0, "low")


def test_a_bound_of_lower_priority_does_not_hold_the_winner() -> None:
    """A workload's cap does not bind the operator."""
    wanted = [Candidate(POINT, 50.0, Level.OPERATOR, "console"), Candidate(POINT, 5.0, Level.API, "api:alice")]
    verdict = arbitrate(POINT, wanted, [Bound(POINT, 0.0, 10.0, Level.API, "workload")])
    assert verdict[:6] == (POINT, 50.0, "console", Level.OPERATOR, "", ("api:alice=5",))


def test_other_points_do_not_matter() -> None:
    """One list serves all points of a cycle."""
    verdict = arbitrate(POINT, [Candidate(4, 1.0, Level.DEVICE, "x"), Candidate(POINT, 2.0, Level.LAW, "law")],
                        [Bound(4, 7.0, 8.0, Level.DEVICE, "y")])
    assert verdict[:6] == (POINT, 2.0, "law", Level.LAW, "", ())


def test_a_candidate_that_is_no_number_loses() -> None:
    """NaN passes through min and max as it likes, and a driver would write it."""
    wanted = [Candidate(POINT, math.nan, Level.OPERATOR, "console"), Candidate(POINT, math.inf, Level.API, "api:a"),
              Candidate(POINT, 5.0, Level.LAW, "law")]
    verdict = arbitrate(POINT, wanted, [Bound(POINT, 0.0, 4.0, Level.GRID, "grid")])
    assert verdict[:6] == (POINT, 4.0, "law", Level.LAW, "grid", ("console=nan", "api:a=inf"))
    assert arbitrate(POINT, wanted[:2], [])[:6] == (POINT, None, "", Level.PLANNER, "", ("console=nan", "api:a=inf"))


def test_a_bound_that_is_not_known_lets_nothing_through() -> None:
    """How much a battery can take now is NaN: the set-point is let go, and the device falls back by itself."""
    for bound in (Bound(POINT, math.nan, 4.0, Level.PROTECTION, "battery"),
                  Bound(POINT, 0.0, math.nan, Level.PROTECTION, "battery")):
        verdict = arbitrate(POINT, [Candidate(POINT, 5.0, Level.LAW, "law")], [bound])
        assert verdict[:6] == (POINT, None, "law", Level.LAW, "battery", ())


def test_two_that_contradict_each_other_are_not_taken() -> None:
    """One level, one sequence, two values: neither is more right than the other, and the next lower level is sure."""
    wanted = [Candidate(POINT, 5.0, Level.API, "api:a", 7), Candidate(POINT, 6.0, Level.API, "api:b", 7),
              Candidate(POINT, 4.0, Level.API, "api:c", 2), Candidate(POINT, 1.0, Level.LAW, "law")]
    verdict = arbitrate(POINT, wanted, [Bound(POINT, 0.0, 0.5, Level.LAW, "own")])
    assert verdict == (POINT, 0.5, "law", Level.LAW, "own", ("api:a=5", "api:b=6", "api:c=4"), ("api:a=5", "api:b=6"))
    nobody = arbitrate(POINT, wanted[:3], [])
    assert nobody[1:3] == (None, "")
    assert nobody.tied == ("api:a=5", "api:b=6")


def test_two_that_agree_are_no_contradiction() -> None:
    """A tier that two interlocks shed is shed."""
    wanted = [Candidate(POINT, 0.0, Level.PROTECTION, "interlock:a", 3),
              Candidate(POINT, 0.0, Level.PROTECTION, "interlock:b", 3)]
    assert arbitrate(POINT, wanted, [])[1:4] == (0.0, "interlock:a", Level.PROTECTION)
    assert arbitrate(POINT, wanted, []).tied == ()


def test_a_newer_word_ends_a_contradiction() -> None:
    """What the older ones disagreed about is over."""
    wanted = [Candidate(POINT, 5.0, Level.API, "api:a", 7), Candidate(POINT, 6.0, Level.API, "api:b", 7),
              Candidate(POINT, 9.0, Level.API, "api:c", 8)]
    verdict = arbitrate(POINT, wanted, [])
    assert (verdict.value, verdict.winner, verdict.tied) == (9.0, "api:c", ())


def test_one_that_is_no_number_contradicts_nobody() -> None:
    """It has lost before."""
    wanted = [Candidate(POINT, math.nan, Level.API, "api:a", 7), Candidate(POINT, 6.0, Level.API, "api:b", 7)]
    assert arbitrate(POINT, wanted, [])[1:3] == (6.0, "api:b")
