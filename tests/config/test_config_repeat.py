"""Rows that stand for several: what a person writes for the outlets of a PDU."""

from pathlib import Path

import pytest

from pswd_edge.config import load_map
from pswd_edge.config.points import PointContext, compile_points
from pswd_edge.errors import ConfigError
from pswd_edge.model.point import SnmpAddress

MAP = """
map: pdu
kind: pdu
driver: snmp
vendor: test
source: "a manual"
rung: drafted
points:
  - {signal: active_power_w, unit: W, oid: 1.3.6.1.4.1.9.1.0}
  - {signal: "outlet_state[{n}]", unit: "1", oid: "1.3.6.1.4.1.9.2.1.{n}", repeat: [1, 24], name: "state {n}"}
  - {signal: "outlet_command[{n}]", unit: "1", oid: "1.3.6.1.4.1.9.3.1.{n}", repeat: [1, 24], readable: false,
     write: {min: 0, max: 1, read_back: "outlet_state[{n}]"}}
  - {id: "outlet_{n}_power_w", unit: W, oid: "1.3.6.1.4.1.9.4.{n}.5", repeat: [1, 24]}
  - {id: last, unit: W, oid: 1.3.6.1.4.1.9.5.0}
"""
CONTEXT = PointContext("pdu-1", 0, 0, 100, frozenset(), 0, None)


def written(folder: Path, old: str = "", new: str = "") -> Path:
    path = folder / "pdu.yaml"
    path.write_text(MAP.replace(old, new) if old else MAP)
    return path


def problems(folder: Path, old: str, new: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_map(written(folder, old, new))
    return [p.removeprefix(str(folder)) for p in caught.value.problems]


def test_a_row_with_repeat_is_as_many_points(tmp_path: Path) -> None:
    """24 outlets are three rows: what is written once cannot differ between outlets 17 and 18."""
    points = {p.signal: p for p in compile_points(load_map(written(tmp_path)), CONTEXT)}

    assert len(points) == 1 + 3 * 24 + 1
    assert points["outlet_state[17]"].address == SnmpAddress("1.3.6.1.4.1.9.2.1.17")
    assert points["outlet_17_power_w"].address == SnmpAddress("1.3.6.1.4.1.9.4.17.5")
    rule = points["outlet_command[24]"].write
    assert rule is not None
    assert rule.read_back == points["outlet_state[24]"].index
    assert points["outlet_state[3]"].source == "pdu, state 3"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("repeat: [1, 24], name", "repeat: [24, 1], name", "points[1].repeat: got [24, 1]: expected [first, last]"),
        ("repeat: [1, 24], name", "repeat: [1, 999], name", "points[1].repeat: got [1, 999]: expected [first, last]"),
        ("repeat: [1, 24], name", "repeat: 24, name", "points[1].repeat: got 24: expected [first, last]"),
        ("repeat: [1, 24], name", "repeat: [true, 3], name", "points[1].repeat: got [True, 3]: expected [first"),
        ("9.2.1.{n}", "9.2.1.4", "points[1].oid: got '1.3.6.1.4.1.9.2.1.4': expected {n} in it beside repeat"),
        ("repeat: [1, 24], name", "name", "points[1].oid: got '1.3.6.1.4.1.9.2.1.{n}': expected {n} in it"),
    ],
)
def test_a_wrong_repeat_is_named_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """The first mistake is the cause of those that follow it."""
    assert problems(tmp_path, old, new)[0].startswith(f"/pdu.yaml:10: {expected}")


def test_a_mistake_in_a_repeated_row_has_the_rows_own_line(tmp_path: Path) -> None:
    """The person who reads it opens the file at that line; a row after it must not be moved by the copies."""
    found = problems(tmp_path, "{id: last, unit: W", "{id: last, unit: furlong")
    assert len(found) == 1
    assert found[0].startswith("/pdu.yaml:14: ")


def test_other_protocols_have_no_repeat(tmp_path: Path) -> None:
    """Registers are numbers: nothing of the kind is promised where it does not work."""
    path = tmp_path / "meter.yaml"
    path.write_text("map: meter\nkind: meter\ndriver: modbus\nvendor: v\nsource: s\nrung: drafted\npoints:\n"
                    "  - {id: a, unit: W, address: 1, type: int16, repeat: [1, 2]}\n")
    with pytest.raises(ConfigError, match="repeat"):
        load_map(path)
