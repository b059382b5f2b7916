"""Rows of a map become points: units, markers, addresses and write rules come out as the manual means them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pswd_edge.config import check_site, load_map, load_site
from pswd_edge.config.map_form import ModbusMap, OpcUaMap, OpcUaRow
from pswd_edge.config.maps import MAP_FOLDERS, known_maps
from pswd_edge.config.points import PointContext, compile_points, make_address
from pswd_edge.field.drivers.registry import driver_configs
from pswd_edge.model.point import ModbusAddress, OpcUaAddress, Point, SnmpAddress
from pswd_edge.model.signal import SIGNALS
from pswd_edge.model.site import Site, decode_site, encode_site

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo() -> Site:
    return load_site(ROOT / "config" / "demo.yaml", {})


def point(site: Site, point_id: str) -> Point:
    return site.points[site.point_index[point_id]]


def compiled(folder: Path, row: str, kind: str = "meter") -> Point:
    """One row, compiled as the only point of a device."""
    path = folder / "one.yaml"
    path.write_text(
        f"map: one\nkind: {kind}\ndriver: modbus\nvendor: x\nsource: x\nrung: drafted\npoints:\n  - {row}\n"
    )
    context = PointContext(
        device="d", device_index=0, first_point=0, period_ms=100, trend=frozenset(), every_ms=0, revert_s=None,
    )
    return compile_points(load_map(path), context)[0]


@pytest.mark.parametrize(
    ("unit", "scale", "raw", "si"),
    [("kW", 1.0, 5.0, 5000.0), ("kW", 0.01, 250.0, 2500.0), ("MW", 0.001, -7.0, -7000.0), ("W", 1.0, 3.0, 3.0)],
)
def test_power_arrives_in_watts(unit: str, scale: float, raw: float, si: float, tmp_path: Path) -> None:
    """A meter in kW taken for one in W makes the law blind by a factor of a thousand."""
    made = compiled(tmp_path, f"{{signal: active_power_w, unit: {unit}, address: 1, type: int32, scale: {scale}}}")

    assert made.unit == "W"
    assert raw * made.scale + made.offset == pytest.approx(si)


@pytest.mark.parametrize(
    ("unit", "scale", "offset", "raw", "celsius"),
    [("degC", 0.1, 0, 215, 21.5), ("K", 0.1, 0, 2982, 25.05), ("degF", 0.1, 0, 770, 25), ("degC", 0.1, -300, 3250, 25)],
)
def test_temperatures_arrive_in_celsius(
    unit: str, scale: float, offset: float, raw: float, celsius: float, tmp_path: Path
) -> None:
    """Both the row's own offset and the unit's must be in the one linear step."""
    row = f"{{signal: temperature_c, unit: {unit}, address: 1, type: int16, scale: {scale}, offset: {offset}}}"

    made = compiled(tmp_path, row, kind="battery")

    assert raw * made.scale + made.offset == pytest.approx(celsius)


@pytest.mark.parametrize(("row", "raw", "si"), [
    ("type: uint16, fraction_bits: 10", 1024 * 12 + 512, 12.5),                # a supply's output voltage, raw / 2^10
    ("type: int16, fraction_bits: 7", -128 * 3, -3.0),
    ("type: int32, fraction_bits: 16, scale: 0.001, offset: 2", 65536000, 3.0),
    ("type: uint16, bits: [4, 11], fraction_bits: 1", 7, 3.5),
    ("type: uint16, fraction_bits: 0", 7, 7.0),
])
def test_binary_fixed_point_is_raw_over_two_to_the_n(row: str, raw: float, si: float, tmp_path: Path) -> None:
    """Open Rack supplies count in 2^-10 V and 2^-6 A: as a decimal factor it is a typing error waiting to happen."""
    made = compiled(tmp_path, f"{{id: voltage_v, unit: V, address: 1, {row}}}")

    assert raw * made.scale + made.offset == pytest.approx(si, rel=1e-12)


def test_a_read_back_of_binary_fixed_point_may_be_half_a_step_off(tmp_path: Path) -> None:
    """The step is 2^-8, not 1: a tolerance of 0.51 V would call any value right."""
    made = compiled(tmp_path, "{id: limit_v, unit: V, address: 1, type: uint16, fraction_bits: 8, "
                              "write: {min: 0, max: 200}}")

    assert made.write is not None
    assert made.write.tolerance == pytest.approx(0.51 / 256)


@pytest.mark.parametrize(("row", "function"), [
    ("type: uint16, write: {min: 0, max: 1}", 0),
    ("type: uint16, write: {min: 0, max: 1, function: auto}", 0),
    ("type: uint16, write: {min: 0, max: 1, function: 16}", 16),
    ("type: float32, write: {min: 0, max: 1, function: 23}", 23),
    ("type: bit, register: coil, write: {min: 0, max: 1, function: 15}", 15),
])
def test_the_function_that_writes_is_in_the_address(row: str, function: int, tmp_path: Path) -> None:
    """Some devices take only 16 even for one register, some only 6."""
    address = compiled(tmp_path, f"{{id: x, unit: '1', address: 1, {row}}}").address

    assert isinstance(address, ModbusAddress)
    assert address.write_function == function


@pytest.mark.parametrize(
    ("raw_type", "written", "decoded"),
    [
        ("int16", "0x8000", (-32768.0,)),
        ("int16", "-32768", (-32768.0,)),
        ("int16", "0x7FFF", (32767.0,)),
        ("uint16", "0xFFFF", (65535.0,)),
        ("int32", "0x80000000", (-2147483648.0,)),
        ("int32", "[0x80000000, 0xFFFFFFFF]", (-2147483648.0, -1.0)),
        ("uint32", "0xFFFFFFFF", (4294967295.0,)),
        ("int64", "0x8000000000000000", (-(2.0**63),)),
        ("uint64", "0xFFFFFFFFFFFFFFFF", (2.0**64,)),
        ("float16", "-9999.9", (-9999.9,)),
        ("bcd16", "9999", (9999.0,)),
        ("bcd32", "99999999", (99999999.0,)),
        ("uint16, bits: [4, 7]", "0xF", (15.0,)),
        ("uint64, bits: [0, 63]", "0xFFFFFFFFFFFFFFFF", (2.0**64,)),
    ],
)
def test_a_marker_is_stored_as_the_decoder_will_see_it(
    raw_type: str, written: str, decoded: tuple[float, ...], tmp_path: Path
) -> None:
    """Manuals write the bit pattern; the decoder has the signed number and must be able to compare."""
    made = compiled(
        tmp_path, f"{{signal: active_power_w, unit: W, address: 1, type: {raw_type}, invalid: {written}}}"
    )

    assert made.invalid == decoded


def test_the_fields_of_one_register_are_points_of_their_own(tmp_path: Path) -> None:
    """A status word in three parts, and as a whole: rows that share a register and its type do not collide."""
    rows = ["{id: mode, unit: '1', address: 9, type: uint16, bits: [0, 3]}",
            "{id: phase, unit: '1', address: 9, type: uint16, bits: [4, 4]}",
            "{id: fan_percent, unit: '%', address: 9, type: uint16, bits: [8, 15], scale: 0.5}",
            "{id: word, unit: '1', address: 9, type: uint16}"]

    compiled(tmp_path, "\n  - ".join(rows))
    form = load_map(tmp_path / "one.yaml")

    addresses = [make_address(form, row) for row in form.rows]
    assert addresses == [ModbusAddress(9, "uint16", bits=b) for b in ((0, 3), (4, 4), (8, 15), None)]


# Model and offset from the ID register, and the offset of the scale register, from the published model definitions.
OFFSETS = {
    "state": (701, 4, None), "connected": (701, 5, None), "alarms": (701, 6, None), "power_w": (701, 10, 116),
    "temperature_c": (701, 36, 122), "power_scale": (701, 116, None),
    "enable": (704, 22, None), "setpoint_mode": (704, 23, None), "power_setpoint_w": (704, 24, 55),
    "revert_enable": (704, 30, None), "revert_timeout_s": (704, 31, None), "revert_remaining_s": (704, 33, None),
    "setpoint_scale": (704, 55, None),
    "soc_percent": (713, 4, 8), "soh_percent": (713, 5, 8),
    "control_place": (715, 2, None), "device_heartbeat": (715, 3, None), "heartbeat": (715, 5, None),
    "manufacturer": (1, 2, None), "model": (1, 18, None), "firmware": (1, 42, None), "serial_number": (1, 50, None),
}


def test_a_sunspec_name_becomes_the_offset_of_the_standard() -> None:
    """Typed here from the standard's own tables, so that a slip of one register in counting sizes cannot hide."""
    form = load_map("sunspec-bess-7xx")
    assert isinstance(form, ModbusMap)

    assert {row.key: (row.model, row.address, row.scale_register) for row in form.rows} == OFFSETS


