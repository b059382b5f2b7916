"""Chillers as tiers: pre-armed by their own time, never the answer to what is missing now."""

import math

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, MW, MWH, fleet, limits, small_spec, tier_spec

from pswd_edge.control.rules.deficit import PRE_ARM_S, found
from pswd_edge.control.rules.early import early_needs
from pswd_edge.control.rules.flexibility import of_site
from pswd_edge.control.rules.shed import ShedState, TierState, decide
from pswd_edge.control.rules.tiers import coming_w
from pswd_edge.replay.loop import Loop
from pswd_edge.replay.scenarios import Draw, scenario

SLOW_S = 180.0
CHILLER = tier_spec("t1", action="demand_limit", actuation_s=SLOW_S, floor_w=6 * MW, engaged_value=40.0,
                    released_value=100.0)
SPEC = small_spec(tiers=(CHILLER, tier_spec("t2"), tier_spec("t3")))
LAST = small_spec(tiers=(tier_spec("t2"), tier_spec("t3"), CHILLER))
POWER = (16 * MW, 20 * MW, 20 * MW)


def early_mw(load_mw: float, reference_mw: float, energy_mwh: float, power_mw: float = 100.0,
             import_mw: float = 120.0) -> float:
    """What will be missing in 185 s."""
    need = found(SPEC, load_mw * MW, reference_mw * MW, fleet(energy_mwh * MWH, 10 * MWH, power_mw * MW), limits(),
                 import_mw * MW)
    return need.early_w / MW


def free(spec=SPEC) -> ShedState:
    """Nothing shed, powers known."""
    powers = POWER if spec is SPEC else (*POWER[1:], POWER[0])
    return ShedState(tuple(TierState(filtered_w=p) for p in powers))


def engaged(spec, state: ShedState, deficit_mw: float, early: float, cycles: int = 2) -> list[bool]:
    powers = [t.filtered_w for t in state.tiers]
    for k in range(cycles):
        state = decide(spec, state, deficit_mw * MW, powers, True, FIRST_S + k / 10, 0.1, early * MW)
    return [t.engaged for t in state.tiers]


# --- what will be missing -----------------------------------------------------------------------------------------


def test_a_load_above_the_import_limit_is_missing_when_the_batteries_are_empty() -> None:
    """30 MW above it: 2 MWh last 230 s, 1.5 MWh not the 185 that the chiller takes and 5 to spare."""
    assert early_mw(150, 120, 2.0) <= 0
    assert early_mw(150, 120, 1.5) > 10
    assert early_mw(150, 120, 0.0) == pytest.approx(29.5, abs=0.6)  # less the ramp that may be broken by 0.5


def test_a_deficit_of_power_that_the_ramp_ends_in_time_needs_no_chiller() -> None:
    """20 MW short now; in 185 s the grid has climbed by 20."""
    assert found(SPEC, 98 * MW, 58 * MW, fleet(10 * MWH, 10 * MWH, 20 * MW), limits(), 120 * MW).deficit_w > 19 * MW
    assert early_mw(98, 58, 10.0, power_mw=20.0) <= 0


def test_a_deficit_of_power_that_lasts_longer_is_the_chiller_s_for_the_rest() -> None:
    """58 MW short, of which the ramp brings 20."""
    assert early_mw(98, 20, 10.0, power_mw=20.0) == pytest.approx(98 - 20 - 20 - 0.11 * (SLOW_S + PRE_ARM_S), abs=0.6)


def test_a_site_without_slow_tiers_has_no_early_need() -> None:
    """Nothing then counts against giving back."""
    spec = small_spec()
    assert found(spec, 150 * MW, 120 * MW, fleet(0, 0), limits(), 120 * MW).early_w == -math.inf


# --- who goes -----------------------------------------------------------------------------------------------------


def test_what_is_missing_now_is_never_asked_of_a_chiller() -> None:
    """It stands first in the list, and cannot help in time."""
    assert engaged(SPEC, free(), 5, -10) == [False, True, False]


def test_what_will_be_missing_is_asked_of_the_chiller_that_stands_first() -> None:
    """Nothing is missing now: only the chiller goes, two cycles after it is seen."""
    assert engaged(SPEC, free(), -5, 5, cycles=1) == [False, False, False]
    assert engaged(SPEC, free(), -5, 5) == [True, False, False]


