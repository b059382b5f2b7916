"""DCPI's power commands as orders for control or for the grid operator: MW to W, targets to points. Pure.

Nothing is sent here, so that the last of several commands can be refused before the first one has moved anything.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pswd_edge.gateway.profiles.dcpi.control_models import PowerCommand, PowerParameters
from pswd_edge.gateway.projection import W_PER_MW
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.sender import Sender
from pswd_edge.gateway.services.dispatch import HOLD_DEFAULT_S, HOLD_MAX_S
from pswd_edge.gateway.validation import invalid
from pswd_edge.model.command import Request, SetBatteryTarget, SetPoint
from pswd_edge.model.site import Site

GRID = "grid_interface"
_SYSTEM = re.compile(r"battery_system(?:_(\d{1,9}))?")

# action: the fields that it must have, and that it may have too.
_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "charge": (("power_mw",), ("duration_sec", "ramp_rate_mw_per_sec")),
    "discharge": (("power_mw",), ("duration_sec", "ramp_rate_mw_per_sec")),
    "standby": ((), ("duration_sec", "ramp_rate_mw_per_sec")),
    "load_smooth": ((), ()),
    "set_cap": (("power_mw",), ("duration_sec",)),
    "release_cap": ((), ()),
    "switch_on": (("outlet",), ("duration_sec",)),
    "switch_off": (("outlet",), ("duration_sec",)),
    "signal_load_change": (("delta_power_mw",), ("notification_time_sec", "duration_sec")),
}
_ACTIONS = {
    "battery": ("charge", "discharge", "standby", "load_smooth"), "load_controller": ("set_cap", "release_cap"),
    "pdu": ("switch_on", "switch_off"), "grid": ("signal_load_change",),
}


class Notice(NamedTuple):
    """What the grid operator is told: the load changes by `delta_w` (more is positive) in `after_s` seconds.

    `duration_s` is how long it stays changed; None: not said.
    """

    delta_w: float
    after_s: int
    duration_s: int | None


class Order(NamedTuple):
    """A checked command. `work` goes to control's door or to the grid operator; `points` are what it may move."""

    target: str
    action: str
    id: str
    work: Request | Notice
    points: tuple[int, ...] = ()


def orders(commands: list[PowerCommand], site: Site, sender: Sender, now_utc_s: float) -> list[Order]:
    """Every command as an order.

    Raises:
        RefusalError: 400 with a line for each mistake of form; 404 for a target that the site does not have; 409 for a
            battery that is led with others.
    """
    lines = [line for i, command in enumerate(commands) for line in _wrong_fields(f"commands.{i}.parameters", command)]
    if lines:
        raise invalid(lines)
    kinds = [_kind(f"commands.{i}.target", command.target, site) for i, command in enumerate(commands)]
    lines = [f"commands.{i}.action: got {c.action} for {c.target}: expected {' or '.join(_ACTIONS[kind])}"
             for i, (c, kind) in enumerate(zip(commands, kinds, strict=True)) if c.action not in _ACTIONS[kind]]
    lines += _twice(commands, kinds)
    if lines:
        raise invalid(lines)
    return [_order(i, command, kind, site, _Issue(sender, f"{sender.id}:{i}", now_utc_s))
            for i, (command, kind) in enumerate(zip(commands, kinds, strict=True))]


def _wrong_fields(path: str, command: PowerCommand) -> list[str]:
    needed, optional = _FIELDS[command.action]
    given = {name: value for name, value in command.parameters if value is not None}
    lines = [f"{path}.{name}: got nothing: expected a value with action {command.action}"
             for name in needed if name not in given]
    return lines + [f"{path}.{name}: got {value:g}: expected none with action {command.action}"
                    for name, value in given.items() if name not in (*needed, *optional)]


def _kind(path: str, target: str, site: Site) -> str:
    """A key of `_ACTIONS`; raises 404 or 409."""
    if target == GRID:
        return "grid"
    system = _SYSTEM.fullmatch(target)
    if system is not None:
        return _battery_system(path, target, int(system[1] or 1), site)
    device = next((d for d in site.devices if d.id == target), None)
    if device is not None and device.kind == "battery" and len(site.control.batteries) > 1:
        raise RefusalError(409, "BATTERY_LED_WITH_OTHERS", f"{path}: {target} is led together with the site's other "
                           "batteries, which share what is asked by their room and energy; name battery_system")
    if device is None or device.kind not in _ACTIONS:
        raise RefusalError(404, "NOT_FOUND", f"{path}: got {target}: expected battery_system, grid_interface, or the "
                           "id of a load controller or PDU of this site")
    return device.kind


