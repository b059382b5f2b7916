"""Write rules: percent of a rating, what must go first, watchdogs, switches, effects; and what is wrong with them."""

from pathlib import Path

import pytest

from pswd_edge.config import check_site, load_map, load_site
from pswd_edge.errors import ConfigError
from pswd_edge.model.point import Point
from pswd_edge.model.site import Site

ROOT = Path(__file__).parents[2]
SMALL = (Path(__file__).parent / "small.yaml").read_text()
KACO = SMALL.replace("bess: {map: sunspec-bess-7xx, connection: bess, unit: 1}",
                     "bess: {map: kaco-gridsave, connection: bess, unit: 1, rating_w: 200e6}\n"
                     "  bms: {map: soltaro-bms, connection: bess, unit: 2}").replace(
                         "      available_states: [running]", "      available_states: [grid_connected]\n"
                         "      soc: bms.soc_percent")
HEAD = ("map: one\nkind: {kind}\ndriver: modbus\nvendor: x\nsource: x\nrung: drafted\ndefaults: {{type: uint16}}\n"
        "points:\n")


def loaded(folder: Path, text: str) -> Site:
    path = folder / "site.yaml"
    path.write_text(text)
    return load_site(path, {})


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "site.yaml"
    path.write_text(text)
    return [line.removeprefix(f"{path}:") for line in check_site(path, {}).problems]


def point(site: Site, point_id: str) -> Point:
    return site.points[site.point_index[point_id]]


def wrong(folder: Path, rows: str, kind: str = "pdu") -> str:
    """What is said of a map of these rows."""
    path = folder / "one.yaml"
    path.write_text(HEAD.format(kind=kind) + "".join(f"  - {row}\n" for row in rows.split("\n")))
    with pytest.raises(ConfigError) as error:
        load_map(path)
    assert len(error.value.problems) == 1, error.value.problems
    return error.value.problems[0].removeprefix(f"{path}:")


# --- percent of a rating ------------------------------------------------------------------------------------------


def test_a_set_point_in_percent_of_the_rating_is_one_in_watts(tmp_path: Path) -> None:
    """KACO's WSetPct at 200 MW: 1 % is 2 MW, in scale, limits, range and tolerance alike."""
    found = point(loaded(tmp_path, KACO), "bess.power_setpoint_w")
    assert (found.unit, found.scale, found.minimum, found.maximum) == ("W", 2e6, -200e6, 200e6)
    assert found.write is not None
    assert (found.write.minimum, found.write.maximum) == (-200e6, 200e6)
    assert found.write.tolerance == pytest.approx(0.001 * 400e6)


def test_a_battery_may_have_its_soc_from_its_bms(tmp_path: Path) -> None:
    """A converter knows power, its BMS knows energy."""
    site = loaded(tmp_path, KACO)
    assert site.control.batteries[0].soc.point == site.point_index["bms.soc_percent"]
    assert site.control.batteries[0].power.point == site.point_index["bess.power_w"]


def test_the_kaco_watchdog_is_kept_alive_by_its_own_value(tmp_path: Path) -> None:
    """Every write of the seconds starts them anew; the set-point waits for the first."""
    site = loaded(tmp_path, KACO)
    watchdog = point(site, "bess.revert_timeout_s")
    setpoint = point(site, "bess.power_setpoint_w")
    assert watchdog.write is not None
    assert setpoint.write is not None
    assert watchdog.write.keep_alive
    assert setpoint.write.after == (watchdog.index,)
    assert setpoint.write.revert_s == 12


