"""From a compiled site to its servers."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pswd_edge.model.device import Connection
from pswd_edge.model.site import Site
from simulators.faults import Faults
from simulators.servers.face import Face
from simulators.servers.listener import Server
from simulators.servers.modbus import ModbusServer
from simulators.servers.modbus_serial import SerialServer
from simulators.servers.opcua import OpcUaServer
from simulators.servers.ranges import Limit, site_limit
from simulators.servers.registers import RegisterSpace
from simulators.servers.snmp import SnmpAccess, SnmpServer

Secrets = Callable[[str], str]
_FAST_MS = 10
_METER_MS = 200      # what the faster multi-function meters do
_RACK_MS = 50
_SLOW_MS = 1000


def refresh_periods(site: Site, overrides: Mapping[str, int]) -> dict[str, int]:
    """How often each device refreshes what it shows, in ms.

    10 for the grid meter and the batteries, 200 for other meters, 50 for rack controllers, 1000 for the rest, unless
    overridden. Raises ValueError for an unknown device.
    """
    unknown = set(overrides) - set(site.device_index)
    if unknown:
        known = ", ".join(site.device_index)
        raise ValueError(f"refresh: no device {', '.join(sorted(unknown))}; expected one of {known}; nothing started")
    by_kind = {"battery": _FAST_MS, "meter": _METER_MS, "load_controller": _RACK_MS}
    periods = {d.id: by_kind.get(d.kind, _SLOW_MS) for d in site.devices}
    grid_meter = site.devices[site.points[site.control.grid_power.point].device]
    periods[grid_meter.id] = _FAST_MS
    return periods | dict(overrides)


def build_servers(
    site: Site,
    faces: Mapping[str, Face],
    faults: Faults,
    secrets: Secrets,
    ports: Mapping[str, int],
    tls: Mapping[str, ssl.SSLContext] | None = None,
) -> dict[str, Server]:
    """One server per connection, by connection id; `ports` override those of the site.

    `tls` has the server's side of each connection with transport tls: the site knows only the client's.
    Raises ValueError for a driver without simulator, KeyError for a connection without its port or URL.
    """
    limit = site_limit(site)
    servers: dict[str, Server] = {}
    for connection in site.connections:
        behind = [faces[d.id] for d in site.devices if d.connection == connection.index]
        port = ports.get(connection.id)
        match connection.driver:
            case "modbus":
                servers[connection.id] = _modbus(connection, behind, faults, limit, port, tls or {})
            case "opcua":
                servers[connection.id] = _opcua(connection, behind, faults, port)
            case "snmp":
                servers[connection.id] = _snmp(connection, behind, faults, secrets, port)
            case other:
                raise ValueError(f"connections.{connection.id}: no simulator for driver {other!r}; nothing started")
    return servers


def _modbus(
    connection: Connection,
    faces: Sequence[Face],
    faults: Faults,
    limit: Limit,
    port: int | None,
    tls: Mapping[str, ssl.SSLContext],
) -> ModbusServer | SerialServer:
    units = {face.device.unit: RegisterSpace(face, limit) for face in faces}
    transport = connection.settings.get("transport", "tcp")
    if transport == "serial":
        return SerialServer(connection.id, units, faults, device=Path(str(connection.settings["device"])))
    if transport == "tls" and connection.id not in tls:
        raise ValueError(f"connections.{connection.id}: transport tls without a server's certificate; nothing started")
    host, own_port = _address(connection)
    return ModbusServer(
        connection.id, units, faults, host=host, port=own_port if port is None else port,
        rtu=transport == "rtu_over_tcp", tls=tls[connection.id] if transport == "tls" else None,
    )


def _opcua(connection: Connection, faces: Sequence[Face], faults: Faults, port: int | None) -> OpcUaServer:
    return OpcUaServer(connection.id, faces, faults, str(connection.settings["url"]), port)


def _snmp(
    connection: Connection, faces: Sequence[Face], faults: Faults, secrets: Secrets, port: int | None
) -> SnmpServer:
    if len(faces) != 1:
        raise ValueError(f"connections.{connection.id}: {len(faces)} devices, expected 1 per agent; nothing started")
    settings = connection.settings

    def secret(key: str) -> str:
        reference = settings.get(key)
        return secrets(str(reference)) if reference else ""

    access = SnmpAccess(
        community=secret("community_secret"), user=str(settings.get("username") or ""),
        auth_key=secret("auth_secret"), priv_key=secret("priv_secret"),
    )
    host, own_port = _address(connection)
    return SnmpServer(connection.id, faces[0], faults, access, host=host, port=own_port if port is None else port)


def _address(connection: Connection) -> tuple[str, int]:
    return str(connection.settings["host"]), int(connection.settings["port"] or 0)
