"""Which actuators count as commissioned, and what AUTO does without those that do not."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from virtual import MW, World, demo_site, small_spec

from pswd_edge.control.commissioned import (
    FILE,
    NEVER,
    Commissioned,
    facts_of,
    hash_of,
    led_points,
    read_records,
    record_all,
    record_of,
    write_records,
)
from pswd_edge.model.command import Mode
from pswd_edge.model.site import Site

SITE = demo_site(require_commissioning=True)
SPEC = SITE.control
BESS_1, BESS_2 = SPEC.batteries
CAP = SITE.point_index["rack-4.power_cap_w"]
REGISTER = SITE.points[BESS_1.setpoint].address.register  # type: ignore[union-attr]


def changed(site: Site, index: int, **more: object) -> Site:
    """The site with one point changed; `rule_…` changes its write rule."""
    point = site.points[index]
    rule = {k.removeprefix("rule_"): v for k, v in more.items() if k.startswith("rule_")}
    own = {k: v for k, v in more.items() if not k.startswith("rule_")}
    assert point.write is not None
    made = replace(point, write=replace(point.write, **rule), **own)
    return replace(site, points=(*site.points[:index], made, *site.points[index + 1 :]))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Everything of the demo's site is commissioned."""
    record_all(SITE, tmp_path, "ada", 1e9, "nudge")
    return tmp_path / FILE


def test_a_site_without_records_may_lead_nothing() -> None:
    """The default: a device map is a promise, not a proof."""
    found = Commissioned(SITE)
    actuated = {p.index for p in SITE.points if p.write is not None}
    assert found.barred == actuated
    assert set(found.missing.values()) == {NEVER}
    assert found.message.startswith("not commissioned, left out by AUTO: bess-1 (never), bess-2 (never)")


def test_a_site_that_requires_none_is_barred_from_nothing() -> None:
    """`control.require_commissioning: false`, for a simulation or a bench."""
    found = Commissioned(demo_site())
    assert (found.barred, found.message) == (frozenset(), "")


def test_what_was_recorded_counts_after_a_restart(kept: Path) -> None:
    """The file is all that remains of that night."""
    found = Commissioned(SITE, kept)
    assert (found.barred, found.missing, found.message) == (frozenset(), {}, "")
    assert found.records["bess-1.power_setpoint_w"].who == "ada"


@pytest.mark.parametrize(("more", "text"), [
    ({"scale": 1000.0}, "scale 1 -> 1000"),
    ({"offset": 3.0}, "offset 0 -> 3"),
    ({"unit": "kW"}, "unit W -> kW"),
    ({"rule_maximum": 9.0}, "maximum 500000000 -> 9"),
    ({"rule_minimum": -9.0}, "minimum -500000000 -> -9"),
    ({"address": replace(SITE.points[BESS_1.setpoint].address, register=41000)},
     f"address.register {REGISTER} -> 41000"),
    ({"address": replace(SITE.points[BESS_1.setpoint].address, word_order="little")},
     "address.word_order none -> little"),
])
def test_a_changed_row_is_told_by_what_changed(kept: Path, more: dict[str, object], text: str) -> None:
    """What was seen then says nothing of what would be written now."""
    found = Commissioned(changed(SITE, BESS_1.setpoint, **more), kept)
    assert found.missing == {BESS_1.setpoint: f"changed since commissioning: {text}"}
    assert f"bess-1 (changed since commissioning: {text})" in found.message


@pytest.mark.parametrize("more", [
    {"name": "x"}, {"rule_tolerance": 5.0}, {"rule_revert_s": 20.0}, {"period_ms": 1000}, {"trend": True}])
def test_what_does_not_change_the_raw_value_needs_no_second_night(kept: Path, more: dict[str, object]) -> None:
    """Rates, revert times and names may be tuned."""
    more.pop("name", None)
    assert Commissioned(changed(SITE, BESS_1.setpoint, **more), kept).barred == frozenset()


