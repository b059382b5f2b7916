"""What a site must fulfil beyond its form: everything that it names exists and fits together."""

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel

from pswd_edge.config.circuits import check_circuits
from pswd_edge.config.control_checks import check_control
from pswd_edge.config.document import Document
from pswd_edge.config.endpoint_checks import check_endpoint, is_loopback
from pswd_edge.config.form import check_settings
from pswd_edge.config.map_checks import is_text
from pswd_edge.config.map_form import MAP_FORMS, MapFile
from pswd_edge.config.mistakes import Mistakes, shown
from pswd_edge.config.place import Place
from pswd_edge.config.site_form import ConnectionForm, DeviceForm, ListenerForm, SiteFile


def check_site_form(
    form: SiteFile,
    document: Document,
    maps: Mapping[str, MapFile],
    driver_configs: Mapping[str, type[BaseModel]] | None,
    mistakes: Mistakes,
) -> None:
    """Note every mistake of a site whose form has been read; `maps` are those that could be read, by name."""
    place = Place(document, mistakes)
    _check_connections(form, driver_configs, place)
    _check_devices(form, maps, place)
    _check_circuits(form, maps, place)
    check_control(form, maps, place)
    check_circuits(form, place)
    _check_network(form, place)
    _check_traps(form, place)
    check_endpoint(form.grid.endpoint, place.at("grid", "endpoint"))
    check_endpoint(form.heat_network.endpoint, place.at("heat_network", "endpoint"))


def _check_connections(form: SiteFile, configs: Mapping[str, type[BaseModel]] | None, place: Place) -> None:
    for id_, connection in form.connections.items():
        here = place.at("connections", id_)
        settings = connection.model_extra or {}
        for key, value in settings.items():
            if isinstance(value, dict | list):
                here.complain((key,), shown(value), "a text, a number, true or false")
        known = list(MAP_FORMS) if configs is None else list(configs)
        if connection.driver and connection.driver not in known:
            here.complain(("driver",), repr(connection.driver), "one of " + ", ".join(known))
        elif configs is not None and connection.driver:
            check_settings(configs[connection.driver], settings, place.document, here.base, place.mistakes)


class _Seat(NamedTuple):
    """What two devices may not share: a unit on a Modbus connection, a map on any other."""

    connection: str
    unit: int | str


def _check_devices(form: SiteFile, maps: Mapping[str, MapFile], place: Place) -> None:
    seats: dict[_Seat, str] = {}
    for id_, device in form.devices.items():
        here = place.at("devices", id_)
        device_map = maps.get(device.map)
        connection = form.connections.get(device.connection)
        if device.connection and connection is None:
            here.complain(("connection",), repr(device.connection), "one of " + ", ".join(form.connections))
        if connection is not None and device_map is not None and connection.driver in MAP_FORMS:
            if connection.driver != device_map.driver:
                found = f"{device.connection!r}, which speaks {connection.driver}"
                here.complain(("connection",), found, f"one for {device_map.driver}, as map {device.map} needs")
            else:
                _check_seat(id_, device, connection.driver, seats, here)
                _check_unit(device, connection, here)
        percent = [row.key for row in device_map.rows if row.percent_of is not None] if device_map else []
        if percent and device.rating_w is None:
            here.complain((), "no rating_w", f"the nameplate power, as map {device.map} has {percent[0]} in % of it")
        names = {row.key for row in device_map.rows} if device_map else set(device.trend)
        for index, signal in enumerate(device.trend):
            if signal not in names:
                here.complain(("trend", index), repr(signal), f"a signal of map {device.map}")
            elif device_map is not None and is_text(device_map, signal):
                here.complain(("trend", index), f"{signal!r}, which is a text", "a point that is a number")


def _check_seat(id_: str, device: DeviceForm, driver: str, seats: dict[_Seat, str], here: Place) -> None:
    seat = _Seat(device.connection, device.unit if driver == "modbus" else device.map)
    other = seats.setdefault(seat, id_)
    if other == id_:
        return
    line = here.line("devices", other)
    if driver == "modbus":
        here.complain(
            ("unit",), f"{device.unit} on {device.connection} again", f"a unit that {other} (line {line}) does not have"
        )
    else:
        here.complain(
            ("connection",), f"{device.connection} with map {device.map} again",
            f"another than {other} (line {line}) has",
        )


def _check_unit(device: DeviceForm, connection: ConnectionForm, here: Place) -> None:
    """Unit 0 of a serial line is all devices, and none of them answers; 248 to 255 are reserved."""
    serial = (connection.model_extra or {}).get("transport") in ("serial", "rtu_over_tcp")
    if connection.driver == "modbus" and serial and not 1 <= device.unit <= 247:
        here.complain(("unit",), f"{device.unit} on a serial line, {device.connection}", "1 to 247")


