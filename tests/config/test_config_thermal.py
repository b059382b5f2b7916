"""The thermal part of a site: what it compiles to, and what is refused with its line."""

from pathlib import Path

import pytest

from pswd_edge.config import Compiled, compile_site
from pswd_edge.errors import ConfigError

DEMO = (Path(__file__).parents[2] / "config" / "demo.yaml").read_text()


def compiled(folder: Path, *changes: tuple[str, str]) -> Compiled:
    text = DEMO
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "site.yaml"
    path.write_text(text)
    return compile_site(path, {})


def test_the_demo_leads_its_coolers_and_guards_its_halls(tmp_path: Path) -> None:
    """Names become points and places; rates per minute become rates per second."""
    site = compiled(tmp_path).site
    part = site.control.thermal
    assert part is not None
    cooler, lock, heat = part.coolers[1], part.interlocks[0], part.exports[0]
    assert [site.points[lead.point].id for lead in cooler.leads] == [
        "cdu-2.supply_temperature_setpoint_c", "cdu-2.flow_setpoint_lpm"]
    assert cooler.serves == (2, 3)
    assert cooler.leads[1].rate_per_s == 20.0
    assert cooler.hot is not None
    assert site.points[cooler.hot.point].id == "cdu-2.return_temperature_c"
    assert [s.cap_share for s in lock.steps] == [0.75, 0.5, 0.2]
    assert heat.enable == site.point_index["hx-1.enable"]
    assert (heat.low_c, heat.high_c) == (70.0, 90.0)


def test_a_site_without_a_thermal_part_stays_as_it_was(tmp_path: Path) -> None:
    """Cooling is nobody's to lead until the site says so."""
    start, end = DEMO.index("  thermal:\n"), DEMO.index("\nlisteners:")
    assert compiled(tmp_path, (DEMO[start:end], "")).site.control.thermal is None


@pytest.mark.parametrize(("change", "said"), [
    (("serves: [rack-1, rack-2]", "serves: [rack-1, rack-9]"), "serves[1]: got 'rack-9': expected one of load_contr"),
    (("normal: 30, ready: 27", "normal: 30, ready: 20"), "ready: got 20: expected within limits, 25..32"),
    (("limits: [25, 32]", "limits: [5, 32]"), "got 5..32: expected within 10..60, which the map lets write"),
    (("trip_c: 60", "trip_c: 47"), "trip_c: got 47: expected more than limit_c, 48"),
    (("reset_c: 44", "reset_c: 48"), "reset_c: got 48: expected less than limit_c, 48"),
    (("{cap_percent: 50}", "{cap_percent: 75}"), "cap_percent: got 75: expected less than the step before, 75"),
    (("{cap_percent: 20}", "{cap_percent: 20, sheds: [outlet-9]}"), "sheds[0]: got 'outlet-9': expected one of tiers"),
    (("temperature: cdu-1.return_temperature_c", "temperature: cdu-1.flow_lpm"), "expected a point in degC"),
    (("id: hall-b", "id: hall-a"), "got 'hall-a' again: expected an id of its own"),
    (("goal_c: 75,", "goal_c: 95,"), "goal_c: got 95: expected within supply_c, 70..90"),
    (("      hx-1: {goal_c", "      cdu-1: {goal_c"), "got cdu-1.supply_temperature_setpoint_c, which coolers"),
    (("      cdu-2:", "      chiller-1:"), "no point chiller-1.supply_temperature_setpoint_c"),
])
def test_what_cannot_be_is_refused_with_its_place(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    """Found by `check` at the desk, not by an interlock in the hall."""
    with pytest.raises(ConfigError) as caught:
        compiled(tmp_path, change)
    assert said in str(caught.value)
    assert "site.yaml:" in str(caught.value)


def test_a_chiller_that_can_only_be_read_is_not_led(tmp_path: Path) -> None:
    """The map decides what may be written; a lead to a read-only point would be silent for ever."""
    chiller = ("      chiller-1: {serves: [rack-1], rating_w: 5e6, leaving_temperature_setpoint_c:\n"
               "                  {normal: 18, ready: 14, limits: [10, 20], rate_per_min: 1}}\n    interlocks:")
    with pytest.raises(ConfigError, match=r"leaving_temperature_setpoint_c, which can only be read"):
        compiled(tmp_path, ("    interlocks:", chiller))


def test_a_lead_that_is_too_short_is_a_warning(tmp_path: Path) -> None:
    """The job would find its cooling on the way; the site may still know that it is enough."""
    found = compiled(tmp_path, ("lead_s: 120", "lead_s: 30"))
    assert len(found.warnings) == 4
    assert "takes 90 s, longer than lead_s, 30" in found.warnings[0]
