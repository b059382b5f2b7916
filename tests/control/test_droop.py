"""Droop, the rule alone and in the law: what it gives, what it holds, and what it must never break."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pswd_edge.control.rules import droop
from pswd_edge.control.rules.law import Decision
from pswd_edge.model.command import Mode
from pswd_edge.model.control import DroopSpec
from pswd_edge.model.quality import Reason
from pswd_edge.model.snapshot import Reading
from tests.control.virtual import MW, MWH, World, bad, battery_spec, fleet, good, limits, small_spec

FREQUENCY = 90
SPEC = DroopSpec(nominal_hz=50.0, w_per_hz=48 * MW, power_max_w=10 * MW, reserve_s=300.0)  # 5 % of 120 MW
RAMP_W = 0.011 * MW           # one cycle's


def site(spec: DroopSpec | None = SPEC, **changes):
    return small_spec(frequency=FREQUENCY, droop=spec, **changes)


class Grid(World):
    """The small site with a frequency; `hz` NaN: the meter is silent."""

    def __init__(self, spec=None, load_w: float = 60 * MW, soc_percent: float = 60.0) -> None:
        super().__init__(site() if spec is None else spec, load_w, soc_percent)
        self.hz = 50.0

    def step(self, mode: Mode = Mode.AUTO, dt_s: float = 0.1, **orders) -> Decision:
        self.override[FREQUENCY] = bad() if math.isnan(self.hz) else good(self.hz, self.time_s)
        return super().step(mode, dt_s, **orders)

    def at(self, hz: float, cycles: int, **orders) -> list[Decision]:
        self.hz = hz
        return self.run(cycles, **orders)


def heard(*values: float) -> droop.Droop:
    state = droop.NONE
    for hz in values:
        state = droop.heard(SPEC, state, bad() if math.isnan(hz) else good(hz, 1.0), 0.1)
    return state


# --- the rule alone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hz", "power_mw"), [
    (50.0, 0.0), (49.964, 0.0), (50.036, 0.0), (49.864, 4.8), (50.136, -4.8), (49.7, 10.0), (51.0, -10.0)])
def test_the_answer_is_a_line_beyond_the_deadband(hz: float, power_mw: float) -> None:
    """IEEE 1547: nothing inside the deadband, then the droop counted from its edge, so that there is no step."""
    assert droop.answer_w(SPEC, hz) == pytest.approx(power_mw * MW, abs=1.0)


def test_one_wrong_value_moves_nothing() -> None:
    """A register caught in mid-renewal must not be answered with ten megawatts."""
    assert droop.frequency_hz(SPEC, heard(50.0, 50.0, 45.0)) == 50.0
    assert droop.frequency_hz(SPEC, heard(50.0, 45.0, 50.0)) == 50.0
    assert droop.frequency_hz(SPEC, heard(50.0, 49.5, 49.5)) == 49.5


def test_of_two_values_the_more_harmless_is_believed() -> None:
    """After a gap there is no majority."""
    assert droop.frequency_hz(SPEC, heard(math.nan, 49.0, 49.9)) == 49.9
    assert droop.frequency_hz(SPEC, heard(math.nan, math.nan, 49.9)) == 49.9


@pytest.mark.parametrize("reading", [
    bad(Reason.NEVER_READ), good(0.0, 1.0), good(39.9, 1.0), good(60.1, 1.0), good(50_000.0, 1.0),
    good(49.0, 1.0, now_s=1.6), good(math.nan, 1.0), good(math.inf, 1.0)])
def test_what_no_grid_can_have_is_not_known(reading: Reading) -> None:
    """A dead bus shows 0 Hz, a map without its factor 50000; neither is a call for power."""
    state = droop.heard(SPEC, heard(50.0, 50.0), reading, 0.1)
    assert droop.is_unknown(SPEC, state)
    assert math.isnan(droop.frequency_hz(SPEC, state))


def test_a_frequency_that_is_lost_lets_go_at_the_ramp() -> None:
    """Its end must be no step either; and it ends at 0, not beyond."""
    state = heard(math.nan)._replace(power_w=2.5 * RAMP_W)
    found = []
    for _ in range(4):
        state = state._replace(power_w=droop.wanted_w(SPEC, state, limits(), 0.1, acts=True))
        found.append(state.power_w / RAMP_W)
    assert found == pytest.approx([1.5, 0.5, 0.0, 0.0])


def test_droop_yields_to_the_load() -> None:
    """Support of the grid is no reason to break the site's own ramp, or any limit."""
    assert droop.beside(SPEC, 10.0, 60.0, -50.0, 55.0) == (5.0, 55.0)
    assert droop.beside(SPEC, 10.0, 75.0, -50.0, 55.0) == (0.0, 65.0)   # the load alone is beyond; that is for others
    assert droop.beside(SPEC, -10.0, -55.0, -50.0, 55.0) == (-5.0, -50.0)
    assert droop.beside(SPEC, 10.0, -50.0, -50.0, 55.0) == (10.0, -50.0)