@pytest.mark.parametrize(
    ("point_id", "address"),
    [
        ("pcc.active_power_w", ModbusAddress(19026, "float32")),
        ("feeder-a.active_power_w", ModbusAddress(3059, "float32")),
        ("feeder-a.energy_import_wh", ModbusAddress(3203, "int64")),
        ("feeder-cool.active_power_w", ModbusAddress(0x34, "float32", "input")),
        ("bess-1.power_setpoint_w", ModbusAddress(24, "int32", scale_register=55, model=704)),
        ("bess-2.power_w", OpcUaAddress("nsu=urn:pswd-edge:bess;s=Bess.Power", "Double")),
        ("cdu-1.supply_temperature_c", ModbusAddress(0, "float32")),
        ("chiller-1.capacity_percent", ModbusAddress(12, "int16")),
        ("pdu-1.outlet_state[3]", SnmpAddress("1.3.6.1.4.1.318.1.1.26.9.2.3.1.5.3", "Integer32")),
        ("ups-1.battery_charge_percent", SnmpAddress("1.3.6.1.2.1.33.1.2.4.0", "Integer32")),
    ],
)
def test_addresses_are_those_of_the_manuals(point_id: str, address: object, demo: Site) -> None:
    """One spot check in each map, written here a second time from the vendor's table."""
    assert point(demo, point_id).address == address


