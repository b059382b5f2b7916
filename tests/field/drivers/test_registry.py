"""Drivers by name, from entry points."""

import sys
import tomllib
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from pydantic import BaseModel

from pswd_edge.errors import ConfigError
from pswd_edge.field.drivers import registry
from pswd_edge.field.drivers.opcua import OpcUaConfig, OpcUaDriver
from pswd_edge.field.drivers.registry import GROUP, driver_configs, find_driver
from pswd_edge.field.drivers.snmp import SnmpDriver
from pswd_edge.field.drivers.snmp_config import SnmpConfig

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
OURS = tomllib.loads(PROJECT.read_text())["project"]["entry-points"][GROUP]


def install(monkeypatch: pytest.MonkeyPatch, *drivers: tuple[str, str]) -> None:
    """Pretend that these drivers, and no others, are installed."""
    points = EntryPoints(EntryPoint(name=name, value=value, group=GROUP) for name, value in drivers)
    monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))


def test_our_drivers_are_found_by_the_entry_points_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renamed class must not be noticed first by a site that starts."""
    install(monkeypatch, *OURS.items())

    assert find_driver("opcua") is OpcUaDriver
    assert find_driver("snmp") is SnmpDriver
    assert find_driver("modbus").__name__ == "ModbusDriver"
    configs = driver_configs(["snmp", "opcua", "snmp"])
    assert configs == {"opcua": OpcUaConfig, "snmp": SnmpConfig}
    assert all(issubclass(config, BaseModel) for config in configs.values())


def test_unknown_driver_names_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most unknown drivers are typing mistakes."""
    install(monkeypatch, *OURS.items())

    with pytest.raises(ConfigError) as caught:
        find_driver("modbsu")

    assert str(caught.value) == "driver 'modbsu': 0 installed, expected 1; installed are: modbus, opcua, snmp"


def test_two_drivers_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them came first on the path must not decide who switches a battery."""
    install(monkeypatch, *OURS.items(), ("modbus", "acme.modbus:Driver"))

    with pytest.raises(ConfigError, match=r"driver 'modbus': 2 installed, expected 1; they are: .*acme\.modbus:Driver"):
        find_driver("modbus")


def test_every_wrong_name_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engineer fixes a site file in one round."""
    install(monkeypatch, *OURS.items(), ("acme", "no_such_module:Driver"))

    with pytest.raises(ConfigError) as caught:
        driver_configs(["opcua", "bacnet", "acme", "dnp3"])

    assert len(caught.value.problems) == 3
    assert "driver 'acme': no_such_module:Driver cannot be loaded" in str(caught.value)


def test_third_party_driver_is_imported_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found through real package metadata; a broken driver must not stop a site that does not use it."""
    (tmp_path / "acme_bus.py").write_text("class Driver:\n    Config = int\n")
    metadata = tmp_path / "acme-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\nacme = acme_bus:Driver\nbroken = acme_bus:Nothing\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigError, match="installed are: acme, broken"):
        find_driver("unknown")
    assert "acme_bus" not in sys.modules

    assert find_driver("acme").__name__ == "Driver"
    with pytest.raises(ConfigError, match="cannot be loaded"):
        find_driver("broken")
    del sys.modules["acme_bus"]
