"""The interval that holds a battery's energy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FIRST_S, MW, MWH, bad, battery_spec, good

from pswd_edge.control.rules.allocate import judge
from pswd_edge.control.rules.energy import JUMP_PERCENT, UNCERTAIN_S, Held, counted, grain_percent
from pswd_edge.model.control import BatteryControl, Input
from pswd_edge.model.snapshot import Snapshot, freeze

SPEC = battery_spec(1, 60 * MW, 8 * MWH)


def shown(soc: float, power_w: float = 0.0, **others) -> Snapshot:
    readings = {10: good(soc, FIRST_S), 11: good(power_w, FIRST_S)}
    return freeze(1, FIRST_S, FIRST_S, readings | others.get("more", {}))


def after(held: Held, soc: float, power_w: float = 0.0, spec: BatteryControl = SPEC, cycles: int = 1, **others) -> Held:
    for _ in range(cycles):
        held = counted(spec, held, shown(soc, power_w, **others), 0.1, 0.1)
    return held


@pytest.mark.parametrize(("value", "grain"), [(60.0, 1.0), (60.1, 0.1), (60.12, 0.01), (60.1234, 0.0), (33.3, 0.1)])
def test_a_value_tells_how_fine_its_register_can_be_at_best(value: float, grain: float) -> None:
    """A register that only ever shows whole percents is one of whole percents."""
    assert grain_percent(value) == grain


def test_a_register_of_whole_percents_is_wrong_by_half_of_one() -> None:
    """Its interval is 80 kWh wide on 8 MWh; one finer value shows that it is not so coarse."""
    held = after(Held(), 60.0)
    assert (held.low_wh, held.high_wh) == pytest.approx((4.76 * MWH, 4.84 * MWH))
    finer = after(held, 60.1234)
    assert finer.high_wh - finer.low_wh == pytest.approx(0.0, abs=1.0)


def test_a_declared_resolution_is_taken_at_its_word() -> None:
    """From the first cycle on."""
    spec = battery_spec(1, 60 * MW, 8 * MWH, soc_resolution_percent=0.1)
    held = after(Held(), 60.0, spec=spec)
    assert held.high_wh - held.low_wh == pytest.approx(8000.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-60, 60), st.integers(1, 60)), min_size=1, max_size=6),
       st.sampled_from([1.0, 0.1, 0.0]), st.floats(-0.02, 0.02), st.integers(0, 9), st.floats(30, 70))
def test_the_interval_always_holds_the_true_energy(steps, grain, error, lag, first) -> None:
    """Whatever is given and taken, with a coarse register, a second old, and a power meter that is 2 % wrong."""
    spec = battery_spec(1, 60 * MW, 8 * MWH, soc_resolution_percent=grain)
    true, held, past = first / 100 * 8 * MWH, Held(), []
    for power_mw, cycles in steps:
        for _ in range(cycles):
            power = power_mw * MW
            true -= (power / 0.96 if power > 0 else power * 0.96) * 0.1 / 3600
            past.append(100 * true / (8 * MWH))
            soc = past[max(0, len(past) - 1 - lag)]
            soc = round(soc / grain) * grain if grain else soc
            held = counted(spec, held, shown(soc, power * (1 + 0.99 * error)), 0.1, 0.1)
            tolerance = 0.025 * sum(abs(f) for f in held.flows_wh) + 1.0
            assert held.low_wh - tolerance <= true <= held.high_wh + tolerance
            assert held.uncertain_s == 0.0


def test_between_two_steps_of_the_register_power_is_counted() -> None:
    """20 MW for 6 s are 34.7 kWh: the register says 60 % all the while, the interval moved on."""
    held = after(after(Held(), 60.0), 60.0, 20 * MW, cycles=60)
    assert held.high_wh == pytest.approx(4.84 * MWH - 0.98 * 20 * MW / 0.96 * 6 / 3600)
    assert held.low_wh >= 4.76 * MWH - 1.02 * 20 * MW / 0.96 * 1.2 / 3600


def test_at_a_step_of_the_register_the_energy_is_known() -> None:
    """The edge between 60 and 59 % is at 59.5: what is left of the interval is what counting can be wrong."""
    held = after(after(Held(), 60.0), 60.0, 20 * MW, cycles=60)
    held = after(held, 59.0, 20 * MW)
    assert held.high_wh - held.low_wh < 0.5 * 80_000


def test_a_jump_is_told_and_the_window_shrinks_for_a_while() -> None:
    """5 % of the capacity on each side, as nobody knows which of the two values was right."""
    held = after(after(Held(), 60.1234), 63.1234)
    assert held.uncertain_s == UNCERTAIN_S
    snapshot = shown(63.1234)
    trusted, doubted = (judge(SPEC, snapshot, 0.1, h) for h in (held._replace(uncertain_s=0.0), held))
    assert trusted.above_min_wh - doubted.above_min_wh == pytest.approx(0.05 * 8 * MWH)
    assert trusted.below_max_wh - doubted.below_max_wh == pytest.approx(0.05 * 8 * MWH)
    assert after(held, 63.1234, cycles=round(UNCERTAIN_S * 10) + 1).uncertain_s == 0.0


def test_a_small_contradiction_is_corrected_by_the_register() -> None:
    """Drift of the counting, or of the store: no reason to distrust anything."""
    held = after(after(Held(), 60.1234), 60.1234 + 0.9 * JUMP_PERCENT)
    assert held.uncertain_s == 0.0
    assert held.low_wh == pytest.approx((60.1234 + 0.9 * JUMP_PERCENT) / 100 * 8 * MWH)


def test_two_registers_that_disagree_allow_all_between_them_and_are_told() -> None:
    """The lower is what may be taken out, the higher what may still be put in."""
    spec = battery_spec(1, 60 * MW, 8 * MWH, soc_other=Input(17), soc_resolution_percent=0.0)
    held = after(Held(), 60.0, spec=spec, more={17: good(64.0, FIRST_S)})
    assert (held.low_wh, held.high_wh) == pytest.approx((4.80 * MWH, 5.12 * MWH))
    assert held.uncertain_s == UNCERTAIN_S


@pytest.mark.parametrize(("first", "second", "usable"), [(bad(), good(64.0, FIRST_S), True), (bad(), bad(), False)])
def test_one_register_of_two_is_enough(first, second, usable: bool) -> None:
    """The other is there for this."""
    spec = battery_spec(1, 60 * MW, 8 * MWH, soc_other=Input(17))
    snapshot = freeze(1, FIRST_S, FIRST_S, {10: first, 11: good(0.0, FIRST_S), 17: second})
    held = counted(spec, Held(), snapshot, 0.1, 0.1)
    found = judge(spec, snapshot, 0.1, held)
    assert found.usable is usable
    assert (held.high_wh == spec.capacity_wh) is not usable


def test_power_that_is_not_known_may_be_anything_that_the_ratings_allow() -> None:
    """The interval widens to both sides until the register cuts it."""
    held = after(Held(), 60.1234)._replace(flows_wh=())
    blind = counted(SPEC, held, freeze(1, FIRST_S, FIRST_S, {10: bad(), 11: bad()}), 0.1, 0.1)
    assert blind.high_wh - held.high_wh == pytest.approx(60 * MW * 0.1 / 3600)
    assert held.low_wh - blind.low_wh == pytest.approx(60 * MW / 0.96 * 0.1 / 3600)


def test_a_power_that_is_impossible_is_not_counted() -> None:
    """A thousand times the power for a second would count as 16 MWh: then the energy is what its ratings allow."""
    told = after(Held(), 60.0, 60_000 * MW, cycles=10)
    silent = Held()
    for _ in range(10):
        silent = counted(SPEC, silent, shown(60.0, more={11: bad()}), 0.1, 0.1)
    assert (told.low_wh, told.high_wh) == (silent.low_wh, silent.high_wh)
    assert told.uncertain_s == 0
