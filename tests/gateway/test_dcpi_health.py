"""DCPI's health: figures that are measured, part by part, and none that is not."""

import pytest

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.performance import Performance
from pswd_edge.gateway.profiles.dcpi.system import system_health
from pswd_edge.gateway.profiles.dcpi.system_models import SystemHealth
from pswd_edge.gateway.services.health import HealthView
from pswd_edge.gateway.services.subsystems import Figures, Subsystems, SubsystemService

NOW_UTC_S = 1_780_000_000.0
DAY_S = 86_400.0
PARTS = dict.fromkeys(("workload_interface", "power_management", "thermal_management", "battery_systems",
                       "grid_integration"), "healthy")
FIGURES = Subsystems(53.25, 99.4, 92.1, 98.5, NOW_UTC_S - 30, 85.2, NOW_UTC_S + 365 * DAY_S, 3)
NOTHING = Subsystems(None, None, None, None, None, None, None, None)


def answer(parts=PARTS, figures=FIGURES, overall="healthy", reasons=()):
    body = system_health(HealthView(overall, parts, reasons, Performance(12.0, 0.5, 99.97)), figures, NOW_UTC_S)
    SystemHealth.model_validate(body)
    return body


def test_what_is_known_is_told():
    """As in the contract's own example."""
    body = answer()

    assert body["subsystems"]["power_management"] == {
        "status": "operational", "response_time_ms": 53.25, "accuracy_percent": 99.4}
    assert body["subsystems"]["thermal_management"] == {
        "status": "operational", "cooling_efficiency_percent": 92.1, "sensor_availability_percent": 98.5}
    assert body["subsystems"]["grid_integration"] == {
        "status": "operational", "last_communication": iso_utc(NOW_UTC_S - 30), "forecast_accuracy_percent": 85.2}
    assert body["subsystems"]["security"] == {
        "status": "secure", "certificate_expiry": iso_utc(NOW_UTC_S + 365 * DAY_S), "intrusion_attempts": 3}
    assert body["performance_metrics"] == {
        "api_response_time_ms": 12.0, "uptime_percent": 99.97, "error_rate_percent": 0.5}


def test_what_is_not_known_is_left_out():
    """Never 0, never null; a status is always known."""
    parts = answer(figures=NOTHING)["subsystems"]

    assert parts["power_management"] == {"status": "operational"}
    assert parts["grid_integration"] == {"status": "operational"}
    assert parts["security"] == {"status": "secure"}


@pytest.mark.parametrize("part", ["power_management", "battery_systems", "workload_interface"])
def test_power_is_as_good_as_the_worst_that_carries_it(part):
    """DCPI has one word where PSWD has three."""
    body = answer({**PARTS, part: "degraded"}, overall="degraded", reasons=("bess-1: no fresh values",))

    assert body["subsystems"]["power_management"]["status"] == "degraded"
    assert body["reasons"] == ["bess-1: no fresh values"]


@pytest.mark.parametrize(("days", "status"), [(31, "secure"), (29, "warning"), (-1, "critical")])
def test_a_certificate_that_ends_is_told_in_time(days, status):
    """A month is time enough to have a new one made."""
    figures = FIGURES._replace(certificate_ends_utc_s=NOW_UTC_S + days * DAY_S)
    assert answer(figures=figures)["subsystems"]["security"]["status"] == status


def test_a_site_without_cooling_has_no_word_about_it():
    """A part that is not there is not operational."""
    parts = {name: status for name, status in PARTS.items() if name != "thermal_management"}
    assert "thermal_management" not in answer(parts)["subsystems"]


def service(house, **known):
    none = dict.fromkeys(Figures._fields, lambda: None)
    return SubsystemService(house.live, Figures(**{**none, **known}))


async def test_the_balance_compares_meters_that_know_nothing_of_each_other(house):
    """Grid 60 MW is load 70 less batteries 10. A grid meter that reads 3.5 MW too much is 5 % of the load off."""
    assert service(house).read().balance_percent == pytest.approx(100.0)

    house.control.set("pcc.active_power_w", 63.5e6)
    house.control.run()

    assert service(house).read().balance_percent == pytest.approx(95.0)


@pytest.mark.parametrize("point", ["pcc.active_power_w", "hall-b.active_power_w", "bess-2.power_w"])
async def test_a_balance_without_one_of_its_meters_is_not_known(house, point):
    """A substitute agrees with itself."""
    house.control.spoil(point)
    house.control.run()

    assert service(house).read().balance_percent is None


async def test_sensors_count_where_they_have_fresh_values(house):
    """The campus has eleven of the cooling; two are lost."""
    assert service(house).read().sensors_percent == 100.0

    house.control.spoil("cdu-1.pressure_bar")
    house.control.spoil("hx-1.heat_w")
    house.control.run()

    assert service(house).read().sensors_percent == pytest.approx(100 * 9 / 11)


async def test_control_s_figures_end_with_it(house):
    """What others know is still told."""
    house.control.run(input_age_p99_ms=50.0, rules_p99_ms=1.5)
    read = service(house, intrusions=lambda: 4, cooling_efficiency_percent=lambda: 90.0).read
    assert (read().control_ms, read().cooling_efficiency_percent, read().intrusions) == (51.5, 90.0, 4)

    house.control.clock.advance(5.0)

    gone = read()
    assert (gone.control_ms, gone.sensors_percent, gone.cooling_efficiency_percent) == (None, None, None)
    assert gone.intrusions == 4