@pytest.mark.parametrize(("old", "new", "expected"), [
    (", rating_w: 200e6", "", "10: devices.bess: got no rating_w: expected the nameplate power, as map kaco-gridsave"),
    ("rating_w: 200e6", "rating_w: 50e6", "33: control.batteries.bess.charge_w: got 100_000_000: expected 50_000_000"),
    ("      soc: bms.soc_percent", "", "31: control.batteries.bess: got no point bess.soc_percent"),
    ("soc: bms.soc_percent", "soc: bms.current_magnitude_a",
     "37: control.batteries.bess.soc: got bms.current_magnitude_a in A: expected a point in %"),
])
def test_a_battery_in_percent_needs_its_rating_and_its_soc(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    """Without the rating a percent is no power."""
    assert old in KACO
    found = problems(tmp_path, KACO.replace(old, new))
    assert any(line.startswith(expected) for line in found), found


# --- order, switches, effects -----------------------------------------------------------------------------------------


def test_sunspec_wants_revert_time_and_mode_before_the_set_point(tmp_path: Path) -> None:
    """A set-point that outlives us, or that counts in percent, is worse than none."""
    site = loaded(tmp_path, SMALL)
    rule = point(site, "bess.power_setpoint_w").write
    assert rule is not None
    assert [site.points[i].signal for i in rule.after] == ["revert_timeout_s", "setpoint_mode"]


def test_effects_are_judged_by_what_the_point_is(tmp_path: Path) -> None:
    """A battery's power equals its set-point within 5 % of its rating; a rack keeps below its cap."""
    site = loaded(tmp_path, SMALL)
    battery, cap = point(site, "bess.power_setpoint_w").write, point(site, "rack.power_cap_w").write
    assert battery is not None
    assert cap is not None
    assert (battery.effect, battery.effect_is) == (site.point_index["bess.power_w"], "equals")
    assert battery.effect_tolerance == pytest.approx(5e6)
    assert (cap.effect, cap.effect_is) == (site.point_index["rack.active_power_w"], "at_most")
    assert cap.effect_tolerance == pytest.approx(1.25e6)


def test_a_site_may_name_the_meter_that_shows_an_outlet(tmp_path: Path) -> None:
    """The PDU measures all outlets together; a feeder meter shows one."""
    text = SMALL.replace("  cooling_rating_w: 140e6", "  cooling_rating_w: 140e6\n  disruptive_per_s: 1\n  effects:\n"
                         '    "pdu.outlet_command[1]": {point: feeder.active_power_w, tolerance: 1e3, within_s: 4}')
    site = loaded(tmp_path, text)
    rule = point(site, "pdu.outlet_command[1]").write
    assert rule is not None
    assert (rule.effect, rule.effect_is, rule.effect_tolerance, rule.effect_s) == (
        site.point_index["feeder.active_power_w"], "off", 1e3, 4)
    assert (rule.sbo, rule.off_value) == (True, 2.0)
    assert site.control.disruptive_per_s == 1
    assert site.control.require_commissioning


@pytest.mark.parametrize(("effect", "expected"), [
    ("feeder.active_power_w: {point: feeder.active_power_w, tolerance: 1}", "feeder.active_power_w, which can only"),
    ('"pdu.outlet_command[1]": {point: feeder.power, tolerance: 1}', "no point feeder.power"),
    ('"pdu.outlet_command[1]": {point: "pdu.outlet_command[2]", tolerance: 1}',
     "pdu.outlet_command[2], which can only"),
    ('"pdu.outlet_command[9]": {point: feeder.active_power_w, tolerance: 1}', "no point pdu.outlet_command[9]"),
])
def test_a_wrong_effect_is_a_mistake_of_the_site(tmp_path: Path, effect: str, expected: str) -> None:
    """What is written must be writable, and its meter readable."""
    text = SMALL.replace("  cooling_rating_w: 140e6", f"  cooling_rating_w: 140e6\n  effects:\n    {effect}")
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert expected in found[0]


STATE = '{signal: "outlet_state[1]", unit: "1", address: 1}'
COMMAND = '{signal: "outlet_command[1]", unit: "1", address: 2, readable: false, write: {min: 0, max: 1, sbo: true%s}}'


@pytest.mark.parametrize(("rows", "kind", "expected"), [
    (COMMAND % "", "pdu", "points[0].write.sbo: got no read-back: expected read_back"),
    (STATE.replace("address: 1", "address: 1, every: 10s") + "\n" + COMMAND % ', read_back: "outlet_state[1]"', "pdu",
     "points[1].write.confirm_s: got 3 s for a state read every 10 s: expected more than 10 s"),
    (STATE + "\n" + COMMAND % ', read_back: "outlet_state[1]", select: "outlet_state[1]"', "pdu",
     "points[1].write.select: got outlet_state[1], which can only be read"),
    ('{signal: enable, unit: "1", address: 2, write: {min: 0, max: 1, select: enable}}', "battery",
     "points[0].write.select: got select without sbo"),
    ('{signal: enable, unit: "1", address: 2, write: {min: 0, max: 1, keep_alive_value: 1}}', "battery",
     "points[0].write.keep_alive_value: got a value without keep_alive_s"),
    ('{signal: enable, unit: "1", address: 2, write: {min: 0, max: 1, keep_alive_s: 9, keep_alive: true}}', "battery",
     "points[0].write.keep_alive_s: got both"),
    ('{signal: enable, unit: "1", address: 2, write: {min: 0, max: 1, keep_alive_s: 9, eeprom: true}}', "battery",
     "points[0].write.eeprom: got keep_alive in memory that wears"),
    ('{signal: enable, unit: "1", address: 2, write: {min: 0, max: 1, after: [mode]}}', "battery",
     "points[0].write.after: got 'mode': expected a signal of this map"),
    ('{signal: enable, unit: "1", address: 2, write: {min: 0, max: 1, effect: nothing}}', "battery",
     "points[0].write.effect: got 'nothing': expected a signal of this map"),
    ('{signal: soc_percent, unit: "%", percent_of: rating_w, address: 2}', "battery",
     "points[0].percent_of: got soc_percent in percent of a power: expected a signal in W"),
    ("{signal: power_w, unit: kW, percent_of: rating_w, address: 2}", "battery",
     "points[0].unit: got 'kW': expected a unit for power_w: %"),
])
def test_a_write_rule_that_cannot_be_is_named(tmp_path: Path, rows: str, kind: str, expected: str) -> None:
    """Each of these would fail at night, at the device."""
    assert wrong(tmp_path, rows, kind).partition(": ")[2].startswith(expected)