def _battery_system(path: str, target: str, number: int, site: Site) -> str:
    if number != 1 or not site.control.batteries:
        has = "one battery system, battery_system_1" if site.control.batteries else "no battery"
        raise RefusalError(404, "NOT_FOUND", f"{path}: got {target}: this site has {has}")
    return "battery"


def _twice(commands: list[PowerCommand], kinds: list[str]) -> list[str]:
    """Two commands to one thing contradict each other: which of them should hold?"""
    seen: dict[tuple[str, object], int] = {}
    lines = []
    for i, (command, kind) in enumerate(zip(commands, kinds, strict=True)):
        thing = (kind if kind in ("battery", "grid") else command.target, command.parameters.outlet)
        if thing in seen:
            lines.append(f"commands.{i}.target: got {command.target} again: expected each target once "
                         f"(it is commands.{seen[thing]} too)")
        seen.setdefault(thing, i)
    return lines


class _Issue(NamedTuple):
    """Who sends it, under which id, when (UTC seconds)."""

    sender: Sender
    id: str
    utc_s: float

    def envelope(self, ttl_s: float) -> dict[str, Any]:
        return {"id": self.id, "origin": self.sender.origin, "role": self.sender.role, "issued_utc_s": self.utc_s,
                "ttl_s": ttl_s}


def _order(number: int, command: PowerCommand, kind: str, site: Site, issue: _Issue) -> Order:
    makers: dict[str, Callable[[PowerCommand, Site, _Issue, str], tuple[Request | Notice, tuple[int, ...]]]] = {
        "battery": _battery, "load_controller": _cap, "pdu": _switch, "grid": _notice}
    work, points = makers[kind](command, site, issue, f"commands.{number}")
    return Order(command.target, command.action, issue.id, work, points)


def _hold_s(parameters: PowerParameters) -> float:
    return float(min(parameters.duration_sec or HOLD_DEFAULT_S, HOLD_MAX_S))


def _battery(command: PowerCommand, site: Site, issue: _Issue, _: str) -> tuple[Request, tuple[int, ...]]:
    asked, power_w = command.parameters, None
    if command.action != "load_smooth":
        size_w = (asked.power_mw or 0.0) * W_PER_MW
        power_w = -size_w if command.action == "charge" else size_w
    target = SetBatteryTarget(**issue.envelope(0.0 if power_w is None else _hold_s(asked)), power_w=power_w,
                              ramp_w_per_s=(asked.ramp_rate_mw_per_sec or 0.0) * W_PER_MW)
    return target, tuple(battery.setpoint for battery in site.control.batteries)


def _cap(command: PowerCommand, site: Site, issue: _Issue, path: str) -> tuple[Request, tuple[int, ...]]:
    controller = next((c for c in site.control.load_controllers if c.id == command.target), None)
    if controller is None:
        raise RefusalError(404, "NOT_FOUND", f"{path}.target: {command.target} is not led by this site's control")
    power_mw = command.parameters.power_mw if command.action == "set_cap" else None
    return _set_point(site, controller.cap, None if power_mw is None else power_mw * W_PER_MW, issue, command)


def _switch(command: PowerCommand, site: Site, issue: _Issue, path: str) -> tuple[Request, tuple[int, ...]]:
    outlet = command.parameters.outlet
    point = site.find(command.target, f"outlet_command[{outlet}]")
    value = None if point is None else _labelled(site, point, command.action.removeprefix("switch_"))
    if point is None or value is None:
        raise RefusalError(404, "NOT_FOUND", f"{path}.parameters.outlet: got {outlet}: {command.target} has no such "
                           "outlet that can be switched")
    return _set_point(site, point, value, issue, command)


def _labelled(site: Site, point: int, word: str) -> float | None:
    """The value that the device's map calls "on" or "off"; None where it has no such word."""
    return next((float(value) for value, label in site.points[point].labels.items() if label == word), None)


def _set_point(
    site: Site, point: int, value: float | None, issue: _Issue, command: PowerCommand
) -> tuple[Request, tuple[int, ...]]:
    ttl_s = 0.0 if value is None else _hold_s(command.parameters)
    return SetPoint(**issue.envelope(ttl_s), point=site.points[point].id, value=value), (point,)


def _notice(command: PowerCommand, _: Site, __: _Issue, ___: str) -> tuple[Notice, tuple[int, ...]]:
    asked = command.parameters
    return Notice((asked.delta_power_mw or 0.0) * W_PER_MW, asked.notification_time_sec or 0,
                  asked.duration_sec), ()
