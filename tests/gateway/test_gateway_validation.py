"""What clients get wrong, and how they are told."""

import math

import orjson
import pytest
from gateway_campus import make_site
from pswd_contract import breaches

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.services.thermal import ThermalService

NOW = "2026-05-28T20:26:43Z"
ANNOUNCEMENT = {
    "PSWD_version": "1.0", "message_type": "workload_announcement", "timestamp": NOW, "workload_id": "wl-1",
    "workload_type": "hpc",
    "power_profile": {"peak_power_mw": 5, "baseline_power_mw": 1, "ramp_rate_mw_per_sec": 1}}


async def refused(house, path, body, **more):
    answer = await house.post(path, body, **more)
    assert breaches("error", answer.body) == []
    assert house.door.asked == []
    return answer


@pytest.mark.parametrize(("fields", "line"), [
    ({"command_type": "explode"},
     "command_type: got \"explode\": expected one of 'charge', 'discharge', 'standby' or 'load_smooth'"),
    ({"target_power_mw": "5"}, 'target_power_mw: got "5": expected a number'),
    ({"target_power_mw": True}, "target_power_mw: got true: expected a number"),
    ({"target_power_mw": None}, "target_power_mw: got null: expected a value, or the field left out"),
    ({"target_power_mw": 1e300}, "target_power_mw: got 1e+300: expected at most 1000000000.0"),
    ({"duration_sec": -1}, "duration_sec: got -1: expected at least 0"),
    ({"duration_sec": 1.5}, "duration_sec: got 1.5: expected an integer"),
    ({"duration_sec": "60"}, 'duration_sec: got "60": expected an integer'),
    ({"duration_sec": 10**30}, "duration_sec: got 1e+30: expected an integer"),
    ({"ramp_rate_mw_per_sec": -0.5}, "ramp_rate_mw_per_sec: got -0.5: expected at least 0"),
    ({"timestamp": "yesterday"}, 'timestamp: got "yesterday": expected a date-time such as 2026-03-01T12:00:00Z'),
    ({"timestamp": "2026-05-28T20:26:43"}, 'timestamp: got "2026-05-28T20:26:43": expected a date-time such as'),
    ({"timestamp": "2026-02-30T00:00:00Z"}, 'timestamp: got "2026-02-30T00:00:00Z": expected a date-time such as'),
    ({"timestamp": 1780000003}, "timestamp: got 1780000003: expected a date-time such as"),
])
async def test_each_mistake_is_named_with_what_was_found_and_expected(house, fields, line):
    """`path: got X: expected Y`, the house's form for every mistake."""
    answer = await refused(house, "/v1/battery/control", {
        "command_type": "discharge", "timestamp": NOW, "target_power_mw": 1, **fields})

    assert (answer.status, answer.body["error_code"]) == (400, "INVALID_REQUEST")
    assert answer.body["message"].startswith(line)


async def test_all_mistakes_are_listed_at_once(house):
    """A client should not need five rounds."""
    message = {**ANNOUNCEMENT, "PSWD_version": "2.0", "power_profile": {"peak_power_mw": -1, "baseline_power_mw": 1},
               "thermal_profile": 3, "workload_id": "../etc"}
    del message["message_type"]

    answer = await refused(house, "/v1/workload/announce", message)

    lines = answer.body["details"].split("\n")
    assert [line.split(":")[0] for line in lines] == [
        "PSWD_version", "message_type", "workload_id", "power_profile.peak_power_mw",
        "power_profile.ramp_rate_mw_per_sec", "thermal_profile"]
    assert lines[1] == "message_type: got nothing: expected a value"
    assert answer.body["message"].endswith("(and 5 more, see details)")


async def test_a_baseline_above_the_peak_is_refused(house):
    """The schema allows it; the physics of the announcement does not."""
    power = {"peak_power_mw": 5, "baseline_power_mw": 6, "ramp_rate_mw_per_sec": 1}

    answer = await refused(house, "/v1/workload/announce", {**ANNOUNCEMENT, "power_profile": power})

    assert "expected baseline_power_mw at most peak_power_mw (5)" in answer.body["message"]


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b"\xff\xfe",
                                 b"{'a': 1}", b"[" * 2000 + b"]" * 2000, b'{"a":' * 17 + b"1" + b"}" * 17])
async def test_what_is_no_json_is_400(house, raw):
    """NaN and infinity are no JSON; nesting is bounded before any model sees it."""
    answer = await refused(house, "/v1/battery/control", None, data=raw, headers={"Content-Type": "application/json"})

    assert (answer.status, answer.body["error_code"]) == (400, "MALFORMED_JSON")


