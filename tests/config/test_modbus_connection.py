"""Every key of a Modbus connection is checked before the site is started, each mistake at its own line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pswd_edge.config import check_site
from pswd_edge.field.drivers.modbus import ModbusConfig

SMALL = (Path(__file__).parent / "small.yaml").read_text()
GOOD = [
    ["host: 10.0.0.1"],
    ["host: 10.0.0.1", "port: 1502", "echoes_transaction: false"],
    ["transport: rtu_over_tcp", "host: 10.0.0.1", "port: 4001", "late_max_ms: 1000"],
    ["transport: serial", "device: /dev/serial/by-id/usb-x"],
    ["transport: serial", "device: /dev/ttyS0", "baud: 115200", "parity: none", "stop_bits: 2", "late_max_ms: 50"],
    ["transport: tls", "host: bess.example", "ca: /etc/ca.pem"],
    ["transport: tls", "host: 10.0.0.1", "port: 8802", "ca: /etc/ca.pem", "certificate: /etc/edge.pem",
     "private_key: 'file:/etc/edge.key'", "server_name: bess-1", "echoes_transaction: false"],
    ["transport: tls", "host: h", "ca: c", "certificate: /etc/edge.pem", "private_key: 'credential:modbus-key'"],
]
BAD = [
    (["transport: udp", "host: h"], ["4: {c}.transport: got 'udp': expected 'tcp', 'rtu_over_tcp', 'serial' or 'tls'"]),
    (["transport: tcp"], ["3: {c}.host: got nothing: expected a value, as transport is tcp"]),
    (["host: ''"], ["4: {c}.host: got '': expected a text that is not empty"]),
    (["host: h", "port: 0"], ["5: {c}.port: got 0: expected 1 or more"]),
    (["host: h", "prot: 1"], ["5: {c}.prot: got an unknown key: expected one of transport, host, port, "]),
    (["transport: rtu_over_tcp", "host: h"],
     ["3: {c}.port: got nothing: expected a value, as transport is rtu_over_tcp"]),
    (["host: h", "device: /dev/ttyS0"],
     ["5: {c}.device: got '/dev/ttyS0': expected no device, as transport is tcp: it is for serial"]),
    (["host: h", "late_max_ms: 100"],
     ["5: {c}.late_max_ms: got 100: expected no late_max_ms, as transport is tcp: it is for rtu_over_tcp or serial"]),
    (["host: h", "echoes_transaction: perhaps"], ["5: {c}.echoes_transaction: got 'perhaps': expected true or false"]),
    (["transport: serial", "host: h", "port: 1", "echoes_transaction: true"],
     ["3: {c}.device: got nothing: expected a value, as transport is serial",
      "5: {c}.host: got 'h': expected no host, as transport is serial: it is for tcp or rtu_over_tcp or tls",
      "6: {c}.port: got 1: expected no port", "7: {c}.echoes_transaction: got true: expected no echoes_transaction"]),
    (["transport: serial", "device: /dev/ttyS0", "baud: 0", "parity: mark", "stop_bits: 3", "late_max_ms: 5"],
     ["6: {c}.baud: got 0: expected 300 or more", "7: {c}.parity: got 'mark': expected 'even', 'odd' or 'none'",
      "8: {c}.stop_bits: got 3: expected 1 or 2", "9: {c}.late_max_ms: got 5: expected 10 or more"]),
    (["transport: tls", "host: h"], ["3: {c}.ca: got nothing: expected a value, as transport is tls"]),
    (["transport: tls", "host: h", "ca: c", "certificate: e"],
     ["3: {c}.private_key: got nothing: expected the key of the certificate: file:<path> or credential:<name>"]),
    (["transport: tls", "host: h", "ca: c", "private_key: 'file:/k'"],
     ["7: {c}.private_key: got 'file:/k': expected certificate beside it"]),
    (["transport: tls", "host: h", "ca: c", "certificate: e", "private_key: /etc/edge.key"],
     ["8: {c}.private_key: got '/etc/edge.key': expected a reference: file:<path> or credential:<name>"]),
    (["host: h", "ca: c", "certificate: e", "private_key: 'file:/k'", "server_name: n"],
     ["5: {c}.ca: got 'c': expected no ca, as transport is tcp: it is for tls", "6: {c}.certificate: ",
      "7: {c}.private_key: ", "8: {c}.server_name: "]),
]


def problems(folder: Path, lines: list[str]) -> list[str]:
    """The mistakes of a site whose first connection has these keys, one a line from line 4 on."""
    before, _, after = SMALL.partition("  meters: ")
    rest = after.partition("\n")[2]
    path = folder / "site.yaml"
    path.write_text(before + "  meters:\n" + "".join(f"    {line}\n" for line in ["driver: modbus", *lines]) + rest)
    configs: dict[str, Any] = {"modbus": ModbusConfig}
    found = [p.partition("site.yaml:")[2] for p in check_site(path, {}, configs).problems]
    return [p for p in found if "connections.meters" in p]


def shifted(expected: str) -> str:
    """The lines of BAD count from the connection's own: line 3, whatever stands above."""
    first = SMALL[: SMALL.index("  meters: ")].count("\n") + 1
    line, _, text = expected.partition(": ")
    return f"{int(line) - 3 + first + (int(line) > 3)}: {text}".format(c="connections.meters")