def test_indices_run_through_the_site_without_gap(demo: Site) -> None:
    """Arrays of the image are indexed by them."""
    assert [p.index for p in demo.points] == list(range(len(demo.points)))
    for device in demo.devices:
        own = demo.points[device.first_point : device.first_point + device.point_count]
        assert {p.device for p in own} == {device.index}
    assert sum(d.point_count for d in demo.devices) == len(demo.points)


def test_the_compiled_site_survives_its_file(demo: Site) -> None:
    """Both processes read it from `site-<hash>.bin`."""
    assert decode_site(encode_site(demo)) == demo


def test_an_outlet_command_is_read_back_on_the_state_that_is_coded_the_other_way(demo: Site) -> None:
    """On these PDUs command 1 is on, and state 1 is off: read back without the mapping, every command looks failed."""
    command = point(demo, "pdu-1.outlet_command[2]")

    assert not command.readable
    assert command.write is not None
    assert command.write.read_back == demo.point_index["pdu-1.outlet_state[2]"]
    assert command.write.read_back_values == {1: 2, 2: 1}


def test_read_back_is_the_point_itself_where_nothing_else_is_said(demo: Site) -> None:
    """Most registers show what was written to them."""
    cap = point(demo, "rack-1.power_cap_w")

    assert cap.write is not None
    assert cap.write.read_back == cap.index


def test_the_revert_time_of_the_site_is_in_the_set_points_rule(demo: Site) -> None:
    """The actuator refreshes at under half of it, and writes it to the device first."""
    for battery in ("bess-1", "bess-2"):
        rule = point(demo, f"{battery}.power_setpoint_w").write
        assert rule is not None
        assert rule.revert_s == 12.0