def test_power_and_energy_are_held_until_they_are_used() -> None:
    """Held beside the load's reserves; what was used is not held, or the reference would take it back."""
    whole = fleet(5 * MWH, 5 * MWH, 100 * MW)
    held = droop.held(SPEC, droop.NONE, whole, limits())
    energy_wh = 10 * MW * 300 / 3600
    assert held.discharge_rating_w == held.charge_rating_w == 90 * MW
    assert held.above_min_wh == pytest.approx(5 * MWH - energy_wh / 0.96)
    assert held.below_max_wh == pytest.approx(5 * MWH - energy_wh * 0.96)
    half = droop.held(SPEC, droop.NONE._replace(used_wh=energy_wh / 0.96 / 2), whole, limits())
    assert half.above_min_wh == pytest.approx(5 * MWH - energy_wh / 0.96 / 2)
    assert half.below_max_wh == held.below_max_wh
    assert droop.held(None, droop.NONE, whole, limits()) == whole


def test_what_was_used_is_counted_and_filled_up_again() -> None:
    """300 s at full droop are the reserve; afterwards it is whole again in the time that energy takes."""
    state = droop.NONE
    for _ in range(3000):
        state = droop.given(SPEC, state, 10 * MW, limits(), 300.0, 0.1)
    assert state.used_wh == pytest.approx(10 * MW * 300 / 3600 / 0.96)
    for _ in range(9000):
        state = droop.given(SPEC, state, 0.0, limits(), 300.0, 0.1)
    assert state.used_wh < 0.06 * 10 * MW * 300 / 3600


def test_an_excursion_is_one_until_it_is_calm_for_a_minute() -> None:
    """A frequency at the edge of the deadband crosses it each second."""
    assert not droop.is_excursion(droop.NONE)
    state = heard(49.9, 49.9, 49.9)
    assert droop.is_excursion(state)
    for hz in [*[50.0] * 500, *[50.1] * 3, *[50.0] * 590]:
        state = droop.heard(SPEC, state, good(hz, 1.0), 0.1)
        assert droop.is_excursion(state)
    for _ in range(20):
        state = droop.heard(SPEC, state, good(50.0, 1.0), 0.1)
    assert not droop.is_excursion(state)


# --- in the law -------------------------------------------------------------------------------------------------------


def test_the_batteries_answer_within_two_cycles() -> None:
    """0.264 Hz beyond the deadband are 12.7 MW, of which 10 may be given: beside the ramp, and all of it."""
    grid = Grid()
    grid.run(100)
    before_w = grid.grid_w
    first, second = grid.at(49.7, 2)
    assert first.droop_w == 0.0, "one value may be wrong"
    assert second.droop_w == 10 * MW
    assert grid.grid_w == pytest.approx(before_w - 10 * MW, abs=RAMP_W)
    assert grid.state.reference.reference_w == pytest.approx(before_w, abs=2 * RAMP_W), "the reference stays"


