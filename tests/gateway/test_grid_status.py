"""GET /grid/status of both APIs: measured, told by the operator, or by contract."""

import pytest
from grid_house import open_house

from pswd_edge.gateway.profiles.dcpi.grid_models import GridStatus as DcpiStatus
from pswd_edge.gateway.profiles.pswd.grid_models import GridStatus as PswdStatus
from pswd_edge.gateway.services.polled import OLDEST_S
from pswd_edge.gateway.services.stability import stability_index, stability_of
from simulators.day import grid_conditions, heat_conditions


@pytest.fixture
async def grid(tmp_path, state_dir, monkeypatch):
    async with open_house(tmp_path, state_dir, monkeypatch) as house:
        yield house


async def both(house):
    pswd, dcpi = await house.get("/v1/grid/status"), await house.dcpi("GET", "/grid/status")
    assert (pswd.status, dcpi.status) == (200, 200)
    PswdStatus.model_validate(pswd.body)
    DcpiStatus.model_validate(dcpi.body)
    return pswd.body, dcpi.body


async def test_the_operator_s_word_is_shown_whole(grid):
    """Every figure of its document, in each API's unit."""
    await grid.services.grid_conditions.look()
    pswd, dcpi = await both(grid)
    told = grid_conditions(grid.control.clock.utc_s())

    assert pswd["source"] == dcpi["source"] == "operator"
    for body in (pswd, dcpi):
        assert body["carbon_intensity_g_co2_kwh"] == told["carbon_intensity_g_per_kwh"]
    assert pswd["market_price_per_mwh"] == told["price_per_mwh"]
    assert pswd["renewable_energy_percent"] == told["renewable_percent"]
    assert pswd["demand_response_active"] is dcpi["demand_response_active"] is False
    sources = dcpi["renewable_generation"]
    assert sources["wind_mw"] == told["renewables"]["wind_w"] / 1e6
    assert sources["total_available_mw"] == pytest.approx(
        sources["wind_mw"] + sources["solar_mw"] + sources["hydro_mw"], abs=1e-5)
    assert dcpi["electricity_pricing"] == {
        "current_price_per_mwh": told["price_per_mwh"], "next_hour_forecast": told["next_hour_price_per_mwh"],
        "peak_time_active": told["peak"]}
    assert dcpi["stability_status"] == "normal"
    assert dcpi["grid_frequency_hz"] == 49.98


async def test_before_anybody_tells_the_contract_s_facts_are_shown_and_no_more(grid):
    """What only the operator knows is left out: never 0, never the last value."""
    pswd, dcpi = await both(grid)
    assert pswd["source"] == "contract"
    assert pswd["carbon_intensity_g_co2_kwh"] == 210.0
    assert dcpi["renewable_generation"] == {"percentage_of_total": 46.0}
    assert dcpi["electricity_pricing"] == {"current_price_per_mwh": 61.5}


async def test_a_word_of_over_five_minutes_is_not_known_any_more(grid):
    """The market moves; an hour old price must not be shown as the present one."""
    await grid.services.grid_conditions.look()
    grid.control.clock.advance(OLDEST_S + 1.0)
    grid.control.run(1)
    assert (await both(grid))[0]["source"] == "contract"


@pytest.mark.parametrize("changed", [{"carbon_intensity_g_per_kwh": -1.0}, {"renewable_percent": 101.0},
                                     {"price_per_mwh": "cheap"}, {"stability": "fine"}, {"renewables": [1]}])
async def test_a_document_that_cannot_be_is_not_believed(grid, monkeypatch, changed):
    """One wrong figure: the whole document is suspect, and the last good one grows older."""
    monkeypatch.setattr("simulators.grid_operator.grid_conditions", lambda utc_s: grid_conditions(utc_s) | changed)
    await grid.services.grid_conditions.look()
    assert grid.services.grid_conditions.trouble
    assert (await both(grid))[0]["source"] == "contract"


async def test_the_worse_of_measured_and_told_stability_counts(grid, monkeypatch):
    """An operator that says emergency has its reasons; so has a frequency that falls."""
    monkeypatch.setattr("simulators.grid_operator.grid_conditions",
                        lambda utc_s: grid_conditions(utc_s) | {"stability": "emergency"})
    await grid.services.grid_conditions.look()
    assert (await both(grid))[1]["stability_status"] == "emergency"

    monkeypatch.setattr("simulators.grid_operator.grid_conditions", grid_conditions)
    await grid.services.grid_conditions.look()
    grid.control.set("pcc.frequency_hz", 49.7)
    grid.control.run(1)
    pswd, dcpi = await both(grid)
    assert dcpi["stability_status"] == "alert"
    assert pswd["grid_stability_index"] == pytest.approx(10 * (1 - 0.28 / 0.48), abs=0.01)


async def test_without_a_frequency_there_is_no_index(grid):
    """Not 10, which would say calm."""
    grid.services.grid.look()
    grid.control.spoil("pcc.frequency_hz")
    grid.control.run(1)
    pswd, dcpi = await both(grid)
    assert "grid_stability_index" not in pswd
    assert "stability_status" not in dcpi


async def test_a_frequency_that_moves_fast_is_unstable_even_near_nominal(grid):
    """The rate of change is the first sign of a lost power station."""
    for step in range(5):
        grid.control.set("pcc.frequency_hz", 50.0 - 0.1 * step)
        grid.control.run(10)
        grid.services.grid.look()
    pswd, _ = await both(grid)
    assert pswd["grid_stability_index"] == pytest.approx(10 * (1 - (0.2 - 0.02) / 0.48), abs=0.1)
    assert stability_index([(s, 50.0 - 0.25 * (s - 1)) for s in (0.0, 1.0, 2.0)], 50.0) == pytest.approx(5.0)


@pytest.mark.parametrize(("hz", "index", "word"), [(50.0, 10.0, "normal"), (50.02, 10.0, "normal"),
                                                   (49.5, 0.0, "emergency"), (51.0, 0.0, "emergency")])
def test_the_index_by_its_formula(hz, index, word):
    """10 within 20 mHz, 0 from half a hertz on."""
    found = stability_index([(0.0, hz)], 50.0)
    assert found == pytest.approx(index, abs=1e-6)
    assert stability_of(found) == word
    assert stability_index([], 50.0) is None


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_the_simulated_day_is_plausible(hour):
    """The demo must not teach that the sun shines at night."""
    now = grid_conditions(1_780_000_000 // 86_400 * 86_400 + 3600 * hour)
    assert 0 <= now["renewable_percent"] <= 100
    assert (now["renewables"]["solar_w"] > 0) == (6 < hour < 18)
    assert now["peak"] == (17 <= hour < 20)
    heat = heat_conditions(1_780_000_000 + 3600 * hour)
    assert 0 < heat["current_request_w"] <= heat["peak_forecast_w"]
