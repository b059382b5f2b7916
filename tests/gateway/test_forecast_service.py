"""The forecast service: both APIs' answers, its record of errors, and the accuracy that comes of it."""

import asyncio

import numpy as np
import pytest
from gateway_campus import make_workload
from grid_house import open_house
from msgspec.structs import replace

from pswd_edge.gateway.profiles.dcpi.forecast_models import PowerForecast as DcpiForecast
from pswd_edge.gateway.profiles.pswd.forecast_models import PowerForecast as PswdForecast
from pswd_edge.gateway.services.load_record import ACCURACY_LEAST
from pswd_edge.model.report import LimitReport
from pswd_edge.model.workload import Announcement

MW = 1e6


@pytest.fixture
async def grid(tmp_path, state_dir, monkeypatch):
    async with open_house(tmp_path, state_dir, monkeypatch) as house:
        yield house


async def pswd(house, query=""):
    found = await house.get(f"/v1/power/forecast{query}")
    assert found.status == 200, found.body
    PswdForecast.model_validate(found.body)
    return found.body


async def dcpi(house, query=""):
    found = await house.dcpi("GET", f"/power/forecast{query}")
    assert found.status == 200, found.body
    DcpiForecast.model_validate(found.body)
    return found.body


def job(house, name, kind, start_s, **changes):
    made = make_workload(name, announced_utc_s=house.control.clock.utc_s() - 1)
    said = Announcement(name, kind, 30 * MW, 10 * MW, 1e6, duration_s=7200,
                        earliest_start_utc_s=house.control.clock.utc_s() + start_s)
    return replace(made, announcement=said, **changes)


async def test_a_day_in_quarters_of_an_hour_unless_asked_otherwise(grid):
    """Both defaults; times are whole quarters, the first one lies ahead."""
    first, second = await pswd(grid), await dcpi(grid)
    assert first["facility_id"] == "facility-test"
    assert first["forecast_horizon_hours"] == second["forecast_horizon_hours"] == 24
    assert first["confidence_level_percent"] == 90
    assert len(first["forecasts"]) == len(second["forecast_data"]) == 96
    times = [f["timestamp"] for f in first["forecasts"]]
    assert times == [f["timestamp"] for f in second["forecast_data"]]
    assert all(t[14:16] in ("00", "15", "30", "45") for t in times)
    assert times[0] > second["forecast_generated"]


@pytest.mark.parametrize(("query", "count"), [("?horizon_hours=1", 4), ("?horizon_hours=48", 192)])
async def test_the_horizon_of_pswd(grid, query, count):
    """1 to 48 hours."""
    assert len((await pswd(grid, query))["forecasts"]) == count


@pytest.mark.parametrize(("query", "count"), [
    ("?horizon_hours=1&resolution_minutes=60", 1), ("?horizon_hours=1&resolution_minutes=7", 9),
    ("?horizon_hours=48&resolution_minutes=1", 2880)])
async def test_horizon_and_resolution_of_dcpi(grid, query, count):
    """1 to 48 hours in steps of 1 to 60 minutes."""
    assert len((await dcpi(grid, query))["forecast_data"]) == count


@pytest.mark.parametrize("query", ["horizon_hours=0", "horizon_hours=49", "horizon_hours=1.5", "horizon_hours=x",
                                   "resolution_minutes=0", "resolution_minutes=61"])
async def test_a_query_out_of_bounds_is_refused(grid, query):
    """400 with the parameter's name."""
    found = await grid.dcpi("GET", f"/power/forecast?{query}")
    assert found.status == 400
    assert query.partition("=")[0] in found.body["error"]["message"]
    if "horizon" in query:
        assert (await grid.get(f"/v1/power/forecast?{query}")).status == 400


