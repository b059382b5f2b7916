"""The campus as a whole: balance, racks, outlets, cooling, determinism, signals."""

import random
import time

import pytest

from pswd_edge.model.signal import find_signal
from simulators.loads import FLAT, Step, TrainingJob
from simulators.plant import Plant, PlantSpec, RackState, preroll

DT_S = 0.01
QUIET = PlantSpec(noise_scale=0.0)
KINDS = {
    "meter": ("pcc", "feeder-a", "feeder-b", "feeder-cool"), "battery": ("bess-1", "bess-2"),
    "cdu": ("cdu-1", "cdu-2"), "chiller": ("chiller-1",), "heat_exchanger": ("hx-1",), "pdu": ("pdu-1", "pdu-2"),
    "ups": ("ups-1",), "load_controller": ("rack-1", "rack-2", "rack-3", "rack-4"),
}


def run(plant: Plant, seconds: float) -> None:
    for _ in range(round(seconds / DT_S)):
        plant.step(DT_S)


def flat_job(plant: Plant, rack: str = "rack-4", peak_w: float = 20e6) -> None:
    plant.start_job("flat", TrainingJob(random.Random(1), shape=FLAT), {rack: peak_w})


def rack_mw(plant: Plant, rack: str = "rack-4") -> float:
    return plant.signals(rack)["active_power_w"] / 1e6


def test_grid_is_load_less_battery_at_every_step_and_load_is_what_the_meters_say():
    """One balance, in truth and in the registers, with everything moving."""
    plant = Plant(PlantSpec(), seed=3)
    plant.start_job("job", TrainingJob(random.Random(2)), {f"rack-{n}": 20e6 for n in range(1, 5)})
    plant.write("bess-1", "power_setpoint_w", 30e6)
    plant.write("bess-2", "power_setpoint_w", -10e6)
    for _ in range(3000):
        plant.step(DT_S)
        assert plant.true_grid_w == pytest.approx(plant.true_load_w - plant.true_battery_w, abs=1.0)
        shown = {m: plant.signals(m)["active_power_w"] for m in KINDS["meter"]}
        assert shown["feeder-a"] + shown["feeder-b"] + shown["feeder-cool"] == pytest.approx(plant.true_load_w, abs=1.0)
        assert shown["pcc"] == pytest.approx(plant.true_grid_w, abs=1.0)


def test_energies_of_the_grid_meter_integrate_import_and_export_apart():
    """Counters only rise; export counts when the batteries give more than the load takes."""
    plant = Plant(QUIET, seed=1)
    load_w = plant.true_load_w
    plant.write("bess-1", "power_setpoint_w", 40e6)
    run(plant, 37.0)

    shown = plant.signals("pcc")

    assert shown["energy_export_wh"] == pytest.approx((40e6 - load_w) * 36.85 / 3600.0, rel=0.01)
    assert 0.0 < shown["energy_import_wh"] < load_w * 0.3 / 3600.0


def test_load_keeps_the_guaranteed_range_idle_and_with_the_80_mw_job():
    """The control law's guarantees hold for 20..100 MW; idle less a shed outlet and the full job must be inside."""
    plant = Plant(QUIET, seed=1)
    plant.write("pdu-1", "outlet_command[1]", 0.0)
    run(plant, 1.0)
    lowest_w = plant.true_load_w
    plant.write("pdu-1", "outlet_command[1]", 1.0)
    plant.start_job("job", TrainingJob(random.Random(1), shape=FLAT), {f"rack-{n}": 20e6 for n in range(1, 5)})
    for _ in range(12000):
        plant.step(0.1)

    assert 20e6 < lowest_w < 24e6
    assert 97e6 < plant.true_load_w < 100e6


def test_rack_goes_down_to_its_cap_with_delay_and_lag_and_up_again():
    """A tier is worth what the rack does with its cap: 0.2 s of nothing, then 0.3 s of lag."""
    plant = Plant(QUIET, seed=1)
    flat_job(plant)
    run(plant, 1.0)
    plant.write("rack-4", "power_cap_w", 5e6)
    run(plant, 0.19)
    assert rack_mw(plant) == pytest.approx(20.0)
    run(plant, 0.31)
    assert rack_mw(plant) == pytest.approx(5.0 + 15.0 * 0.368, rel=0.05)
    run(plant, 3.0)
    assert rack_mw(plant) == pytest.approx(5.0, abs=0.01)
    assert plant.signals("rack-4")["state"] == RackState.CAPPED

    plant.write("rack-4", "power_cap_w", 25e6)
    run(plant, 3.0)

    assert rack_mw(plant) == pytest.approx(20.0)
    assert plant.signals("rack-4")["state"] == RackState.RUNNING


def test_capped_energy_is_counted_as_unserved_and_a_pause_is_not():
    """Shedding has a price, and the score shows it; a paused job asks for nothing."""
    plant = Plant(QUIET, seed=1)
    flat_job(plant)
    plant.write("rack-4", "power_cap_w", 5e6)
    run(plant, 2.0)
    before_wh = plant.unserved_wh
    run(plant, 36.0)
    assert plant.unserved_wh - before_wh == pytest.approx(15e6 * 36.0 / 3600.0, rel=0.005)
    plant.write("rack-4", "run_command", 2.0)
    paused_wh = plant.unserved_wh

    run(plant, 10.0)

    assert plant.unserved_wh == paused_wh
    assert rack_mw(plant) == pytest.approx(2.5)


