"""Ratings that are less than the nameplate."""

import math

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, MW, World, bad, battery_spec, good, small_spec

from pswd_edge.control.rules.allocate import judge
from pswd_edge.control.rules.derate import UPS_ON_BATTERY, share_at
from pswd_edge.model.control import Ups
from pswd_edge.model.quality import Quality
from pswd_edge.model.snapshot import freeze

CURVE = ((-10.0, 0.2), (10.0, 1.0), (35.0, 1.0), (50.0, 0.4))


@pytest.mark.parametrize(("temperature", "share"), [
    (-40.0, 0.2), (-10.0, 0.2), (0.0, 0.6), (20.0, 1.0), (42.5, 0.7), (50.0, 0.4), (90.0, 0.4), (math.nan, 0.2),
])
def test_between_its_points_the_curve_is_straight_and_beyond_them_flat(temperature: float, share: float) -> None:
    """A temperature that is not known is the worst one."""
    assert share_at(CURVE, temperature) == pytest.approx(share)


def test_without_a_curve_a_battery_has_its_ratings() -> None:
    """Its BMS may limit it all the same."""
    assert share_at((), math.nan) == 1.0


@pytest.mark.parametrize(("reading", "share"), [(good(42.5, FIRST_S), 0.7), (bad(), 0.2),
                                                (good(20.0, FIRST_S - 31, FIRST_S), 0.2)])
def test_both_ratings_are_derated(reading, share: float) -> None:
    """Before the BMS has to do it, so that the reserves know."""
    spec = battery_spec(1, charge_rating_w=40 * MW, temperature=16, derating=CURVE)
    readings = {10: good(50.0, FIRST_S), 11: good(0.0, FIRST_S), 16: reading}
    found = judge(spec, freeze(1, FIRST_S, FIRST_S, readings), 0.1)
    assert (found.discharge_rating_w, found.charge_rating_w) == pytest.approx((60 * MW * share, 40 * MW * share))


def test_a_bms_limit_that_falls_to_nothing_in_mid_ramp_takes_one_cycle() -> None:
    """The other battery makes up for it, and nobody is asked for what it may not give."""
    batteries = (battery_spec(1, discharge_limit=13), battery_spec(2))
    world = World(small_spec(batteries=batteries), 60 * MW)
    world.override[13] = good(60 * MW, FIRST_S)
    world.run(50)
    world.load_w = 90 * MW
    world.run(30)
    before_w = world.battery_w
    world.override[13] = good(0.0, FIRST_S)
    shares = world.step().shares
    assert shares["b1"] <= 0.0
    assert sum(shares.values()) == pytest.approx(min(before_w, 60 * MW), abs=1 * MW)


@pytest.mark.parametrize(("source", "bars_when_lost", "charges"), [
    (good(3.0, FIRST_S), True, True), (good(5.0, FIRST_S), False, False), (bad(), False, True), (bad(), True, False)])
def test_while_a_ups_lives_on_its_battery_nothing_charges(source, bars_when_lost: bool, charges: bool) -> None:
    """A UPS without its feeder is no moment to take more from the grid. One that is silent: as the site file says."""
    world = World(replace(small_spec(), ups=(Ups(90, (5,), "u1", bars_when_lost),)), 90 * MW)
    world.override[90] = source
    world.run(50)
    world.load_w = 60 * MW
    decision = world.run(30)[-1]
    assert (decision.battery_w < -1 * MW) is charges
    assert (UPS_ON_BATTERY in decision.degraded) is not charges
    assert ("ups_unknown:u1" in decision.degraded) is (source.quality is Quality.BAD)