def test_after_the_excursion_the_grid_is_where_it_was() -> None:
    """No catch-up: neither the ramp's windows nor the reference have seen any of it."""
    grid = Grid()
    grid.run(100)
    grid.at(49.7, 300)
    assert grid.grid_w == pytest.approx(50 * MW, abs=1.0), "the reference is where the load is"
    grid.at(50.0, 3)
    assert grid.grid_w == pytest.approx(60 * MW, abs=3 * RAMP_W)


def test_droop_off_the_ramp_s_exemption_moves_within_the_ramp() -> None:
    """A utility that wants its ramp whatever the frequency gets the support as fast as the ramp goes."""
    grid = Grid(site(replace(SPEC, ramp_exempt=False)))
    grid.run(1300)
    seen = [grid.grid_w]
    for _ in range(400):
        grid.at(49.7, 1)
        seen.append(grid.grid_w)
    steps = [b - a for a, b in itertools.pairwise(seen)]
    assert min(steps) >= -1.001 * RAMP_W
    assert seen[-1] < seen[0] - 3 * MW


def test_without_energy_the_support_ends_and_the_window_holds() -> None:
    """Its reserve is not the load's: when it is used up, the reference climbs and the SoC stays in its window."""
    grid = Grid(site(replace(SPEC, reserve_s=60.0)), soc_percent=17.0)
    grid.run(100)
    grid.at(49.0, 300)
    assert grid.grid_w == pytest.approx(50 * MW, abs=0.1 * MW)
    for _ in range(40):
        grid.at(49.0, 100)
        assert min(grid.soc_percent.values()) > 10.0
    assert grid.state.droop.power_w == 10 * MW
    assert grid.battery_w < 5 * MW, "what it gives beyond its reserve is taken back at the ramp"


def test_the_reserve_is_there_when_the_load_is_at_its_worst() -> None:
    """At rest the reference stands where a full step and droop together fit the ratings."""
    grid = Grid(load_w=20 * MW)
    grid.run(600)
    needed_w = grid.spec.load_ceiling_w - grid.state.reference.reference_w + SPEC.power_max_w
    assert needed_w <= 120 * MW
    grid.load_w = 98 * MW
    grid.at(49.0, 40)
    assert grid.state.droop.power_w == 10 * MW
    wanted_w = grid.state.feed.filtered_w - grid.state.reference.reference_w + 10 * MW
    assert grid.battery_w == pytest.approx(wanted_w, abs=1.0), "load and droop are both carried in full"


def test_no_droop_above_the_import_limit() -> None:
    """Too much frequency asks for more import; the contract does not know that."""
    grid = Grid(site(import_limit_w=62 * MW))
    grid.run(50)
    grid.at(51.0, 20)
    assert grid.grid_w == pytest.approx(62 * MW, abs=1.0), "as much as fits"
    assert -3 * MW < grid.state.droop.power_w < -1 * MW


def test_no_droop_beyond_the_export_limit() -> None:
    """Where nothing may flow to the grid, support ends at nothing taken from it."""
    grid = Grid(site(export_limit_w=0.0, load_floor_w=1 * MW), load_w=4 * MW)
    grid.run(50)
    grid.at(49.0, 20)
    assert grid.grid_w == pytest.approx(0.0, abs=1.0), "as much as fits"
    assert 3 * MW < grid.state.droop.power_w < 5 * MW


def test_a_lost_frequency_is_a_degraded_mode_and_no_step() -> None:
    """The last value is no value: the grid of now may be healthy. AUTO goes on."""
    grid = Grid()
    grid.run(50)
    grid.at(49.7, 50)
    before_w = grid.grid_w
    lost = grid.at(math.nan, 1)[0]
    assert "frequency_unknown" in lost.degraded
    assert lost.starts
    assert lost.droop_w == pytest.approx(10 * MW - RAMP_W)
    assert grid.grid_w == pytest.approx(before_w, abs=3 * RAMP_W)
    assert grid.at(math.nan, 1000)[-1].droop_w == 0.0
    assert "frequency_unknown" not in grid.at(50.0, 1)[0].degraded


