"""What is sent to the grid operator: PSWD's POST /grid/signal and DCPI's POST /grid/forecast."""

import pytest
from gateway_campus import make_workload
from grid_house import open_house

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.profiles.dcpi.grid_models import GridForecastAnswer
from pswd_edge.gateway.profiles.pswd.grid_models import GridSignalAnswer


@pytest.fixture
async def grid(tmp_path, state_dir, monkeypatch):
    async with open_house(tmp_path, state_dir, monkeypatch) as house:
        yield house


def signal(house, kind, **parts):
    return {"signal_type": kind, "timestamp": iso_utc(house.control.clock.utc_s()), **parts}


async def send(house, body, status=200, **more):
    answer = await house.post("/v1/grid/signal", body, role="grid_operator", **more)
    assert answer.status == status, answer.body
    if status == 200:
        GridSignalAnswer.model_validate(answer.body)
    return answer.body


async def test_a_client_s_forecast_reaches_the_operator_in_si(grid):
    """MW end at the profile; the operator gets W, and says what it thinks of it."""
    moment = iso_utc(grid.control.clock.utc_s() + 900)
    found = await send(grid, signal(grid, "load_forecast", load_forecast={
        "forecast_horizon_hours": 4, "predicted_load_mw": [{"timestamp": moment, "load_mw": 81.5}]}))

    assert found["acknowledgment_status"] == "acknowledged"
    assert found["grid_operator_response"] == "load forecast received"
    (got,) = grid.operator.received
    assert got["id"] == found["signal_id"]
    assert got["origin"] == "api:grid_operator"
    assert got["content"] == {"load_forecast": {"horizon_s": 14_400.0, "load_w": [[moment, 81_500_000]]}}


async def test_an_offer_is_passed_on(grid):
    """Every field of the contract's part."""
    await send(grid, signal(grid, "demand_response", demand_response={
        "available_reduction_mw": 12.0, "response_time_sec": 60, "duration_hours": 1.5}))
    assert grid.operator.received[0]["content"] == {
        "demand_response": {"down_w": 12e6, "response_s": 60, "duration_s": 5400.0}}


async def test_what_a_signal_lacks_comes_from_the_site(grid):
    """A signal without its part is filled from real figures, and a repeat of it is no second signal."""
    grid.control.run(1, workloads=(make_workload(),))
    first = await send(grid, signal(grid, "load_forecast"), headers={"Idempotency-Key": "f-1"})
    grid.control.clock.advance(20.0)
    grid.control.run(1)
    again = await send(grid, signal(grid, "load_forecast"), headers={"Idempotency-Key": "f-1"})
    assert first == again
    (got,) = grid.operator.received
    assert len(got["content"]["load_forecast"]["load_w"]) == 96


@pytest.mark.parametrize("kind", ["demand_response", "frequency_regulation", "capacity_available"])
async def test_capacity_is_what_the_site_has(grid, kind):
    """Batteries and workloads as they stand."""
    await send(grid, signal(grid, kind))
    offered = grid.operator.received[0]["content"][kind]
    assert offered["down_w"] > 1e6
    assert offered["up_w"] > 1e6
    assert offered["response_s"] > 0


async def test_a_rejection_is_a_good_answer_with_the_operator_s_reason(grid):
    """The signal was delivered; the operator does not want it."""
    grid.operator.fault("reject", "no capacity market today")
    found = await send(grid, signal(grid, "capacity_available"))
    assert found["acknowledgment_status"] == "rejected"
    assert found["grid_operator_response"] == "no capacity market today"


async def test_an_operator_that_does_not_answer_leaves_it_pending(grid, monkeypatch):
    """In time, and honest about it."""
    monkeypatch.setattr("pswd_edge.gateway.services.delivery.Delivery.send.__defaults__", (0.1,))
    grid.operator.fault("fail", 500)
    found = await send(grid, signal(grid, "capacity_available"))
    assert found["acknowledgment_status"] == "pending"


async def test_a_pending_signal_that_is_asked_for_again_tells_how_far_it_is(grid, monkeypatch):
    """The same key, no second signal, and the answer of now: a pending one is not kept as the last word."""
    monkeypatch.setattr("pswd_edge.gateway.services.delivery.Delivery.send.__defaults__", (0.1,))
    grid.operator.fault("fail", 500)
    body, key = signal(grid, "capacity_available"), {"Idempotency-Key": "s-1"}
    assert (await send(grid, body, headers=key))["acknowledgment_status"] == "pending"
    grid.operator.fault("fail", None)
    assert await grid.services.delivery.turn("grid") == "acknowledged"
    assert (await send(grid, body, headers=key))["acknowledgment_status"] == "acknowledged"
    assert len(grid.operator.received) == 1