async def test_announced_workloads_are_in_it_by_time_and_kind(grid):
    """The composition sums up to the load; names are the contract's."""
    jobs = (job(grid, "a", "ai_training", 3600), job(grid, "b", "ai_inference", 3600), job(grid, "c", "hpc", 7200))
    grid.control.run(1, workloads=jobs, load_w=50 * MW)
    data = (await dcpi(grid))["forecast_data"]
    mean_mw = 10 + 2 / 3 * 20
    assert data[2]["workload_composition"] == {"unannounced_mw": 50.0}
    late = data[9]
    assert late["predicted_load_mw"] == pytest.approx(50 + 3 * mean_mw)
    assert late["workload_composition"] == {
        "ai_training_mw": pytest.approx(mean_mw), "inference_serving_mw": pytest.approx(mean_mw),
        "traditional_compute_mw": pytest.approx(mean_mw), "unannounced_mw": pytest.approx(50.0)}
    assert data[40]["predicted_load_mw"] == pytest.approx(50.0)


async def test_what_is_drawn_by_announced_workloads_is_no_baseline(grid):
    """The baseline is what is there without them."""
    running = job(grid, "a", "ai_training", -10)
    grid.control.run(1, workloads=(running,))
    grid.services.forecast.look()
    drawn = grid.services.workloads.power_w(running) / MW
    assert (await dcpi(grid))["baseline_load_mw"] == pytest.approx(70.0 - min(drawn, 10 + 2 / 3 * 20))


async def test_the_interval_holds_the_prediction_and_says_what_it_comes_from(grid):
    """Before anything is measured: the load's spread."""
    for moment in (await dcpi(grid))["forecast_data"]:
        bounds = moment["confidence_interval"]
        assert bounds["lower_bound_mw"] <= moment["predicted_load_mw"] <= bounds["upper_bound_mw"]
        assert moment["interval_basis"] == "load_spread"
        assert moment["confidence_percent"] == 90


async def test_flexibility_knows_of_limits_to_come(grid):
    """A commitment that begins in an hour leaves no room up from then on."""
    limit = LimitReport("import_limit_w", 70 * MW, "dcpi:x", 4, False, False, 7200.0, 3600.0)
    grid.control.run(1, limits=(limit,))
    data = (await dcpi(grid))["forecast_data"]
    assert data[2]["flexibility"]["up_mw"] > 1.0
    assert data[8]["flexibility"]["up_mw"] == 0.0
    assert data[20]["flexibility"]["up_mw"] > 1.0


async def test_the_accuracy_is_left_out_until_it_is_measured(grid):
    """Not 100, not the example's 85."""
    assert (await dcpi(grid))["forecast_accuracy"] == {}


