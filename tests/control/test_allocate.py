"""What the batteries can give, and who gives how much."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import FIRST_S, MW, MWH, bad, battery_spec, good

from pswd_edge.control.rules.allocate import Battery, Fleet, fleet_of, judge, share
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


def test_power_is_shared_in_proportion_to_the_ratings() -> None:
    """Equal energy per watt then lasts equally long."""
    fleet = fleet_of([battery("a", 60 * MW), battery("b", 40 * MW)])
    assert share(50 * MW, fleet) == pytest.approx({"a": 30 * MW, "b": 20 * MW})
    assert share(-10 * MW, fleet) == pytest.approx({"a": -6 * MW, "b": -4 * MW})


def test_what_one_cannot_give_the_others_take_over() -> None:
    """The first share is cut to 10; the rest goes to the other two by their ratings."""
    weak = battery("a", 40 * MW, discharge_available_w=10 * MW)
    fleet = fleet_of([weak, battery("b", 40 * MW), battery("c", 20 * MW)])
    assert share(55 * MW, fleet) == pytest.approx({"a": 10 * MW, "b": 30 * MW, "c": 15 * MW})


def test_a_lost_battery_gets_nothing_and_counts_for_nothing() -> None:
    """Its share would be power that nobody gives."""
    fleet = fleet_of([battery("a"), lost("b")])
    assert share(30 * MW, fleet) == {"a": 30 * MW}
    assert fleet.discharge_rating_w == 50 * MW
    assert share(30 * MW, fleet_of([lost("a")])) == {}


def test_the_fleet_is_empty_when_its_first_battery_is() -> None:
    """2 x 50 MW that hold 0.5 and 4.8 MWh and share by rating are 1 MWh, not 5.3 (control law, 2.8)."""
    fleet = fleet_of([battery("a", energy_wh=0.5 * MWH), battery("b", energy_wh=4.8 * MWH)])
    assert fleet.above_min_wh == pytest.approx(1.0 * MWH)
    assert fleet.energy_wh == pytest.approx(5.3 * MWH)


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
