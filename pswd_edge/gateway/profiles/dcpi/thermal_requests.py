"""DCPI's thermal commands as set-points of a system: its parameters and units to our signals. Pure but for the site."""

from typing import NamedTuple

from pswd_edge.gateway.profiles.dcpi.thermal_models import ThermalCommand, ThermalControl
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.services.cooling import Move
from pswd_edge.gateway.validation import invalid
from pswd_edge.model.device import Device
from pswd_edge.model.site import Site

SYSTEMS = ("cdu", "chiller", "heat_exchanger")
LPM_PER_M3H = 1000 / 60
UNITS = {"flow_rate": ("lpm", "m3h"), "inlet_temperature": ("celsius",), "supply_temperature": ("celsius",),
         "condensation_temperature": ("celsius",), "demand_limit": ("percent",), "enable": ("boolean",)}
# The set-point that a parameter means on a kind of device, and the signal that shows what came of it.
SIGNALS = {
    ("cdu", "flow_rate"): ("flow_setpoint_lpm", "flow_lpm"),
    ("cdu", "inlet_temperature"): ("supply_temperature_setpoint_c", "supply_temperature_c"),
    ("cdu", "condensation_temperature"): ("condensation_temperature_setpoint_c", "condensation_temperature_c"),
    ("chiller", "inlet_temperature"): ("leaving_temperature_setpoint_c", "leaving_temperature_c"),
    ("chiller", "demand_limit"): ("demand_limit_percent", "capacity_percent"),
    ("chiller", "enable"): ("enable", ""),
    ("heat_exchanger", "flow_rate"): ("flow_setpoint_lpm", "flow_lpm"),
    ("heat_exchanger", "supply_temperature"): ("supply_temperature_setpoint_c", "supply_temperature_c"),
    ("heat_exchanger", "enable"): ("enable", ""),
}


class Asked(NamedTuple):
    """A command, its set-point, its unit, and what one of that unit is in ours; `shows` is a point or None."""

    command: ThermalCommand
    move: Move
    unit: str
    factor: float
    shows: int | None


def find_system(site: Site, system_id: str) -> Device:
    """The device; 404 where the site has no such cooling system."""
    found = next((d for d in site.devices_of(*SYSTEMS) if d.id == system_id), None)
    if found is None:
        raise RefusalError(404, "SYSTEM_NOT_FOUND", f"system {system_id}: no such cooling system on this site")
    return found


def read_commands(message: ThermalControl, site: Site, device: Device) -> list[Asked]:
    """Every command as a set-point; raises 400 with all mistakes, 409 where the device lacks one of the set-points."""
    wrong = [line for n, c in enumerate(message.commands) for line in _mistakes(n, c)]
    if wrong:
        raise invalid(wrong)
    found = [_asked(site, device, c) for c in message.commands]
    lacking = [c.parameter for c, a in zip(message.commands, found, strict=True) if a is None]
    if lacking:
        able = [p for (kind, p), (signal, _) in SIGNALS.items()
                if kind == device.kind and _settable(site, device, signal) is not None]
        raise RefusalError(409, "SETPOINT_UNAVAILABLE", f"{device.id}: got {', '.join(lacking)}: expected one of what "
                           f"can be set there: {', '.join(able) or 'nothing'}", details={"settable": able})
    return [a for a in found if a is not None]


def _mistakes(number: int, command: ThermalCommand) -> list[str]:
    name, units = command.parameter, UNITS[command.parameter]
    found = []
    if command.unit is not None and command.unit not in units:
        found.append(f'commands.{number}.unit: got "{command.unit}": expected {" or ".join(units)} with {name}')
    if name == "enable" and command.target_value not in (0.0, 1.0):
        found.append(f"commands.{number}.target_value: got {command.target_value:g}: expected 0 or 1 with enable")
    if name in ("flow_rate", "demand_limit") and command.target_value < 0:
        found.append(f"commands.{number}.target_value: got {command.target_value:g}: expected 0 or more with {name}")
    return found


def _asked(site: Site, device: Device, command: ThermalCommand) -> Asked | None:
    signal, shows = SIGNALS.get((device.kind, command.parameter), ("", ""))
    point = _settable(site, device, signal)
    if point is None:
        return None
    unit = command.unit or UNITS[command.parameter][0]
    factor = LPM_PER_M3H if unit == "m3h" else 1.0
    move = Move(point, command.target_value * factor, (command.ramp_rate_per_sec or 0.0) * factor)
    return Asked(command, move, unit, factor, site.find(device.id, shows))


def _settable(site: Site, device: Device, signal: str) -> int | None:
    point = site.find(device.id, signal)
    return point if point is not None and site.points[point].write is not None else None
