"""The control part: rates by P3, tiers, batteries, and the warnings about what will not hold."""

from pathlib import Path

import pytest

from pswd_edge.config import Compiled, compile_site
from pswd_edge.errors import ConfigError
from pswd_edge.model.site import Site

SMALL = (Path(__file__).parent / "small.yaml").read_text()


def compiled(folder: Path, *changes: tuple[str, str]) -> Compiled:
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "site.yaml"
    path.write_text(text)
    return compile_site(path, {})


def site(folder: Path, *changes: tuple[str, str]) -> Site:
    return compiled(folder, *changes).site


@pytest.mark.parametrize(("delay_s", "mw_per_min"), [(0.25, 8.3), (0.45, 8.04), (1.3, 6.93)])
def test_the_inner_ramp_is_that_of_p3(delay_s: float, mw_per_min: float, tmp_path: Path) -> None:
    """One step of 78 MW costs 78 * (1.06 + delay) / 60 of R = 10 MW/min at 0.15 Hz."""
    control = site(tmp_path, ("delay_s: 0.25", f"delay_s: {delay_s}"), ("ceiling_w: 100e6", "ceiling_w: 98e6")).control

    assert control.ramp_up_w_per_s * 60e-6 == pytest.approx(mw_per_min, abs=0.05)
    assert control.ramp_down_w_per_s == control.ramp_up_w_per_s


def test_a_given_ramp_is_taken_as_it_is_and_doubted_where_it_is_above_the_own(tmp_path: Path) -> None:
    """A site may know that no two opposite steps can come; it is told what that costs if it is wrong."""
    given = "  ramp_up_w_per_s: 160e3\n  ramp_down_w_per_s: 90e3\n"

    found = compiled(tmp_path, ("  delay_s: 0.25", given + "  delay_s: 0.25"))

    assert found.site.control.ramp_up_w_per_s == 160e3
    assert found.site.control.ramp_down_w_per_s == 90e3
    assert [w.partition(": control")[2][:16] for w in found.warnings] == [".ramp_up_w_per_s"]


def test_a_sound_site_has_no_warnings(tmp_path: Path) -> None:
    """A list that is never empty is not read."""
    assert compiled(tmp_path).warnings == []


def test_too_little_energy_is_a_warning_and_the_site_still_starts(tmp_path: Path) -> None:
    """P2 is sufficient for any load; a site with a mild load may run with less, knowingly."""
    found = compiled(tmp_path, ("capacity_wh: 15e6", "capacity_wh: 8e6"))

    assert len(found.warnings) == 1
    assert "site.yaml:29: control.batteries: 6.40 MWh are usable, less than the 6.73 MWh" in found.warnings[0]


def test_too_little_power_is_a_warning_for_each_direction(tmp_path: Path) -> None:
    """A battery that can give 79 MW and take 70 cannot carry a step of 80 either way."""
    found = compiled(tmp_path, (" charge_w: 100e6", " charge_w: 70e6"), ("discharge_w: 100e6", "discharge_w: 79e6"))

    assert ["discharge 79 MW" in found.warnings[0], "charge 70 MW" in found.warnings[1]] == [True, True]


def test_a_throttle_tier_caps_at_its_floor_and_gives_back_the_rating(tmp_path: Path) -> None:
    """The released value is the controller's rating, which means no cap."""
    made = site(tmp_path)
    tier = made.control.tiers[0]

    assert (tier.engaged_value, tier.released_value, tier.floor_w) == (5e6, 25e6, 5e6)
    assert made.points[tier.setpoint].id == "rack.power_cap_w"
    assert made.points[tier.power].id == "rack.active_power_w"


def test_an_outlet_tier_takes_on_and_off_from_the_maps_labels(tmp_path: Path) -> None:
    """Vendors disagree about the numbers: here 1 is on and 2 is off."""
    made = site(tmp_path)
    tier = made.control.tiers[1]

    assert (tier.engaged_value, tier.released_value) == (2.0, 1.0)
    assert made.points[tier.setpoint].id == "pdu.outlet_command[1]"


def test_states_of_a_battery_are_compiled_to_numbers(tmp_path: Path) -> None:
    """The site file speaks of `running`; the register holds 3."""
    battery = site(tmp_path, ("[running]", "[throttled, running]")).control.batteries[0]

    assert battery.available_states == (4, 3)