def test_a_chiller_that_stands_last_goes_for_what_the_quick_ones_cannot_take() -> None:
    """They may wait for the deficit itself: 40 MW of theirs come first."""
    assert engaged(LAST, free(LAST), -5, 30) == [False, False, False]
    assert engaged(LAST, free(LAST), -5, 45) == [False, False, True]


def test_a_chiller_relieves_the_quick_tier_that_stands_after_it() -> None:
    """The rack is down by 15 MW and nothing is missing: the chiller takes over what lasts, the rack comes back."""
    held = TierState(True, FIRST_S - 5, 20 * MW, 15 * MW, gone_w=15 * MW, cap_w=5 * MW, filtered_w=5 * MW,
                     asked_s=FIRST_S - 5)
    state = free()._replace(tiers=(free().tiers[0], held, free().tiers[2]))
    assert early_needs(SPEC, state, -2 * MW, FIRST_S, of_site(SPEC)) == [(0, 13 * MW)]
    assert early_needs(SPEC, state, -20 * MW, FIRST_S, of_site(SPEC)) == [(0, -5 * MW)]


def test_a_chiller_that_was_told_does_not_hide_what_is_missing_meanwhile() -> None:
    """It was told a moment ago: a rack goes for the 8 MW that are missing now."""
    told = TierState(True, FIRST_S - 1, 16 * MW, 10 * MW, cap_w=6 * MW, filtered_w=16 * MW, asked_s=FIRST_S - 1)
    state = free()._replace(tiers=(told, *free().tiers[1:]))
    assert engaged(SPEC, state, 8, 0) == [True, True, False]


def test_a_second_chiller_is_not_sent_for_what_the_first_was_told() -> None:
    """Its 10 MW count against what will be missing, though the load does not show them yet."""
    second = replace(CHILLER, id="t2", setpoint=51, power=41)
    spec = small_spec(tiers=(CHILLER, second, tier_spec("t3")))
    state = ShedState(tuple(TierState(filtered_w=16 * MW) for _ in range(3)))
    assert engaged(spec, state, -5, 8, cycles=30) == [True, False, False]
    assert engaged(spec, state, -5, 12, cycles=30) == [True, True, False]


def test_what_a_released_chiller_may_still_draw_is_kept_free_for_its_own_time() -> None:
    """It comes back as slowly as it goes: after a minute it is not there yet."""
    back = TierState(False, FIRST_S, 16 * MW, filtered_w=7 * MW)
    state = ShedState((back, TierState(), TierState()))
    assert coming_w(SPEC, state, FIRST_S + 100) == pytest.approx(1.5 * 16 * MW - 7 * MW)
    assert coming_w(SPEC, state, FIRST_S + SLOW_S + 1) == 0


# --- closed loop --------------------------------------------------------------------------------------------------


def events(number: int, seconds: float, **changes) -> tuple[list[tuple[float, int, bool]], Loop]:
    """Every change of a tier with its second, and the loop."""
    case = scenario(number).build(Draw(301, 1.0, 0.25, seconds))
    for name, value in changes.items():
        setattr(case, name, value)
    loop = Loop(case)
    run = loop.run()
    told = []
    for k in range(run.first + 1, len(run.tiers)):
        told += [((k - run.first) / 10, i, bool(run.tiers[k, i])) for i in range(run.tiers.shape[1])
                 if run.tiers[k, i] != run.tiers[k - 1, i]]
    return told, loop


def test_a_chiller_goes_before_the_batteries_are_empty_and_a_rack_only_when_they_are() -> None:
    """Scenario 53: the import limit falls for good. The batteries carry what is above it while the chiller comes."""
    told, loop = events(53, 420.0)
    assert told[0][1:] == (0, True)
    racks = [at for at, i, on in told if i > 0 and on]
    assert all(at - told[0][0] >= loop.spec.tiers[0].actuation_s for at in racks)
    assert len([1 for _, i, _ in told if i == 0]) == 1
    energy = loop.batteries[0].energy_wh
    assert energy >= 0.095 * loop.batteries[0].capacity_wh