@pytest.mark.parametrize(
    ("row", "tolerance"),
    [
        ("{signal: enable, unit: '1', address: 1, type: uint16, write: {min: 0, max: 1}}", 0.51),
        ("{signal: power_setpoint_w, unit: kW, address: 1, type: int16, scale: 0.1, write: {min: -9e6, max: 9e6}}", 51),
        ("{signal: power_setpoint_w, unit: W, address: 1, type: float32, write: {min: -1e6, max: 1e6}}", 2000),
        ("{id: limit_w, unit: W, address: 1, type: int16, scale_register: 2, write: {min: 0, max: 1e6}}", 1000),
        ("{signal: power_setpoint_w, unit: W, address: 1, type: int16, write: {min: 0, max: 9, tolerance: 3}}", 3),
        ("{id: limit_w, unit: kW, address: 1, type: bcd16, write: {min: 0, max: 9e6}}", 510),
        ("{id: limit_w, unit: W, address: 1, type: float16, write: {min: -1e4, max: 1e4}}", 20),
        ("{id: limit_w, unit: W, address: 1, type: float16, write: {min: 1e4, max: 11264}}", 5.61),  # steps of 8 W
    ],
)
def test_a_read_back_may_be_off_by_the_devices_own_rounding_only(row: str, tolerance: float, tmp_path: Path) -> None:
    """Off and on differ by one step, so a whole number may be off by little more than half of one."""
    made = compiled(tmp_path, row, kind="battery")

    assert made.write is not None
    assert made.write.tolerance == pytest.approx(tolerance)


def test_only_a_map_that_says_so_has_frozen_values_and_jumps(demo: Site, tmp_path: Path) -> None:
    """A set-point or an idle meter may stay the same for days; the grid meter is judged by the law besides."""
    made = compiled(tmp_path, "{signal: active_power_w, unit: W, address: 1, type: int16, frozen_after: 50, jump: 4}")

    assert (made.frozen_after, made.jump) == (50, 4.0)
    assert not any(p.frozen_after or p.jump for p in demo.points)


def test_rate_classes_become_periods(demo: Site) -> None:
    """`cycle` is the control period; staleness is three of these."""
    assert point(demo, "pcc.active_power_w").period_ms == 100
    assert point(demo, "ups-1.runtime_s").period_ms == 1000
    assert point(demo, "ups-1.battery_voltage_v").period_ms == 10_000
    assert point(demo, "ups-1.runtime_s").scale == 60.0


@pytest.mark.parametrize("name", known_maps(MAP_FOLDERS))
def test_every_bundled_map_loads_and_says_where_it_comes_from(name: str) -> None:
    """A map without source cannot be checked by anybody."""
    form = load_map(name)

    assert form.source
    assert form.kind in SIGNALS
    assert load_map(ROOT / "devices" / f"{name}.yaml") == form


def test_the_demo_satisfies_the_drivers_that_it_names() -> None:
    """Without the drivers' own forms, a wrong key of a connection would be found only when it is opened."""
    configs = driver_configs(["modbus", "opcua", "snmp"])

    assert check_site(ROOT / "config" / "demo.yaml", {}, configs).problems == []


def test_an_opc_ua_password_in_clear_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    """The driver's own form decides, and `check` tells where."""
    old = 'url: "opc.tcp://127.0.0.1:14840/bess"'
    text = (ROOT / "config" / "demo.yaml").read_text()
    assert text.count(old) == 1
    path = tmp_path / "site.yaml"
    path.write_text(text.replace(old, old + ', username: x, password: "file:/run/secret"'))
    line = next(n for n, found in enumerate(path.read_text().splitlines(), 1) if old in found)

    (problem,) = check_site(path, {}, driver_configs(["modbus", "opcua", "snmp"])).problems

    assert problem.startswith(f"{path}:{line}: connections.bess-2")
    assert "allow_plain_password: true" in problem


def test_a_deadband_reaches_the_driver(tmp_path: Path) -> None:
    """In the SI unit, as the row says it; a negative one is a mistake."""
    form = load_map("generic-opcua-bess")
    assert isinstance(form, OpcUaMap)
    row = form.points[0].model_copy(update={"deadband": 2.5})

    assert make_address(form, row) == OpcUaAddress(row.node, row.type or form.defaults.type, 2.5)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        OpcUaRow.model_validate({"id": "x", "unit": "W", "node": "i=1", "deadband": -1.0})


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_every_example_site_loads(path: Path) -> None:
    """An example that does not load teaches the wrong thing."""
    assert load_site(path, {}).points