async def learn(house, minutes, error_w):
    """So many minutes in which the truth was 50 MW and the forecasts for it were off by `error_w`."""
    service, record = house.services.forecast, house.services.forecast._record
    first = int(house.control.clock.utc_s() // 60) - minutes
    await record.remember([(first + i, lead, 50 * MW + error_w) for i in range(minutes) for lead in (900.0, 3600.0)])
    for i in range(minutes):
        await record.note(first + i, 50 * MW)
    await service._learn(first + minutes)


async def test_the_accuracy_is_that_of_the_own_past_forecasts(grid):
    """100 less the mean error in percent: 5 MW of 50."""
    await learn(grid, ACCURACY_LEAST - 1, 5 * MW)
    assert (await dcpi(grid))["forecast_accuracy"] == {}
    grid.control.clock.advance(3600.0)
    grid.control.run(1)
    await learn(grid, ACCURACY_LEAST, 5 * MW)
    assert (await dcpi(grid))["forecast_accuracy"] == {"fifteen_min_percent": 90.0, "one_hour_percent": 90.0}
    health = (await grid.dcpi("GET", "/system/health")).body
    assert health["subsystems"]["grid_integration"]["forecast_accuracy_percent"] == 90.0


async def test_measured_errors_make_the_interval(grid):
    """From 20 compared forecasts on."""
    await learn(grid, 20, 5 * MW)
    data = (await dcpi(grid))["forecast_data"]
    assert data[0]["interval_basis"] == "measured_errors"
    assert data[0]["confidence_interval"] == {"lower_bound_mw": 65.0, "upper_bound_mw": 75.0}
    assert data[20]["interval_basis"] == "load_spread"


async def test_turns_keep_minutes_and_compare_forecasts_with_them(grid):
    """What is told at 15 minutes' lead is judged 15 minutes later, through the store."""
    service = grid.services.forecast
    for _ in range(17 * 60):
        grid.control.clock.advance(0.9)
        grid.control.run(1)
        await service.turn()
    errors = await service._record.errors_w()
    assert errors[900.0] == pytest.approx([0.0], abs=1.0)
    assert len(errors[3600.0]) == 0


class Days:
    """Two days that were 20 MW higher in the second half of each UTC day."""

    def minutes(self, since_utc_s):
        begin_s = int(since_utc_s) // 86_400 * 86_400
        rows = np.zeros(2880, [("utc_s", np.int64), ("load_mean_w", float)])
        rows["utc_s"] = begin_s + 60 * np.arange(2880)
        rows["load_mean_w"] = np.where(rows["utc_s"] % 86_400 < 43_200, 50 * MW, 70 * MW)
        return rows


async def test_past_days_give_the_forecast_their_shape(grid):
    """Now it is evening, and as on past days: the load falls at midnight UTC and rises at noon."""
    assert 43_200 < grid.control.clock.utc_s() % 86_400 < 80_000
    assert grid.services.forecast._daily_profile() is None
    grid.services.forecast._minutes = Days()
    await grid.services.forecast._learn(0)
    for moment in (await dcpi(grid))["forecast_data"]:
        hour = int(moment["timestamp"][11:13])
        if hour not in (0, 11, 12, 23):
            assert moment["predicted_load_mw"] == pytest.approx(50 if hour < 12 else 70), moment["timestamp"]


async def test_an_answer_is_kept_for_ten_seconds(grid, monkeypatch):
    """A dashboard of fifty clients makes one forecast."""
    made = []
    real = grid.services.forecast._basis
    monkeypatch.setattr(grid.services.forecast, "_basis", lambda *a: made.append(1) or real(*a))
    await pswd(grid)
    await dcpi(grid)
    assert len(made) == 1
    await dcpi(grid, "?horizon_hours=2")
    grid.control.clock.advance(10.5)
    grid.control.run(1)
    await pswd(grid)
    assert len(made) == 3


async def test_many_who_ask_at_once_wait_for_one_forecast(grid, monkeypatch):
    """Else nine dashboards that renew together would find the thread busy."""
    made = []
    real = grid.services.forecast._basis
    monkeypatch.setattr(grid.services.forecast, "_basis", lambda *a: made.append(1) or real(*a))
    found = await asyncio.gather(*(dcpi(grid, "?resolution_minutes=1") for _ in range(20)))
    assert len(made) == 1
    assert all(f == found[0] for f in found)


async def test_a_forecast_that_fails_is_tried_anew_by_the_next(grid):
    """A refusal is no answer that is kept."""
    grid.control.run(1, load_w=None)
    grid.control.clock.advance(120.0)
    grid.control.run(1)
    assert (await grid.dcpi("GET", "/power/forecast")).status == 503
    grid.control.run(1, load_w=70 * MW)
    assert len((await dcpi(grid))["forecast_data"]) == 96


@pytest.mark.parametrize("trouble", ["dead", "blind"])
async def test_without_a_load_nothing_is_forecast(grid, trouble):
    """503, not a line of zeros."""
    grid.control.clock.advance(120.0)
    if trouble == "blind":
        grid.control.run(1, load_w=None)
    found = await grid.get("/v1/power/forecast")
    assert (found.status, found.body["error_code"]) == (
        503, "CONTROL_UNAVAILABLE" if trouble == "dead" else "LOAD_UNKNOWN")
