"""DCPI's metrics: every figure by its formula, of the window that was asked for."""

import numpy as np
import pytest
from dcpi_desk import dcpi_desk

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.profiles.dcpi.metrics_models import Metrics
from pswd_edge.gateway.services.minute import DTYPE, MinuteTable, minute_of

PATH = "/system/metrics"
KNOWN = {
    "load_mean_w": 60e6, "load_min_w": 50e6, "load_max_w": 90e6, "grid_mean_w": 55e6, "grid_min_w": 50e6,
    "grid_max_w": 61e6, "frequency_min_hz": 49.97, "frequency_max_hz": 50.02, "quality_seen": 60.0,
    "quality_good": 57.0, "heat_mean_w": 45e6, "recovered_mean_w": 9e6, "cooling_efficiency": 0.9,
    "temperature_seen": 60.0, "temperature_good": 54.0, "temperature_off_mean_k": 0.5, "forecast_accuracy": 0.8,
    "approved": 3.0, "rejected": 1.0, "controls": 10.0, "controls_in_time": 9.0, "unauthenticated": 2.0,
    "forbidden": 1.0, "limited": 4.0}


@pytest.fixture
async def desk(tmp_path, state_dir, tls):
    async with dcpi_desk(tmp_path, state_dir, tls) as made:
        yield made


@pytest.fixture
def told(desk):
    """A desk whose history is what a test says: rows as (minutes ago, fields)."""
    def tell(*rows):
        now_s = int(desk.control.clock.utc_s()) // 60 * 60
        minutes = [minute_of(now_s - 60 * ago, fields) for ago, fields in sorted(rows, key=lambda row: -row[0])]
        desk.gateway.services.history._table = MinuteTable(np.concatenate([np.zeros(0, DTYPE), *minutes]))
        return desk

    return tell


async def test_every_figure_is_its_formula(told):
    """Means of minutes, sums of counts, the highest of peaks."""
    desk = told((30, KNOWN), (20, {**KNOWN, "load_mean_w": 80e6, "load_max_w": 100e6, "quality_good": 51.0,
                                  "heat_mean_w": 95e6, "cooling_efficiency": 0.8, "recovered_mean_w": 19e6,
                                  "approved": 0.0, "rejected": 0.0, "controls": 0.0, "controls_in_time": 0.0,
                                  "forecast_accuracy": 0.9, "frequency_min_hz": 49.9, "grid_max_w": 70e6}))

    answer = await desk.get(PATH)

    body = answer.body
    Metrics.model_validate(body)
    now_s = desk.control.clock.utc_s()
    assert body == {
        "metrics_window": {"start_time": iso_utc(now_s - 3600), "end_time": iso_utc(now_s), "resolution": "1_minute",
                           "minutes_known": 2},
        "power_metrics": {"average_load_mw": 70.0, "peak_load_mw": 100.0, "load_factor": 0.7,
                          "power_quality_score": 0.9},
        "thermal_metrics": {"cooling_efficiency": 0.85, "heat_recovery_rate": 0.2, "temperature_stability": 0.9,
                            "temperature_deviation_k": 0.5},
        "coordination_metrics": {"workload_approval_rate": 0.75, "forecast_accuracy": 0.85,
                                 "response_time_compliance": 0.9},
        "grid_metrics": {"average_import_mw": 55.0, "peak_import_mw": 70.0, "frequency_min_hz": 49.9,
                         "frequency_max_hz": 50.02},
        "security_metrics": {"authentication_failures": 4, "authorization_denials": 2, "rate_limited": 8}}


@pytest.mark.parametrize(("window", "minutes", "mean_mw"), [("1h", 1, 10.0), ("24h", 2, 15.0), ("7d", 3, 30.0)])
async def test_a_window_reaches_so_far(told, window, minutes, mean_mw):
    """What is older is not in it."""
    desk = told(*((ago, {**KNOWN, "load_mean_w": watts}) for ago, watts in (
        (59, 10e6), (61, 20e6), (10_079, 60e6), (10_081, 1e6))))

    body = (await desk.get(f"{PATH}?time_range={window}")).body

    assert body["metrics_window"]["minutes_known"] == minutes
    assert body["power_metrics"]["average_load_mw"] == mean_mw


@pytest.mark.parametrize(("kind", "groups"), [
    ("power", {"power_metrics"}), ("thermal", {"thermal_metrics"}), ("security", {"security_metrics"}),
    ("grid", {"coordination_metrics", "grid_metrics"})])
async def test_a_type_asks_for_its_group(told, kind, groups):
    """Without one all are given."""
    body = (await told((5, KNOWN)).get(f"{PATH}?metric_type={kind}")).body

    assert set(body) - {"metrics_window"} == groups


async def test_what_was_never_known_is_left_out(told):
    """No announcement is no rate; nothing measured is no figure."""
    desk = told((5, {"load_mean_w": 60e6, "approved": 0.0, "rejected": 0.0, "controls": 0.0, "controls_in_time": 0.0,
                     "quality_seen": 0.0, "quality_good": 0.0}))

    body = (await desk.get(PATH)).body

    assert body["power_metrics"] == {"average_load_mw": 60.0}
    assert body["thermal_metrics"] == body["coordination_metrics"] == body["grid_metrics"] == {}
    assert body["security_metrics"] == {}
    nothing = (await told().get(PATH)).body
    assert nothing["metrics_window"]["minutes_known"] == 0
    assert nothing["power_metrics"] == {}


@pytest.mark.parametrize("query", ["time_range=2h", "metric_type=weather", "time_range="])
async def test_what_the_contract_does_not_name_is_refused(desk, query):
    """Its enumerations, and nothing else."""
    answer = await desk.get(f"{PATH}?{query}")

    assert (answer.status, answer.body["error"]["code"]) == (400, "INVALID_REQUEST")


async def test_control_answers_reach_the_counts(house):
    """From the socket: let in and answered within a second."""
    counts = house.gateway.services.meter.counts
    await house.post("/v1/battery/control", {"command_type": "standby", "timestamp": iso_utc(
        house.control.clock.utc_s())})
    await house.post("/v1/battery/control", {}, role=None)
    after = house.gateway.services.meter.counts

    assert after.controls - counts.controls == 1
    assert after.controls_in_time - counts.controls_in_time == 1
    assert after.unauthenticated - counts.unauthenticated == 1