async def test_a_site_without_an_operator_says_so(tmp_path, state_dir, monkeypatch):
    """Nobody would receive it: 503, not a 200 that looks sent."""
    async with open_house(tmp_path, state_dir, monkeypatch, endpoint=False) as house:
        found = await send(house, signal(house, "capacity_available"), 503)
        assert found["error_code"] == "NO_GRID_OPERATOR"


@pytest.mark.parametrize("changed", [
    {"signal_type": "weather"}, {"timestamp": "today"}, {"load_forecast": {"predicted_load_mw": [{"load_mw": 1.0}]}},
    {"load_forecast": {"predicted_load_mw": [{"timestamp": "2026-03-01T12:00:00Z", "load_mw": -1.0}]}},
    {"load_forecast": {"forecast_horizon_hours": 1.5}}, {"demand_response": {"response_time_sec": -1}},
    {"demand_response": {"available_reduction_mw": "5"}}, {"demand_response": None},
])
async def test_a_signal_that_is_none_is_refused_before_anything_is_sent(grid, changed):
    """400 with the field's name."""
    found = await send(grid, signal(grid, "load_forecast") | changed, 400)
    assert found["error_code"] == "INVALID_REQUEST"
    assert next(iter(changed)) in found["message"]
    assert grid.operator.asked == 0


async def test_an_old_signal_is_refused(grid):
    """It would tell the operator what is not so any more."""
    body = signal(grid, "capacity_available")
    grid.control.clock.advance(31.0)
    grid.control.run(1)
    assert (await send(grid, body, 400))["error_code"] == "STALE_TIMESTAMP"


# --- DCPI -----------------------------------------------------------------------------------------------------------


def forecast(house, **changes):
    now_s = house.control.clock.utc_s()
    entries = [{"timestamp": iso_utc(now_s + 900 * i), "predicted_load_mw": 90.0 + i, "confidence_percent": 85,
                "flexibility_up_mw": 45.0, "flexibility_down_mw": 25.0, "response_time_sec": 30} for i in (1, 2)]
    return {"facility_id": "facility-test", "forecast_horizon_hours": 24, "baseline_load_mw": 95.0,
            "forecast_data": entries, **changes}


async def test_a_dcpi_forecast_reaches_the_operator(grid):
    """With the client's name, and the operator's own acknowledgement."""
    answer = await grid.dcpi("POST", "/grid/forecast", forecast(grid))
    assert answer.status == 200
    GridForecastAnswer.model_validate(answer.body)
    assert answer.body["acknowledgment_status"] == "acknowledged"
    (got,) = grid.operator.received
    assert (got["kind"], got["origin"]) == ("load_forecast", "dcpi:scheduler-01")
    assert got["content"]["moments"][0] == {
        "at": iso_utc(grid.control.clock.utc_s() + 900), "load_w": 91e6, "confidence_percent": 85.0, "up_w": 45e6,
        "down_w": 25e6, "response_s": 30}


async def test_a_forecast_of_another_facility_is_not_found(grid):
    """A client that mixes up its sites learns it here."""
    answer = await grid.dcpi("POST", "/grid/forecast", forecast(grid, facility_id="elsewhere"))
    assert (answer.status, answer.body["error"]["code"]) == (404, "RESOURCE_NOT_FOUND")


async def test_a_forecast_beyond_the_site_or_out_of_order_is_refused(grid):
    """Power within the facility's capacity; moments that rise."""
    wrong = forecast(grid)
    wrong["forecast_data"].reverse()
    wrong["forecast_data"][0]["predicted_load_mw"] = 130.5
    answer = await grid.dcpi("POST", "/grid/forecast", wrong)
    assert answer.status == 400
    said = "\n".join(answer.body["error"]["details"]["lines"])
    assert "forecast_data.1.timestamp" in said
    assert "forecast_data.0.predicted_load_mw: got 130.5: expected at most 130" in said
    for name, value in (("forecast_data", []), ("forecast_horizon_hours", 49), ("baseline_load_mw", -1.0)):
        assert (await grid.dcpi("POST", "/grid/forecast", forecast(grid, **{name: value}))).status == 400
    assert grid.operator.asked == 0