def test_progress_stands_still_in_a_pause_and_is_lost_by_a_stop():
    """Pause and stop differ in what they cost."""
    plant = Plant(QUIET, seed=1)
    plant.start_job("flat", TrainingJob(random.Random(1), shape=FLAT), {"rack-1": 20e6}, duration_s=20.0)
    run(plant, 10.0)
    reached = plant.signals("rack-1")["progress_percent"]
    plant.write("rack-1", "run_command", 2.0)
    run(plant, 5.0)
    assert plant.signals("rack-1")["progress_percent"] == reached == pytest.approx(50.0, abs=2.0)

    plant.write("rack-1", "run_command", 0.0)

    assert plant.signals("rack-1")["progress_percent"] == 0.0


def test_outlet_one_off_takes_two_megawatts_from_the_feeder():
    """A shed outlet must be visible upstream, else nobody can verify it."""
    plant = Plant(QUIET, seed=1)
    run(plant, 1.0)
    feeder_w, pdu_w = plant.signals("feeder-a")["active_power_w"], plant.signals("pdu-1")["active_power_w"]

    plant.write("pdu-1", "outlet_command[1]", 0.0)
    run(plant, 0.02)

    assert plant.signals("pdu-1")["outlet_state[1]"] == 0.0
    assert pdu_w - plant.signals("pdu-1")["active_power_w"] == pytest.approx(2e6)
    assert feeder_w - plant.signals("feeder-a")["active_power_w"] == pytest.approx(2e6)


def test_cdu_heat_is_flow_times_heat_capacity_times_rise():
    """Three registers of one device must not contradict each other."""
    plant = Plant(PlantSpec(), seed=1)
    plant.start_job("job", TrainingJob(random.Random(2)), {"rack-1": 20e6})
    plant.write("cdu-1", "flow_setpoint_lpm", 2000.0)
    plant.write("cdu-1", "supply_temperature_setpoint_c", 25.0)
    run(plant, 30.0)

    shown = plant.signals("cdu-1")

    rise_c = shown["return_temperature_c"] - shown["supply_temperature_c"]
    assert shown["heat_w"] == pytest.approx(shown["flow_lpm"] / 60.0 * 3978.0 * rise_c, rel=1e-6)
    assert 25.0 < shown["supply_temperature_c"] < 28.0


def test_chiller_at_half_its_demand_limit_takes_less_power_and_warms_the_supply():
    """The demand limit is a tier: it must cost temperature and save power."""
    plant = Plant(QUIET, seed=1)
    run(plant, 1.0)
    cooling_w = plant.signals("feeder-cool")["active_power_w"]

    plant.write("chiller-1", "demand_limit_percent", 10.0)
    run(plant, 60.0)

    assert plant.signals("feeder-cool")["active_power_w"] < cooling_w - 0.3e6
    assert plant.signals("cdu-1")["supply_temperature_c"] > 31.0


def test_every_shown_signal_is_a_standard_word_and_every_standard_word_is_shown():
    """The servers and the maps know only the words of the model."""
    plant = Plant(QUIET, seed=1)
    for kind, devices in KINDS.items():
        for device in devices:
            shown = plant.signals(device)
            assert [name for name in shown if find_signal(kind, name) is None] == []
            assert all(isinstance(value, float) for value in shown.values())
    assert plant.signals("pdu-1")["outlet_state[4]"] == 1.0


@pytest.mark.parametrize(("device", "signal"), [("pcc", "active_power_w"), ("nowhere", "enable"), ("hx-1", "heat_w")])
def test_write_to_what_takes_none_is_a_value_error(device, signal):
    """An unknown place is refused like an impossible value."""
    with pytest.raises(ValueError, match="nothing was written"):
        Plant(QUIET, seed=1).write(device, signal, 1.0)


def test_same_seed_gives_the_same_plant_and_another_seed_another():
    """A failing run must be repeatable from its seed."""
    traces = []
    for seed in (5, 5, 6):
        plant = Plant(PlantSpec(), seed)
        traces.append([(plant.step(DT_S), plant.true_load_w, plant.signals("pcc")["frequency_hz"])[1:]
                       for _ in range(500)])

    assert traces[0] == traces[1] != traces[2]


def test_noiseless_plant_is_flat_but_for_a_step():
    """Event-to-wire times are measured on a flat load with one step."""
    plant = Plant(QUIET, seed=1)
    plant.start_job("step", Step(at_s=5.0, high=1.0), {"rack-1": 22.5e6})
    run(plant, 4.9)
    before_w = plant.true_load_w
    loads_w = []
    for _ in range(20):
        plant.step(DT_S)
        loads_w.append(plant.true_load_w)

    steps_w = [b - a for a, b in zip([before_w, *loads_w], loads_w, strict=False) if abs(b - a) > 1e5]

    assert steps_w == [pytest.approx(20e6, rel=0.01)]


def test_step_costs_little(capsys):
    """Printed, not asserted: it depends on the machine. The plant runs beside everything else."""
    plant = Plant(PlantSpec(), seed=1)
    plant.start_job("job", TrainingJob(random.Random(2)), {f"rack-{n}": 20e6 for n in range(1, 5)})
    begun_s = time.perf_counter()
    preroll(plant, 50.0)
    cost_us = (time.perf_counter() - begun_s) / 5000 * 1e6
    with capsys.disabled():
        print(f"\nplant step: {cost_us:.1f} us")  # noqa: T201 - the figure is the purpose
    assert plant.time_s == pytest.approx(50.0)