@pytest.mark.parametrize("lines", GOOD, ids=lambda lines: lines[0])
def test_what_each_transport_needs_is_enough(lines: list[str], tmp_path: Path) -> None:
    """And every key that it may have."""
    assert problems(tmp_path, lines) == []


@pytest.mark.parametrize(("lines", "expected"), BAD, ids=lambda found: "; ".join(found)[:60])
def test_a_mistake_is_named_at_its_own_key_and_line(lines: list[str], expected: list[str], tmp_path: Path) -> None:
    """A key of another transport would do nothing, and nobody would know."""
    found = problems(tmp_path, lines)
    wanted = [shifted(e) for e in expected]
    assert len(found) == len(wanted), found
    assert all(f.startswith(w) for f, w in zip(found, wanted, strict=True)), (found, wanted)


def test_a_key_written_into_the_file_is_never_repeated(tmp_path: Path) -> None:
    """The list of mistakes ends in logs and in tickets."""
    key = "-----BEGIN PRIVATE KEY-----\\nMIIhunter2\\n"
    found = problems(tmp_path, ["transport: tls", "host: h", "ca: c", "certificate: e", f'private_key: "{key}"'])
    assert len(found) == 1
    assert "got a hidden value: expected a reference" in found[0]


def test_the_usual_ports_are_those_of_the_standard() -> None:
    """502, and 802 for Modbus/TCP Security."""
    assert ModbusConfig(host="h").where == "h:502"
    assert ModbusConfig(transport="tls", host="h", ca="c").where == "h:802"
    assert ModbusConfig(transport="serial", device="/dev/x").where == "/dev/x"


@pytest.mark.parametrize(("parity", "stop_bits", "bits"), [("even", 1, 11), ("none", 1, 10), ("none", 2, 11)])
def test_a_character_takes_its_bits(parity: Any, stop_bits: Any, bits: int) -> None:
    """3.5 of them are the silence between frames."""
    config = ModbusConfig(transport="serial", device="d", baud=1000, parity=parity, stop_bits=stop_bits)
    assert config.character_s == pytest.approx(bits / 1000)


@pytest.mark.parametrize("unit", [0, 248])
def test_a_unit_that_no_serial_line_has_is_a_mistake(unit: int, tmp_path: Path) -> None:
    """A write to unit 0 is done by every device on the line, and looks failed, as none answers."""
    text = SMALL.replace("driver: modbus, host: 127.0.0.1, port: 502", "driver: modbus, transport: serial, device: x")
    path = tmp_path / "site.yaml"
    path.write_text(text.replace("connection: meters, unit: 2", f"connection: meters, unit: {unit}"))
    found = [line.partition("site.yaml:")[2] for line in check_site(path, {}).problems]
    assert found == [f"9: devices.feeder.unit: got {unit} on a serial line, meters: expected 1 to 247"]


def test_the_examples_of_the_documents_are_right() -> None:
    """They are what people copy."""
    page = (Path(__file__).parents[2] / "docs" / "devices.md").read_text()
    example = page.partition("## Modbus transports")[2].partition("```yaml\n")[2].partition("```")[0]
    found = yaml.safe_load(example)["connections"]
    kinds = [ModbusConfig.model_validate({k: v for k, v in c.items() if k != "driver"}).transport
             for c in found.values()]
    assert kinds == ["tcp", "rtu_over_tcp", "serial", "tls"]
