"""The product's law and set-points against the simulated plant, on virtual time."""

from functools import cache

import pytest
from virtual import FIRST_S, MW, Loop, bad, demo_site, good

from pswd_edge.control.arbiter import Bound
from pswd_edge.model.command import Level, Mode
from pswd_edge.model.site import Site


@cache
def site() -> Site:
    return demo_site()


def ready(seed: int = 1) -> Loop:
    """In AUTO for 5 s, before anything happens."""
    loop = Loop(site(), seed, mode=Mode.OBSERVE)
    loop.run(3, start=False)
    loop.mode = Mode.AUTO
    loop.run(5, start=False)
    return loop


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_demo_scenario_stays_within_the_contract(seed: int) -> None:
    """Start, checkpoint, abort, surge, a lost battery: the grid sees 10 MW/min where the load ramps by over 40."""
    loop = ready(seed)
    loop.run(150)
    score, engaged = loop.score.summary(), loop.ever_engaged
    assert score["load_ramp_60s_max_mw_per_min"] > 40
    assert score["ramp_60s_max_mw_per_min"] <= 10
    assert score["ramp_10s_max_mw_per_min"] <= 19
    assert 10 <= score["soc_min_percent"] <= score["soc_max_percent"] <= 90
    assert engaged == {"throttle-1"}


def test_without_control_the_same_scenario_breaks_the_contract() -> None:
    """Else the test above would prove nothing."""
    loop = Loop(site(), 1, mode=Mode.OBSERVE)
    loop.run(150)
    assert loop.score.summary()["ramp_60s_max_mw_per_min"] > 40


def test_a_grid_meter_that_freezes_in_mid_ramp_costs_nothing() -> None:
    """From the training's start for 10 s the meter repeats itself: the load meters carry the law."""
    loop, point = ready(), site().control.grid_power.point
    loop.run(22)
    stuck = loop.snapshot().read(point)
    for k in range(100):
        now = FIRST_S + loop.plant.time_s
        loop.override[point] = good(stuck.value, now - 0.002, now, k)
        loop.decisions.append(loop.step())
    assert loop.decisions[-1].degraded == ("grid_meter_frozen",)
    loop.override.clear()
    loop.run(60, start=False)
    score = loop.score.summary()
    assert score["ramp_60s_max_mw_per_min"] <= 10
    assert score["ramp_10s_max_mw_per_min"] <= 19
    assert loop.decisions[-1].degraded == ()


def test_a_stale_grid_meter_and_no_other_lets_the_batteries_go_gently() -> None:
    """Blind in mid-job: a second of holding, then the ramp; the grid's 60 s mean stays a ramp."""
    loop, spec = ready(), site().control
    loop.run(40)
    loop.override = dict.fromkeys([spec.grid_power.point, *(m.point for m in spec.load_meters)], bad())
    before = loop.decisions[-1].battery_w
    loop.run(10, start=False)
    dropped = before - loop.decisions[-1].battery_w
    assert dropped == pytest.approx(min(before, 9 * spec.ramp_up_w_per_s), abs=0.2 * MW)
    assert loop.decisions[-1].binding == "blind"


def test_the_other_battery_takes_over_within_the_latency() -> None:
    """bess-2 is lost in the job's last seconds: bess-1 has the power, no tier goes, the grid hardly moves."""
    loop = ready()
    loop.run(88)
    loop.plant.fault("bess-2", "contactor_open", True)
    loop.run(5, start=False)
    assert "battery_lost:bess-2" in loop.decisions[-1].degraded
    assert loop.ever_engaged == set()
    assert loop.score.summary()["ramp_60s_max_mw_per_min"] <= 10


def test_a_restart_in_mid_job_makes_no_step() -> None:
    """A new control process finds the batteries at work, keeps what it finds for 5 s, and takes over."""
    loop = ready()
    loop.run(40)
    before = loop.plant_battery_w()
    loop.restart(Mode.OBSERVE)
    loop.run(5, start=False)
    kept = loop.plant_battery_w()
    loop.mode = Mode.AUTO
    loop.run(0.5, start=False)
    assert kept == pytest.approx(before, abs=0.5 * MW)
    loop.run(20, start=False)
    assert loop.score.summary()["ramp_60s_max_mw_per_min"] <= 10


def test_a_throttle_lowers_the_rack_s_power() -> None:
    """The bound of a throttled workload reaches the rack as a cap, and the rack obeys."""
    loop = ready()
    loop.run(40)
    cap = site().point_index["rack-1.power_cap_w"]
    full = loop.plant.signals("rack-1")["active_power_w"]
    loop.bounds = [Bound(cap, 0.0, 8 * MW, Level.API, "workload")]
    loop.run(3, start=False)
    assert full > 12 * MW
    assert loop.plant.signals("rack-1")["active_power_w"] <= 8.1 * MW
    assert loop.verdict_of(cap).limit == "workload"


def test_a_battery_request_is_followed_by_the_plant() -> None:
    """15 MW of charging on top of the law's own: the batteries get there at the ramp."""
    loop = ready()
    loop.target_w = -4 * MW
    loop.run(60, start=False)
    assert loop.plant_battery_w() == pytest.approx(-4 * MW, abs=0.3 * MW)
    assert loop.score.summary()["ramp_60s_max_mw_per_min"] <= 10