def test_blindness_in_an_excursion_makes_no_step_and_no_second_answer() -> None:
    """The support that the batteries give already must not be taken for the grid's own state and given again."""
    for blind_cycles in (3, 30, 80):
        grid = Grid()
        grid.run(50)
        grid.at(49.7, 50)
        before_w = grid.grid_w
        grid.override |= {0: bad(), 1: bad()}
        grid.at(49.7, blind_cycles)
        del grid.override[0], grid.override[1]
        grid.at(49.7, 3)
        assert grid.grid_w == pytest.approx(before_w, abs=1.5 * MW), blind_cycles
        grid.at(50.0, 3)
        assert grid.grid_w == pytest.approx(before_w + 10 * MW, abs=1.5 * MW), blind_cycles


def test_taking_the_lead_back_in_an_excursion_answers_it_once() -> None:
    """OBSERVE leaves the batteries as they are, and with them what they give for the frequency."""
    grid = Grid()
    grid.run(50)
    grid.at(49.7, 50)
    before_w = grid.grid_w
    for _ in range(3):
        grid.run(10, Mode.OBSERVE)
        grid.run(10)
    assert grid.grid_w == pytest.approx(before_w, abs=1.0 * MW)


@pytest.mark.parametrize("mode", [Mode.MANUAL, Mode.SAFE, Mode.OBSERVE])
def test_only_auto_answers(mode: Mode) -> None:
    """In MANUAL the operator's word is the battery's power, in SAFE it goes to zero."""
    grid = Grid()
    grid.run(50)
    grid.hz = 49.7
    assert {d.droop_w for d in grid.run(50, mode, manual_w=0.0)} == {0.0}


def test_without_the_section_nothing_is_answered() -> None:
    """A site that has a frequency and no droop behaves as it did."""
    grid, plain = Grid(site(None)), World(small_spec(), 60 * MW)
    for cycle in range(200):
        grid.load_w = plain.load_w = (60 + 30 * (cycle % 10 < 5)) * MW
        with_point, without = grid.at(49.0, 1)[0], plain.step()
        assert with_point.droop_w is None
        assert with_point.shares == without.shares


def site_of(power_max_w: float, exempt: bool, export_w: float):
    batteries = (battery_spec(1, 40 * MW, 6 * MWH), battery_spec(2, 25 * MW, 9 * MWH))
    return site(replace(SPEC, power_max_w=power_max_w, ramp_exempt=exempt, w_per_hz=30 * MW), batteries=batteries,
                export_limit_w=export_w, import_limit_w=85 * MW)


FREQUENCIES = st.one_of(st.floats(40.0, 60.0), st.floats(49.5, 50.5), st.sampled_from([math.nan, 0.0, 50.0, 1e9]))
RUNS = st.lists(st.tuples(FREQUENCIES, st.floats(20.0, 98.0), st.integers(1, 60)), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(RUNS, st.floats(12.0, 88.0), st.sampled_from([2 * MW, 10 * MW, 25 * MW]), st.booleans(),
       st.sampled_from([0.0, 5 * MW, math.inf]))
def test_no_frequency_breaks_a_limit(runs, soc_percent: float, power_max_w: float, exempt: bool,
                                     export_w: float) -> None:
    """Whatever the frequency's meter says: its maximum, ratings, windows, export and import limit hold."""
    spec = site_of(power_max_w, exempt, export_w)
    grid = Grid(spec, soc_percent=soc_percent)
    for hz, load_mw, cycles in runs:
        grid.load_w = load_mw * MW
        for decision in grid.at(hz, cycles):
            assert decision.droop_w is not None
            assert abs(decision.droop_w) <= power_max_w
            assert math.isfinite(decision.battery_w)
            for b in spec.batteries:
                assert -b.charge_rating_w - 1 <= decision.shares.get(b.id, 0.0) <= b.discharge_rating_w + 1
            assert decision.battery_w <= decision.estimate.load_w + export_w + 1
            if decision.droop_w < 0 and exempt:
                assert decision.estimate.load_w - decision.battery_w <= spec.import_limit_w + 1
        assert all(9.9 <= soc <= 90.1 for soc in grid.soc_percent.values())