def _check_circuits(form: SiteFile, maps: Mapping[str, MapFile], place: Place) -> None:
    for id_, circuit in form.circuits.items():
        here = place.at("circuits", id_)
        if circuit.parent is not None and circuit.parent not in form.circuits:
            here.complain(("parent",), repr(circuit.parent), "one of " + ", ".join(form.circuits))
        if circuit.meter is not None:
            _check_meter(circuit.meter, form, maps, here)
        way = _way_up(id_, form)
        if way[-1] == id_ and len(way) > 1 and id_ == next(c for c in form.circuits if c in way):
            here.complain(("parent",), "a circle, " + " -> ".join(way), "a tree with one circuit without parent")
    tops = [id_ for id_, circuit in form.circuits.items() if circuit.parent is None]
    for id_ in tops[1:]:
        place.complain(("circuits", id_), "no parent", f"a parent, as {tops[0]} is the grid connection")


def _way_up(id_: str, form: SiteFile) -> list[str]:
    """The circuits from this one upward, until the top or until one comes again."""
    way = [id_]
    while (parent := form.circuits[way[-1]].parent) is not None and parent in form.circuits:
        way.append(parent)
        if parent in way[:-1]:
            break
    return way


def _check_meter(meter: str, form: SiteFile, maps: Mapping[str, MapFile], here: Place) -> None:
    device = form.devices.get(meter)
    if device is None:
        here.complain(("meter",), repr(meter), "a device")
    elif (device_map := maps.get(device.map)) and "active_power_w" not in {row.key for row in device_map.rows}:
        here.complain(("meter",), f"{meter!r}, a {device_map.kind}", "a device that measures active_power_w")


def _check_client_certificates(listener: ListenerForm, here: Place) -> None:
    """DCPI knows its clients by certificate, and nobody else may need one."""
    whole = None not in (listener.tls_certificate, listener.tls_key)
    if "dcpi" in listener.profiles:
        if not whole or listener.client_ca is None:
            here.complain(("profiles",), "'dcpi' without client certificates", "tls_certificate, tls_key and client_ca")
        if set(listener.profiles) != {"dcpi"}:
            here.complain(("profiles",), "'dcpi' beside another", "'dcpi' alone, and another listener for the others")
    elif listener.client_ca is not None and not whole:
        here.complain(("client_ca",), "client_ca without TLS", "tls_certificate and tls_key")


def _check_network(form: SiteFile, place: Place) -> None:
    ports: dict[tuple[str, int], int] = {}
    for index, listener in enumerate(form.listeners):
        here = place.at("listeners", index)
        pair = (listener.tls_certificate, listener.tls_key)
        if listener.host and not is_loopback(listener.host) and None in pair:
            here.complain(("host",), f"{listener.host!r} without TLS", "tls_certificate and tls_key, or 127.0.0.1")
        elif (pair[0] is None) != (pair[1] is None):
            here.complain((), "one of tls_certificate and tls_key", "both or neither")
        _check_client_certificates(listener, here)
        other = ports.setdefault((listener.host, listener.port), index)
        if other != index:
            line = place.line("listeners", other)
            here.complain(("port",), f"{listener.port} again", f"another than line {line}")
    uplink = form.uplink
    if uplink is not None and uplink.host and not is_loopback(uplink.host) and uplink.tls_ca is None:
        place.complain(("uplink", "host"), f"{uplink.host!r} without TLS", "tls_ca, or 127.0.0.1")


def _check_traps(form: SiteFile, place: Place) -> None:
    """Control opens this port: on one address that faces devices, and for devices that there are."""
    traps = form.snmp_traps
    if traps is None:
        return
    versions = {str((c.model_extra or {}).get("version", "3")) for c in form.connections.values() if c.driver == "snmp"}
    if not versions:
        place.complain(("snmp_traps",), "a port for traps", "a connection with driver snmp, as no other is listened to")
    try:
        everywhere = ipaddress.ip_address(traps.host).is_unspecified if traps.host else False
    except ValueError:
        place.complain(("snmp_traps", "host"), repr(traps.host), "the IP address of this machine in the field network")
        return
    if everywhere:
        place.complain(("snmp_traps", "host"), f"{traps.host!r}, every address",
                       "the IP address of this machine in the field network")
    if traps.v2c and versions and "2c" not in versions:
        place.complain(("snmp_traps", "v2c"), "true", "a connection with version 2c, or false")
