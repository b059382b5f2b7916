"""DCPI's power in real time: the image's values, in the contract's fields."""

import numpy as np
import pytest
from dcpi_desk import dcpi_desk

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.profiles.dcpi.power import stability
from pswd_edge.gateway.profiles.dcpi.power_models import RealtimePower

PATH = "/power/realtime"


@pytest.fixture
async def desk(tmp_path, state_dir, tls):
    async with dcpi_desk(tmp_path, state_dir, tls) as made:
        yield made


async def test_now_is_the_image_s(desk):
    """Every number again by hand."""
    answer = await desk.get(PATH)

    body = answer.body
    RealtimePower.model_validate(body)
    assert answer.status == 200
    assert body["facility_id"] == "facility-test"
    assert body["measurement_timestamp"] == iso_utc(desk.control.clock.utc_s())
    assert body["total_power_mw"] == 70.0
    assert body["power_breakdown"] == {"compute_load_mw": 30.0, "cooling_systems_mw": 12.0, "infrastructure_mw": 28.0}
    assert body["power_quality"] == {"thd_percent": 2.5, "power_factor": 0.8, "voltage_stability": "normal"}
    assert body["measurements"][-1] == {
        "timestamp": iso_utc(round(desk.control.clock.utc_s(), 1)), "power_mw": 70.0, "voltage_v": 478.13,
        "current_a": 175.0, "frequency_hz": 49.98}


@pytest.mark.parametrize("resolution_ms", [100, 137, 250, 999, 1000])
async def test_a_measurement_is_the_mean_of_its_interval(desk, resolution_ms):
    """Any whole number of ms from 100 on, also one that no cycle divides."""
    written = []
    for k in range(60):
        desk.control.set("hall-a.active_power_w", 30e6 + k * 1e5)
        desk.control.set("pcc.current_l1_a", 150.0 + k)
        desk.control.run()
        written.append((round(1000 * desk.control.clock.utc_s()), 70 + k / 10, 175 + k / 2))

    rows = (await desk.get(f"{PATH}?duration_sec=4&resolution_ms={resolution_ms}")).body["measurements"]

    assert 4000 // resolution_ms - 1 <= len(rows) <= 4000 // resolution_ms
    for row in rows:
        start_ms = round(np.datetime64(row["timestamp"][:-1], "ms").astype(float))
        inside = [(mw, amps) for ms, mw, amps in written if start_ms <= ms < start_ms + resolution_ms]
        assert start_ms % resolution_ms == 0
        assert (row["power_mw"], row["current_a"]) == pytest.approx(tuple(np.mean(inside, axis=0)), abs=6e-3)


@pytest.mark.parametrize("query", ["resolution_ms=99", "resolution_ms=1001", "duration_sec=0", "duration_sec=301",
                                   "resolution_ms=1e2", "duration_sec=x"])
async def test_what_is_out_of_bounds_is_refused(desk, query):
    """The contract's bounds, each by one."""
    answer = await desk.get(f"{PATH}?{query}")

    assert answer.status == 400
    assert answer.body["error"]["code"] == "INVALID_REQUEST"
    assert answer.body["error"]["request_id"] == answer.headers["X-Request-ID"]


async def test_a_part_that_is_not_known_is_left_out(desk):
    """Neither 0 nor the others' remainder."""
    desk.control.spoil("rack-2.active_power_w")
    desk.control.spoil("pcc.voltage_l3_v")
    desk.control.run()

    body = (await desk.get(PATH)).body

    assert body["power_breakdown"] == {"cooling_systems_mw": 12.0}
    assert "voltage_stability" not in body["power_quality"]
    assert "voltage_v" not in body["measurements"][-1]
    assert body["measurements"][-1]["current_a"] == 175.0


async def test_the_rest_is_never_negative(desk):
    """A hair below 0 is 0: meters are read one after the other. More is a mistake, and not shown."""
    desk.control.set("cool.active_power_w", 40.5e6)
    desk.control.run()
    hair = (await desk.get(PATH)).body["power_breakdown"]
    desk.control.set("cool.active_power_w", 45e6)
    desk.control.run()
    wrong = (await desk.get(PATH)).body["power_breakdown"]

    assert hair["infrastructure_mw"] == 0.0
    assert "infrastructure_mw" not in wrong


async def test_without_control_only_what_was_measured_remains(desk):
    """Rows keep their own times; nothing is said of now."""
    desk.control.clock.advance(1.5)

    body = (await desk.get(PATH)).body

    assert set(body) == {"facility_id", "measurements"}
    assert len(body["measurements"]) == 60


@pytest.mark.parametrize(("percent", "word"), [
    (100.0, "normal"), (95.0, "normal"), (94.9, "disturbed"), (90.0, "disturbed"), (89.9, "critical"), (None, None)])
def test_stability_has_three_words(percent, word):
    """By how far the worst phase is from nominal."""
    assert stability(percent) == word
