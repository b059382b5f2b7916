"""What the batteries can give, and who gives how much."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import FIRST_S, MW, MWH, World, bad, battery_spec, good, limits, small_spec

from pswd_edge.control.rules.allocate import Battery, Fleet, balanced, fleet_of, judge, share
from pswd_edge.model.quality import Reason
from pswd_edge.model.snapshot import Reading, freeze


def battery(name: str, rating_w: float = 50 * MW, energy_wh: float = 5 * MWH, **changes) -> Battery:
    """Usable, with as much above its minimum as below its maximum."""
    found = Battery(name, True, "", 0.0, energy_wh, energy_wh, energy_wh, rating_w, rating_w, rating_w, rating_w)
    return found._replace(**changes)


def lost(name: str) -> Battery:
    return Battery(name, False, "state 6", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


powers = st.floats(0, 80 * MW)


@st.composite
def fleets(draw) -> Fleet:
    """One to four batteries; some are lost, some have less to give than their rating."""
    made = []
    for i in range(draw(st.integers(1, 4))):
        if draw(st.booleans()) and draw(st.booleans()):
            made.append(lost(f"b{i}"))
            continue
        up, down = draw(powers), draw(powers)
        part = draw(st.floats(0, 1))
        made.append(battery(f"b{i}", discharge_rating_w=up, charge_rating_w=down,
                            discharge_available_w=up * part, charge_available_w=down * (1 - part)))
    return fleet_of(made)


@given(fleets(), st.floats(-400 * MW, 400 * MW))
def test_the_shares_sum_to_the_request_as_far_as_the_fleet_can_give_it(fleet: Fleet, power_w: float) -> None:
    """A watt that goes missing here is a watt on the grid; a watt too much breaks a battery's limit."""
    shares = share(power_w, fleet)
    assert sum(shares.values()) == pytest.approx(
        min(max(power_w, -fleet.charge_available_w), fleet.discharge_available_w), abs=1.0)
    for found in (b for b in fleet.batteries if b.usable):
        assert -found.charge_available_w - 1e-6 <= shares[found.id] <= found.discharge_available_w + 1e-6


def test_equal_endurances_share_in_proportion_to_their_ratings() -> None:
    """They then last equally long."""
    fleet = fleet_of([battery("a", 60 * MW, 6 * MWH), battery("b", 40 * MW, 4 * MWH)])
    assert share(50 * MW, fleet) == pytest.approx({"a": 30 * MW, "b": 20 * MW})
    assert share(-10 * MW, fleet) == pytest.approx({"a": -6 * MW, "b": -4 * MW})


def test_what_one_cannot_give_the_others_take_over() -> None:
    """The first share is cut to 10; the rest goes to the other two by their ratings."""
    weak = battery("a", 40 * MW, 4 * MWH, discharge_available_w=10 * MW)
    fleet = fleet_of([weak, battery("b", 40 * MW, 4 * MWH), battery("c", 20 * MW, 2 * MWH)])
    assert share(55 * MW, fleet) == pytest.approx({"a": 10 * MW, "b": 30 * MW, "c": 15 * MW})


@given(fleets(), st.floats(-400 * MW, 400 * MW), st.randoms(use_true_random=False))
def test_the_order_of_the_batteries_in_the_site_file_does_not_matter(fleet: Fleet, power_w: float, random) -> None:
    """A share that depends on a place in a list would be nobody's decision."""
    mixed = list(fleet.batteries)
    random.shuffle(mixed)
    assert share(power_w, fleet_of(mixed)) == pytest.approx(share(power_w, fleet), abs=1.0)


def test_a_battery_lost_in_mid_ramp_is_made_up_for_in_the_same_cycle() -> None:
    """A cycle later the grid would have seen the hole."""
    world = World(small_spec(), 60 * MW)
    world.run(50)
    world.load_w = 90 * MW
    world.run(30)
    before_w = world.battery_w
    world.lost.add("b2")
    decision = world.step()
    assert decision.shares.get("b2", 0.0) == 0.0
    assert decision.shares["b1"] == pytest.approx(before_w, abs=1 * MW)


def test_a_lost_battery_gets_nothing_and_counts_for_nothing() -> None:
    """Its share would be power that nobody gives."""
    fleet = fleet_of([battery("a"), lost("b")])
    assert share(30 * MW, fleet) == {"a": 30 * MW}
    assert fleet.discharge_rating_w == 50 * MW
    assert share(30 * MW, fleet_of([lost("a")])) == {}


def test_before_it_is_balanced_a_fleet_counts_its_weakest_battery() -> None:
    """2 x 50 MW that hold 0.5 and 4.8 MWh and share by rating are 1 MWh, not 5.3."""
    fleet = fleet_of([battery("a", energy_wh=0.5 * MWH), battery("b", energy_wh=4.8 * MWH)])
    assert fleet.above_min_wh == pytest.approx(1.0 * MWH)
    assert fleet.energy_wh == pytest.approx(5.3 * MWH)


def test_a_balanced_fleet_counts_what_it_can_bring() -> None:
    """The same two carry a gap of 50 MW and what 0.5 MWh more are good for: 4.04 of 5.3 MWh."""
    fleet = fleet_of([battery("a", energy_wh=0.5 * MWH), battery("b", energy_wh=4.8 * MWH)])
    ramp, eta = 0.11 * MW, 0.96
    narrow = math.sqrt(7200 * ramp * eta * 0.5 * MWH)
    widest = min(math.sqrt(7200 * ramp * eta * 5.3 * MWH), 50 * MW + narrow)
    assert balanced(fleet, limits(), 60 * MW).above_min_wh == pytest.approx(widest**2 / (7200 * ramp * eta))


