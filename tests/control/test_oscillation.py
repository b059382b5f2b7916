"""Batteries that swing by themselves are found; those that follow a swing, however late, are not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import MW

from pswd_edge.control.rules.allocate import DOES_NOT_FOLLOW, OSCILLATES
from pswd_edge.control.rules.following import BACK_S, Following, commanded, judged, stray_w, why
from pswd_edge.control.rules.oscillation import PASSES, PAUSE_S, Swing, beyond, mean_w, oscillates, swung
from pswd_edge.replay.loop import Loop
from pswd_edge.replay.scenarios import Draw, scenario

T, RATING = 0.1, 60 * MW


def told(state: Following, power_w: float, shown_w: float) -> Following:
    return commanded(judged(state, shown_w, RATING, T, T), power_w, T, acts=True)


def swinging(state: Following, seconds: float, amplitude_w: float, f_hz: float = 1.3, told_w: float = 0.0) -> Following:
    """A constant set-point, and a power that swings around it."""
    for k in range(round(seconds / T)):
        state = told(state, told_w, told_w + amplitude_w * math.sin(2 * math.pi * f_hz * k * T))
    return state


@given(st.floats(0.2, 3.0), st.floats(0.0, 1.0), st.floats(0.02, 0.25), st.floats(0.0, 0.5), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_what_follows_late_and_lagged_is_never_taken_for_an_oscillation(
    f_hz: float, delay_s: float, lag_s: float, noise: float, seed: int
) -> None:
    """Whatever the swing that is led: its answer is a mean of what was commanded, and stays between the ends."""
    rng, state, power, step = np.random.default_rng(seed), Following(), 0.0, 0.02
    commands = [0.0] * 60
    for k in range(200):
        swing = math.sin(2 * math.pi * f_hz * k * T) * (1 - noise) + noise * rng.uniform(-1, 1)
        for i in range(5):
            late = commands[-1 - max(0, math.ceil((delay_s - i * step) / T - 1e-9))]
            power += (1 - math.exp(-step / lag_s)) * (late - power)
        state = told(state, 40 * MW * swing, power)
        commands.append(40 * MW * swing)
        assert state.swing.passes < 2
        assert why(state) != OSCILLATES


@pytest.mark.parametrize("f_hz", [0.5, 0.7, 1.3, 2.3, 4.0])
@pytest.mark.parametrize("told_w", [0.0, 30 * MW])
def test_one_that_swings_by_itself_is_found_within_ten_seconds(f_hz: float, told_w: float) -> None:
    """At rest and under load, slow and fast, by less than any battery may be off."""
    state = swinging(Following(), 12.0, 0.035 * RATING, f_hz, told_w)
    assert why(state) == OSCILLATES


def test_a_swing_within_the_tolerance_is_left_alone() -> None:
    """2 % of the rating, and 50 kW for a small battery: meters and converters have as much by themselves."""
    assert why(swinging(Following(), 60.0, 0.0199 * RATING)) == ""
    assert [beyond(p, 0.0, 0.0, 1e6) for p in (49e3, 51e3, -51e3)] == [0, 1, -1]


def test_one_overshoot_after_a_step_is_no_oscillation() -> None:
    """A converter that rings once after each step, and settles."""
    state, power = Following(), 0.0
    for k in range(600):
        wanted = 30 * MW if k // 100 % 2 else 0.0
        ring = 0.15 * 30 * MW * math.exp(-(k % 100) / 4) * (1 if wanted else -1)
        state = told(state, power, wanted + ring)
        power = wanted
    assert why(state) == ""


def test_passes_that_are_far_apart_do_not_add_up() -> None:
    """What happens once in an hour is no oscillation, however often."""
    state = Swing()
    for k in range(10):
        state = swung(state, 1 if k % 2 else -1, T)
        for _ in range(round(PAUSE_S / T) + 1):
            state = swung(state, 0, T)
        assert state.passes == 0
    for k in range(PASSES):
        state = swung(state, 1 if k % 2 else -1, T)
    assert oscillates(state)


def test_one_side_alone_is_no_oscillation() -> None:
    """That is a battery which does not follow, and has its own name."""
    state = Following()
    for _ in range(60):
        state = told(state, 0.0, 5 * MW)
    assert why(state) == DOES_NOT_FOLLOW


def test_it_is_tried_again_when_it_stands_still_and_each_time_later() -> None:
    """While it swings at 0 it stays out, even within what another battery may be off."""
    lost = swinging(Following(), 12.0, 0.1 * RATING)
    assert why(swinging(lost, 100.0, 0.03 * RATING)) == OSCILLATES
    still = swinging(lost, 2 * BACK_S + 3.0, 0.0)
    assert why(still) == ""
    again = swinging(still, 12.0, 0.1 * RATING)
    assert why(again) == OSCILLATES
    assert again.wait_s == 2 * lost.wait_s


def test_the_others_make_up_for_its_mean_not_for_its_swings() -> None:
    """For those they would come too late, and make them worse."""
    lost = swinging(Following(), 30.0, 0.1 * RATING)._replace(out_s=1.0)
    assert abs(stray_w([lost], [0.1 * RATING])) < 0.02 * RATING
    assert math.isnan(mean_w(3.0, math.nan, T))
    assert mean_w(math.nan, 3.0, T) == 3.0


@pytest.mark.parametrize(("number", "f0_hz"), [(0, 0.3), (0, 1.5), (7, 1.0), (8, 1.0)])
def test_a_led_swing_is_never_taken_for_an_oscillation(number: int, f0_hz: float) -> None:
    """Training, a sweep to 5 Hz and a drifting rhythm, followed by prediction with half a second of delay."""
    loop = Loop(scenario(number).build(Draw(1, f0_hz, 0.45, 90.0, predicts=True)))
    loop.run()
    assert not [n for n in loop.seen_degraded if n.startswith("battery_")]
    assert all(f.swing.passes == 0 for f in loop.state.following)


@pytest.mark.parametrize(("predicts", "delay_s"), [(False, 0.45), (True, 0.25)])
def test_a_battery_that_begins_to_oscillate_is_left_out_within_ten_seconds(predicts: bool, delay_s: float) -> None:
    """While both are led through a training job's swing; the other goes on alone."""
    case, found_s = scenario(24).build(Draw(1, 1.0, delay_s, 95.0, predicts=predicts)), []
    case.events = [(80.0, lambda loop: setattr(loop.batteries[0], "follows", "oscillates"))]
    case.events += [(80.0 + k / 10, lambda loop, k=k: found_s.append(k / 10)
                     if "battery_oscillates:bess-1" in loop.decision.degraded else None) for k in range(140)]
    loop = Loop(case)
    loop.run()
    assert found_s
    assert 0.5 < found_s[0] <= 10.0
    assert loop.decision is not None
    assert loop.decision.shares.get("bess-1", 0.0) == 0.0
    assert loop.decision.fleet.batteries[1].usable