def test_another_map_or_unit_on_the_same_device_counts_as_changed(kept: Path) -> None:
    """The same register of another unit is another machine."""
    for more in ({"unit": 7}, {"map": "other"}):
        device = replace(SITE.devices[BESS_1.device], **more)
        devices = tuple(device if d.index == BESS_1.device else d for d in SITE.devices)
        assert BESS_1.setpoint in Commissioned(replace(SITE, devices=devices), kept).barred


def test_a_battery_is_led_with_all_or_nothing(kept: Path) -> None:
    """Its heartbeat is not proven: then its set-point is of no use either."""
    assert BESS_1.heartbeat is not None
    found = Commissioned(changed(SITE, BESS_1.heartbeat, scale=2.0), kept)
    assert found.barred == frozenset(led_points(BESS_1))
    assert "bess-1 (changed" in found.message
    assert "bess-2" not in found.message


def test_a_default_that_a_release_adds_changes_no_hash() -> None:
    """Only what differs from its default is in the facts: an update is no reason to commission a site anew."""
    facts = facts_of(SITE, SITE.points[BESS_1.setpoint])
    assert "address.byte_order" not in facts
    assert facts["address.register"] == str(REGISTER)
    assert hash_of(facts) == hash_of(dict(reversed(facts.items())))


def test_labels_are_part_of_what_is_written() -> None:
    """Off was 2 that night; if it is 1 today, the outlet goes the other way."""
    outlet = SITE.points[SITE.point_index["pdu-1.outlet_command[1]"]]
    swapped = replace(outlet, labels={1: "off", 2: "on"})
    assert hash_of(facts_of(SITE, outlet)) != hash_of(facts_of(SITE, swapped))


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a": 3}', b"\xff\xfe"])
def test_a_damaged_file_costs_the_records_not_the_start(tmp_path: Path, text: bytes) -> None:
    """And it bars: nothing counts as commissioned."""
    (tmp_path / FILE).write_bytes(text)
    assert read_records(tmp_path / FILE) == {}


def test_a_file_is_replaced_whole(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full in the middle of it: what was there before is still there."""
    before = kept.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_records(kept, {"x": record_of(SITE, SITE.points[CAP], "a", 0.0, "nudge")})
    assert kept.read_bytes() == before


# --- the law without them ---------------------------------------------------------------------------------------------


def world(**more: object) -> World:
    return World(small_spec(**more), 80 * MW)


def test_auto_asks_nothing_of_a_battery_that_was_not_commissioned() -> None:
    """It is left out with its reason, the other one carries, and the degraded mode is named."""
    w = world()
    first, second = w.spec.batteries
    w.run(5, barred=frozenset({first.setpoint}))
    w.load_w = 90 * MW
    decision = w.run(20, barred=frozenset({first.setpoint}))[-1]
    found = {b.id: b for b in decision.fleet.batteries}
    assert (found[first.id].usable, found[first.id].why) == (False, "not commissioned")
    assert found[second.id].usable
    assert decision.shares.get(first.id, 0.0) == 0.0
    assert decision.shares[second.id] > 1 * MW
    assert "not_commissioned" in decision.degraded
    assert not any(name.startswith("battery_lost") for name in decision.degraded)


def test_a_tier_that_was_not_commissioned_is_never_engaged() -> None:
    """A deficit that all tiers would answer: the barred one stays as it is."""
    w = world(batteries=(), import_limit_w=70 * MW)
    w.tier_w = dict.fromkeys(w.tier_w, 20 * MW)
    barred = w.spec.tiers[0]
    w.run(30, barred=frozenset({barred.setpoint}))
    engaged = [t.engaged for t in w.state.shed.tiers]
    assert not engaged[0]
    assert any(engaged[1:])


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.MANUAL])
def test_without_bars_the_law_is_as_it_was(mode: Mode) -> None:
    """Only AUTO is barred: in the others somebody is looking."""
    assert "not_commissioned" not in world().run(3, mode)[-1].degraded