def test_equal_batteries_count_in_full() -> None:
    """Nothing is lost by counting them together."""
    fleet = balanced(fleet_of([battery("a"), battery("b")]), limits(age_s=1.0), 60 * MW)
    assert (fleet.above_min_wh, fleet.below_max_wh) == pytest.approx((10 * MWH, 10 * MWH))


def test_no_batteries_are_a_fleet_of_nothing() -> None:
    """A site whose batteries are all away still runs."""
    assert fleet_of([]) == Fleet((), 0.0, 0.0, 0, 0, 0, 0, 0)


SPEC = battery_spec(1, 60 * MW, 15 * MWH, charge_limit=13, discharge_limit=14, state=15, available_states=(3, 4))


def judged(spec=SPEC, **readings) -> Battery:
    """Judge one battery with some of its readings replaced."""
    values = {"soc": good(60.0, FIRST_S), "power": good(5 * MW, FIRST_S), "charge_limit": good(60 * MW, FIRST_S),
              "discharge_limit": good(60 * MW, FIRST_S), "state": good(3.0, FIRST_S)} | readings
    points = {10: "soc", 11: "power", 13: "charge_limit", 14: "discharge_limit", 15: "state"}
    return judge(spec, freeze(1, FIRST_S, FIRST_S, {p: values[n] for p, n in points.items()}), 0.1)


def test_a_healthy_battery_has_its_window_and_its_ratings() -> None:
    """60 % of 15 MWh in a window of 10 to 90 %."""
    found = judged()
    assert (found.usable, found.why, found.power_w) == (True, "", 5 * MW)
    assert (found.above_min_wh, found.below_max_wh) == pytest.approx((7.5 * MWH, 4.5 * MWH))
    assert (found.discharge_available_w, found.charge_available_w) == (60 * MW, 60 * MW)


@pytest.mark.parametrize(("name", "reading", "why"), [
    ("soc", bad(), "SoC unreachable"),
    ("soc", good(60.0, FIRST_S - 9, FIRST_S), "SoC stale"),
    ("soc", good(math.nan, FIRST_S), "SoC not_a_number"),
    ("soc", good(6553.5, FIRST_S), "SoC 6553.5 %"),
    ("soc", good(-1.0, FIRST_S), "SoC -1 %"),
    ("power", bad(Reason.SENTINEL), "power sentinel"),
    ("power", good(math.inf, FIRST_S), "power not_a_number"),
    ("power", good(1.0, FIRST_S - 0.6, FIRST_S), "power stale"),
    ("state", bad(Reason.NEVER_READ), "state never_read"),
    ("state", good(6.0, FIRST_S), "state 6"),
    ("state", good(3.5, FIRST_S), "state 3.5"),
    ("state", good(math.nan, FIRST_S), "state not_a_number"),
])
def test_a_battery_that_is_not_known_to_be_good_is_not_counted_on(name: str, reading: Reading, why: str) -> None:
    """Each odd reading makes it lost, with the reason in words, and never stops the cycle."""
    found = judged(**{name: reading})
    assert (found.usable, found.why) == (False, why)
    assert (found.discharge_available_w, found.charge_available_w, found.above_min_wh) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("reading", [good(0.0, FIRST_S), good(-5.0, FIRST_S), bad(), good(math.nan, FIRST_S)])
def test_a_bms_limit_of_nothing_or_of_nothing_known_allows_nothing(reading: Reading) -> None:
    """A limit that is declared but cannot be read is no permission; the other direction is untouched."""
    found = judged(discharge_limit=reading)
    assert (found.discharge_rating_w, found.discharge_available_w) == (0.0, 0.0)
    assert found.charge_available_w == 60 * MW
    assert share(10 * MW, fleet_of([found, battery("b")])) == {"b1": 0.0, "b": 10 * MW}


@pytest.mark.parametrize("soc", [10.0, 9.99, 5.0, 0.0])
def test_at_its_lowest_soc_a_battery_gives_nothing_and_is_not_force_charged(soc: float) -> None:
    """Without max(0, …) a store 1 kWh below its minimum is charged at 35 MW by force."""
    found = judged(soc=good(soc, FIRST_S))
    assert found.discharge_available_w == 0.0
    assert found.above_min_wh == 0.0
    assert share(0.0, fleet_of([found])) == {"b1": 0.0}
    assert found.charge_available_w == 60 * MW


@pytest.mark.parametrize("soc", [90.0, 90.01, 100.0])
def test_at_its_highest_soc_a_battery_takes_nothing(soc: float) -> None:
    """The same at the other end."""
    found = judged(soc=good(soc, FIRST_S))
    assert (found.charge_available_w, found.below_max_wh) == (0.0, 0.0)
    assert found.discharge_available_w == 60 * MW


def test_the_last_energy_is_given_no_faster_than_its_age_allows() -> None:
    """The SoC can be a second old: in 1.1 s what is left must not be overdrawn."""
    found = judged(soc=good(10.05, FIRST_S))
    assert found.discharge_available_w == pytest.approx(3600 * 0.96 * 7500 / 1.1)
