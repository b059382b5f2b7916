"""Shadow mode as a function: what is decided is AUTO's, what is remembered is what really is."""

import pytest
from msgspec.structs import replace
from virtual import MW, World, demo_site, small_spec

from pswd_edge.control.rules import law
from pswd_edge.control.shadow import decided, mode_of, refuses
from pswd_edge.control.succession import shadowed, why_restart
from pswd_edge.control.watched import actuated_points
from pswd_edge.model.command import Acknowledge, Mode, SetBatteryTarget, SetMode

SPEC = replace(small_spec(), shadow=True)
ORDERS = law.Orders(Mode.AUTO, SPEC.load_ceiling_w)


def watched(world: World, seconds: float, state: law.LawState | None = None):
    """The shadow beside a world whose batteries it does not lead; returns the last state, what is shown, decision."""
    state = state or law.start(SPEC)
    for _ in range(round(seconds * 10)):
        state, shown, decision = decided(SPEC, state, world.snapshot(), ORDERS, 0.1)
        world.time_s += 0.1
        world.cycles += 1
    return state, shown, decision


def test_it_decides_as_auto_from_what_the_batteries_really_do() -> None:
    """Led by somebody else at 20 MW: the shadow would take over without a bump, not from a command of its own."""
    world = World(SPEC, 70 * MW)
    world.power_w = {"b1": 15 * MW, "b2": 5 * MW}
    state, _, decision = watched(world, 30.0)
    assert decision.acts
    assert decision.binding != "observe"
    assert decision.battery_w == pytest.approx(20 * MW, abs=2 * SPEC.ramp_up_w_per_s * 0.1)
    assert state.battery_w == pytest.approx(20 * MW)
    assert state.reference.reference_w == pytest.approx(50 * MW)


def test_a_step_of_the_load_is_answered_in_the_decision_and_not_in_the_memory() -> None:
    """The batteries did nothing, so the grid has the step: a memory of carrying it would be false."""
    world = World(SPEC, 40 * MW)
    state, _, _ = watched(world, 20.0)
    world.load_w = 90 * MW
    state, _, decision = watched(world, 0.2, state)
    assert decision.battery_w > 1 * MW
    state, _, decision = watched(world, 30.0, state)
    assert state.reference.reference_w == pytest.approx(90 * MW, rel=0.01)
    assert state.battery_w == 0.0
    assert not any(f.lost for f in state.following)


def test_a_tier_that_would_be_shed_is_shown_and_not_remembered() -> None:
    """What nobody shed must not be counted on, nor be given back."""
    world = World(SPEC, 140 * MW, soc_percent=10.0)
    world.tier_w = dict.fromkeys(world.tier_w, 25 * MW)
    state, shown, _ = watched(world, 10.0)
    assert any(t.engaged for t in shown.shed.tiers)
    assert not any(t.engaged for t in state.shed.tiers)


def test_outside_the_shadow_what_is_shown_is_what_goes_on() -> None:
    """The same function is used in every mode: there is one path to the law."""
    spec = small_spec()
    world = World(spec, 70 * MW)
    after, shown, decision = decided(spec, law.start(spec), world.snapshot(), ORDERS, 0.1)
    again, other = law.cycle(spec, law.start(spec), world.snapshot(), ORDERS, 0.1)
    assert after is shown
    assert (after.battery_w, decision.shares, decision.binding) == (again.battery_w, other.shares, other.binding)


def test_only_what_would_have_to_be_written_is_refused() -> None:
    """Modes and acknowledgements are control's own; a battery target that nobody follows would be a lie."""
    said = {"id": "x", "origin": "console", "role": "operator", "issued_utc_s": 0.0}
    assert refuses(SPEC, SetBatteryTarget(**said, power_w=1.0))
    assert not refuses(SPEC, SetMode(**said, mode=Mode.SAFE))
    assert not refuses(SPEC, Acknowledge(**said, code="*"))
    assert not refuses(small_spec(), SetBatteryTarget(**said, power_w=1.0))
    assert [mode_of(SPEC, m) for m in Mode] == [Mode.AUTO, Mode.AUTO, Mode.MANUAL, Mode.SAFE]
    assert mode_of(small_spec(), Mode.OBSERVE) is Mode.OBSERVE


def test_a_shadow_begins_and_ends_with_a_start_of_control() -> None:
    """The field of a shadow has nothing to write with: a reload cannot make it lead, nor silence one that leads."""
    site = demo_site()
    assert why_restart(site, shadowed(site)) == "control.shadow"
    assert shadowed(site).control == replace(site.control, shadow=True)
    assert actuated_points(site)
    assert actuated_points(shadowed(site)) == []
