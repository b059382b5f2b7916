"""Writing past control, while none runs: the map's range, a typed confirmation, one write, one read-back."""

import asyncio
import json
import sys

from pswd_edge.commands.read import label
from pswd_edge.commands.session import Sessions
from pswd_edge.errors import DeviceError, PswdError
from pswd_edge.field.visitor import Visitor
from pswd_edge.model.look import FreshReading
from pswd_edge.model.point import Point, WriteRule
from pswd_edge.model.site import Site

_WRITE_S = 2.0


def shown_value(point: Point, value: float | None) -> str:
    """A value with its unit or label."""
    if value is None:
        return "nothing known"
    return f"{value:.10g} {label(point, value) or ('' if point.unit == '1' else point.unit)}".rstrip()


def within(point: Point, value: float) -> WriteRule:
    """The rule of a value that may be written from here. Raises PswdError for one that may not."""
    rule = point.write
    assert rule is not None  # `writable` gave it
    if getattr(rule, "sbo", False) or getattr(rule, "after", ()):
        raise PswdError(f"{point.id}: its map wants more than a write (a selection, or other points first), which only "
                        "control does; nothing was written")
    if not rule.minimum <= value <= rule.maximum:
        raise PswdError(f"{point.id}: got {value:g} {point.unit}: expected {rule.minimum:g}..{rule.maximum:g} (by its "
                        "map); nothing was written")
    return rule


def confirmed(point: Point, value: float, rule: WriteRule) -> bool:
    """Whether the engineer has typed the point's id."""
    reverts = f"it falls back after {rule.revert_s:g} s" if rule.revert_s else "it stays until somebody writes again"
    print(f"No control runs: no limit, no ramp and no record guards this write. {point.id} gets "
          f"{shown_value(point, value)}; {reverts}.", file=sys.stderr)
    print(f"Type {point.id} to write it: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == point.id


async def write_direct(site: Site, point: Point, value: float, *, as_json: bool) -> int:
    """Write once, read back, say so: 0 where the device shows the value. Raises PswdError."""
    sessions = Sessions(site)
    device = site.devices[point.device]
    try:
        driver = await sessions.driver(device.connection)
        await driver.write(device, point, value, _WRITE_S)
        found = await _read_back(site, sessions, point)
    except DeviceError as error:
        raise PswdError(f"{point.id}: {error}") from error
    finally:
        await sessions.close()
    holds = found is None or _agrees(point, value, found.value)
    if as_json:
        print(json.dumps({"acknowledged": True, "read_back": None if found is None else found.value, "holds": holds}))
    elif found is None:
        print(f"acknowledged: {shown_value(point, value)}; the device shows nothing to compare with")
    else:
        print(f"acknowledged: {shown_value(point, value)}; read back {shown_value(point, found.value)} "
              f"({found.quality}){'' if holds else ': it differs'}")
    return 0 if holds else 1


async def _read_back(site: Site, sessions: Sessions, point: Point) -> FreshReading | None:
    rule = point.write
    if rule is None or rule.read_back is None:
        return None
    await asyncio.sleep(0.1)
    return (await Visitor(site, sessions.visit).read([site.points[rule.read_back]]))[0]


def _agrees(point: Point, value: float, shown: float | None) -> bool:
    rule = point.write
    if shown is None or rule is None:
        return False
    expected = float(rule.read_back_values.get(int(value), int(value))) if rule.read_back_values else value
    return abs(shown - expected) <= max(rule.tolerance, 1e-6 * abs(expected))
