"""Where connections go: what a tool must leave alone while control runs."""

import pytest

from pswd_edge.commands.adhoc import host_and_port
from pswd_edge.commands.quantity import seconds, value_of
from pswd_edge.commands.running import Endpoint, addresses, endpoint_of
from pswd_edge.errors import PswdError
from pswd_edge.model.device import Connection
from tests.field.fieldmaker import modbus_point


@pytest.mark.parametrize(("driver", "settings", "expected"), [
    ("modbus", {"host": "10.0.4.11", "port": 1502}, Endpoint("10.0.4.11", 1502)),
    ("modbus", {"host": "10.0.4.11"}, Endpoint("10.0.4.11", 502)),
    ("modbus", {"host": "10.0.4.11", "transport": "tls"}, Endpoint("10.0.4.11", 802)),
    ("modbus", {"transport": "serial", "device": "/dev/serial/by-id/x"}, Endpoint("/dev/serial/by-id/x", 0)),
    ("opcua", {"url": "opc.tcp://10.0.4.20/bess"}, Endpoint("10.0.4.20", 4840)),
    ("opcua", {"url": "opc.tcp://10.0.4.20:14840/bess"}, Endpoint("10.0.4.20", 14840)),
    ("snmp", {"host": "10.0.4.30", "version": "3"}, Endpoint("10.0.4.30", 161)),
])
def test_every_kind_of_connection_has_its_endpoint(driver: str, settings: dict, expected: Endpoint) -> None:
    """A port that is left out is the protocol's usual one, and a serial line is its file."""
    assert endpoint_of(Connection(0, "c", driver, settings)) == expected


def test_a_name_is_known_by_its_addresses_too() -> None:
    """A site that says localhost owns 127.0.0.1."""
    assert "127.0.0.1" in addresses("localhost")
    assert addresses("no such host") == {"no such host"}


@pytest.mark.parametrize(("text", "expected"), [
    ("10.0.4.11", ("10.0.4.11", 502)), ("10.0.4.11:1502", ("10.0.4.11", 1502)), ("[fe80::1]:1502", ("fe80::1", 1502)),
    ("fe80::1", ("fe80::1", 502)), ("meter", ("meter", 502)),
])
def test_hosts_are_typed_with_and_without_port(text: str, expected: tuple[str, int]) -> None:
    """As everybody writes them."""
    assert host_and_port(text, 502) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("1200", 1200.0), ("1.2kW", 1200.0), ("1.2 kW", 1200.0), ("-3e3", -3000.0), ("off", 0.0),
])
def test_values_are_typed_with_unit_or_label(text: str, expected: float) -> None:
    """In the point's SI unit where nothing is said."""
    assert value_of(text, modbus_point(1, labels={0: "off"})) == expected


@pytest.mark.parametrize("text", ["", "1.2 bar", "on", "nan", "1,2"])
def test_what_is_no_value_is_refused(text: str) -> None:
    """Nothing is written by guess."""
    with pytest.raises(PswdError):
        value_of(text, modbus_point(1, labels={0: "off"}))


def test_times_are_typed_in_seconds_minutes_or_hours() -> None:
    """`5m` is five minutes; a word is a mistake."""
    assert [seconds(t) for t in ("90", "90s", "5min", "5m", "2h")] == [90, 90, 300, 300, 7200]
    with pytest.raises(ValueError, match="soon"):
        seconds("soon")
