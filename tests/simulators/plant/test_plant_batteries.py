"""Batteries: energy, delay, lag, watchdog, limits and faults."""

from itertools import pairwise

import pytest

from simulators.plant import BatterySpec, BatteryState, Plant, PlantSpec

DT_S = 0.01
QUIET = PlantSpec(noise_scale=0.0)


def run(plant: Plant, seconds: float) -> None:
    for _ in range(round(seconds / DT_S)):
        plant.step(DT_S)


def power_mw(plant: Plant, battery: str = "bess-1") -> float:
    return plant.signals(battery)["power_w"] / 1e6


def with_soc(percent: float) -> PlantSpec:
    return PlantSpec(noise_scale=0.0, batteries=(BatterySpec("bess-1", 60e6, 9e6, True, start_soc_percent=percent),))


@pytest.mark.parametrize(("setpoint_w", "factor"), [(30e6, 1 / 0.96), (-30e6, 0.96)])
def test_stored_energy_falls_by_more_than_given_and_rises_by_less_than_taken(setpoint_w, factor):
    """Efficiency counts once each way, else a controller that counts energy drifts."""
    plant = Plant(QUIET, seed=1)
    before_wh = plant.batteries["bess-1"].energy_wh
    plant.write("bess-1", "power_setpoint_w", setpoint_w)
    exchanged_wh = 0.0
    for _ in range(2000):
        plant.step(DT_S)
        exchanged_wh += plant.true_battery_w * DT_S / 3600.0

    lost_wh = before_wh - plant.batteries["bess-1"].energy_wh

    assert lost_wh == pytest.approx(exchanged_wh * factor, rel=1e-9)


def test_power_moves_only_after_the_pure_delay_and_reaches_63_percent_one_lag_later():
    """Delay and lag are what the control law's T_d is made of: they have to be what the specification says."""
    plant = Plant(QUIET, seed=1)
    run(plant, 1.0)
    plant.write("bess-1", "power_setpoint_w", 10e6)
    trace = []
    for _ in range(60):
        plant.step(DT_S)
        trace.append(power_mw(plant))

    moves_at_s = (next(i for i, p in enumerate(trace) if p > 1e-6) + 1) * DT_S
    reaches_at_s = (next(i for i, p in enumerate(trace) if p >= 6.32) + 1) * DT_S

    assert moves_at_s == pytest.approx(0.10, abs=0.011)
    assert reaches_at_s - moves_at_s == pytest.approx(0.05, abs=0.011)


def test_full_swing_is_held_to_the_internal_ramp():
    """500 MW/s: the 60 MW of the larger converter take at least 0.12 s."""
    plant = Plant(QUIET, seed=1)
    plant.write("bess-1", "power_setpoint_w", 60e6)
    steps = [0.0]
    for _ in range(100):
        plant.step(DT_S)
        steps.append(power_mw(plant))

    assert max(b - a for a, b in pairwise(steps)) == pytest.approx(5.0, abs=1e-6)


def test_setpoint_reverts_to_zero_when_it_is_not_refreshed():
    """The device's own watchdog is the last line when the gateway dies."""
    plant = Plant(QUIET, seed=1)
    plant.write("bess-1", "revert_timeout_s", 2.0)
    plant.write("bess-1", "power_setpoint_w", 10e6)
    run(plant, 1.5)
    plant.write("bess-1", "power_setpoint_w", 10e6)
    run(plant, 1.9)
    assert power_mw(plant) == pytest.approx(10.0, abs=1e-3)

    run(plant, 1.0)

    assert power_mw(plant) == pytest.approx(0.0, abs=1e-3)
    assert plant.signals("bess-1")["power_setpoint_w"] == 0.0


def test_watchdog_takes_sixty_seconds_until_it_is_told_otherwise():
    """A device is found with its factory setting."""
    plant = Plant(QUIET, seed=1)
    plant.write("bess-1", "power_setpoint_w", 10e6)
    run(plant, 59.9)
    assert power_mw(plant) == pytest.approx(10.0, abs=1e-3)

    run(plant, 1.0)

    assert power_mw(plant) == pytest.approx(0.0, abs=1e-3)