def test_optional_signals_of_a_battery_are_found_by_name(tmp_path: Path) -> None:
    """What a device does not have is None, and control goes without it."""
    made = site(tmp_path)
    battery = made.control.batteries[0]

    assert battery.charge_limit is None
    assert battery.heartbeat == made.point_index["bess.heartbeat"]
    assert battery.revert_timeout == made.point_index["bess.revert_timeout_s"]


def test_a_battery_without_revert_time_in_the_site_gets_the_shortest_allowed(tmp_path: Path) -> None:
    """Forgetting the key must not leave a battery that never reverts."""
    made = site(tmp_path, ("      revert_s: 12\n", ""))
    rule = made.points[made.control.batteries[0].setpoint].write

    assert rule is not None
    assert rule.revert_s == 12.0


def test_the_drivers_own_keys_pass_through_and_secrets_stay_references(tmp_path: Path) -> None:
    """The compiled site lies in a file that the gateway reads: no secret may be in it."""
    pdu = site(tmp_path).connections[3]

    assert pdu.settings == {"host": "127.0.0.1", "version": "2c", "community_secret": "file:/run/secret"}
    assert pdu.driver == "snmp"


def test_what_is_known_of_a_battery_beyond_its_ratings_is_compiled(tmp_path: Path) -> None:
    """Resolution and derating reach the rules; without them nothing changes."""
    extra = "soc_resolution_percent: 1\n      derating: [[0, 0.5], [10, 1], [40, 1], [55, 0]]\n"
    battery = site(tmp_path, ("      revert_s: 12\n", f"      revert_s: 12\n      {extra}")).control.batteries[0]

    assert battery.soc_resolution_percent == 1.0
    assert battery.derating == ((0.0, 0.5), (10.0, 1.0), (40.0, 1.0), (55.0, 0.0))
    assert (battery.soc_other, site(tmp_path).control.batteries[0].derating) == (None, ())


@pytest.mark.parametrize(("line", "found"), [
    ("derating: [[10, 1], [10, 0.5]]", "10 after 10"),
    ("soc_other: bess.soc_percent", "bess.soc_percent again"),
    ("soc_other: bess.power_w", "bess.power_w in W"),
])
def test_what_a_battery_cannot_have_is_a_mistake_with_its_line(line: str, found: str, tmp_path: Path) -> None:
    """A curve that goes back, or a second register that is the first."""
    with pytest.raises(ConfigError) as failed:
        site(tmp_path, ("      revert_s: 12\n", f"      revert_s: 12\n      {line}\n"))
    assert found in str(failed.value)


def test_a_ups_is_told_by_labels_that_its_map_has(tmp_path: Path) -> None:
    """One that the map does not have would never be seen."""
    with pytest.raises(ConfigError) as failed:
        site(tmp_path, ("  load_controllers:\n", "  ups: {pdu: {on_battery: [battery]}}\n  load_controllers:\n"))
    assert "no point pdu.output_source" in str(failed.value)


ABSORBER = """  absorbers: [{{id: bank, setpoint: {setpoint}, power: {power}, maximum_w: {maximum}}}]
  load_controllers:
"""


def with_absorber(folder: Path, setpoint: str = "rack.power_cap_w", power: str = "rack.active_power_w",
                  maximum: str = "20e6") -> Site:
    text = ABSORBER.format(setpoint=setpoint, power=power, maximum=maximum)
    return site(folder, ("  load_controllers:\n", text))


def test_an_absorber_is_a_set_point_in_w_and_a_meter(tmp_path: Path) -> None:
    """Both reach the rules by their index."""
    found = with_absorber(tmp_path)
    bank = found.control.absorbers[0]
    assert [found.points[i].id for i in (bank.setpoint, bank.power)] == ["rack.power_cap_w", "rack.active_power_w"]
    assert (bank.maximum_w, bank.actuation_s) == (20e6, 2.0)


@pytest.mark.parametrize(("change", "found"), [
    ({"setpoint": "rack.active_power_w"}, "rack.active_power_w, which can only be read"),
    ({"setpoint": "bess.bank_w"}, "no point bess.bank_w"),
    ({"setpoint": "bess.revert_timeout_s"}, "bess.revert_timeout_s in s"),
    ({"power": "bess.soc_percent"}, "bess.soc_percent in %"),
    ({"maximum": "1e12"}, "which the map lets write, at most"),
])
def test_an_absorber_that_cannot_be_led_is_a_mistake(change: dict[str, str], found: str, tmp_path: Path) -> None:
    """Found by `check` and not in an abort at night."""
    with pytest.raises(ConfigError) as failed:
        with_absorber(tmp_path, **change)
    assert found in str(failed.value)