@pytest.mark.parametrize("body", [[], "text", 5, None, [{"command_type": "standby"}]])
async def test_json_that_is_no_object_is_400(house, body):
    """Lists and bare values are JSON, and still no message."""
    answer = await refused(house, "/v1/battery/control", None, data=orjson.dumps(body),
                           headers={"Content-Type": "application/json"})

    assert (answer.status, answer.body["error_code"]) == (400, "INVALID_REQUEST")
    assert answer.body["message"].startswith("body: got ")


@pytest.mark.parametrize("headers", [
    {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "application/json; charset=latin-1"},
    {"Content-Type": "application/json", "Content-Encoding": "gzip"}])
async def test_other_content_types_are_415(house, headers):
    """A form post from a browser page must never be taken for a command."""
    answer = await refused(house, "/v1/battery/control", None, data=b"{}", headers=headers)

    assert answer.status == 415


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_64_kib_is_413(house, chunked):
    """With its length said, and without."""
    big = b'{"a": "' + b"x" * 70_000 + b'"}'

    async def pieces():
        for at in range(0, len(big), 10_000):
            yield big[at:at + 10_000]

    answer = await refused(house, "/v1/battery/control", None, data=pieces() if chunked else big,
                           headers={"Content-Type": "application/json"})

    assert (answer.status, answer.body["error_code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(("query", "status"), [
    ("duration_seconds=1", 200), ("duration_seconds=3600", 200), ("resolution_ms=250", 200), ("other=1", 200),
    ("duration_seconds=0", 400), ("duration_seconds=3601", 400), ("duration_seconds=-5", 400),
    ("duration_seconds=abc", 400), ("duration_seconds=1.5", 400), ("duration_seconds=", 400),
    ("duration_seconds=99999999999999999999999", 400), ("duration_seconds=%D9%A1", 400), ("resolution_ms=200", 400),
    ("resolution_ms=1e3", 400), ("duration_seconds=--5", 400)])
async def test_query_parameters_are_bounded(house, query, status):
    """As the contract bounds them."""
    answer = await house.get(f"/v1/power/realtime?{query}")

    assert answer.status == status
    assert breaches("power" if status == 200 else "error", answer.body) == []


@pytest.mark.parametrize("name", ["a b", "x" * 129, "%2e%2e%2fetc", "a%00b", "é", "a%0a", "a%22"])
async def test_workload_ids_in_paths_are_bounded(house, name):
    """They go into messages, logs and the ledger."""
    for call in (house.get(f"/v1/workload/{name}/status"),
                 house.post(f"/v1/workload/{name}/control", {"command_type": "resume", "timestamp": NOW})):
        answer = await call
        assert answer.status in (400, 404)
        assert breaches("error", answer.body) == []
    assert house.door.asked == []


async def test_the_password_is_in_no_error(house):
    """Even a wrong type may be a password."""
    for secret in (12345678, ["hunter2-hunter2"]):
        answer = await refused(house, "/v1/auth/login", {"username": "x", "password": secret, "role": "grid_operator"})
        assert answer.status == 400
        assert str(secret) not in str(answer.body)
        assert "hunter2" not in str(answer.body)


async def test_unknown_fields_are_let_through(house):
    """The contract's objects are open."""
    answer = await house.post("/v1/battery/control", {
        "command_type": "standby", "timestamp": iso_utc(house.control.clock.utc_s()), "vendor_note": {"a": 1}})

    assert answer.status == 200


@pytest.mark.parametrize(("kinds", "expected"), [
    ((), None), (("chiller",), "air"), (("cdu",), "single_phase_liquid"), (("two-phase",), "two_phase_liquid"),
    (("cdu", "two-phase"), "hybrid")])
def test_cooling_type_is_what_the_devices_are(kinds, expected):
    """Not a setting that somebody forgets to change."""
    from gateway_campus import CAMPUS
    campus = {name: device for name, device in CAMPUS.items() if device[0] != "cdu"}
    for kind in kinds:
        signals = {"flow_lpm": (math.nan, False)} | ({"vapor_quality_percent": (5.0, False)} if "two" in kind else {})
        campus[kind] = ("chiller" if kind == "chiller" else "cdu", signals)
    site = make_site(campus=campus)

    class Live:
        pass

    Live.site = site
    assert ThermalService(Live()).cooling_type() == expected