def test_revert_timeout_of_zero_never_reverts():
    """SunSpec's own meaning of a revert time of 0."""
    plant = Plant(QUIET, seed=1)
    plant.write("bess-1", "revert_timeout_s", 0.0)
    plant.write("bess-1", "power_setpoint_w", 1e6)

    run(plant, 70.0)

    assert power_mw(plant) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("soc", "setpoint_w"), [(0.5, 60e6), (99.5, -60e6)])
def test_soc_stays_inside_its_ends_however_hard_it_is_asked(soc, setpoint_w):
    """The BMS falls to 0 W at the ends of the SoC; power obeys it, and says throttled."""
    plant = Plant(with_soc(soc), seed=1)
    plant.write("bess-1", "power_setpoint_w", setpoint_w)

    run(plant, 30.0)

    shown = plant.signals("bess-1")
    limit_w = shown["discharge_limit_w"] if setpoint_w > 0 else shown["charge_limit_w"]
    assert 0.0 < shown["soc_percent"] < 100.0
    assert abs(shown["power_w"]) <= limit_w + 1e3
    assert limit_w < 0.1 * 60e6
    assert shown["state"] == BatteryState.THROTTLED


def test_open_contactor_ends_power_within_50_ms_and_clears_the_setpoint():
    """A battery lost at full power is the hardest event; its return must not make a second one by itself."""
    plant = Plant(QUIET, seed=1)
    plant.write("bess-1", "power_setpoint_w", 60e6)
    run(plant, 2.0)
    plant.fault("bess-1", "contactor_open", True)
    run(plant, 0.05)
    shown = plant.signals("bess-1")
    assert (shown["power_w"], shown["state"], shown["discharge_limit_w"]) == (0.0, BatteryState.FAULT, 0.0)

    plant.fault("bess-1", "contactor_open", False)
    run(plant, 5.0)

    shown = plant.signals("bess-1")
    assert (shown["power_w"], shown["power_setpoint_w"], shown["state"]) == (0.0, 0.0, BatteryState.RUNNING)
    plant.write("bess-1", "power_setpoint_w", 5e6)
    run(plant, 1.0)
    assert power_mw(plant) == pytest.approx(5.0, abs=1e-3)


def test_local_mode_takes_setpoints_and_does_not_follow_them():
    """Accepting a write is not obeying it: only the meter tells."""
    plant = Plant(QUIET, seed=1)
    plant.fault("bess-2", "local_mode", True)

    plant.write("bess-2", "power_setpoint_w", 20e6)
    run(plant, 2.0)

    assert plant.signals("bess-2")["power_setpoint_w"] == 20e6
    assert power_mw(plant, "bess-2") == 0.0


def test_lagging_converter_needs_two_seconds_for_63_percent():
    """The fault "follows with 2 s lag" has to be that slow to be told from a healthy one."""
    plant = Plant(QUIET, seed=1)
    plant.fault("bess-2", "lagging", True)
    plant.write("bess-2", "power_setpoint_w", 20e6)

    run(plant, 2.1)

    assert power_mw(plant, "bess-2") == pytest.approx(20 * 0.632, rel=0.02)


@pytest.mark.parametrize(
    ("signal", "value"),
    [("power_setpoint_w", 60.1e6), ("power_setpoint_w", float("nan")), ("enable", 2.0), ("revert_timeout_s", -1.0),
     ("soc_percent", 50.0), ("nonsense", 0.0)],
)
def test_impossible_write_is_refused_and_changes_nothing(signal, value):
    """The protocol servers turn the ValueError into their exception."""
    plant = Plant(QUIET, seed=1)
    before = dict(plant.signals("bess-1"))

    with pytest.raises(ValueError, match=f"bess-1.{signal}"):
        plant.write("bess-1", signal, value)

    assert plant.signals("bess-1") == before


def test_disabled_setpoint_gives_no_power():
    """`enable` is what the SunSpec map calls WSetEna."""
    plant = Plant(QUIET, seed=1)
    plant.write("bess-1", "power_setpoint_w", 10e6)
    plant.write("bess-1", "enable", 0.0)

    run(plant, 1.0)

    assert power_mw(plant) == 0.0
