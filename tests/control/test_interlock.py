"""The over-temperature interlock: steps, hysteresis, latch, lost temperatures."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pswd_edge.control.rules.interlock import InterlockState, judged
from pswd_edge.model.thermal import CapStep, Interlock, Measure

LOCK = Interlock("hall", Measure(1), limit_c=48.0, trip_c=60.0, reset_c=44.0, caps=(0,),
                 steps=(CapStep(0.75), CapStep(0.5), CapStep(0.2)), step_s=20.0, release_after_s=60.0)
FRESH = InterlockState()


def run(hot_c: float, seconds: float, state: InterlockState = FRESH, spec: Interlock = LOCK, *,
        reset: bool = False) -> InterlockState:
    for _ in range(round(seconds * 10)):
        state = judged(spec, state, hot_c, 0.1, reset=reset)
    return state


def test_a_short_peak_caps_nothing() -> None:
    """One odd value of a sensor must not cost a job its power."""
    assert run(55.0, 1.5).step == 0
    assert run(45.0, 10, run(55.0, 1.5)).over_s == 0
    assert not run(70.0, 1.5).latched


def test_steps_follow_each_other_while_it_stays_hot() -> None:
    """Each step gets its time to work before the next one is taken."""
    assert run(50.0, 3).step == 1
    assert run(50.0, 20).step == 1
    assert run(50.0, 23).step == 2
    assert run(50.0, 100).step == 3


def test_between_reset_and_limit_nothing_moves() -> None:
    """Hysteresis: a temperature that hangs at the limit must not cap and release in turn."""
    state = run(50.0, 3)
    assert run(46.0, 600, state).step == 1
    assert run(46.0, 600).step == 0


def test_it_is_given_back_in_steps() -> None:
    """All at once would be a step of load and heat together."""
    state = run(50.0, 100)
    assert run(40.0, 59, state).step == 3
    assert run(40.0, 61, state).step == 2
    assert run(40.0, 200, state).step == 0


def test_a_trip_takes_all_steps_and_stays() -> None:
    """What was that hot is looked at by a person before it gets its power back."""
    state = run(61.0, 2.1)
    assert (state.step, state.latched) == (3, True)
    assert run(30.0, 1000, state).step == 3


def test_a_latch_is_not_reset_while_it_is_hot() -> None:
    """An order given too early must not open what still protects."""
    state = run(61.0, 3)
    assert run(50.0, 10, state, reset=True).latched
    cooled = run(40.0, 0.1, state, reset=True)
    assert (cooled.step, cooled.latched) == (3, False)
    assert run(40.0, 200, cooled).step == 0


def test_a_lost_temperature_counts_as_its_policy_says() -> None:
    """What nobody can see is taken for too hot, unless the site has said otherwise."""
    lost = math.nan
    assert run(lost, 9).step == 0
    assert run(lost, 100).step == 3
    assert not run(lost, 100).latched
    assert run(lost, 100, spec=replace(LOCK, when_lost="first_step")).step == 1
    assert run(lost, 100, spec=replace(LOCK, when_lost="alarm")).step == 0


def test_a_lost_temperature_gives_nothing_back() -> None:
    """Whatever the policy: without a temperature nobody knows that it is cool again."""
    for policy in ("over", "first_step", "alarm"):
        state = run(50.0, 3)
        assert run(math.nan, 600, state, replace(LOCK, when_lost=policy)).step >= 1


def test_a_gap_within_its_grace_does_not_begin_anew() -> None:
    """A sensor that drops out now and then must not keep the interlock from acting."""
    state = InterlockState()
    for _ in range(20):
        state = run(math.nan, 0.5, run(50.0, 0.3, state))
    assert state.step >= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([30.0, 46.0, 50.0, 65.0, math.nan]), min_size=1, max_size=40))
def test_a_step_is_only_taken_in_heat_and_given_back_in_cold(told: list[float]) -> None:
    """In any order of temperatures: no step up below the limit, none down above reset, none down while latched."""
    state = InterlockState()
    for hot_c in told:
        for _ in range(30):
            after = judged(LOCK, state, hot_c, 0.5, reset=False)
            if after.step > state.step:
                assert hot_c >= LOCK.limit_c or after.lost_s >= LOCK.lost_after_s
            if after.step < state.step:
                assert hot_c <= LOCK.reset_c
                assert not state.latched
            assert 0 <= after.step <= len(LOCK.steps)
            state = after
