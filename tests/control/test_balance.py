"""Several batteries as one: what counts, and that what counts can be brought."""

import math

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from virtual import MW, MWH

from pswd_edge.control.rules.balance import Part, gap_wh, split_w, usable_wh, widest_gap_w

RAMP = 0.11 * MW              # W/s
DRAWN = 1 / 0.96
CYCLE_S = 0.5

parts_of = st.lists(st.builds(lambda e, p: Part(e * MWH, p * MW, p * MW), st.floats(0.0, 12.0), st.floats(1.0, 80.0)),
                    min_size=1, max_size=4)


def carried(parts: list[Part], gap_w: float, blend_s: float = 0.0) -> float:
    """The power that is missing at worst, W, while a gap is closed at the ramp; energies at the terminals."""
    worst, left = 0.0, [p.energy_wh / DRAWN for p in parts]
    while gap_w > 0:
        wanted = max(0.0, gap_w - RAMP * CYCLE_S / 2)
        now = [Part(e, p.rating_w, min(p.rating_w, 3600 * e / CYCLE_S)) for e, p in zip(left, parts, strict=True)]
        given = split_w(wanted, now, blend_s)
        left = [max(0.0, e - w * CYCLE_S / 3600) for e, w in zip(left, given, strict=True)]
        worst = max(worst, wanted - sum(given))
        gap_w -= RAMP * CYCLE_S
    return worst


@settings(max_examples=60, deadline=None)
@given(parts_of, st.floats(0.0, 1.0))
@example([Part(0.5 * MWH, 50 * MW, 50 * MW), Part(4.8 * MWH, 50 * MW, 50 * MW)], 1.0)
def test_every_gap_that_counts_as_carried_is_carried(parts: list[Part], share: float) -> None:
    """The law promises the ramp on this count: a gap that closes from there never lacks power."""
    gap_w = share * min(widest_gap_w(parts, RAMP, 0.0, DRAWN), sum(p.rating_w for p in parts))
    assert carried(parts, gap_w) <= RAMP * CYCLE_S + 1.0  # one step of the ramp: cycles are not continuous


@settings(max_examples=60, deadline=None)
@given(parts_of)
def test_a_wider_gap_is_carried_by_no_order_of_giving(parts: list[Part]) -> None:
    """The count is as large as can be: above it the energy that the load takes over some power is not there."""
    gap_w = 1.02 * widest_gap_w(parts, RAMP, 0.0, DRAWN) + 0.2 * MW
    ordered = sorted(parts, key=lambda p: -p.endurance_s)
    lacking = any(
        max(0.0, gap_w - sum(p.rating_w for p in ordered[:k])) ** 2 / (7200 * RAMP) * DRAWN
        > sum(p.energy_wh for p in ordered[k:])
        for k in range(len(ordered) + 1))
    assert lacking


def test_with_exact_sizes_a_wider_gap_does_lack_power() -> None:
    """The bound, seen in the run itself and not only in its formula."""
    parts = [Part(0.5 * MWH, 50 * MW, 50 * MW), Part(4.8 * MWH, 50 * MW, 50 * MW)]
    widest_w = widest_gap_w(parts, RAMP, 0.0, DRAWN)
    assert carried(parts, 1.05 * widest_w) > 1 * MW


@settings(max_examples=100, deadline=None)
@given(parts_of, st.floats(0.0, 2.0))
def test_the_count_is_never_more_than_is_held_and_says_the_widest_gap(parts: list[Part], age_s: float) -> None:
    """What counts as usable is what the law compares with its reserves, its delay included."""
    usable = usable_wh(parts, RAMP, age_s, DRAWN)
    assert 0.0 <= usable <= sum(p.energy_wh for p in parts) * (1 + 1e-9)
    assert usable <= gap_wh(widest_gap_w(parts, RAMP, age_s, DRAWN), RAMP, age_s, DRAWN) * (1 + 1e-9)


@given(parts_of, st.floats(0.0, 350.0), st.floats(0.0, 60.0))
def test_shares_are_exact_and_within_the_room(parts: list[Part], power_mw: float, blend_s: float) -> None:
    """For any blend: a watt that goes missing here is a watt on the grid."""
    given_w = split_w(power_mw * MW, parts, blend_s)
    assert sum(given_w) == pytest.approx(min(power_mw * MW, sum(p.room_w for p in parts)), abs=1e-3)
    assert all(0.0 <= w <= p.room_w for w, p in zip(given_w, parts, strict=True))


@given(parts_of, st.floats(0.0, 300.0))
def test_none_gives_while_one_that_lasts_longer_has_room(parts: list[Part], power_mw: float) -> None:
    """Whoever could last longer goes first, so that all are empty together."""
    given_w = split_w(power_mw * MW, parts, 1.0)
    for one, w in zip(parts, given_w, strict=True):
        for other, v in zip(parts, given_w, strict=True):
            if other.endurance_s > one.endurance_s + 1.0 and v < other.room_w - 1.0:
                assert w <= 1.0


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 7.0), st.floats(0.5, 7.0), st.floats(5.0, 60.0))
def test_unequal_charge_comes_together_without_power_of_its_own(a_mwh: float, b_mwh: float, power_mw: float) -> None:
    """Under a load that swings around nothing the fuller one gives, the emptier one takes; never both at once."""
    assume(abs(a_mwh - b_mwh) > 0.5)
    held, room = [a_mwh * MWH, b_mwh * MWH], 8 * MWH
    apart = [abs(held[0] - held[1])]
    for k in range(600):
        gives = k % 2 == 0
        parts = [Part(e if gives else room - e, 60 * MW, 60 * MW) for e in held]
        shares = split_w(power_mw * MW, parts, 30.0)
        assert min(shares) >= 0.0
        held = [e - (w if gives else -w) * 1.0 / 3600 for e, w in zip(held, shares, strict=True)]
        apart.append(abs(held[0] - held[1]))
    assert apart[-1] < max(apart[0] - 0.9 * power_mw * MWH * 600 / 3600, 60 * MW * 30 / 3600)
    assert all(b <= a + 1.0 for a, b in zip(apart[::2], apart[2::2], strict=False))


def test_endurances_near_each_other_share_and_do_not_take_turns() -> None:
    """A register that moves by its last digit must not throw tens of megawatts from one battery to the other."""
    one, other = Part(5.000 * MWH, 50 * MW, 50 * MW), Part(5.005 * MWH, 50 * MW, 50 * MW)
    assert split_w(40 * MW, [one, other], 30.0) == pytest.approx([20 * MW, 20 * MW], rel=0.02)


def test_nothing_is_carried_by_nothing() -> None:
    """A site whose batteries are all away, or have neither power nor energy."""
    assert widest_gap_w([], RAMP, 1.0, DRAWN) == 0.0
    assert usable_wh([Part(1 * MWH, 0.0, 0.0)], RAMP, 1.0, DRAWN) == 0.0
    assert split_w(10 * MW, [Part(0.0, 10 * MW, 0.0)], 1.0) == [0.0]
    assert split_w(0.0, [], 1.0) == []
    assert math.isfinite(usable_wh([Part(1 * MWH, 10 * MW, 10 * MW)], 1e-3, 1.0, DRAWN))
